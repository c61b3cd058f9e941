//! Tables over whole files.

use super::problem::Problem;
use super::*;

fn names() -> Vec<String> {
    ["least-in-flight", "round-robin", "native:round-robin"].map(str::to_owned).to_vec()
}

fn problems(source: &str) -> Vec<String> {
    match read(source, &names()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    }
}

/// Whoever edits a file wants to hear of all slips at once: where, which key, which value, and what to write.
#[test]
fn five_mistakes_are_told_at_once() {
    let source = "\
[broker]
name = \"a b\"

[memory]
limit = \"1 gigabyte\"
send_fail_if_no_spce = true

[[connector]]
uri = \"amqp://0.0.0.0:5672\"

[[destination]]
queue = \"ORDERS.>\"
dispatch_policy = \"round-robbin\"
";
    let expected: [&[&str]; 5] = [
        &["line 2: broker.name = \"a b\"", "is no broker name", "without spaces"],
        &["line 5: memory.limit = \"1 gigabyte\"", "is no size", "\"32mb\""],
        &["line 6: memory.send_fail_if_no_spce", "is unknown", "did you mean send_fail_if_no_space?"],
        &["line 9: connector[1].uri = \"amqp://0.0.0.0:5672\"", "not served", "nio"],
        &["line 13: destination[1].dispatch_policy = \"round-robbin\"", "unknown", "did you mean round-robin?"],
    ];
    let found = problems(source);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, parts) in found.iter().zip(expected) {
        for part in parts {
            assert!(found.contains(part), "{part:?} is missing in {found:?}");
        }
    }
}

#[test]
fn each_single_mistake_is_told_with_its_remedy() {
    let table: &[(&str, &[&str])] = &[
        ("[brokr]\n", &["line 1: brokr: section brokr is unknown", "did you mean broker?"]),
        ("broker = 3\n", &["broker = 3", "whole number", "[name]"]),
        ("[broker]\nadvisory_support = \"yes\"\n", &["line 2", "is a text where a flag belongs", "true or false"]),
        ("[broker]\ndata_directory = \"\"\n", &["is empty"]),
        ("[memory]\nlimit = -1\n", &["memory.limit = -1", "out of bounds"]),
        ("[memory]\nlimit = \"1kb\"\n", &["out of bounds", "from 1mb to"]),
        ("[memory]\nlimit = 1.5\n", &["number with a fraction", "\"32mb\""]),
        ("[memory]\nsend_fail_if_no_space_after_timeout_ms = -5\n", &["out of bounds", "from 0 to"]),
        ("[limits]\nprefetch = 99999999999\n", &["out of bounds", "2147483647"]),
        ("[limits]\nprefetch = 99999999999999999999999\n", &["out of bounds"]),
        ("[log]\nlevel = \"loud\"\n", &["\"loud\" is no log level", "trace"]),
        ("[log]\nformat = \"xml\"\n", &["format xml is unknown", "json"]),
        (
            "[default_destination]\ndispatch_policy = \"lottery\"\n",
            &["default_destination.dispatch_policy", "native:round-robin"],
        ),
        ("[default_destination]\ndead_letter_queue = \"A.>\"\n", &["more than a queue", "wildcards"]),
        ("[default_destination]\nprioritizedMessages = true\n", &["did you mean prioritized_messages?"]),
        ("[[destination]]\nprioritized_messages = true\n", &["destination[1]", "neither queue nor topic"]),
        ("[[destination]]\nqueue = \"A\"\ntopic = \"B\"\n", &["both queue and topic"]),
        ("[[destination]]\nqueue = \"queue://A\"\n", &["is no pattern", "without queue://"]),
        ("[[destination]]\nqueue = \"A..B,\"\n", &["destination[1].queue"]),
        (
            "[[destination]]\nqueue = \"A\"\nmessage_group_policy = \"lottery\"\n",
            &["group policy", "lottery", "consistent-hash"],
        ),
        ("[[destination]]\ntopic = \"A\"\nmessage_groups = 9\n", &["destination[1].message_groups", "queues only"]),
        ("[[destination]]\ntopic = \"A\"\ndispatch_policy = \"round-robin\"\n", &["a topic has no dispatch policy"]),
        (
            "[[destination]]\nqueue = \"A\"\ntopic_dispatch_policy = \"priority\"\n",
            &["a queue has no topic dispatch policy", "dispatch_policy"],
        ),
        (
            "[[destination]]\ntopic = \"A\"\ntopic_dispatch_policy = \"priorty\"\n",
            &["destination[1].topic_dispatch_policy", "did you mean priority?"],
        ),
        ("[journal]\nurl = \"oracle:thin\"\n", &["line 2: journal.url: names a database of a kind", "postgres://"]),
        ("[journal]\nurl = \"mysql://u:s3cret@h\"\n", &["line 2: journal.url: names no database", "behind the host"]),
        ("[journal]\ntable_prefix = \"a-b\"\n", &["journal.table_prefix = \"a-b\"", "jackfield_"]),
        ("[lock]\ntype = \"lease\"\n", &["type lease is unknown", "lease-database-locker"]),
        ("[lock]\ntype = \"lease-database-locker\"\n", &["line 2: lock.type", "needs a database", "lock.url"]),
        (
            "[lock]\ntype = \"shared-file-locker\"\nurl = \"mysql://u@h/d\"\n",
            &["line 3: lock.url: is for a lock in a database", "leave it out"],
        ),
        (
            "[lock]\nurl = \"mysql://u@h/d\"\nacquire_sleep_interval_ms = 2000\n",
            &["line 3: lock.acquire_sleep_interval_ms = 2000: is how long a lease lasts", "at least 2500"],
        ),
        (
            "[journal]\nurl = \"sqlite:j.db\"\n[lock]\nkeep_alive_period_ms = 0\n",
            &["line 4: lock.keep_alive_period_ms = 0", "never renews the lease"],
        ),
        ("[[routing]]\nqueue = \"A\"\n", &["line 1: routing[1]", "has no policy", "content-based"]),
        ("[[routing]]\npolicy = \"wiretap\"\n", &["routing[1]", "neither queue nor topic"]),
        ("[[routing]]\nqueue = \"A\"\npolicy = \"wiretab\"\n", &["routing[1].policy", "did you mean wiretap?"]),
        (
            "[[routing]]\nqueue = \"A\"\npolicy = \"native:wiretap\"\nsettings = { target = \"B\" }\n",
            &["routing[1].settings", "setting target = B is unknown; known are targets"],
        ),
        (
            "[[routing]]\nqueue = \"A\"\npolicy = \"wiretap\"\n[[routing]]\nqueue = \"A\"\npolicy = \"sampling\"\n",
            &["routing[2]", "the pattern of another one"],
        ),
        ("[destination]\nqueue = \"A\"\n", &["no list of sections", "[[destination]]"]),
        ("[[connector]]\nname = \"a\"\n", &["line 1: connector[1]", "has no uri", "tcp://"]),
        (
            "[[connector]]\nuri = \"tcp://h:1\"\n[[connector]]\nuri = \"stomp://h:1\"\n",
            &["line 4", "listens there already"],
        ),
        (
            "[[connector]]\nname = \"a\"\nuri = \"tcp://h:1\"\n[[connector]]\nname = \"a\"\nuri = \"tcp://h:2\"\n",
            &["line 5: connector[2].name = \"a\"", "two connectors"],
        ),
        ("[[connector]]\nurl = \"tcp://h:1\"\nuri = \"tcp://h:1\"\n", &["key url is unknown", "did you mean uri?"]),
        (
            "[[connector]]\nuri = \"ssl://h:1\"\n",
            &["line 2: connector[1].uri", "needs a certificate and its key", "[tls]"],
        ),
        (
            "[tls]\ncertificate = \"c\"\nkey = \"k\"\n[[connector]]\nuri = \"stomp+ssl://h:1?needClientAuth=true\"\n",
            &["line 5: connector[1].uri", "nobody is there who may sign", "client_ca"],
        ),
        ("[[connector]]\nuri = \"tcp://h:1\"\nkey = \"k\"\n", &["line 2", "certificates but no TLS", "ssl://"]),
        (
            "[admin]\naddress = \"0.0.0.0:8162\"\n",
            &["line 2: admin.address = \"0.0.0.0:8162\"", "would let everybody in", "admin.token"],
        ),
        ("[admin]\naddress = \"8162\"\n", &["admin.address = \"8162\"", "is no address", "127.0.0.1:8162"]),
        ("[admin]\nhealth = \"::1:8161\"\n", &["admin.health", "is no address"]),
        ("[admin]\nuser = \"ops\"\n", &["line 2: admin.user", "has no password", "admin.password"]),
        ("[admin]\npassword = \"x\"\n", &["admin.password: is nobody's", "admin.user"]),
        ("[admin]\nhosts = \"a\"\n", &["admin.hosts", "a text where a list belongs"]),
        ("[admin]\nheader_limit = \"2gb\"\n", &["admin.header_limit", "out of bounds"]),
        ("[tls]\ncertificate = \"\"\n", &["tls.certificate", "is empty"]),
        ("[tls]\nhandshake_ms = 0\n", &["tls.handshake_ms = 0", "out of bounds"]),
        ("[lock]\nuse_lock = false\n", &["line 2: lock.use_lock", "key use_lock is unknown", "enabled"]),
        ("[lock]\nacquire_sleep_interval_ms = 0\n", &["lock.acquire_sleep_interval_ms = 0", "out of bounds", "10 to"]),
        ("[policy]\ncomponent = 3\n", &["policy.component: is no list of sections", "[[policy.component]]"]),
        ("[[policy.component]]\nname = \"x\"\n", &["line 1: policy.component[1]", "lacks a name or a file"]),
        ("[[policy.component]]\nnam = \"x\"\n", &["key nam is unknown", "did you mean name?"]),
        ("[[policy.component]]\nname = \"native:x\"\nfile = \"f\"\n", &["no name of a policy", "colons"]),
        ("[[policy.component]]\nname = \"round-robin\"\nfile = \"f\"\n", &["another policy has this name"]),
        (
            "[[policy.component]]\nname = \"x\"\nfile = \"f\"\nsettings = { a = 1 }\n",
            &["policy.component[1].settings.a = 1", "is no text", "in quotes"],
        ),
        ("[policy]\nstock = 3\n", &["policy.stock: is no list of sections", "[[policy.stock]]"]),
        ("[[policy.stock]]\nname = \"x\"\n", &["line 1: policy.stock[1]", "lacks a name or a policy"]),
        (
            "[[policy.stock]]\nname = \"x\"\npolicy = \"wieghted\"\n",
            &["policy.stock[1].policy = \"wieghted\"", "did you mean weighted?"],
        ),
        ("[[policy.stock]]\nname = \"round-robin\"\npolicy = \"weighted\"\n", &["another policy has this name"]),
        (
            "[[policy.stock]]\nname = \"x\"\npolicy = \"priority\"\nsettings = { rise-ms = \"1s\", colour = \"red\" }\n",
            &[
                "line 4: policy.stock[1].settings.rise-ms = \"1s\": is no such number; write a whole number from 0 to",
                "line 4: policy.stock[1].settings.colour = \"red\": is unknown; known are by, rise-ms",
            ],
        ),
        ("[security]\nusers = \"admin\"\n", &["security.users: is no list", "password"]),
        ("[security]\nusers = [{ name = \"a\" }]\n", &["security.users[1]", "lacks a name or a password"]),
        ("[security]\nusers = [{ nme = \"a\", name = \"b\", password = \"c\" }]\n", &["did you mean name?"]),
        (
            "[security]\nusers = [{ name = \"a\", password_hash = \"md5\" }]\n",
            &["users[1].password_hash", "jackfield password"],
        ),
        (
            "[security]\nusers = [{ name = \"a\", password = \"b\", groups = \"x,y\" }]\n",
            &["users[1].groups", "is a text where a list belongs", "[\"users\", \"admins\"]"],
        ),
        ("[security]\nanonymus_access = true\n", &["did you mean anonymous_access?"]),
        ("[[security.jwt]]\nalgorithm = \"none\"\nsecret = \"x\"\n", &["security.jwt[1].algorithm", "none is unknown"]),
        ("[[security.jwt]]\nalgorithm = \"HS256\"\nsecret = \"x\"\n", &["security.jwt[1]", "1 bytes", "at least 32"]),
        ("[[security.jwt]]\nalgorithm = \"RS256\"\n", &["neither secret nor file"]),
        ("[[security.jwt]]\nalgorithm = \"HS256\"\nfile = \"k\"\n", &["HS256 needs a secret"]),
        ("[[security.certificate]]\nsubject = \"CN=a\"\n", &["security.certificate[1]", "lacks a subject or a user"]),
        (
            "[[security.authorization]]\nread = [\"a\"]\n",
            &["security.authorization[1]", "says not what", "temporary = true"],
        ),
        ("[[security.authorization]]\nqueue = \"A\"\ntopic = \"B\"\n", &["about several things"]),
        ("[[security.authorization]]\nqueue = \"queue://A\"\n", &["security.authorization[1].queue", "is no pattern"]),
        ("[[security.authorization]]\nqueue = \"A\"\nreads = [\"a\"]\n", &["did you mean read?"]),
        (
            "[[security.authorization]]\nqueue = \"A\"\n",
            &["security.authorization", "nobody has to log in", "name users"],
        ),
        ("[broker\nname = 3\n", &["line 1", "is no TOML"]),
        ("[broker]\nname = \"a\"\nname = \"b\"\n", &["line 3", "is no TOML"]),
    ];
    for (source, parts) in table {
        let found = problems(source);
        assert!(!found.is_empty(), "nothing is wrong with {source:?}?");
        for part in *parts {
            assert!(found.iter().any(|found| found.contains(part)), "{part:?} is missing in {found:#?}");
        }
    }
}

/// A message goes to logs and tickets.
#[test]
fn no_message_shows_a_password() {
    for source in [
        "[security]\nusers = [{ name = \"a\", password = \"s3cret\" }, { name = \"a\", password = \"s3cret\" }]\n",
        "[security]\nusers = [{ nam = \"a\", password = \"s3cret\" }]\n",
        "[security]\nusers = [{ name = \"a\", password_hash = \"s3cret\" }]\n",
        "[[security.jwt]]\nalgorithm = \"HS256\"\nsecret = \"s3cret\"\n",
        "[security]\nusers = \"a s3cret\"\n",
        "[security]\nusers = [\"a s3cret\"]\n",
        "[admin]\ntoken = \"s3cret\"\n",
        "[admin]\npassword = \"s3cret\"\n",
        "[admin]\ntoken = [\"s3cret\"]\n",
        "[journal]\nurl = \"postgres://u:s3cret@h\"\n",
        "[journal]\nurl = [\"postgres://u:s3cret@h/d\"]\n",
        "[lock]\nurl = \"postgres://u:s3cret@h:x/d\"\n",
        "[security]\nusers = [{ name = \"a\", password = { plain = \"s3cret\" } }]\n",
    ] {
        let found = problems(source);
        assert!(!found.is_empty(), "{source}");
        assert!(found.iter().all(|found| !found.contains("s3cret")), "{found:?}");
    }
    let source = "[security]\nusers = [{ name = \"a\", password = \"s3cret\" }]\n\
                  [admin]\ntoken = \"s3cret-s3cret-s3cret\"\nuser = \"a\"\npassword = \"s3cret\"\n\
                  [journal]\nurl = \"mysql://u:s3cret@h/d\"\n[lock]\nurl = \"mysql://u:s3cret@h/d?x=s3cret\"\n";
    let config = read(source, &names()).unwrap();
    assert!(!show(&config).contains("s3cret"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn values_arrive_where_they_belong() {
    let source = "\
[broker]
name = \"north\"
[memory]
limit = \"64mb\"
[store]
limit = \"2 gb\"
[lock]
keep_alive_period_ms = 0
fail_if_locked = true
[policy]
deadline_ms = 9
[[policy.stock]]
name = \"even\"
policy = \"fair-share\"
settings = { key = \"tenant\", weights = \"gold=3\" }
[[policy.component]]
name = \"by-region\"
file = \"r.wasm\"
settings = { zone = \"z\", \"a b\" = \"1\" }
[[connector]]
uri = \"nio://0.0.0.0:0?maximumConnections=7\"
[[connector]]
uri = \"tcp://0.0.0.0:0\"
maximum_consumers_per_connection = 3
[[connector]]
uri = \"ssl://0.0.0.0:0\"
key = \"own.key\"
[tls]
certificate = \"house.pem\"
key = \"house.key\"
handshakes = 9
[admin]
socket = \"\"
address = \"[::1]:8162\"
token = \"0123456789abcdef\"
hosts = [\"broker.example\"]
destination_series = 7
[default_destination]
dead_letter_queue = \"DEAD\"
[[destination]]
queue = \"ORDERS.>\"
dispatch_policy = \"least-in-flight\"
individual_dead_letter_prefix = \"DEAD.\"
[[destination]]
queue = \"LOCAL\"
dispatch_policy = \"by-region\"
[[destination]]
queue = \"SHARED\"
dispatch_policy = \"native:even\"
[[destination]]
topic = \"PRICES.*\"
memory_limit = 0x100000
topic_dispatch_policy = \"priority\"
[[routing]]
topic = \"EVENTS.>\"
policy = \"by-region\"
settings = { b = \"1\", a = \"2\" }
[security]
users = [{ name = \"a\", password = \"b\", groups = [\"g\"] }]
anonymous_access = true
[[security.jwt]]
algorithm = \"HS256\"
secret = \"0123456789abcdef0123456789abcdef\"
issuer = \"idp\"
[[security.certificate]]
subject = \"CN=a\"
user = \"a\"
[[security.authorization]]
queue = \"A.>\"
read = [\"g\"]
[[security.authorization]]
temporary = true
admin = [\"*\"]
";
    let config = read(source, &names()).expect("a correct file");
    assert_eq!(&*config.broker.broker_name, "north");
    assert_eq!(config.broker.memory_bytes_limit, 64 << 20);
    assert_eq!(config.store.bytes_limit, 2 << 30);
    assert_eq!(config.policy.call_ms_max, 9);
    assert_eq!((config.lock.keep_alive_period_ms, config.lock.fail_if_locked, config.lock.enabled), (0, true, true));
    assert_eq!(
        config.connectors.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["openwire", "openwire-2", "openwire+ssl"]
    );
    let files = config.connectors[2].files.or(&config.tls.files);
    assert_eq!((files.certificate, files.key), (Some("house.pem".into()), Some("own.key".into())));
    assert_eq!(config.tls.handshakes_max, 9);
    assert_eq!(
        (config.admin.hosts.as_slice(), config.admin.limits.destination_series_max),
        (&["broker.example".to_owned()][..], 7)
    );
    assert_eq!((config.connectors[0].connections_max, config.connectors[1].consumers_max), (7, 3));
    assert_eq!(config.security.users.len(), 1);
    let settings = [("zone", "z"), ("a b", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(config.components[0].settings, settings, "in the order of the file");
    let even = &config.stock_policies[0];
    let settings = [("key", "tenant"), ("weights", "gold=3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!((even.policy.as_str(), &even.settings[..]), ("fair-share", &settings[..]));
    let security = &config.security;
    assert!(security.is_on() && security.has_plain_passwords() && security.anonymous_access);
    assert_eq!((security.tokens.len(), security.certificates.len(), security.authorization.len()), (1, 1, 2));
    let broker = config.broker();
    let orders = broker.settings(true, "ORDERS.EU");
    assert_eq!(
        (orders.dispatch_policy.as_str(), orders.individual_dead_letter_prefix.as_deref()),
        ("least-in-flight", Some("DEAD."))
    );
    assert_eq!(&*orders.dead_letter_queue, "ActiveMQ.DLQ", "entries are not merged (row P05)");
    assert_eq!(&*broker.settings(true, "OTHER").dead_letter_queue, "DEAD");
    assert_eq!(broker.settings(false, "PRICES.ACME").memory_bytes_limit, 1 << 20);
    assert_eq!(broker.settings(false, "PRICES.ACME").topic_dispatch_policy.as_deref(), Some("priority"));
    let routing = &broker.routing[0];
    assert_eq!((routing.is_queue, &**routing.pattern.text(), &*routing.policy), (false, "EVENTS.>", "by-region"));
    assert_eq!(routing.settings[0].0, "b", "in the order of the file");
    let again =
        read(&show(&config).replace("(not shown)", "0123456789abcdef"), &names()).expect("what is shown can be read");
    assert_eq!(show(&again), show(&config));
}

/// The commented file in `examples/` is the defaults, key by key and comment by comment.
#[test]
fn the_example_file_is_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/jackfield.toml");
    let example = std::fs::read_to_string(path).expect("examples/jackfield.toml");
    let expected = show(&Config::default());
    assert!(example == expected, "examples/jackfield.toml is not what `jackfield config show` prints for the defaults");
    let config = read(&example, &names()).expect("the example is correct");
    assert_eq!(show(&config), expected);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

/// What is commented out in the example can be put in.
#[test]
fn the_commented_examples_are_correct() {
    let example = show(&Config::default()).replace("users = []\n", "");
    let mut source = String::new();
    for line in example.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let is_key = bare.starts_with("[[") || bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        source += if is_key { bare } else { line };
        source.push('\n');
    }
    let config = read(&source, &names()).unwrap_or_else(|problems| panic!("{problems:#?}\n{source}"));
    let found = (config.destinations.len(), config.components.len(), config.stock_policies.len(), config.routing.len());
    assert_eq!(found, (1, 1, 1, 1));
    assert_eq!(config.broker.default_destination.individual_dead_letter_prefix.as_deref(), Some("ActiveMQ.DLQ.Queue."));
}
