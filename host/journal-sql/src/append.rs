//! One append, one transaction; and what to do when the database does not say what became of it.
//!
//! ```text
//!  begin
//!  count this append            only if the journal is still ours and this one is not counted yet
//!  rows that go, rows that come
//!  prove the lease              only if it is still ours
//!  ------------------------------ the server has answered
//!  commit
//! ```
//!
//! The count makes a repetition harmless: a transaction whose commit was not answered is either counted, and then it is
//! done, or not, and then nothing of it is there. One that is still on its way holds the row, so that the repetition waits
//! for its end before it is refused or goes through.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::fault::{Fault, Verdict};
use crate::plan::Plan;
use crate::script::{self, Proof};
use crate::session::{Line, Session, unsigned, within};

/// Longest time for one transaction.
pub(crate) const TRANSACTION_MAX: Duration = Duration::from_secs(60);
/// Between two tries, at first …
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// … and later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often people are told that it is still tried.
const TELL_AGAIN: Duration = Duration::from_secs(10);

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
                    Err(fault) if fault.verdict() != Verdict::Never => fault,
                    // Counted already, or no longer ours, or rows of either are in the way: one more look tells.
                    refused => match (self.look(line).await, refused) {
                        (Ok(true), _) => break,
                        (Err(displaced @ Failed::Displaced(_)), _) => return Err(displaced),
                        (_, Err(fault)) | (Err(Failed::Fault(fault)), Ok(_)) => fault,
                        (Ok(false), Ok(_)) => {
                            let why = "the lease on it was taken over by another broker";
                            return Err(Failed::Displaced(why.into()));
                        }
                    },
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
        let proof = Proof { epoch: self.epoch, appends: self.appends, lease: self.lease.as_deref() };
        let mut ours = true;
        for mut script in script::append(&line.dialect, plan, &proof) {
            let text = std::mem::take(&mut script.text);
            ours = script.is_proven(&session.script(text).await?);
            if !ours {
                break;
            }
        }
        session.raw(if ours { "COMMIT" } else { "ROLLBACK" }).await?;
        Ok(ours)
    }
}

/// The last value again and again up to the next power of two, since statements are prepared for few numbers of values: to ask
/// for one twice does no harm.
pub(crate) fn padded<T>(values: &[T]) -> impl Iterator<Item = &T> {
    values.iter().chain(values.last().into_iter().cycle()).take(values.len().next_power_of_two())
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
}
