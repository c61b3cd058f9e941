//! A connection to the database that is made anew when it breaks, and the threads on which they work.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyRow};
use sqlx::{AnyConnection, Arguments as _, AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};
use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tokio::task::block_in_place;

use crate::address::{Address, Kind};
use crate::dialect::Dialect;
use crate::fault::{Broken, Fault};

/// Longest time for a connection to come about.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a server is waited for that answers and is not ready …
const READY_MAX: Duration = Duration::from_secs(60);
/// … and how long between two questions.
const READY_PAUSE: Duration = Duration::from_millis(250);
/// Fewest bytes that a statement may have: MySQL's `max_allowed_packet` must allow it.
const PACKET_BYTES_MIN: i64 = 4 << 20;

/// A value of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(i64),
    Bytes(Vec<u8>),
    Text(String),
}

impl From<u64> for Value {
    /// The numbers of a journal stay far below the limit of the columns.
    fn from(number: u64) -> Value {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A number that a column holds.
pub(crate) fn number(row: &AnyRow, column: usize) -> Result<i64, Fault> {
    Ok(row.try_get::<i64, _>(column)?)
}

/// The same where it cannot be negative.
pub(crate) fn unsigned(row: &AnyRow, column: usize) -> Result<u64, Fault> {
    Ok(number(row, column)?.unsigned_abs())
}

/// Bytes that a column holds.
pub(crate) fn bytes(row: &AnyRow, column: usize) -> Result<Vec<u8>, Fault> {
    Ok(row.try_get::<Vec<u8>, _>(column)?)
}

/// The same where it may hold nothing.
pub(crate) fn optional_bytes(row: &AnyRow, column: usize) -> Result<Option<Vec<u8>>, Fault> {
    Ok(row.try_get::<Option<Vec<u8>>, _>(column)?)
}

/// A text that a column holds.
pub(crate) fn text(row: &AnyRow, column: usize) -> Result<String, Fault> {
    Ok(row.try_get::<String, _>(column)?)
}

/// One connection. After any error it must be dropped: what state it is in is unknown then.
pub(crate) struct Session {
    connection: AnyConnection,
}

impl Session {
    /// Connects to the first server that answers, beginning with number `first`; says with which it did.
    pub(crate) async fn connect(address: &Address, dialect: &Dialect, first: usize) -> Result<(Session, usize), Fault> {
        sqlx::any::install_default_drivers();
        let servers = address.urls().len();
        let mut last = None;
        for at in (0..servers).map(|step| (first + step) % servers) {
            let mut url = address.urls()[at].clone();
            // A file that is missing is begun; whether its tables may be made is asked later.
            if dialect.kind == Kind::Sqlite && !url.query_pairs().any(|(key, _)| key == "mode") {
                url.query_pairs_mut().append_pair("mode", "rwc");
            }
            let connected = tokio::time::timeout(CONNECT_MAX, Session::connect_to(url.as_str(), dialect)).await;
            match connected.unwrap_or(Err(Fault::Late { seconds: CONNECT_MAX.as_secs() })) {
                Ok(session) => return Ok((session, at)),
                Err(fault) => last = Some(fault),
            }
        }
        Err(last.unwrap_or(Fault::Late { seconds: 0 }))
    }

    async fn connect_to(url: &str, dialect: &Dialect) -> Result<Session, Fault> {
        let options = AnyConnectOptions::from_str(url)?.disable_statement_logging();
        let mut session = Session { connection: options.connect().await? };
        for (statement, may_fail) in dialect.welcome() {
            match session.raw(statement).await {
                Err(Fault::Database(sqlx::Error::Database(_))) if *may_fail => {}
                other => drop(other?),
            }
        }
        if dialect.kind == Kind::MySql {
            let rows = session.query("SELECT CAST(@@max_allowed_packet AS SIGNED)", Vec::new()).await?;
            let allowed = rows.first().map_or(Ok(i64::MAX), |row| number(row, 0))?;
            if allowed < PACKET_BYTES_MIN {
                let said = format!(
                    "max_allowed_packet of the server is {allowed}, at least {PACKET_BYTES_MIN} are needed; set it to 16M"
                );
                return Err(Fault::Database(sqlx::Error::Configuration(said.into())));
            }
        }
        Ok(session)
    }

    /// A statement without values.
    pub(crate) async fn raw(&mut self, statement: &str) -> Result<(), Fault> {
        self.connection.execute(sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))).await?;
        Ok(())
    }

    /// Several statements without values; how many rows each of them touched.
    pub(crate) async fn script(&mut self, statements: String) -> Result<Vec<u64>, Fault> {
        let script = sqlx::raw_sql(AssertSqlSafe(statements));
        let done = script.execute_many(&mut self.connection).map_ok(|done| done.rows_affected());
        Ok(done.try_collect().await?)
    }

    /// How many rows it touched.
    pub(crate) async fn execute(&mut self, statement: &str, values: Vec<Value>) -> Result<u64, Fault> {
        let query = sqlx::query_with(AssertSqlSafe(statement.to_owned()), arguments(values)?);
        Ok(self.connection.execute(query).await?.rows_affected())
    }

    /// The rows that it finds.
    pub(crate) async fn query(&mut self, statement: &str, values: Vec<Value>) -> Result<Vec<AnyRow>, Fault> {
        let query = sqlx::query_with(AssertSqlSafe(statement.to_owned()), arguments(values)?);
        Ok(self.connection.fetch_all(query).await?)
    }
}

fn arguments(values: Vec<Value>) -> Result<AnyArguments, Fault> {
    let mut arguments = AnyArguments::default();
    for value in values {
        let added = match value {
            Value::Number(number) => arguments.add(number),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Text(text) => arguments.add(text),
        };
        added.map_err(|error| Fault::Database(sqlx::Error::Encode(error)))?;
    }
    Ok(arguments)
}

/// A session that is made when it is needed, and forgotten when it fails.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) address: Address,
    pub(crate) dialect: Dialect,
    inner: Arc<tokio::sync::Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    session: Option<Session>,
    /// The server that answered last.
    server: usize,
}

impl Line {
    pub(crate) fn new(address: Address, dialect: Dialect) -> Line {
        Line { address, dialect, inner: Arc::default() }
    }

    /// The session, for one piece of work: it is there for the next one only if [`Taken::keep`] says so.
    pub(crate) async fn take(&self) -> Result<Taken, Fault> {
        let mut inner = self.inner.clone().lock_owned().await;
        if let Some(session) = inner.session.take() {
            return Ok(Taken { session, inner });
        }
        let first = inner.server;
        match Session::connect(&self.address, &self.dialect, first).await {
            Ok((session, server)) => {
                inner.server = server;
                Ok(Taken { session, inner })
            }
            Err(fault) => {
                inner.server = first + 1;
                Err(fault)
            }
        }
    }

    /// Says goodbye to the server.
    pub(crate) async fn hang_up(&self) {
        if let Some(session) = self.inner.lock().await.session.take() {
            use sqlx::Connection as _;
            let _ = tokio::time::timeout(Duration::from_secs(1), session.connection.close()).await;
        }
    }
}

/// A session that somebody works with.
pub(crate) struct Taken {
    pub(crate) session: Session,
    inner: tokio::sync::OwnedMutexGuard<Inner>,
}

impl Taken {
    /// Nothing failed with it.
    pub(crate) fn keep(mut self) {
        self.inner.session = Some(self.session);
    }
}

/// Does something within a time.
pub(crate) async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let done = tokio::time::timeout(patience, work).await;
    done.unwrap_or(Err(Fault::Late { seconds: patience.as_secs() }))
}

/// Patience with a server that answers that it cannot serve yet: it is being started, its cluster has no majority, or a
/// transaction of the last broker is not over. One that does not answer is an error at once, since its address may be wrong.
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience { until: Instant::now() + READY_MAX }
    }

    /// Returns after a pause when it is worth another try; else gives back why it failed.
    pub(crate) async fn wait(&self, broken: Broken, line: &Line) -> Result<(), Broken> {
        match broken {
            Broken::Fault(fault) if fault.is_not_yet() && Instant::now() < self.until => {
                tracing::warn!("database {} is not ready yet: {fault}; it is asked again", line.address);
                tokio::time::sleep(READY_PAUSE).await;
                Ok(())
            }
            other => Err(other),
        }
    }
}

/// The thread on which connections work beside the callers. Whoever calls waits for its answer and may be any thread, one of
/// another runtime too.
pub(crate) struct Desk(Option<Runtime>);

impl Desk {
    pub(crate) fn new(name: &str) -> std::io::Result<Desk> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .max_blocking_threads(4)
            .thread_name(name)
            .enable_all()
            .build()
            .map(|rt| Desk(Some(rt)))
    }

    /// Waits until it is done. `None` if it panicked.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (tell, told) = sync_channel(1);
        self.start(async move { drop(tell.send(work.await)) });
        told.recv().ok()
    }

    /// Does not wait.
    pub(crate) fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            drop(runtime.spawn(work));
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Not waited for: the last handle may be dropped by a thread that must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where a connection works on the thread of whoever calls: to wake another thread and be woken by it takes a good part of
/// what the database takes for an append. A connection that was made here works here alone.
pub(crate) struct OnTheSpot(Option<Runtime>);

impl OnTheSpot {
    pub(crate) fn new() -> std::io::Result<OnTheSpot> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().map(|rt| OnTheSpot(Some(rt)))
    }

    /// Does it, on any thread, one of another runtime too. `None` if it panicked.
    pub(crate) fn run<T: Send>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        let runtime = self.0.as_ref()?;
        let work = || catch_unwind(AssertUnwindSafe(|| runtime.block_on(work))).ok();
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Err(_) => work(),
            Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
            // A runtime of one thread has no other one that could go on.
            Ok(_) => std::thread::scope(|scope| scope.spawn(work).join().ok().flatten()),
        }
    }
}

impl Drop for OnTheSpot {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a plain thread, and on those of runtimes of either kind.
    #[test]
    fn work_is_done_on_any_thread() {
        let spot = OnTheSpot::new().expect("a runtime");
        let work = || spot.run(async { tokio::time::sleep(Duration::from_millis(1)).await });
        assert_eq!(work(), Some(()));
        let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let one = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!((many.block_on(async { work() }), one.block_on(async { work() })), (Some(()), Some(())));
        assert_eq!(spot.run(async { panic!("as it may be") }), None::<()>);
    }
}
