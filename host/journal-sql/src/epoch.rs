//! How an epoch begins: nobody else keeps or settles anything after that, and what the last epoch left is settled.

use journal::JournalError;

use crate::Config;
use crate::append::{Failed, TRANSACTION_MAX, Work, Writer};
use crate::dialect::{APPENDS, JOURNAL};
use crate::fault::{Broken, Fault};
use crate::plan::{Plan, State};
use crate::session::{Line, Session, Value, unsigned, within};
use crate::{recovery, schema};

/// Whoever had the journal before may be quicker with the next number as often as that.
const TRIES_MAX: usize = 100;

/// A journal of which a new epoch has begun.
pub(crate) struct Begun {
    pub(crate) writer: Writer,
    pub(crate) state: State,
    /// Appends so far, the epoch's own one too.
    pub(crate) appends: u64,
}

/// Begins one; makes the tables where it may.
pub(crate) async fn begin(line: &Line, config: &Config) -> Result<Begun, Broken> {
    let mut taken = line.take().await?;
    schema::journal(line, &mut taken.session, config.create_tables).await?;
    taken.keep();
    let appends = raise(line, config.lease.as_deref()).await?;
    // After that nobody else changes it.
    let mut taken = line.take().await?;
    let mut state = recovery::state(line, &mut taken.session).await?;
    let left = recovery::appends(line, &mut taken.session, state.appends, appends).await?;
    taken.keep();
    let writer = Writer { epoch: state.epoch, lease: config.lease.clone(), outage_max: config.outage_max };
    if !left.is_empty() {
        let plan = Plan::of(left.iter().flat_map(|append| append.records.iter()), &state);
        let kept: Vec<u64> = left.iter().map(|append| append.number).collect();
        let work = Work::Settle { from: state.appends, to: appends, kept: &kept, plan: &plan };
        writer.write(line, work).await.map_err(|failed| match failed {
            Failed::Fault(fault) => Broken::Fault(fault),
            Failed::Displaced(why) => Broken::Error(JournalError::Fenced { why }),
        })?;
        plan.note(&mut state, appends);
        tracing::info!(appends = left.len(), "appends that the last epoch kept are settled");
    }
    Ok(Begun { writer, state, appends })
}

/// The number of its first append, which says nothing but that the epoch has begun.
async fn raise(line: &Line, lease: Option<&str>) -> Result<u64, Broken> {
    for _ in 0..TRIES_MAX {
        let mut taken = line.take().await?;
        match within(TRANSACTION_MAX, try_to_raise(line, &mut taken.session, lease)).await {
            Ok(Some(number)) => {
                taken.keep();
                return Ok(number);
            }
            Ok(None) => {
                let why = "the lease on it was taken over before the journal was opened".into();
                return Err(JournalError::Fenced { why }.into());
            }
            // The last epoch has kept one more meanwhile.
            Err(Fault::Database(sqlx::Error::Database(said))) if said.is_unique_violation() => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    let why = "another broker appends to it all the time; stop that one first".into();
    Err(JournalError::Fenced { why }.into())
}

/// None if the lease is not ours.
async fn try_to_raise(line: &Line, session: &mut Session, lease: Option<&str>) -> Result<Option<u64>, Fault> {
    let dialect = &line.dialect;
    session.raw(dialect.begin()).await?;
    let raise = format!("UPDATE {} SET epoch = epoch + 1 WHERE id = 1", dialect.table(&JOURNAL));
    let mut ours = session.execute(&raise, Vec::new()).await? == 1;
    if let (true, Some(holder)) = (ours, lease) {
        ours = session.execute(&dialect.prove_lease(holder), Vec::new()).await? == 1;
    }
    let mut number = None;
    if let (true, Some(row)) = (ours, session.query(&dialect.last_append(), Vec::new()).await?.first()) {
        let (epoch, settled, kept) = (unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?);
        let first = settled.max(kept) + 1;
        let values = vec![Value::from(first), Value::from(epoch), Value::Bytes(Vec::new())];
        session.execute(&dialect.insert_one(&APPENDS), values).await?;
        number = Some(first);
    }
    session.raw(if number.is_some() { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(number)
}
