//! How an append gets into the database, in two steps, and what to do when the database does not say what became of one.
//!
//! ```text
//!  keep      one row with all records of the append       the receipt waits for this
//!
//!  settle    begin                                        later, for many appends at once
//!            count them                  only if the journal is still ours and these are not counted yet
//!            rows that go, rows that come, the rows of the appends go
//!            prove the lease             only if it is still ours
//!            --------------------------- the server has answered
//!            commit
//! ```
//!
//! To keep an append is one statement, and its sync is all that it costs: what its records are, the tables need not know
//! before a reader asks for them. Most messages are taken before their appends are settled, and leave nothing to be
//! written. An append that is large is settled at once, with all before it.
//!
//! Appends are numbered, each number is a row once and for all, and an epoch begins with a row of its own that stays for
//! ever. So whoever was displaced finds his next number taken: his append cannot be kept, whenever it arrives. The count in
//! the journal's row does the same for what settles.
//!
//! A repetition is harmless. An append that was not answered is there, word by word, or is not; a transaction that was not
//! answered is either counted, and then it is done, or not, and then nothing of it is there. One that is still on its way
//! holds its row, so that the repetition waits for its end before it is refused or goes through.

use std::time::Duration;

use crate::fault::{Fault, Verdict};
use crate::outage::Outage;
use crate::plan::Plan;
use crate::script::{self, Proof};
use crate::session::{Line, Session, Value, number, optional_bytes, unsigned, within};

/// Longest time for one transaction.
pub(crate) const TRANSACTION_MAX: Duration = Duration::from_secs(60);

/// Who writes.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) epoch: u64,
    /// Holder of the lease that each transaction has to prove.
    pub(crate) lease: Option<String>,
    /// How long it is tried.
    pub(crate) outage_max: Duration,
}

/// What is written in one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work<'a> {
    /// An append becomes a row.
    Keep {
        /// The first is 1.
        number: u64,
        /// All its records, as [`journal::format::encode_append`] writes them.
        value: &'a [u8],
    },
    /// Appends are settled.
    Settle {
        /// Those up to here are settled before …
        from: u64,
        /// … and up to here afterwards.
        to: u64,
        /// Which of them are rows.
        kept: &'a [u64],
        /// What they come to.
        plan: &'a Plan,
    },
}

/// How it ended when it is not stored.
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

impl Work<'_> {
    fn what_is_not_done(&self) -> &'static str {
        match self {
            Work::Keep { .. } => "does not take an append, so replies wait",
            Work::Settle { .. } => "does not settle appends",
        }
    }
}

impl Writer {
    /// Stores it, for as long as it takes.
    pub(crate) async fn write(&self, line: &Line, work: Work<'_>) -> Result<(), Failed> {
        let mut outage = Outage::new(self.outage_max, work.what_is_not_done());
        loop {
            // What became of the try before is known before the next one begins.
            let done = match outage.began {
                Some(_) => self.look(line, work).await,
                None => Ok(false),
            };
            let fault = match done {
                Ok(true) => break,
                Err(Failed::Fault(fault)) => fault,
                Err(displaced) => return Err(displaced),
                Ok(false) => match self.attempt(line, work).await {
                    Ok(true) => break,
                    Err(fault) if fault.verdict() != Verdict::Never => fault,
                    // Stored already, or no longer ours, or rows of either are in the way: one more look tells.
                    refused => match (self.look(line, work).await, refused) {
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

    /// Whether it is stored.
    async fn look(&self, line: &Line, work: Work<'_>) -> Result<bool, Failed> {
        let mut taken = line.take().await?;
        let statement = line.dialect.journal_with_append();
        let asked = match work {
            Work::Keep { number, .. } => number,
            Work::Settle { .. } => 0,
        };
        let rows = within(TRANSACTION_MAX, taken.session.query(&statement, vec![asked.into()])).await?;
        let Some(row) = rows.first() else {
            return Err(Failed::Displaced("its row in the database was removed".into()));
        };
        let (epoch, settled) = (unsigned(row, 0)?, unsigned(row, 1)?);
        let (of_epoch, found) = (number(row, 2)?, optional_bytes(row, 3)?);
        taken.keep();
        if epoch != self.epoch {
            return Err(Failed::Displaced(format!("another broker opened it and began epoch {epoch}")));
        }
        match work {
            Work::Keep { number, value } => match found {
                None => Ok(false),
                Some(found) if found == value && u64::try_from(of_epoch) == Ok(epoch) => Ok(true),
                // One that was given up, and came through after all.
                Some(_) => Err(Failed::Displaced(format!("append {number} is there already, and is another one"))),
            },
            Work::Settle { from, .. } if settled == from => Ok(false),
            Work::Settle { to, .. } if settled == to => Ok(true),
            Work::Settle { to, .. } => {
                Err(Failed::Displaced(format!("{settled} appends are settled, which should have been {to}")))
            }
        }
    }

    async fn attempt(&self, line: &Line, work: Work<'_>) -> Result<bool, Fault> {
        let mut taken = line.take().await?;
        let session = &mut taken.session;
        let stored = match work {
            Work::Keep { number, value } => within(TRANSACTION_MAX, self.keep(line, session, number, value)).await?,
            Work::Settle { from, to, kept, plan } => {
                let proof = Proof { epoch: self.epoch, from, to, lease: self.lease.as_deref() };
                let scripts = script::settle(&line.dialect, plan, kept, &proof);
                within(TRANSACTION_MAX, transaction(session, scripts)).await?
            }
        };
        taken.keep();
        Ok(stored)
    }

    async fn keep(&self, line: &Line, session: &mut Session, number: u64, value: &[u8]) -> Result<bool, Fault> {
        let mut values = vec![Value::from(number), Value::from(self.epoch), Value::Bytes(value.to_vec())];
        values.extend(self.lease.clone().map(Value::Text));
        let statement = line.dialect.keep_append(self.lease.is_some());
        Ok(session.execute(&statement, values).await? == 1)
    }
}

async fn transaction(session: &mut Session, scripts: Vec<script::Script>) -> Result<bool, Fault> {
    let mut ours = true;
    for mut script in scripts {
        let text = std::mem::take(&mut script.text);
        ours = script.is_proven(&session.script(text).await?);
        if !ours {
            break;
        }
    }
    session.raw(if ours { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(ours)
}
