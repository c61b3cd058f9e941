//! One append, one transaction; and what to do when the database does not say what became of it.
//!
//! ```text
//!  begin
//!  count this append            only if the journal is still ours and this one is not counted yet
//!  rows that go, rows that come
//!  prove the lease              only if it is still ours
//!  commit
//! ```
//!
//! The count makes a repetition harmless: a transaction whose commit was not answered is either counted, and then it is
//! done, or not, and then nothing of it is there. One that is still on its way holds the row, so that the repetition waits
//! for its end before it is refused or goes through.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::dialect::{BODIES, ENTRIES, FACTS};
use crate::fault::{Fault, Verdict};
use crate::plan::{PART_BYTES, Plan};
use crate::session::{Line, Session, Value, unsigned, within};

/// Longest time for one transaction.
pub(crate) const TRANSACTION_MAX: Duration = Duration::from_secs(60);
/// Between two tries, at first …
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// … and later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often people are told that it is still tried.
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// Most rows of one statement.
pub(crate) const ROWS_MAX: usize = 128;
/// Bytes of values that one statement may have, beyond its first row.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Who appends.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) epoch: u64,
    /// Appends that are stored.
    pub(crate) appends: u64,
    /// Holder of the lease that each append has to prove.
    pub(crate) lease: Option<String>,
    /// How long it is tried.
    pub(crate) outage_max: Duration,
}

/// How an append ended that is not stored.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Somebody else has the journal.
    Displaced(String),
    /// The database does not take it.
    Fault(Fault),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Failed {
        Failed::Fault(fault)
    }
}

impl Writer {
    /// Stores the rows, for as long as it takes.
    pub(crate) async fn append(&self, line: &Line, plan: &Plan) -> Result<(), Failed> {
        let mut outage = Outage::new(self.outage_max, "does not take an append, so replies wait");
        loop {
            // What became of the try before is known before the next one begins.
            let done = match outage.began {
                Some(_) => self.look(line).await,
                None => Ok(false),
            };
            let fault = match done {
                Ok(true) => break,
                Err(Failed::Fault(fault)) => fault,
                Err(displaced) => return Err(displaced),
                Ok(false) => match self.attempt(line, plan).await {
                    Ok(true) => break,
                    // Counted already, or no longer ours: one more look tells.
                    Ok(false) => match self.look(line).await {
                        Ok(true) => break,
                        Ok(false) => {
                            let why = "the lease on it was taken over by another broker";
                            return Err(Failed::Displaced(why.into()));
                        }
                        Err(Failed::Fault(fault)) => fault,
                        Err(displaced) => return Err(displaced),
                    },
                    Err(fault) => fault,
                },
            };
            outage.wait(fault, line).await?;
        }
        outage.end(line);
        Ok(())
    }

    /// Whether this append is counted.
    async fn look(&self, line: &Line) -> Result<bool, Failed> {
        let mut taken = line.take().await?;
        let statement = line.dialect.journal_row();
        let rows = within(TRANSACTION_MAX, taken.session.query(&statement, Vec::new())).await?;
        let Some(row) = rows.first() else {
            return Err(Failed::Displaced("its row in the database was removed".into()));
        };
        let (epoch, appends) = (unsigned(row, 1)?, unsigned(row, 2)?);
        taken.keep();
        match (epoch == self.epoch, appends.checked_sub(self.appends)) {
            (true, Some(0)) => Ok(false),
            (true, Some(1)) => Ok(true),
            _ => Err(Failed::Displaced(format!("another broker opened it and began epoch {epoch}"))),
        }
    }

    async fn attempt(&self, line: &Line, plan: &Plan) -> Result<bool, Fault> {
        let mut taken = line.take().await?;
        let stored = within(TRANSACTION_MAX, self.transaction(line, &mut taken.session, plan)).await?;
        taken.keep();
        Ok(stored)
    }

    async fn transaction(&self, line: &Line, session: &mut Session, plan: &Plan) -> Result<bool, Fault> {
        session.raw(line.dialect.begin()).await?;
        let count = vec![
            Value::from(plan.next_sequence),
            Value::from(u64::from(plan.next_log)),
            Value::from(u64::from(plan.clean_stop)),
            Value::from(self.epoch),
            Value::from(self.appends),
        ];
        let mut ours = session.execute_rows("count", 1, |_| line.dialect.count_append(), count).await? == 1;
        if ours {
            rows(line, session, plan).await?;
            if let Some(holder) = &self.lease {
                let holder = vec![Value::Text(holder.clone())];
                ours = session.execute_rows("prove", 1, |_| line.dialect.prove_lease(), holder).await? == 1;
            }
        }
        session.raw(if ours { "COMMIT" } else { "ROLLBACK" }).await?;
        Ok(ours)
    }
}

/// Writes the rows of a plan.
async fn rows(line: &Line, session: &mut Session, plan: &Plan) -> Result<(), Fault> {
    let dialect = &line.dialect;
    for log in &plan.logs_gone {
        let statement = |rows| dialect.delete(&ENTRIES, rows);
        session.execute_rows("log", 1, statement, vec![Value::from(u64::from(*log))]).await?;
    }
    for (from, to) in &plan.facts_gone_between {
        let range = vec![Value::Bytes(from.clone()), Value::Bytes(to.clone())];
        session.execute_rows("facts between", 1, |_| dialect.delete_facts_between(), range).await?;
    }
    for some in plan.bodies_gone.chunks(ROWS_MAX) {
        let values = padded(some).map(|sequence| Value::from(*sequence)).collect();
        session.execute_rows("bodies gone", width(some.len()), |rows| dialect.delete(&BODIES, rows), values).await?;
    }
    for some in plan.entries_gone.chunks(ROWS_MAX / 2) {
        let one = |(log, sequence): &(u32, u64)| [Value::from(u64::from(*log)), Value::from(*sequence)];
        let values = padded(some).flat_map(one).collect();
        session.execute_rows("entries gone", width(some.len()), |rows| dialect.delete_entries(rows), values).await?;
    }
    for some in plan.facts_gone.chunks(ROWS_MAX) {
        let values = padded(some).map(|id| Value::Bytes(id.clone())).collect();
        session.execute_rows("facts gone", width(some.len()), |rows| dialect.delete(&FACTS, rows), values).await?;
    }
    let mut inserts = Inserts::new("bodies", |rows| dialect.insert(&BODIES, rows));
    for (sequence, value) in &plan.bodies {
        for (part, value) in parts(value) {
            let bytes = value.len();
            inserts.row(session, vec![Value::from(*sequence), part, Value::Bytes(value.to_vec())], bytes).await?;
        }
    }
    inserts.finish(session).await?;
    let mut inserts = Inserts::new("entries", |rows| dialect.insert(&ENTRIES, rows));
    for (log, sequence, value) in &plan.entries {
        let row = vec![Value::from(u64::from(*log)), Value::from(*sequence), Value::Bytes(value.clone())];
        inserts.row(session, row, value.len()).await?;
    }
    inserts.finish(session).await?;
    let mut inserts = Inserts::new("facts", |rows| dialect.replace_facts(rows));
    for (id, name, value) in &plan.facts {
        for (part, value) in parts(value) {
            let bytes = value.len() + name.len();
            let row = vec![Value::Bytes(id.clone()), part, Value::Bytes(name.clone()), Value::Bytes(value.to_vec())];
            inserts.row(session, row, bytes).await?;
        }
    }
    inserts.finish(session).await
}

/// A value in parts; one at least.
fn parts(value: &[u8]) -> impl Iterator<Item = (Value, &[u8])> {
    let count = value.len().div_ceil(PART_BYTES).max(1);
    (0..count).map(move |part| {
        let end = value.len().min((part + 1) * PART_BYTES);
        (Value::from(part as u64), &value[part * PART_BYTES..end])
    })
}

/// Statements are prepared for few numbers of rows, so that the server knows them after a while.
pub(crate) fn width(rows: usize) -> usize {
    rows.next_power_of_two()
}

/// The same rows again and again up to the width: to remove or to ask for one twice does no harm.
pub(crate) fn padded<T>(rows: &[T]) -> impl Iterator<Item = &T> {
    rows.iter().chain(rows.last().into_iter().cycle()).take(width(rows.len()))
}

/// Rows on their way into one table.
struct Inserts<F> {
    what: &'static str,
    write: F,
    waiting: Vec<Vec<Value>>,
    bytes: usize,
}

impl<F: Fn(usize) -> String> Inserts<F> {
    fn new(what: &'static str, write: F) -> Inserts<F> {
        Inserts { what, write, waiting: Vec::new(), bytes: 0 }
    }

    async fn row(&mut self, session: &mut Session, row: Vec<Value>, bytes: usize) -> Result<(), Fault> {
        if self.waiting.len() == ROWS_MAX || self.bytes + bytes > STATEMENT_BYTES_MAX {
            self.finish(session).await?;
        }
        self.waiting.push(row);
        self.bytes += bytes;
        Ok(())
    }

    /// Numbers of rows that are powers of two, the largest first.
    async fn finish(&mut self, session: &mut Session) -> Result<(), Fault> {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        while let Some(rows) = waiting.len().checked_ilog2().map(|log| 1usize << log) {
            let rest = waiting.split_off(rows);
            let values = std::mem::replace(&mut waiting, rest).into_iter().flatten().collect();
            session.execute_rows(self.what, rows, &self.write, values).await?;
        }
        Ok(())
    }
}

/// A time in which the database does not do what it is asked for.
pub(crate) struct Outage {
    max: Duration,
    /// What it does not do, for people.
    what: &'static str,
    began: Option<Instant>,
    told: Option<Instant>,
    pause: Duration,
    tries: u32,
}

impl Outage {
    /// One that may last so long.
    pub(crate) fn new(max: Duration, what: &'static str) -> Outage {
        Outage { max, what, began: None, told: None, pause: PAUSE_MIN, tries: 0 }
    }

    /// Waits before the next try; the fault itself where there is none.
    pub(crate) async fn wait(&mut self, fault: Fault, line: &Line) -> Result<(), Fault> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if fault.verdict() != Verdict::Again || began.elapsed() >= self.max {
            return Err(fault);
        }
        self.tries += 1;
        // What one more try puts right is not worth a line.
        if self.tries > 1 && self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            self.told = Some(Instant::now());
            tracing::warn!(
                "database {} {}: {fault}; {}. It is tried again, for {} s more at most",
                line.address,
                self.what,
                fault.remedy(line.address.kind()),
                self.max.saturating_sub(began.elapsed()).as_secs()
            );
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    /// It has done it.
    pub(crate) fn end(&self, line: &Line) {
        if let (Some(began), Some(_)) = (self.began, self.told) {
            let (ms, tries) = (began.elapsed().as_millis(), self.tries);
            tracing::info!("database {} is back, after {ms} ms and {tries} tries more", line.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_with_themselves() {
        for (rows, expected) in [(vec![1], vec![1]), (vec![1, 2, 3], vec![1, 2, 3, 3]), (vec![], vec![])] {
            assert_eq!(padded(&rows).copied().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn values_are_taken_apart() {
        for (bytes, expected) in [(0, vec![0]), (PART_BYTES, vec![PART_BYTES]), (PART_BYTES + 1, vec![PART_BYTES, 1])] {
            let value = vec![7; bytes];
            assert_eq!(parts(&value).map(|(_, part)| part.len()).collect::<Vec<_>>(), expected);
        }
    }
}
