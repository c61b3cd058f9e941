//! The room as its clients see it, over real sockets, with a broker that is a few numbers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::{
    Bound, ControlError, Explanation, History, Listed, ListedGeneration, LogLine, Point, PolicyControl, RecordWish,
    Recorded, ShadowFindings, Turned, Wish,
};

use super::*;
use crate::words::{Ask, Bucket, Destination, Limit, Policy, Status, Sums, Survey, Times};

/// Says what it is told to say.
struct Numbers {
    status: Status,
    survey: Survey,
    answers: bool,
}

impl Numbers {
    fn new() -> Numbers {
        let sums = Sums { pending: 3, enqueued: 10, ..Sums::default() };
        let destination = |name: &str| Destination { name: name.into(), policy: "round-robin".into(), sums };
        let buckets = vec![Bucket { up_to_us: Some(2), calls: 1 }, Bucket { up_to_us: None, calls: 2 }];
        let policy = Policy {
            name: "round-robin".into(),
            point: "queue-dispatch".into(),
            batches: [("policy".to_owned(), 7), ("trap".to_owned(), 1)].into(),
            times: Times { calls: 3, nanos: 9_000, nanos_most: 4_000, buckets },
            swap_times: Times { calls: 1, nanos: 2_000_000, nanos_most: 2_000_000, buckets: Vec::new() },
            ..Policy::default()
        };
        let limit = Limit { name: "limits.destinations".into(), used: 2, max: 9 };
        Numbers {
            status: Status { ready: true, role: "active".into(), limits: vec![limit], ..Status::default() },
            survey: Survey {
                destinations: vec![destination("queue://A"), destination("queue://\"quoted\\\"\nline")],
                matched: 2,
                total: 5,
                sums,
                policies: vec![policy],
            },
            answers: true,
        }
    }
}

impl Control for Numbers {
    fn status(&self) -> Answer<'_, Status> {
        Box::pin(async {
            if !self.answers {
                std::future::pending::<()>().await;
            }
            Ok(self.status.clone())
        })
    }

    fn survey(&self, ask: Ask) -> Answer<'_, Survey> {
        Box::pin(async move {
            let mut survey = self.survey.clone();
            survey.destinations.truncate(ask.limit);
            Ok(survey)
        })
    }
}

/// Notes what it is asked to do.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, what: String) {
        self.0.lock().expect("a list").push(what);
    }
}

impl PolicyControl for Notes {
    fn deploy(&self, wish: Wish) -> Result<Turned, ControlError> {
        self.note(format!("deploy {} of {} {:?} {}", wish.name, wish.bytes.len(), wish.settings, wish.shadow));
        Ok(Turned { generation: 7, remarks: Vec::new() })
    }

    fn configure(&self, name: &str, settings: Vec<(String, String)>) -> Result<Turned, ControlError> {
        self.note(format!("configure {name} {settings:?}"));
        Ok(Turned { generation: 8, remarks: vec!["on Q the one before goes on".into()] })
    }

    fn promote(&self, name: &str, generation: Option<u64>, start_empty: bool) -> Result<Turned, ControlError> {
        self.note(format!("promote {name} {generation:?} {start_empty}"));
        Ok(Turned { generation: 9, remarks: Vec::new() })
    }

    fn rollback(&self, name: &str, _: Option<u64>) -> Result<Turned, ControlError> {
        Err(ControlError::Refused(format!("plug-in {name} has no previous generation")))
    }

    fn end_shadow(&self, _: &str) -> Result<u64, ControlError> {
        panic!("a fault of the broker")
    }

    fn shadow(&self, _: &str) -> Result<Vec<ShadowFindings>, ControlError> {
        Ok(vec![ShadowFindings { rows: 4, rows_agreed: 3, ..ShadowFindings::default() }])
    }

    fn remove(&self, name: &str) -> Result<(), ControlError> {
        self.note(format!("remove {name}"));
        Ok(())
    }

    fn bind(&self, point: Point, pattern: &str, policy: &str) -> Result<(), ControlError> {
        self.note(format!("bind {policy} to {pattern} for {point}"));
        Ok(())
    }

    fn unbind(&self, _: Point, _: &str) -> Result<(), ControlError> {
        Err(ControlError::Unavailable("the broker is stopping".into()))
    }

    fn list(&self) -> Vec<Listed> {
        let generation = ListedGeneration {
            number: 2,
            digest: "d1".into(),
            bytes: 10,
            world: "queue-policy".into(),
            settings: Vec::new(),
            grants: Vec::new(),
            deployed_ms: 0,
            withdrawn: None,
        };
        let (name, shadow) = ("mine".into(), Some(3));
        vec![Listed {
            name,
            active: Some(2),
            previous: None,
            shadow,
            generations: vec![generation],
            states: 1,
            state_bytes: 5,
        }]
    }

    fn compiled(&self) -> Vec<(&'static str, u64)> {
        vec![("found", 4)]
    }

    fn bindings(&self) -> Vec<Bound> {
        vec![Bound { point: Point::QueueDispatch, pattern: "A.>".into(), policy: "mine".into() }]
    }

    fn history(&self, name: &str) -> Result<Vec<History>, ControlError> {
        Err(ControlError::Refused(format!("plug-in {name} does not exist")))
    }

    fn logs(&self, name: &str) -> Result<Vec<LogLine>, ControlError> {
        let (level, destination) = ("info".to_owned(), "Q".to_owned());
        Ok(vec![LogLine { at_ms: 1, level, destination, text: format!("{name} speaks") }])
    }

    fn explain(&self, queue: &str) -> Result<Explanation, ControlError> {
        self.note(format!("explain {queue}"));
        Ok(Explanation::default())
    }

    fn record(&self, what: &str, wish: RecordWish) -> Result<Recorded, ControlError> {
        self.note(format!("record {what} {} {}", wish.ms, wish.batches));
        self.recorded(what)
    }

    fn recorded(&self, queue: &str) -> Result<Recorded, ControlError> {
        let (queue, policy) = (queue.to_owned(), "mine".to_owned());
        Ok(Recorded { queue, policy, batches: 2, bytes: 100, is_over: true })
    }

    fn end_recording(&self, queue: &str) -> Result<String, ControlError> {
        Ok(format!("{{\"queue\":{queue:?}}}\n{{}}\n"))
    }
}

/// A room in a folder of its own.
struct House {
    room: Room,
    home: tempfile::TempDir,
    numbers: Arc<Numbers>,
    notes: Arc<Notes>,
}

fn limits() -> Limits {
    Limits {
        header_ms_max: 300,
        body_ms_max: 300,
        component_bytes_max: 1000,
        answer_ms_max: 200,
        connections_max: 3,
        ..Limits::default()
    }
}

impl House {
    fn open() -> House {
        House::with(Numbers::new())
    }

    fn with(numbers: Numbers) -> House {
        let home = tempfile::tempdir().expect("a folder");
        let login = Login { token: Some(Secret("0123456789abcdef".into())), user: None };
        let config = Config {
            socket: Some(home.path().join("admin.sock")),
            tcp: Some(TcpDoor { address: "127.0.0.1:0".into(), login, hosts: Vec::new() }),
            health: Some(HealthDoor { key: "admin.health", address: "127.0.0.1:0".into() }),
            limits: limits(),
        };
        let numbers = Arc::new(numbers);
        let notes = Arc::<Notes>::default();
        let room = Room::open(config, numbers.clone(), Some(notes.clone())).expect("open");
        House { room, home, numbers, notes }
    }

    fn socket(&self) -> UnixStream {
        let stream = UnixStream::connect(self.home.path().join("admin.sock")).expect("a room");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    /// Status and body of a request over the socket.
    fn ask(&self, request: &str) -> (u16, String) {
        exchange(self.socket(), &format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }
}

fn tcp(address: Option<SocketAddr>) -> TcpStream {
    let stream = TcpStream::connect(address.expect("an address")).expect("a room");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String) {
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

#[test]
fn what_is_asked_is_answered() {
    let house = House::open();
    let table = [
        ("GET /health HTTP/1.1", 200, "{\"role\":\"active\",\"ready\":true}"),
        ("GET /api/v1/status HTTP/1.1", 200, "\"limits\":[{\"name\":\"limits.destinations\",\"used\":2,\"max\":9}]"),
        (
            "GET /api/v1/destinations?limit=1 HTTP/1.1",
            200,
            "{\"destinations\":[{\"name\":\"queue://A\",\"policy\":\"round-robin\",\"pending\":3,",
        ),
        (
            "GET /api/v1/destinations?limit=x HTTP/1.1",
            400,
            "\"key\":\"limit\",\"value\":\"x\",\"remedy\":\"write a number from 0 to 1000\"",
        ),
        ("GET /api/v1/policies HTTP/1.1", 200, "\"batches\":{\"policy\":7,\"trap\":1}"),
        ("GET /nothing HTTP/1.1", 404, "\"key\":\"path\",\"value\":\"/nothing\""),
        ("GET /api/v1/status/ HTTP/1.1", 404, "GET /api/v1/status"),
        ("GET //health HTTP/1.1", 404, "served are"),
        ("DELETE /api/v1/status HTTP/1.1", 405, "use GET"),
        ("GET /api/v1/plugins/mine HTTP/1.1", 405, "use DELETE"),
    ];
    for (request, status, part) in table {
        let (found, body) = house.ask(request);
        assert_eq!(found, status, "{request}: {body}");
        assert!(body.contains(part), "{request}: {body}");
    }
}

/// Each line of the text is a comment, a series with a number, or the end; labels are escaped.
#[test]
fn metrics_are_text_that_prometheus_reads() {
    let house = House::open();
    let (status, body) = house.ask("GET /metrics HTTP/1.1");
    assert_eq!(status, 200);
    for part in [
        "# TYPE jackfield_all_enqueued counter\n",
        "\njackfield_all_enqueued_total 10\n",
        "\njackfield_limit_max{limit=\"limits.destinations\"} 9\n",
        "\njackfield_policy_batches_total{policy=\"round-robin\",point=\"queue-dispatch\",decided=\"trap\"} 1\n",
        "\njackfield_destination_pending{destination=\"queue://A\"} 3\n",
        "\njackfield_destination_pending{destination=\"queue://\\\"quoted\\\\\\\"\\nline\"} 3\n",
        "\njackfield_destination_series_omitted 3\n",
        "\njackfield_policy_call_seconds_count{policy=\"round-robin\",point=\"queue-dispatch\"} 3\n",
        "\njackfield_policy_swap_seconds_sum{policy=\"round-robin\",point=\"queue-dispatch\"} 0.002\n",
        "\njackfield_policy_call_seconds_bucket{le=\"+Inf\",policy=\"round-robin\",point=\"queue-dispatch\"} 3\n",
        "\njackfield_plugin_generation{plugin=\"mine\",digest=\"d1\"} 2\n",
        "\njackfield_plugin_shadow_rows_agreed{plugin=\"mine\"} 3\n",
        "\njackfield_policy_components_total{outcome=\"found\"} 4\n",
    ] {
        assert!(body.contains(part), "{part} is not in\n{body}");
    }
    assert!(body.ends_with("# EOF\n"), "{body}");
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (series, number) = line.rsplit_once(' ').expect(line);
        assert!(number.parse::<f64>().is_ok() && series.starts_with("jackfield_"), "{line}");
    }
}

#[test]
fn each_door_has_its_own_guard() {
    let house = House::open();
    let request =
        |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
    const TOKEN: &str = "Authorization: Bearer 0123456789abcdef\r\n";
    for (more, expected) in [("", 401), ("Authorization: Bearer wrong\r\n", 401), (TOKEN, 200)] {
        let (status, body) = exchange(tcp(house.room.address()), &request("/api/v1/status", more));
        assert_eq!(status, expected, "{more}: {body}");
        assert!(!body.contains("0123456789abcdef") && !body.contains("wrong"), "{body}");
    }
    for (path, expected) in [("/health", 200), ("/metrics", 200), ("/api/v1/status", 404)] {
        assert_eq!(exchange(tcp(house.room.health()), &request(path, TOKEN)).0, expected, "{path}");
    }
}

/// The socket belongs to its user alone from the moment that it can be seen, and a file that was left behind is replaced.
#[test]
fn the_socket_is_closed_to_others() {
    let house = House::open();
    let path = house.home.path().join("admin.sock");
    let mode = |path: &Path| std::fs::metadata(path).expect("a socket").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    let again = |path: &Path| {
        let config = Config { socket: Some(path.to_owned()), tcp: None, health: None, limits: limits() };
        Room::open(config, house.numbers.clone(), Some(house.notes.clone()))
    };
    let error = again(&path).expect_err("in use").to_string();
    assert!(error.contains("another process answers there"), "{error}");
    let stale = house.home.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
    let room = again(&stale).expect("replaced");
    assert_eq!(mode(&stale), 0o600);
    drop(room);
    assert!(!stale.exists(), "taken away at the end");
    std::fs::write(&stale, "a file").expect("a file");
    let error = again(&stale).expect_err("no socket").to_string();
    assert!(error.contains("something else is there"), "{error}");
    let left: Vec<_> = std::fs::read_dir(house.home.path()).expect("a folder").filter_map(Result::ok).collect();
    assert_eq!(left.len(), 2, "nothing else is left behind: {left:?}");
}

/// Clients that do not finish what they began are let go, and hold up nobody.
#[test]
fn slow_clients_are_let_go() {
    let house = House::open();
    for begun in ["", "GET /health HTTP/1.1\r\nHo"] {
        let (status, _) = exchange(house.socket(), begun);
        assert!(status == 0 || status == 408, "{begun:?}: {status}");
    }
    let slow: Vec<UnixStream> = (0..limits().connections_max).map(|_| house.socket()).collect();
    let mut refused = house.socket();
    assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0, "closed at once");
    assert_eq!(
        exchange(tcp(house.room.health()), "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").0,
        200
    );
    drop(slow);
}

#[test]
fn heads_and_bodies_have_their_bounds() {
    let house = House::open();
    let (status, _) = house.ask(&format!("GET /health HTTP/1.1\r\nX: {}", "x".repeat(200_000)));
    assert_eq!(status, 431);
    let deploy = "POST /api/v1/plugins/p/deploy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let chunked =
        |length: usize| format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
    let table = [
        // Refused before any of it came.
        ("Content-Length: 100000000\r\n\r\n".to_owned(), 413, "plugins.component_limit"),
        (chunked(1001), 413, "plugins.component_limit"),
        ("Content-Length: 10\r\n\r\nx".to_owned(), 408, "admin.body_ms"),
        (chunked(1000), 200, "{\"generation\":7}"),
    ];
    for (rest, expected, part) in table {
        let (status, body) = exchange(house.socket(), &format!("{deploy}{rest}"));
        assert_eq!(status, expected, "{body}");
        assert!(body.contains(part), "{body}");
    }
    assert_eq!(*house.notes.0.lock().expect("a list"), ["deploy p of 1000 [] false"]);
}

/// What is done with plug-ins is what was asked for, and what is refused is told as it was said.
#[test]
fn plug_ins_are_changed_and_told() {
    let house = House::open();
    let table = [
        ("GET /api/v1/plugins", 200, "\"name\":\"mine\",\"active\":2"),
        ("GET /api/v1/bindings", 200, "{\"point\":\"queue-dispatch\",\"pattern\":\"A.>\",\"policy\":\"mine\"}"),
        ("GET /api/v1/plugins/a/shadow", 200, "\"rows\":4,\"rows_agreed\":3"),
        ("GET /api/v1/plugins/a%2Fb/history", 422, "plug-in a/b does not exist"),
        ("GET /api/v1/plugins/a/logs", 200, "\"text\":\"a speaks\""),
        ("GET /api/v1/explain/Q.%3E+1", 200, "\"begun_now\":false"),
        ("POST /api/v1/recordings/Q?ms=5&batches=6", 200, "\"batches\":2"),
        ("POST /api/v1/recordings/Q?ms=0", 400, "write a number from 1 on"),
        ("GET /api/v1/recordings/Q.%3E", 200, "\"queue\":\"Q.>\""),
        ("DELETE /api/v1/recordings/Q", 200, "{\"queue\":\"Q\"}\n{}\n"),
        ("POST /api/v1/plugins/a/deploy?set=k%3Dv&shadow=true", 200, "{\"generation\":7}"),
        (
            "POST /api/v1/plugins/a/configure?set=k%3D",
            200,
            "{\"generation\":8,\"remarks\":[\"on Q the one before goes on\"]}",
        ),
        ("POST /api/v1/plugins/a/promote?generation=4&start_empty=true", 200, "{\"generation\":9}"),
        ("POST /api/v1/plugins/a/promote?colour=red", 400, "known here are generation, start_empty"),
        ("POST /api/v1/plugins/a/rollback", 422, "no previous generation"),
        ("POST /api/v1/plugins/a/end-shadow", 500, "a fault of the broker itself"),
        ("POST /api/v1/plugins/a/bind?pattern=B.%3E", 200, "{}"),
        ("POST /api/v1/bindings/unbind?pattern=B.%3E", 503, "the broker is stopping"),
        ("DELETE /api/v1/plugins/a", 200, "{}"),
    ];
    for (request, status, part) in table {
        let (found, body) = house.ask(&format!("{request} HTTP/1.1"));
        assert_eq!(found, status, "{request}: {body}");
        assert!(body.contains(part), "{request}: {body}");
    }
    let expected = [
        "explain Q.>+1",
        "record Q 5 6",
        "deploy a of 0 [(\"k\", \"v\")] true",
        "configure a [(\"k\", \"\")]",
        "promote a Some(4) true",
        "bind a to B.> for queue-dispatch",
        "remove a",
    ];
    assert_eq!(*house.notes.0.lock().expect("a list"), expected);
}

/// A broker that is stuck is told apart from one that is well.
#[test]
fn an_answer_that_does_not_come_is_a_problem() {
    let house = House::with(Numbers { answers: false, ..Numbers::new() });
    let (status, body) = house.ask("GET /health HTTP/1.1");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("did not answer within 200 ms"), "{body}");
    let stopping =
        House::with(Numbers { status: Status { role: "active".into(), ..Status::default() }, ..Numbers::new() });
    assert_eq!(stopping.ask("GET /health HTTP/1.1"), (503, "{\"role\":\"active\",\"ready\":false}\n".to_owned()));
}

/// While a broker waits it answers for its health, and for nothing that only a master can do.
#[test]
fn a_standby_is_alive_and_not_ready() {
    let waits_for = "broker north on amq1".to_owned();
    let status = Status { role: "standby".into(), waits_for, ..Status::default() };
    let door = || Some(HealthDoor { key: "admin.standby", address: "127.0.0.1:0".into() });
    let config = || Config { socket: None, tcp: None, health: door(), limits: limits() };
    let room = Room::open(config(), Arc::new(Numbers { status, ..Numbers::new() }), None).expect("open");
    let address = room.health().expect("an address");
    let ask = |path: &str| {
        exchange(tcp(Some(address)), &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    };
    let body = "{\"role\":\"standby\",\"ready\":false,\"waits_for\":\"broker north on amq1\"}\n";
    assert_eq!(ask("/health"), (503, body.to_owned()));
    assert_eq!(ask("/health/alive"), (200, body.to_owned()));
    assert!(ask("/metrics").1.contains("jackfield_ready 0"));
    assert_eq!(ask("/api/v1/plugins").0, 404);
    drop(room);
    let taken = std::net::TcpListener::bind(address).expect("the room has let go of its address");
    let config = Config { health: Some(HealthDoor { key: "admin.standby", address: address.to_string() }), ..config() };
    let error = Room::open(config, Arc::new(Numbers::new()), None).expect_err("it is in use").to_string();
    assert!(error.starts_with("admin.standby = "), "{error}");
    drop(taken);
}
