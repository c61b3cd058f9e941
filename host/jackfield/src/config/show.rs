//! A [`Config`] as the file that would give it, each key with a comment. With the defaults this is
//! `examples/jackfield.toml`.

use std::fmt::Write;

use auth::Secret;
use plugin::auth::Place;
use plugin::native;

use super::keys::{DESTINATION, Key, QUEUES_ONLY, SECTIONS, Shown, list, text};
use super::security::User;
use super::{Config, component, connector, routing, security, stock};

const HEAD: &str = "\
# Jackfield, a message broker. Every key is shown with its value; a key that is left out has its default.
# `jackfield config check` finds the mistakes in a file, `jackfield config show` prints this for yours.
# Sizes: \"32mb\", \"1gb\", \"100 gb\", or a number of bytes. Names ending in _ms are milliseconds.
# In parentheses: what ActiveMQ calls it.
";

const CONNECTOR: &str = "
# Ports that clients connect to. Those given here take the place of the two below.
# uri: as ActiveMQ writes it. Schemes tcp and nio speak OpenWire, stomp and stomp+nio speak STOMP; ssl, nio+ssl,
#   stomp+ssl and stomp+nio+ssl the same over TLS 1.2 and 1.3, with the certificates of [tls].
#   Port 0 lets the system choose one. 0.0.0.0 listens on all addresses: have users in [security] then.
#   Options of all: maximumConnections=10000, backlog=5000, wireFormat.maxFrameSize=104857600,
#     transport.connectAttemptTimeout=30000
#   Options of OpenWire: wireFormat.maxInactivityDuration=30000, wireFormat.maxInactivityDurationInitalDelay=10000
#   Options of STOMP: wireFormat.maxDataLength=104857600, transport.hbGracePeriodMultiplier=1.0
#   Options with TLS: needClientAuth=false, wantClientAuth=false (clients must or may show a certificate),
#     transport.enabledProtocols=TLSv1.2,TLSv1.3
#   Examples: tcp://0.0.0.0:61616?maximumConnections=1000&wireFormat.maxFrameSize=10485760
#     ssl://0.0.0.0:61617?needClientAuth=true
";

const STOCK_POLICIES: &str = "
# Stock policies with settings of your own, for dispatch_policy to name. Without settings they go by their own names:
";

const STOCK_POLICY_EXAMPLE: &str = "\
#
# [[policy.stock]]
# name = \"big-consumers-first\"
# policy = \"weighted\"
# settings = { weights = \"big-*=5, ID:small-*=1\" }
";

const COMPONENTS: &str = "
# Policies of your own: WebAssembly components. dispatch_policy, topic_dispatch_policy, message_group_policy and the
# policy of a [[routing]] name them.
# settings: what the component is told when it is made; which ones it knows is its author's choice.
";

const COMPONENT_EXAMPLE: &str = "\
#
# [[policy.component]]
# name = \"by-region\"
# file = \"by-region.wasm\"
# settings = { home = \"north\" }
";

const DEFAULT_DESTINATION: &str = "
# For queues and topics that no [[destination]] below matches.
";

const DESTINATIONS: &str = "
# Settings for the queues or topics of a pattern: * stands for one part of the name, > for all that follow.
# The most specific pattern wins. Entries are not merged: a key that is left out has the program's default,
# not that of [default_destination]. The keys are those of [default_destination].
#
# [[destination]]
# queue = \"ORDERS.>\"
# dispatch_policy = \"least-in-flight\"
# dead_letter_queue = \"ORDERS-DLQ\"
";

const ROUTING: &str = "
# Where messages go that producers send to the queues or topics of a pattern (queue or topic, as above): elsewhere, there
# as well, nowhere, back with an error, to the dead letters. The most specific pattern wins. Asked when a send comes in,
# within a transaction when it commits (compositeQueue, compositeTopic, filteredDestination, mirroredQueue).
# settings: what the policy is told; the first lines of a stock policy say which ones it knows.
";

const ROUTING_EXAMPLE: &str = "\
#
# [[routing]]
# queue = \"ORDERS.>\"
# policy = \"content-based\"
# settings = { \"to EU.ORDERS\" = \"region = 'eu'\", \"also AUDIT\" = \"amount > 10000\" }
";

const SECURITY: &str = "
# Who may log in. With no users, jwt, certificate, anonymous_access and no component in policies everybody comes in, with
# and without a name, and may do everything.
[security]
";

const USERS: &str = "\
# Users (simpleAuthenticationPlugin). `jackfield password` makes a hash; password = \"…\" in its place keeps the
# password as it is: let nobody but the broker read this file then.
# users = [{ name = \"orders\", password_hash = \"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$RO8q2GDFrOMlCmR6BkxlB4G4Rg\", groups = [\"users\"] }]
";

const TOKENS: &str = "
# Tokens (JWT) that come in as passwords. Their connections are closed when they expire.
";

const TOKEN_EXAMPLE: &str = "\
#
# [[security.jwt]]
# algorithm = \"HS256\"
# secret = \"a secret of at least 32 bytes: 0123456789\"
# issuer = \"https://login.example\"
# audience = \"jackfield\"
";

const CERTIFICATES: &str = "
# Client certificates (jaasCertificateAuthenticationPlugin with TextFileCertificateLoginModule).
";

const CERTIFICATE_EXAMPLE: &str = "\
#
# [[security.certificate]]
# subject = \"CN=orders, O=Example\"
# user = \"orders\"
# groups = [\"users\"]
";

const RULES: &str = "
# Rights of groups (authorizationMap). Without an entry everybody who is in may do everything. With entries all that
# match are united, and what none matches is for nobody. A group that no entry names may do nothing.
# queue, topic: which names (authorizationEntry); * stands for one part of the name, > for all that follow.
# temporary: true for all temporary destinations (tempDestinationAuthorizationEntry); without one they are everybody's.
# default: true for all queues and topics, united with what matches (defaultEntry).
# Of a composite each part must be allowed. JMS clients need read on ActiveMQ.Advisory.TempQueue and TempTopic.
";

const RULE_EXAMPLE: &str = "\
#
# [[security.authorization]]
# queue = \"ORDERS.>\"
# read = [\"users\"]
# write = [\"users\", \"partners\"]
# admin = [\"admins\"]
# [[security.authorization]]
# topic = \"ActiveMQ.Advisory.>\"
# read = [\"*\"]
";

/// The file that gives this configuration. Passwords are not shown.
pub(crate) fn show(config: &Config) -> String {
    let mut out = String::from(HEAD);
    for section in SECTIONS {
        push(&mut out, format_args!("\n# {}\n[{}]\n", section.doc, section.name));
        keys(&mut out, section.keys, config, true);
        match section.name {
            "broker" => connectors(&mut out, config),
            "policy" => {
                stock_policies(&mut out, config);
                components(&mut out, config);
            }
            _ => {}
        }
    }
    destinations(&mut out, config);
    routings(&mut out, config);
    security(&mut out, config);
    out
}

fn connectors(out: &mut String, config: &Config) {
    out.push_str(CONNECTOR);
    for key in connector::KEYS {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    for connector in &config.connectors {
        push(out, format_args!("[[connector]]\n"));
        if let Shown::Value(uri) = text(&connector.uri) {
            push(out, format_args!("uri = {uri}\n"));
        }
        for key in connector::KEYS.iter().filter(|key| matches!((key.show)(connector), Shown::Value(_))) {
            one(out, key, connector);
        }
    }
    if config.connectors.is_empty() {
        out.push_str("connector = []\n");
    }
}

fn stock_policies(out: &mut String, config: &Config) {
    out.push_str(STOCK_POLICIES);
    for twin in native::twins() {
        comment(out, &format!("- {}: {}", twin.name, twin.description));
        for setting in twin.settings {
            let default = if setting.default.is_empty() { "none" } else { setting.default };
            comment(out, &format!("    {} ({default}): {}", setting.key, setting.meaning));
        }
    }
    comment(out, "settings: Values in quotes.");
    for key in stock::KEYS {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    out.push_str(STOCK_POLICY_EXAMPLE);
    for of in &config.stock_policies {
        out.push_str("[[policy.stock]]\n");
        keys(out, stock::KEYS, of, false);
        settings(out, &of.settings);
    }
}

fn components(out: &mut String, config: &Config) {
    out.push_str(COMPONENTS);
    for key in component::KEYS {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    out.push_str(COMPONENT_EXAMPLE);
    for of in &config.components {
        out.push_str("[[policy.component]]\n");
        keys(out, component::KEYS, of, false);
        settings(out, &of.settings);
    }
}

fn routings(out: &mut String, config: &Config) {
    out.push_str(ROUTING);
    for key in routing::KEYS {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    out.push_str(ROUTING_EXAMPLE);
    for of in &config.routing {
        let kind = if of.is_queue { "queue" } else { "topic" };
        let Shown::Value(pattern) = text(&of.pattern) else { continue };
        push(out, format_args!("[[routing]]\n{kind} = {pattern}\n"));
        keys(out, routing::KEYS, of, false);
        settings(out, &of.settings);
    }
}

fn settings(out: &mut String, settings: &[(String, String)]) {
    let settings = settings.iter().filter_map(|(name, value)| match (text(name), text(value)) {
        (Shown::Value(name), Shown::Value(value)) => Some(format!("{name} = {value}")),
        _ => None,
    });
    push(out, format_args!("settings = {{ {} }}\n", settings.collect::<Vec<_>>().join(", ")));
}

fn destinations(out: &mut String, config: &Config) {
    out.push_str(DEFAULT_DESTINATION);
    out.push_str("[default_destination]\n");
    keys(out, DESTINATION, &config.broker.default_destination, true);
    out.push_str(DESTINATIONS);
    for policy in &config.destinations {
        let kind = if policy.is_queue { "queue" } else { "topic" };
        let Shown::Value(pattern) = text(&policy.pattern) else { continue };
        push(out, format_args!("[[destination]]\n{kind} = {pattern}\n"));
        let shown = |key: &&Key<_>| match policy.is_queue {
            true => key.name != "topic_dispatch_policy",
            false => !QUEUES_ONLY.contains(&key.name),
        };
        for key in DESTINATION.iter().filter(shown) {
            one(out, key, &policy.settings);
        }
    }
}

fn security(out: &mut String, config: &Config) {
    let security = &config.security;
    out.push_str(SECURITY);
    keys(out, security::KEYS, security, true);
    out.push_str(USERS);
    users(out, &security.users);
    entries(out, TOKENS, TOKEN_EXAMPLE, "security.jwt", security::TOKEN, &security.tokens, |_| None);
    let certificates = &security.certificates;
    entries(
        out,
        CERTIFICATES,
        CERTIFICATE_EXAMPLE,
        "security.certificate",
        security::CERTIFICATE,
        certificates,
        |_| None,
    );
    let rules = &security.authorization;
    entries(out, RULES, RULE_EXAMPLE, "security.authorization", security::RULE, rules, |rule| {
        let quoted = |name: &str| match text(name) {
            Shown::Value(value) => value,
            Shown::Unset(_) => String::new(),
        };
        Some(match &rule.place {
            Place::Queue(name) => format!("queue = {}", quoted(name)),
            Place::Topic(name) => format!("topic = {}", quoted(name)),
            Place::Temporary => "temporary = true".to_owned(),
            Place::Default => "default = true".to_owned(),
        })
    });
}

fn users(out: &mut String, users: &[User]) {
    if users.is_empty() {
        out.push_str("users = []\n");
        return;
    }
    out.push_str("users = [\n");
    for user in users {
        let secret = match user.secret {
            Secret::Plain(_) => "password",
            Secret::Hash(_) => "password_hash",
        };
        if let (Shown::Value(name), Shown::Value(groups)) = (text(&user.name), list(&user.groups)) {
            push(out, format_args!("    {{ name = {name}, {secret} = \"(not shown)\", groups = {groups} }},\n"));
        }
    }
    out.push_str("]\n");
}

/// A list of sections: what they are about, their keys, an example, those that there are.
fn entries<T>(
    out: &mut String,
    about: &str,
    example: &str,
    name: &str,
    all: &[Key<T>],
    of: &[T],
    first: impl Fn(&T) -> Option<String>,
) {
    out.push_str(about);
    for key in all {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    out.push_str(example);
    for of in of {
        push(out, format_args!("[[{name}]]\n"));
        if let Some(first) = first(of) {
            push(out, format_args!("{first}\n"));
        }
        keys(out, all, of, false);
    }
}

fn keys<T>(out: &mut String, keys: &[Key<T>], of: &T, with_comments: bool) {
    for key in keys {
        if with_comments {
            comment(out, key.doc);
        }
        one(out, key, of);
    }
}

fn one<T>(out: &mut String, key: &Key<T>, of: &T) {
    match (key.show)(of) {
        Shown::Value(value) => push(out, format_args!("{} = {value}\n", key.name)),
        Shown::Unset(example) => push(out, format_args!("# {} = {example}\n", key.name)),
    }
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        push(out, format_args!("# {line}\n"));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all text");
}
