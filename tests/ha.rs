//! Several brokers on one data directory: one is master, the others wait, and nothing that was confirmed is lost when the
//! lock goes from one to the next.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::admin::{exchange, get, tcp};
use crate::database::kept_port;
use crate::support::{PROGRAM, Stomp, repository, run, text, until};

/// Exit code of a broker that lost its lock.
pub(crate) const LOCK_LOST: i32 = 79;

/// A directory that brokers share.
pub(crate) struct Shared(tempfile::TempDir);

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn lock(&self) -> PathBuf {
        self.path("data/lock")
    }

    /// Starts a broker with more lines of configuration.
    pub(crate) fn start_with(&self, name: &'static str, more: &str) -> Member {
        let config = format!(
            "[broker]\nname = \"{name}\"\n{more}\n[[connector]]\nuri = \"tcp://127.0.0.1:0\"\n\
             [[connector]]\nuri = \"stomp://127.0.0.1:0\"\n"
        );
        let (file, log) = (self.path(&format!("{name}.toml")), self.path(&format!("{name}.log")));
        fs::write(&file, config).expect("a file");
        let log_file = File::options().create(true).append(true).open(&log).expect("a file");
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--data", "data", "--config"])
            .arg(&file)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .expect("the program starts");
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stdout, said) = (child.stdout.take().expect("piped"), lines.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                said.lock().expect("no panic").push(line);
            }
        });
        Member { name, child, lines, log }
    }

    fn start(&self, name: &'static str) -> Member {
        self.start_with(name, "")
    }

    fn master(&self, name: &'static str) -> Member {
        let member = self.start(name);
        member.await_word("ready");
        member
    }

    fn slave(&self, name: &'static str) -> Member {
        let member = self.start(name);
        member.await_word("standby");
        member
    }
}

/// A broker process.
pub(crate) struct Member {
    name: &'static str,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    log: PathBuf,
}

impl Member {
    pub(crate) fn has_said(&self, word: &str) -> bool {
        self.lines.lock().expect("no panic").iter().any(|line| line == word)
    }

    pub(crate) fn await_word(&self, word: &str) {
        let begun = Instant::now();
        while !self.has_said(word) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} did not say {word}: {}", self.name, self.log());
            std::thread::yield_now();
        }
    }

    pub(crate) fn await_log(&self, part: &str) {
        until(&format!("{} to log {part:?}, not {}", self.name, self.log()), || self.log().contains(part));
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// Where it said last that it listens for this.
    fn listening(&self, word: &str) -> Option<SocketAddr> {
        let lines = self.lines.lock().expect("no panic");
        let said = |line: &String| line.strip_prefix("listening ")?.strip_prefix(word)?.trim().parse().ok();
        lines.iter().rev().find_map(said)
    }

    pub(crate) fn stomp(&self) -> SocketAddr {
        self.listening("stomp").expect("it listens")
    }

    pub(crate) fn client(&self) -> Stomp {
        Stomp::connect(self.stomp())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("signalled");
    }

    /// Stops all of its threads. The signal alone reaches them when each is next scheduled, and until then they work on.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let tasks = PathBuf::from(format!("/proc/{}/task", self.pid()));
        until("all threads to stand still", || {
            let tasks = fs::read_dir(&tasks).expect("alive").filter_map(Result::ok);
            // One that ended meanwhile has no state any more.
            tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok()).all(|stat| is_stopped(&stat))
        });
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        self.child.wait().expect("gone")
    }

    fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_none()
    }

    /// Sockets that it has open, of any kind.
    fn sockets(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("alive").filter_map(Result::ok);
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }
}

/// Whether a line of `/proc/PID/task/TID/stat` tells of a stopped thread: the state follows the name, which is in brackets.
fn is_stopped(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn publish(member: &Member, from: usize, to: usize) {
    let mut client = member.client();
    (from..to).for_each(|number| client.publish("Q", &number.to_string()));
}

/// Takes these messages and no others.
pub(crate) fn drain(member: &Member, from: usize, to: usize) {
    let mut client = member.client();
    client.publish("Q", "last");
    client.subscribe("Q", "client-individual");
    for number in from..to {
        let message = client.frame();
        assert_eq!(message.body, number.to_string());
        client.ack(&message);
    }
    let last = client.frame();
    assert_eq!(last.body, "last");
    client.ack(&last);
}

/// Locks a file as a program of another kind does: for its process.
fn lock_for_this_process(path: &Path) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).expect("a file");
    let (l_type, l_whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    let lock = libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).expect("locked");
    file
}

/// The guide's layout: three brokers on one directory. The first serves, the others wait without a port and say for whom;
/// after a `kill -9` the next one has everything that was confirmed; the old master comes back as a slave; told to stop, a
/// master hands over and a slave just goes.
#[test]
fn three_brokers_share_a_directory() {
    let shared = Shared::new();
    let a = shared.master("a");
    let (mut b, mut c) = (shared.slave("b"), shared.slave("c"));
    for waiting in [&b, &c] {
        assert_eq!(waiting.sockets(), 0, "{}", waiting.log());
        let who = "lock is locked by another server: broker a on ";
        waiting.await_log(who);
        assert!(waiting.log().contains(&format!("process {}, ", a.pid())), "{}", waiting.log());
        assert!(waiting.log().contains("This broker is in slave mode"), "{}", waiting.log());
    }
    let holder = fs::read_to_string(shared.lock()).expect("the lock's file");
    assert!(holder.contains("\nbroker a\n") && holder.contains(&format!("\nprocess {}\n", a.pid())), "{holder}");
    publish(&a, 0, 50);

    a.kill();
    until("a new master", || b.has_said("ready") || c.has_said("ready"));
    if c.has_said("ready") {
        std::mem::swap(&mut b, &mut c);
    }
    assert!(!c.has_said("ready"));
    b.await_log("this broker is master in epoch 2");
    let mut listener = b.client();
    listener.confirm("SUBSCRIBE\nid:1\ndestination:/topic/ActiveMQ.Advisory.MasterBroker\nack:auto\n", "");
    assert_eq!(listener.frame().header("type"), "Advisory");
    drain(&b, 0, 50);
    publish(&b, 50, 80);

    let mut a = shared.slave("a");
    assert_eq!(a.sockets(), 0);
    b.signal(Signal::SIGTERM);
    assert_eq!(b.end().code(), Some(0), "{}", b.log());
    until("a new master", || a.has_said("ready") || c.has_said("ready"));
    if a.has_said("ready") {
        std::mem::swap(&mut a, &mut c);
    }
    drain(&c, 50, 80);
    c.await_log("this broker is master in epoch 3");

    a.signal(Signal::SIGTERM);
    assert_eq!(a.end().code(), Some(0));
    assert!(a.log().contains("stopped as a slave"), "{}", a.log());
    c.signal(Signal::SIGTERM);
    assert_eq!(c.end().code(), Some(0), "{}", c.log());
    let holder = fs::read_to_string(shared.lock()).expect("the lock's file");
    assert!(holder.contains("\nstate released\n"), "{holder}");
}

/// A master that stands still keeps its lock. The standby goes on waiting and says for whom, a newcomer too; and when the
/// master wakes up it makes sure of its lock before it confirms anything.
#[test]
fn a_stopped_master_is_waited_for() {
    let shared = Shared::new();
    let quick = "[lock]\nkeep_alive_period_ms = 50\nacquire_sleep_interval_ms = 20\n";
    let a = shared.start_with("a", quick);
    a.await_word("ready");
    let b = shared.start_with("b", quick);
    b.await_word("standby");
    let mut client = a.client();
    client.publish("Q", "0");
    a.freeze();
    client.send("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:asleep\n\n1");
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_secs(1) {
        assert!(!b.has_said("ready"), "two masters: {}", b.log());
        std::thread::yield_now();
    }
    let c = shared.start_with("c", quick);
    c.await_log(&format!("process {}, running since", a.pid()));
    assert!(client.nothing_came());
    a.signal(Signal::SIGCONT);
    client.expect_receipt("asleep");
    a.await_log("could not be proven for ");
    assert!(!b.has_said("ready") && !c.has_said("ready"));
    drop(client);
    drain(&a, 0, 2);
}

/// Whatever happens to the lock's file, the master that held it stops with its own exit code before the next one serves,
/// and what it confirmed is there.
#[test]
fn a_lost_lock_ends_the_master_first() {
    type Meddle = fn(&Path);
    let cases: [(&str, Meddle, &str); 4] = [
        ("deleted", |lock| fs::remove_file(lock).expect("removed"), "its file was deleted"),
        ("replaced", replace, "its file was replaced"),
        ("touched", touch, "its file was touched"),
        ("overwritten", |lock| fs::write(lock, "").expect("written"), "taken over by somebody"),
    ];
    for (what, meddle, told) in cases {
        let shared = Shared::new();
        let quick = "[lock]\nkeep_alive_period_ms = 100\n";
        let mut a = shared.start_with("a", quick);
        a.await_word("ready");
        let b = shared.start_with("b", quick);
        b.await_word("standby");
        publish(&a, 0, 20);
        let mut client = a.client();
        client.subscribe("OTHER", "auto");
        meddle(&shared.lock());
        let ended = a.end();
        let early = b.has_said("ready");
        assert_eq!(ended.code(), Some(LOCK_LOST), "{what}: {}", a.log());
        assert!(a.log().contains(told), "{what}: {}", a.log());
        // A file that stayed where it was goes over in the moment in which its holder ends.
        assert!(!early || what == "touched" || what == "overwritten", "{what}: {}", b.log());
        assert!(client.is_closed());
        b.await_word("ready");
        drain(&b, 0, 20);
        let mut again = shared.start_with("again", quick);
        again.await_word("standby");
        assert!(again.is_alive());
    }
}

fn replace(lock: &Path) {
    fs::copy(lock, lock.with_extension("new")).expect("copied");
    fs::rename(lock.with_extension("new"), lock).expect("moved");
}

fn touch(lock: &Path) {
    let file = File::options().write(true).open(lock).expect("a file");
    file.set_modified(std::time::SystemTime::now() + Duration::from_secs(1)).expect("touched");
}

/// Allowed to, a master that loses its lock starts again by itself, in the same process, and nobody has to look after it.
#[test]
fn a_master_may_start_again_by_itself() {
    let shared = Shared::new();
    let quick = "[lock]\nkeep_alive_period_ms = 100\nrestart_allowed = true\n";
    let mut a = shared.start_with("a", quick);
    a.await_word("ready");
    let mut b = shared.start_with("b", quick);
    b.await_word("standby");
    publish(&a, 0, 20);
    let count = |member: &Member, word: &str| {
        member.lines.lock().expect("no panic").iter().filter(|line| *line == word).count()
    };
    touch(&shared.lock());
    a.await_log("it starts again");
    // Whoever is quicker is master now.
    until("one master and one slave", || {
        (count(&a, "ready") == 1 && count(&a, "standby") == 1 && count(&b, "ready") == 1)
            || (count(&a, "ready") == 2 && count(&b, "ready") == 0)
    });
    assert!(a.is_alive() && b.is_alive());
    let master = if b.has_said("ready") { &b } else { &a };
    drain(master, 0, 20);
}

/// The lock of a broker that stops is not in the way of the next one, and neither is one whose file is gone: without it a
/// broker that has a journal waits until nobody can be at work with it.
#[test]
fn a_lock_without_a_history() {
    let shared = Shared::new();
    let mut a = shared.master("a");
    publish(&a, 0, 3);
    a.signal(Signal::SIGTERM);
    assert_eq!(a.end().code(), Some(0));
    fs::remove_file(shared.lock()).expect("removed");
    let b = shared.start_with("b", "[lock]\nkeep_alive_period_ms = 60\n");
    b.await_log("the lock's file is new and the journal is not: its former holder is given 150 ms");
    b.await_word("ready");
    drain(&b, 0, 3);
}

/// What is in the way of the lock is told by name, and nothing is changed.
#[test]
fn what_is_no_lock_is_told() {
    let check = |prepare: &dyn Fn(&Shared), code: i32, told: &[&str]| {
        let shared = Shared::new();
        fs::create_dir(shared.data()).expect("a folder");
        prepare(&shared);
        let before = listing(&shared.data());
        let output = run(shared.0.path(), &["serve", "--data", "data", "--config", "jackfield.toml"]);
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(told.iter().all(|part| log.contains(part)), "{log}");
        assert_eq!(listing(&shared.data()), before);
    };
    let config = |shared: &Shared, more: &str| {
        let text = format!("{more}\n[[connector]]\nuri = \"stomp://127.0.0.1:0\"\n");
        fs::write(shared.path("jackfield.toml"), text).expect("a file");
    };
    let directory = |shared: &Shared| {
        config(shared, "");
        fs::create_dir(shared.lock()).expect("a folder");
    };
    check(&directory, 1, &["data/lock is no file", "remove it"]);
    let foreign = |shared: &Shared| {
        config(shared, "");
        fs::write(shared.lock(), "4711\n").expect("written");
    };
    check(&foreign, 1, &["data/lock is no lock of this broker", "something else", "another data directory"]);
    let newer = |shared: &Shared| {
        config(shared, "");
        fs::write(shared.lock(), "jackfield lock, format 2\n").expect("written");
    };
    check(&newer, 1, &["format 2", "the version that wrote it"]);
}

/// Names and lengths of what is in a directory, compiled policies aside: whoever waits for the lock keeps them there too.
fn listing(place: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(place).expect("a folder").filter_map(Result::ok);
    let mut all: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.metadata().expect("there").len()))
        .collect();
    all.retain(|(name, _)| name != "plugins");
    all.sort();
    all
}

/// Told not to wait, a broker says who has the directory and ends; and a directory that cannot be written is refused.
#[test]
fn who_is_not_waited_for() {
    let shared = Shared::new();
    let a = shared.master("a");
    let mut b = shared.start_with("b", "[lock]\nfail_if_locked = true\n");
    assert_eq!(b.end().code(), Some(75), "{}", b.log());
    assert!(b.log().contains("broker a on ") && b.log().contains(&a.pid().to_string()), "{}", b.log());
    drop(a);

    let shared = Shared::new();
    fs::create_dir(shared.data()).expect("a folder");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "ro", "jackfield-house"]).arg(shared.data()).output();
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let mut c = shared.start("c");
    let code = c.end().code();
    let _ = Command::new("umount").arg("-l").arg(shared.data()).status();
    assert_eq!(code, Some(1), "{}", c.log());
    assert!(c.log().contains("cannot write") && c.log().contains("data/lock"), "{}", c.log());
}

/// A program of another kind that has the lock's file or the journal is waited for, by its number.
#[test]
fn foreign_processes_are_named() {
    let shared = Shared::new();
    let this = std::process::id();
    fs::create_dir(shared.data()).expect("a folder");
    let locked = lock_for_this_process(&shared.lock());
    let mut a = shared.slave("a");
    a.await_log(&format!("is locked by another server: process {this}, which is no broker of this kind"));
    drop(locked);
    a.await_word("ready");
    publish(&a, 0, 3);
    a.signal(Signal::SIGTERM);
    a.end();

    let locked = lock_for_this_process(&shared.path("data/journal/LOCK"));
    let b = shared.start("b");
    b.await_log(&format!("is in use by process {this}, which does not hold the lock"));
    assert!(!b.has_said("ready"));
    drop(locked);
    b.await_word("ready");
    drain(&b, 0, 3);
}

/// Runs the commands of an example as they are written, but for the ports, which somebody may have, and what `change` puts
/// in the place of something else. Returns what they say.
pub(crate) fn run_example(folder: &str, ports: &str, change: impl Fn(String) -> String) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let mut script = "set -eu\n".to_owned();
    for entry in fs::read_dir(repository(folder)).expect("the example").filter_map(Result::ok) {
        let content = change(fs::read_to_string(entry.path()).expect("text").replace("616", ports));
        if entry.file_name() == "README.md" {
            let blocks = content.split("\n```\n").skip(1).step_by(2);
            script.extend(blocks.flat_map(|block| [block, "\n"]));
        }
        fs::write(home.path().join(entry.file_name()), content).expect("a file");
    }
    let program = Path::new(PROGRAM).parent().expect("a folder").display().to_string();
    let script = script.replace("$PWD/../../target/release", &program);
    assert!(script.contains(&program) && script.contains("kill -9"), "{script}");
    let output = Command::new("bash").args(["-c", &script]).current_dir(home.path()).output().expect("a shell");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    said
}

#[test]
fn the_example_runs_as_written() {
    let ports = format!("2{:02}", std::process::id() % 100);
    let said = run_example("examples/ha-shared-directory", &ports, |content| content);
    assert!(said.contains("This broker is in slave mode") && said.contains("\n1000\n"), "{said}");
}

/// The campaign in its short form: failovers under load with clients that try all brokers in turn, judged from outside.
#[test]
fn failovers_under_load_lose_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let args =
        ["bench", "kill", "--program", PROGRAM, "--data", "data", "--standbys", "2", "--kills", "5", "--seed", "7"];
    let output = run(home.path(), &args);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("gap seen by producers"), "{}", text(&output.stdout));
}

/// A slave opens no port but the one on which it answers for its health, says there and to `status` whom it waits for, and
/// as master answers at the same address.
#[test]
fn a_slave_answers_for_its_health() {
    let shared = Shared::new();
    let a = shared.master("a");
    let (port, _kept) = kept_port();
    let doors = format!("[admin]\nsocket = \"b.sock\"\nstandby = \"127.0.0.1:{port}\"\nhealth = \"127.0.0.1:{port}\"");
    let b = shared.start_with("b", &doors);
    b.await_word("standby");
    let address = b.listening("standby").expect("it listens");
    let ask = |path: &str| exchange(tcp(address), &get(path, ""));
    let (status, body) = ask("/health");
    let waits_for = "broker a on ";
    assert!(status == 503 && body.contains("\"role\":\"standby\"") && body.contains(waits_for), "{status} {body}");
    assert_eq!(ask("/health/alive").0, 200);
    assert!(b.listening("openwire").is_none());
    let shown = run(shared.0.path(), &["status", "--config", "b.toml"]);
    let said = text(&shown.stdout);
    assert!(said.contains("this broker is standby: it waits for") && said.contains(waits_for), "{said}");
    a.kill();
    b.await_word("ready");
    assert_eq!(ask("/health"), (200, "{\"role\":\"active\",\"ready\":true}\n".to_owned()));
    assert_eq!(ask("/health/alive").0, 200);
    let shown = run(shared.0.path(), &["status", "--config", "b.toml"]);
    assert!(text(&shown.stdout).contains("broker b is active and ready"), "{}", text(&shown.stderr));
}
