//! The lease: a row that names its holder and, by the database's own clock, until when it is held.
//!
//! ```text
//! take     holder = mine, until = now + length   where nobody holds it any more
//! check    until = now + length                  where the holder is me
//! release  holder = nobody                       where the holder is me
//! ```
//!
//! Each is one statement, so two brokers cannot both have it. A holder that is not asked for longer than the lease has
//! lost it as soon as another one takes it, and finds out with its next check; until then its fence is shut already, since a
//! lease is longer than the window of a proof and a quarter of it. So whoever takes an expired lease need not wait for
//! anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ha::{Attempt, Checked, Former, HeldBy, Holder, Lock, LockError, Loss, Waited};
use journal::JournalError;

use crate::Address;
use crate::dialect::{Dialect, LOCK};
use crate::fault::{Broken, Fault};
use crate::schema;
use crate::session::{Desk, Line, Patience, Session, Value, bytes, number, text, within};

/// Longest time for one statement of the lease.
const STATEMENT_MAX: Duration = Duration::from_secs(10);
/// How often who waits looks whether the lease was given up, at most …
const LOOK_MIN: Duration = Duration::from_millis(20);
/// … and at least.
const LOOK_MAX: Duration = Duration::from_millis(250);

/// Where the lease is and how long it lasts.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The database.
    pub address: Address,
    /// What the name of its table begins with.
    pub table_prefix: String,
    /// The table is made if it is missing.
    pub create_tables: bool,
    /// How long it lasts without being renewed, ms (`lockAcquireSleepInterval`).
    pub length_ms: i64,
    /// Who takes it. The process, the machine and the time make its id, so that two brokers of one name are two.
    pub holder: Holder,
}

/// A lock made of a row in a database.
pub struct SqlLease {
    desk: Desk,
    line: Line,
    lease: Arc<Lease>,
    id: String,
    waits: AtomicBool,
}

/// The row as it is.
struct Row {
    holder: String,
    /// How long it is held still; not positive if it is free.
    left_ms: i64,
    info: Option<Holder>,
}

impl SqlLease {
    /// Connects, and makes the table where it may.
    pub fn open(lease: Lease) -> Result<SqlLease, LockError> {
        let place = place(&lease.address, &lease.table_prefix);
        let io = |cause: String| LockError::Io { attempt: "use", place: place.clone(), cause };
        let desk = Desk::new("lease-sql").map_err(|error| io(error.to_string()))?;
        let dialect = Dialect { kind: lease.address.kind(), prefix: lease.table_prefix.clone() };
        let line = Line::new(lease.address.clone(), dialect);
        let (opened, may_create) = (line.clone(), lease.create_tables);
        let made = desk.run(async move {
            let patience = Patience::new();
            loop {
                match made(&opened, may_create).await {
                    Err(broken) => patience.wait(broken, &opened).await?,
                    made => break made,
                }
            }
        });
        match made {
            Some(Ok(())) => {}
            Some(Err(Broken::Fault(fault))) => {
                return Err(io(format!("{fault}; {}", fault.remedy(lease.address.kind()))));
            }
            Some(Err(Broken::Error(JournalError::Foreign { cause, .. } | JournalError::Io { cause, .. }))) => {
                return Err(io(cause));
            }
            Some(Err(Broken::Error(error))) => return Err(io(error.to_string())),
            None => return Err(io("a thread of it panicked".into())),
        }
        let id = id(&lease.holder);
        Ok(SqlLease { desk, line, lease: Arc::new(lease), id, waits: AtomicBool::new(false) })
    }

    /// What this process is known by, and no other.
    pub fn holder_id(&self) -> &str {
        &self.id
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        place(&self.lease.address, &self.lease.table_prefix)
    }

    /// Blocks until nobody holds it, which is no promise that it can be had.
    pub fn wait(&self) -> Waited {
        if self.waits.swap(true, Ordering::SeqCst) {
            return Waited::Already;
        }
        let line = self.line.clone();
        let waited = self.desk.run(async move {
            loop {
                let row = read(&line).await?;
                if row.left_ms <= 0 {
                    return Ok::<(), Fault>(());
                }
                let left = Duration::from_millis(row.left_ms.unsigned_abs());
                tokio::time::sleep(left.clamp(LOOK_MIN, LOOK_MAX)).await;
            }
        });
        self.waits.store(false, Ordering::SeqCst);
        match waited {
            Some(Ok(())) => Waited::Granted,
            // It is tried again after its time.
            _ => Waited::Impossible,
        }
    }

    /// Sets the row where it is ours, or free too. How many rows that were.
    fn set(&self, or_free: bool, holder: &Holder) -> Result<bool, LockError> {
        let (line, lease, id, info) = (self.line.clone(), self.lease.clone(), self.id.clone(), holder.encode());
        self.ask("write", async move {
            let (dialect, now) = (&line.dialect, line.dialect.now_ms());
            let free = if or_free { format!(" OR until_ms <= {now} OR holder = ''") } else { String::new() };
            let statement = format!(
                "UPDATE {} SET holder = {}, until_ms = {now} + {}, info = {}, proofs = proofs + 1 \
                 WHERE id = 1 AND (holder = {}{free})",
                dialect.table(&LOCK),
                dialect.place(1),
                dialect.place(2),
                dialect.place(3),
                dialect.place(4),
            );
            let values =
                vec![Value::Text(id.clone()), Value::Number(lease.length_ms), Value::Bytes(info), Value::Text(id)];
            one_row(&line, &statement, values).await
        })
    }

    fn row(&self) -> Result<Row, LockError> {
        let line = self.line.clone();
        self.ask("read", async move { read(&line).await })
    }

    fn ask<T: Send + 'static>(
        &self,
        attempt: &'static str,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, LockError> {
        let kind = self.lease.address.kind();
        let cause = match self.desk.run(work) {
            Some(Ok(done)) => return Ok(done),
            Some(Err(fault)) => format!("{fault}; {}", fault.remedy(kind)),
            None => "a thread of it panicked".to_owned(),
        };
        Err(LockError::Io { attempt, place: self.place(), cause })
    }
}

impl Lock for SqlLease {
    fn take(&self) -> Result<Attempt, LockError> {
        if self.set(true, &self.lease.holder)? {
            return Ok(Attempt::Taken(Former::Gone));
        }
        Ok(Attempt::Held(HeldBy { holder: self.row()?.info, foreign: None }))
    }

    /// Only ever writes where the lease is held, so one that lost it takes nothing back.
    fn claim(&self, epoch: Option<u64>) -> Result<(), LockError> {
        if self.set(false, &Holder { epoch, ..self.lease.holder.clone() })? {
            return Ok(());
        }
        Err(LockError::NotHeld { place: self.place() })
    }

    fn check(&self) -> Checked {
        let (line, lease, id) = (self.line.clone(), self.lease.clone(), self.id.clone());
        let renewed = self.ask("renew", async move {
            let (dialect, now) = (&line.dialect, line.dialect.now_ms());
            let statement = format!(
                "UPDATE {} SET until_ms = {now} + {}, proofs = proofs + 1 WHERE id = 1 AND holder = {}",
                dialect.table(&LOCK),
                dialect.place(1),
                dialect.place(2),
            );
            one_row(&line, &statement, vec![Value::Number(lease.length_ms), Value::Text(id)]).await
        });
        match renewed {
            Ok(true) => Checked::Ours,
            Ok(false) => match self.row() {
                Ok(Row { holder, .. }) if holder.is_empty() => Checked::Lost(Loss::Freed),
                Ok(Row { info: Some(info), .. }) => Checked::Lost(Loss::TakenOver(info.to_string())),
                Ok(Row { info: None, .. }) => Checked::Lost(Loss::TakenOver("somebody".into())),
                Err(error) => Checked::Unknown(error),
            },
            Err(error) => Checked::Unknown(error),
        }
    }

    fn release(&self, _done: bool) {
        let (line, id) = (self.line.clone(), self.id.clone());
        // Without it the next holder waits until the lease is over, no more.
        let _ = self.ask("give up", async move {
            let (dialect, free) = (&line.dialect, "holder = '', until_ms = 0");
            let statement =
                format!("UPDATE {} SET {free} WHERE id = 1 AND holder = {}", dialect.table(&LOCK), dialect.place(1));
            one_row(&line, &statement, vec![Value::Text(id)]).await
        });
    }
}

async fn made(line: &Line, may_create: bool) -> Result<(), Broken> {
    let mut taken = line.take().await?;
    schema::lock(line, &mut taken.session, may_create).await?;
    taken.keep();
    Ok(())
}

async fn read(line: &Line) -> Result<Row, Fault> {
    let (dialect, now) = (&line.dialect, line.dialect.now_ms());
    let statement = format!("SELECT holder, until_ms - {now}, info FROM {} WHERE id = 1", dialect.table(&LOCK));
    let mut taken = line.take().await?;
    let rows = within(STATEMENT_MAX, taken.session.query(&statement, Vec::new())).await?;
    let row = match rows.first() {
        Some(row) => {
            let info = Holder::decode(&bytes(row, 2)?).ok().flatten();
            Row { holder: text(row, 0)?, left_ms: number(row, 1)?, info }
        }
        // Somebody has removed it; nobody can take it then, and whoever held it has lost it.
        None => Row { holder: String::new(), left_ms: i64::MAX, info: None },
    };
    taken.keep();
    Ok(row)
}

/// Whether the statement found its row.
async fn one_row(line: &Line, statement: &str, values: Vec<Value>) -> Result<bool, Fault> {
    let mut taken = line.take().await?;
    let found = within(STATEMENT_MAX, changed(&mut taken.session, statement, values)).await?;
    taken.keep();
    Ok(found)
}

async fn changed(session: &mut Session, statement: &str, values: Vec<Value>) -> Result<bool, Fault> {
    Ok(session.execute(statement, values).await? == 1)
}

fn place(address: &Address, prefix: &str) -> String {
    format!("{prefix}{} in database {address}", LOCK.name)
}

/// Machine and process, and a number at random, since both come again after a restart.
fn id(holder: &Holder) -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut random = std::hash::RandomState::new().build_hasher();
    random.write_u32(holder.process);
    let host: String = holder.host.chars().filter(char::is_ascii_graphic).take(100).collect();
    format!("{host}-{}-{:016x}", holder.process, random.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_have_one_id() {
        let holder = Holder { host: "amq1".into(), process: 7, ..Holder::default() };
        let (one, two) = (id(&holder), id(&holder));
        assert!(one.starts_with("amq1-7-"), "{one}");
        assert_ne!(one, two);
    }
}
