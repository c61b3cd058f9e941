//! Real database servers, each with its own folder and port, for as long as a test takes. `./setup.sh test` installs them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

/// Longest time for a server to come up.
const START_MAX: Duration = Duration::from_secs(60);
/// A password that no message may show.
pub(crate) const PASSWORD: &str = "never-shown";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    MariaDb,
}

/// A server process. It is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    home: tempfile::TempDir,
    pub(crate) port: u16,
    _kept: Socket,
    child: Option<Child>,
}

impl Server {
    /// Makes a data folder and starts a server on it.
    pub(crate) fn start(engine: Engine) -> Server {
        let home = tempfile::tempdir().expect("a folder");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let (port, kept) = kept_port();
        let mut server = Server { engine, home, port, _kept: kept, child: None };
        server.make();
        server.start_again();
        server
    }

    /// The database in it, for its owner.
    pub(crate) fn url(&self) -> String {
        self.url_at(&format!("127.0.0.1:{}", self.port))
    }

    /// The same by another way to it.
    pub(crate) fn url_at(&self, host: &str) -> String {
        match self.engine {
            Engine::Postgres => format!("postgres://jackfield:{PASSWORD}@{host}/postgres"),
            Engine::MariaDb => format!("mysql://jackfield:{PASSWORD}@{host}/jackfield"),
        }
    }

    /// Ends as if the machine had lost its power, but for the disk's cache.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
            // The first process of PostgreSQL takes its children with it only when it is asked to end at once.
            let signal = if self.engine == Engine::Postgres { Signal::SIGQUIT } else { Signal::SIGKILL };
            let _ = kill(pid, signal);
            let _ = child.wait();
        }
    }

    /// Starts on the same folder and port.
    pub(crate) fn start_again(&mut self) {
        // It listens before it lets anybody in.
        match self.engine {
            Engine::Postgres => self.spawn(&[], "ready to accept connections"),
            Engine::MariaDb => self.spawn(&[], "ready for connections"),
        }
    }

    /// Starts a PostgreSQL that answers everybody that it cannot serve yet, until [`Server::serve`]: one that waits for the
    /// log of a master.
    pub(crate) fn start_not_ready(&mut self) {
        assert_eq!(self.engine, Engine::Postgres);
        fs::write(self.data().join("standby.signal"), "").expect("a file");
        self.spawn(&["-c", "hot_standby=off"], "entering standby mode");
    }

    /// Has it serve from now on.
    pub(crate) fn serve(&self) {
        run(as_user("postgres", &tool("pg_ctl")).args(["promote", "-D"]).arg(self.data()));
    }

    /// Starts a process and waits until its log says that it is `ready`.
    fn spawn(&mut self, more: &[&str], ready: &str) {
        let data = self.data();
        let mut command = match self.engine {
            Engine::Postgres => {
                let mut command = as_user("postgres", &tool("postgres"));
                command.arg("-D").arg(&data).args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
                command.args(["-c", "fsync=off", "-c"]).arg(format!("unix_socket_directories={}", data.display()));
                command
            }
            Engine::MariaDb => {
                let mut command = as_user("mysql", &tool("mariadbd"));
                command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
                command.arg(format!("--tmpdir={}", self.temporary().display()));
                command.arg(format!("--port={}", self.port)).arg("--bind-address=127.0.0.1");
                command.arg(format!("--socket={}", data.join("socket").display()));
                command.arg(format!("--init-file={}", self.home.path().join("init.sql").display()));
                command.arg("--innodb-flush-log-at-trx-commit=2");
                command
            }
        };
        command.args(more);
        let path = self.home.path().join("log");
        let log = fs::File::options().create(true).append(true).open(&path).expect("a log");
        let said_before = fs::metadata(&path).map_or(0, |about| about.len() as usize);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).current_dir("/");
        self.child = Some(command.spawn().expect("the server starts"));
        let log = || fs::read(&path).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default();
        let begun = Instant::now();
        while !log().get(said_before..).is_some_and(|said| said.contains(ready)) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none() && begun.elapsed() < START_MAX, "the server does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A MariaDB that starts takes away what it finds of temporary tables, be they another one's.
    fn temporary(&self) -> PathBuf {
        self.home.path().join("temporary")
    }

    fn make(&self) {
        let data = self.data();
        fs::create_dir(&data).expect("a folder");
        match self.engine {
            Engine::Postgres => {
                own("postgres", &data);
                let password = self.home.path().join("password");
                fs::write(&password, PASSWORD).expect("a file");
                let mut command = as_user("postgres", &tool("initdb"));
                command.arg("-D").arg(&data).args(["-U", "jackfield", "--auth=scram-sha-256", "--no-sync", "--pwfile"]);
                run(command.arg(&password).args(["--encoding=UTF8", "--locale=C"]));
            }
            Engine::MariaDb => {
                own("mysql", &data);
                fs::create_dir(self.temporary()).expect("a folder");
                own("mysql", &self.temporary());
                let init = format!(
                    "CREATE DATABASE IF NOT EXISTS jackfield;\n\
                     CREATE USER IF NOT EXISTS 'jackfield'@'%' IDENTIFIED BY '{PASSWORD}';\n\
                     CREATE USER IF NOT EXISTS 'jackfield'@'localhost' IDENTIFIED BY '{PASSWORD}';\n\
                     GRANT ALL ON jackfield.* TO 'jackfield'@'%';\nGRANT ALL ON jackfield.* TO 'jackfield'@'localhost';\n"
                );
                fs::write(self.home.path().join("init.sql"), init).expect("a file");
                let mut command = as_user("mysql", &tool("mariadb-install-db"));
                command.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
                command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
                run(command.arg(format!("--tmpdir={}", self.temporary().display())));
            }
        }
    }
}

/// A port that nobody else is given, also while no server listens there: the socket is bound and does not listen, so that
/// a server, which says `SO_REUSEADDR`, can bind and listen beside it.
pub(crate) fn kept_port() -> (u16, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    let address = socket.local_addr().expect("its address").as_socket().expect("an address");
    (address.port(), socket)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Servers refuse to be run by root.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

fn own(user: &str, path: &Path) {
    if is_root() {
        run(Command::new("chown").arg(format!("{user}:{user}")).arg(path));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("permissions");
}

/// A program that Debian keeps out of the way.
fn tool(name: &str) -> PathBuf {
    let mut places: Vec<PathBuf> = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from).to_vec();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.filter_map(Result::ok).map(|version| version.path().join("bin")));
    }
    let found = places.iter().map(|place| place.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed; run ./setup.sh test"))
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").output().expect("it runs");
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}{told}");
}
