//! The program as a child process, and a small STOMP client that shows every byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a fact; a fact that takes longer does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_jackfield");

/// A broker of its own: own folder, own ports.
pub(crate) struct Broker {
    child: Child,
    pub(crate) openwire: SocketAddr,
    pub(crate) stomp: SocketAddr,
    /// All ports by the word that they were announced with.
    listening: Vec<(String, SocketAddr)>,
    pub(crate) home: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Broker {
        Broker::start_with("")
    }

    /// With more lines of configuration.
    pub(crate) fn start_with(more: &str) -> Broker {
        Broker::start_in(tempfile::tempdir().expect("a folder"), more)
    }

    /// One that closes connections without a login after a second and a half.
    pub(crate) fn start_impatient() -> Broker {
        Broker::start_on(tempfile::tempdir().expect("a folder"), "", "?transport.connectAttemptTimeout=1500")
    }

    /// One whose connectors take frames up to `bytes`.
    pub(crate) fn start_with_frames_up_to(bytes: u32) -> Broker {
        Broker::start_on(tempfile::tempdir().expect("a folder"), "", &format!("?wireFormat.maxFrameSize={bytes}"))
    }

    pub(crate) fn start_in(home: tempfile::TempDir, more: &str) -> Broker {
        Broker::start_on(home, more, "")
    }

    fn start_on(home: tempfile::TempDir, more: &str, options: &str) -> Broker {
        let config = format!(
            "{more}\n[[connector]]\nuri = \"tcp://127.0.0.1:0{options}\"\nname = \"openwire\"\n\
             [[connector]]\nuri = \"stomp://127.0.0.1:0{options}\"\nname = \"stomp\"\n"
        );
        std::fs::write(home.path().join("jackfield.toml"), config).expect("a file");
        let log = std::fs::File::options().create(true).append(true).open(home.path().join("log")).expect("a file");
        // Few descriptors to begin with: the program itself asks for what it is allowed to have.
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -S -n 256; exec \"$0\" \"$@\"", PROGRAM])
            .args(["serve", "--config", "jackfield.toml", "--data", "data"])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut listening: Vec<(String, SocketAddr)> = Vec::new();
        loop {
            let Some(Ok(line)) = lines.next() else {
                panic!(
                    "the broker did not start: {}",
                    std::fs::read_to_string(home.path().join("log")).unwrap_or_default()
                )
            };
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["listening", word, address] => listening.push((word.to_owned(), address.parse().expect("an address"))),
                ["ready"] => break,
                _ => {}
            }
        }
        let (openwire, stomp) = (port(&listening, "openwire"), port(&listening, "stomp"));
        Broker { child, openwire, stomp, listening, home }
    }

    /// The port that was announced with this word.
    pub(crate) fn listening(&self, word: &str) -> SocketAddr {
        port(&self.listening, word)
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).expect("a log")
    }

    /// Dies as by `kill -9`; its folder lives on.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        self.into_home()
    }

    /// Stops as by `kill`.
    pub(crate) fn stop(mut self) -> (ExitStatus, tempfile::TempDir) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        let status = self.child.wait().expect("gone");
        (status, self.into_home())
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("signalled");
    }

    fn into_home(mut self) -> tempfile::TempDir {
        std::mem::replace(&mut self.home, tempfile::tempdir().expect("a folder"))
    }

    /// Bytes of memory in use.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("alive");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// Files and sockets that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("alive").count()
    }

    /// A figure of the totals.
    pub(crate) fn total(&self, name: &str) -> u64 {
        let report = self.report();
        figure(report.iter().find(|line| line.starts_with("totals ")).expect("totals"), name)
    }

    /// What the broker says about its destinations, in order of their names: asked for after everything that it has
    /// answered.
    pub(crate) fn destinations(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.report().into_iter().filter(|line| line.starts_with("destination ")).collect();
        lines.sort();
        lines
    }

    /// The lines of a report made now.
    pub(crate) fn report(&self) -> Vec<String> {
        const START: &str = "report: totals";
        let before = self.log().matches(START).count();
        // The second report begins when the first is whole.
        for wanted in [before + 1, before + 2] {
            self.signal(nix::sys::signal::Signal::SIGUSR1);
            until("the report", || self.log().matches(START).count() >= wanted);
        }
        let log = self.log();
        let lines = log.lines().filter_map(|line| line.split_once(" report: ")).map(|(_, line)| line.to_owned());
        let mut starts = 0;
        lines
            .skip_while(|line| {
                starts += usize::from(line.starts_with("totals "));
                starts <= before
            })
            .enumerate()
            .take_while(|(at, line)| *at == 0 || !line.starts_with("totals "))
            .map(|(_, line)| line)
            .collect()
    }

    pub(crate) fn client(&self) -> Stomp {
        Stomp::connect(self.stomp)
    }
}

fn port(listening: &[(String, SocketAddr)], word: &str) -> SocketAddr {
    listening.iter().find(|(known, _)| known == word).unwrap_or_else(|| panic!("no {word} in {listening:?}")).1
}

/// The number behind `name=` in a line of a report.
pub(crate) fn figure(line: &str, name: &str) -> u64 {
    let mut words = line.split(' ').filter_map(|word| word.split_once('='));
    let value = words.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// A good client that works while others do not behave.
pub(crate) struct Witness(Stomp);

impl Witness {
    pub(crate) fn new(broker: &Broker) -> Witness {
        let mut client = broker.client();
        client.subscribe("WITNESS", "auto");
        Witness(client)
    }

    pub(crate) fn is_well(&mut self) {
        self.0.send("SEND\ndestination:/queue/WITNESS\n\nstill here");
        assert_eq!(self.0.frame().body, "still here");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end.
pub(crate) fn run(home: &Path, args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).current_dir(home).stdin(Stdio::null()).output().expect("the program runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a fact.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !fact() {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        std::thread::yield_now();
    }
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A STOMP frame as it came.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) command: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Frame {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// A STOMP connection.
pub(crate) struct Stomp {
    socket: TcpStream,
    unread: Vec<u8>,
    /// Messages that came before a receipt that was waited for.
    early: std::collections::VecDeque<Frame>,
    receipts: u32,
}

impl Stomp {
    pub(crate) fn connect(address: SocketAddr) -> Stomp {
        let mut stomp = Stomp::open(address);
        stomp.send("CONNECT\naccept-version:1.2\nhost:x\n\n");
        assert_eq!(stomp.frame().command, "CONNECTED");
        stomp
    }

    /// Without a word.
    pub(crate) fn open(address: SocketAddr) -> Stomp {
        let socket = TcpStream::connect(address).expect("a broker");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
        Stomp { socket, unread: Vec::new(), early: Default::default(), receipts: 0 }
    }

    /// Sends a frame; the final NUL is added.
    pub(crate) fn send(&mut self, frame: &str) {
        self.socket.write_all(format!("{frame}\0").as_bytes()).expect("sent");
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends a frame with a receipt and waits for it. `frame` is a command and headers, each with its line end.
    pub(crate) fn confirm(&mut self, frame: &str, body: &str) {
        self.receipts += 1;
        let id = self.receipts.to_string();
        self.send(&format!("{frame}receipt:{id}\n\n{body}"));
        self.expect_receipt(&id);
    }

    /// A confirmed persistent message.
    pub(crate) fn publish(&mut self, queue: &str, body: &str) {
        self.confirm(&format!("SEND\ndestination:/queue/{queue}\npersistent:true\n"), body);
    }

    pub(crate) fn subscribe(&mut self, queue: &str, ack: &str) {
        self.confirm(
            &format!("SUBSCRIBE\nid:1\ndestination:/queue/{queue}\nack:{ack}\nactivemq.prefetchSize:1000\n"),
            "",
        );
    }

    pub(crate) fn ack(&mut self, message: &Frame) {
        self.confirm(&format!("ACK\nid:{}\n", message.header("ack")), "");
    }

    /// Waits for a receipt; messages that come before it are kept.
    pub(crate) fn expect_receipt(&mut self, id: &str) {
        let answer = loop {
            let frame = self.read_frame().expect("a receipt");
            match frame.command.as_str() {
                "MESSAGE" => self.early.push_back(frame),
                _ => break frame,
            }
        };
        assert_eq!((answer.command.as_str(), answer.header("receipt-id")), ("RECEIPT", id), "{answer:?}");
    }

    /// Whether the broker has said nothing so far; ends of lines between frames do not count.
    pub(crate) fn nothing_came(&mut self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 4096];
        let read = self.socket.read(&mut buffer);
        self.socket.set_nonblocking(false).expect("a socket");
        match read {
            Ok(0) => return false,
            Ok(length) => self.unread.extend(&buffer[..length]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
        }
        self.unread.iter().all(|byte| matches!(byte, b'\n' | b'\r'))
    }

    /// Waits for so many heart-beats; nothing else may come meanwhile.
    pub(crate) fn hear_beats(&mut self, count: usize) {
        let mut heard = 0;
        while heard < count {
            let mut buffer = [0; 64];
            let length = self.socket.read(&mut buffer).expect("a heart-beat");
            assert!(length > 0 && buffer[..length].iter().all(|byte| matches!(byte, b'\n' | b'\r')), "{buffer:?}");
            heard += length;
        }
    }

    /// The next frame; heart-beats are passed over.
    pub(crate) fn frame(&mut self) -> Frame {
        self.try_frame().expect("a frame")
    }

    /// The next frame, `None` at the end of the connection.
    pub(crate) fn try_frame(&mut self) -> Option<Frame> {
        self.early.pop_front().or_else(|| self.read_frame())
    }

    fn read_frame(&mut self) -> Option<Frame> {
        loop {
            while self.unread.first().is_some_and(|byte| *byte == b'\n' || *byte == b'\r') {
                self.unread.remove(0);
            }
            if let Some(frame) = self.whole_frame() {
                return Some(frame);
            }
            let mut buffer = [0; 65536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.unread.extend(&buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame in time: {error}"),
            }
        }
    }

    fn whole_frame(&mut self) -> Option<Frame> {
        let head_end = self.unread.windows(2).position(|two| two == b"\n\n")? + 2;
        let head = String::from_utf8(self.unread[..head_end].to_vec()).expect("text");
        let mut lines = head.lines();
        let command = lines.next()?.to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.replace("\\c", ":")))
            .collect();
        let length = headers.iter().find(|(key, _)| key == "content-length").and_then(|(_, value)| value.parse().ok());
        let body_end = match length {
            Some(length) => head_end + std::cmp::min(length, usize::MAX / 2),
            None => head_end + self.unread[head_end..].iter().position(|byte| *byte == 0)?,
        };
        if self.unread.len() <= body_end {
            return None;
        }
        let body = String::from_utf8_lossy(&self.unread[head_end..body_end]).into_owned();
        self.unread.drain(..=body_end);
        Some(Frame { command, headers, body })
    }

    /// Closes the sending half.
    pub(crate) fn say_no_more(&self) {
        self.socket.shutdown(std::net::Shutdown::Write).expect("open until now");
    }

    /// True once the broker closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        while let Some(_frame) = self.try_frame() {}
        true
    }
}
