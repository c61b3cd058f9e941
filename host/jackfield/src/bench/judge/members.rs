//! The broker processes of a kill campaign: one, or several on the same data of which one is master.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use socket2::{Domain, Socket, Type};

/// Connectors of each broker: name and scheme.
const CONNECTORS: [(&str, &str); 2] = [("openwire", "tcp"), ("stomp", "stomp")];

/// What a member said of itself on its standard output, by its number and life.
struct Said {
    member: usize,
    life: u32,
    line: String,
}

/// A broker process of ours; it never outlives this value.
struct Member {
    child: Child,
    life: u32,
    config: PathBuf,
    ports: [KeptPort; 2],
}

impl Drop for Member {
    fn drop(&mut self) {
        // `kill` is SIGKILL: no drain, no last sync. What cannot be killed has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All of them.
pub(super) struct Members {
    program: PathBuf,
    data: PathBuf,
    start_max: Duration,
    log: PathBuf,
    /// Configuration that all of them have.
    more: String,
    members: Vec<Member>,
    master: usize,
    tell: Sender<Said>,
    said: Receiver<Said>,
}

impl Members {
    /// Starts so many, one after the other: the first is master. All of them have `more` configuration.
    pub(super) fn start(
        program: &Path,
        data: &Path,
        count: usize,
        start_max: Duration,
        more: String,
    ) -> anyhow::Result<Members> {
        fs::create_dir_all(data).with_context(|| format!("create {}", data.display()))?;
        let (tell, said) = channel();
        let log = beside(data, ".log");
        let (program, data) = (program.to_owned(), data.to_owned());
        let mut all = Members { program, data, start_max, log, more, members: Vec::new(), master: 0, tell, said };
        for member in 0..count {
            let (config, ports) = all.configure(member)?;
            let child = all.spawn(member, 0, &config)?;
            all.members.push(Member { child, life: 0, config, ports });
            all.expect(member, if member == 0 { "ready" } else { "standby" })?;
        }
        Ok(all)
    }

    /// Where the log of all of them is.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The addresses of this connector, of all members.
    pub(super) fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        let at = CONNECTORS.iter().position(|(other, _)| *other == name).unwrap_or(0);
        self.members.iter().map(|member| member.ports[at].address).collect()
    }

    /// Nothing, or how a member ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for member in &mut self.members {
            if let Some(status) = member.child.try_wait()? {
                bail!("a broker ended by itself ({status}), see {}", self.log.display());
            }
        }
        Ok(())
    }

    /// Kills the master as by `kill -9`; returns when it is no more.
    pub(super) fn kill_master(&mut self) -> anyhow::Result<()> {
        let child = &mut self.members[self.master].child;
        child.kill().context("kill the master")?;
        child.wait().context("wait for the end of the master")?;
        Ok(())
    }

    /// After [`Members::kill_master`]: waits until there is a master again, and brings the dead one back. A lone broker is its
    /// own successor.
    pub(super) fn succeed(&mut self) -> anyhow::Result<()> {
        let dead = self.master;
        if self.members.len() == 1 {
            self.restart(dead)?;
            return self.expect(dead, "ready");
        }
        let deadline = Instant::now() + self.start_max;
        self.master = loop {
            let said = self.hear(deadline).context("no slave became master")?;
            if said.line == "ready" && said.member != dead {
                break said.member;
            }
        };
        self.restart(dead)?;
        self.expect(dead, "standby")
    }

    fn restart(&mut self, member: usize) -> anyhow::Result<()> {
        let life = self.members[member].life + 1;
        let config = self.members[member].config.clone();
        let child = self.spawn(member, life, &config)?;
        let place = &mut self.members[member];
        (place.child, place.life) = (child, life);
        Ok(())
    }

    /// Waits for a word of a member.
    fn expect(&mut self, member: usize, word: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.start_max;
        loop {
            let said = self.hear(deadline).with_context(|| format!("no `{word}`, see {}", self.log.display()))?;
            if said.member != member {
                bail!("broker {} said `{}` while broker {member} was to say `{word}`", said.member, said.line);
            }
            if said.line == word {
                return Ok(());
            }
            if matches!(said.line.as_str(), "ready" | "standby") {
                bail!("broker {member} is `{}` where `{word}` was expected", said.line);
            }
        }
    }

    /// The next word of a member that lives.
    fn hear(&mut self, deadline: Instant) -> anyhow::Result<Said> {
        loop {
            match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(said) if self.members[said.member].life == said.life => return Ok(said),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.check()?;
                    bail!("nothing within {:?}", self.start_max)
                }
                Err(RecvTimeoutError::Disconnected) => bail!("no broker speaks any more"),
            }
        }
    }

    fn configure(&self, member: usize) -> anyhow::Result<(PathBuf, [KeptPort; 2])> {
        let config = beside(&self.data, &format!(".{member}.toml"));
        let ports = [KeptPort::new()?, KeptPort::new()?];
        let mut text = format!("[broker]\nname = \"member-{member}\"\n");
        for ((name, scheme), KeptPort { address, .. }) in CONNECTORS.iter().zip(&ports) {
            text.push_str(&format!("[[connector]]\nname = \"{name}\"\nuri = \"{scheme}://{address}\"\n"));
        }
        text.push_str(&self.more);
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        Ok((config, ports))
    }

    fn spawn(&self, member: usize, life: u32, config: &Path) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("open {}", self.log.display()))?;
        let mut child = Command::new(&self.program)
            .args(["serve", "--config"])
            .arg(config)
            .arg("--data")
            .arg(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let stdout = child.stdout.take().expect("asked for above");
        let tell = self.tell.clone();
        // To the end, so that the program never waits for its reader.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(Said { member, life, line: line.trim().to_owned() });
            }
        });
        Ok(child)
    }
}

/// A port that the system gives to nobody else, also while no broker listens there: clients are told it before the broker
/// that has it is master, and must never find a stranger.
///
/// The socket is bound and does not listen; with `SO_REUSEADDR` on both a broker can bind and listen beside it.
struct KeptPort {
    address: SocketAddr,
    _socket: Socket,
}

impl KeptPort {
    fn new() -> anyhow::Result<KeptPort> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).context("look for a free port")?;
        let address = socket.local_addr()?.as_socket().context("the address of a socket")?;
        Ok(KeptPort { address, _socket: socket })
    }
}

/// A file beside the data folder.
fn beside(data: &Path, extension: &str) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(extension);
    data.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A broker can listen on a kept port, again and again, and nobody is given it by chance.
    #[test]
    fn a_kept_port_is_for_its_broker() {
        let port = KeptPort::new().expect("a port");
        for _ in 0..2 {
            let listener = TcpListener::bind(port.address).expect("it listens");
            TcpStream::connect(port.address).expect("it answers");
            drop(listener);
        }
        let chance = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        assert!(chance.bind(&port.address.into()).is_err(), "given to somebody who did not ask for it");
    }

    /// Files go beside the folder, not into it: the folder is the broker's.
    #[test]
    fn files_beside_the_data() {
        assert_eq!(beside(Path::new("/tmp/x/data"), ".toml"), Path::new("/tmp/x/data.toml"));
        assert_eq!(beside(Path::new("data.d"), ".log"), Path::new("data.d.log"));
    }
}
