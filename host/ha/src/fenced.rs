//! A journal behind the fence.

use journal::{Journal, JournalError, Recovered, Room, Stats};
use message::{Loaded, Record, Sequence};
use std::sync::Arc;

use crate::{Fence, Loss, Standing};

/// A journal that works only while its lock is proven: in doubt it waits, without the lock it refuses.
///
/// Nothing is called durable unless the lock was proven *after* the write: whoever took the lock over meanwhile may have
/// read the journal before the write reached it.
pub struct Fenced<J, C> {
    journal: J,
    fence: Arc<Fence>,
    now: C,
}

impl<J: Journal, C: Fn() -> i64 + Send + Sync> Fenced<J, C> {
    /// `now` tells the time by the clock of the fence.
    pub fn new(journal: J, fence: Arc<Fence>, now: C) -> Fenced<J, C> {
        Fenced { journal, fence, now }
    }

    fn pass(&self) -> Result<(), JournalError> {
        self.fence.pass(&self.now).map_err(|loss: Loss| JournalError::Fenced { why: loss.to_string() })
    }
}

impl<J: Journal, C: Fn() -> i64 + Send + Sync> Journal for Fenced<J, C> {
    fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError> {
        self.pass()?;
        let found = self.journal.recover(each)?;
        self.pass()?;
        Ok(found)
    }

    fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
        self.pass()?;
        self.journal.append(groups)?;
        self.pass()
    }

    fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
        // What is read promises nothing, so doubt need not hold it up.
        match self.fence.loss() {
            None => self.journal.load(sequences),
            Some(loss) => Err(JournalError::Fenced { why: loss.to_string() }),
        }
    }

    fn room(&self) -> Room {
        self.journal.room()
    }

    fn maintain(&self) {
        // It writes, and can wait: in doubt another broker may be at work.
        if self.fence.standing((self.now)()) == Standing::Open {
            self.journal.maintain();
        }
    }

    fn stats(&self) -> Stats {
        self.journal.stats()
    }

    fn close(&self) -> Result<(), JournalError> {
        self.pass()?;
        self.journal.close()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use journal::MemJournal;

    use super::*;

    fn is_fenced<T: std::fmt::Debug>(result: &Result<T, JournalError>) -> bool {
        matches!(result, Err(JournalError::Fenced { why }) if why.contains("deleted"))
    }

    /// Without the lock nothing is read, written or closed.
    #[test]
    fn a_lost_lock_refuses_everything() {
        let fence = Arc::new(Fence::always_open());
        let journal = Fenced::new(MemJournal::new(), fence.clone(), || 0);
        assert!(journal.recover(&mut |_| {}).is_ok());
        assert!(journal.append(&[vec![Record::CleanStop]]).is_ok());
        fence.shut(Loss::Deleted);
        assert!(is_fenced(&journal.append(&[vec![Record::CleanStop]])));
        assert!(is_fenced(&journal.load(&[1])));
        assert!(is_fenced(&journal.recover(&mut |_| {})));
        assert!(is_fenced(&journal.close()));
        assert_eq!(journal.stats().appends, 1);
    }

    /// Counts what it is asked to tidy up.
    #[derive(Default)]
    struct Tidied(MemJournal, AtomicUsize);

    impl Journal for Tidied {
        fn recover(&self, each: &mut dyn FnMut(Record)) -> Result<Recovered, JournalError> {
            self.0.recover(each)
        }
        fn append(&self, groups: &[Vec<Record>]) -> Result<(), JournalError> {
            self.0.append(groups)
        }
        fn load(&self, sequences: &[Sequence]) -> Result<Loaded, JournalError> {
            self.0.load(sequences)
        }
        fn room(&self) -> Room {
            self.0.room()
        }
        fn maintain(&self) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
        fn stats(&self) -> Stats {
            self.0.stats()
        }
        fn close(&self) -> Result<(), JournalError> {
            self.0.close()
        }
    }

    /// Nothing is tidied up without a proof of the lock: it would be written beside whoever has it now.
    #[test]
    fn in_doubt_nothing_is_tidied_up() {
        let fence = Arc::new(Fence::new());
        let clock = Arc::new(AtomicI64::new(9));
        let now = clock.clone();
        let journal = Fenced::new(Tidied::default(), fence.clone(), move || now.load(Ordering::SeqCst));
        let tidied = || {
            journal.maintain();
            journal.journal.1.load(Ordering::SeqCst)
        };
        fence.prove(10);
        assert_eq!(tidied(), 1);
        clock.store(10, Ordering::SeqCst);
        assert_eq!(tidied(), 1, "in doubt");
        fence.prove(20);
        assert_eq!(tidied(), 2);
        fence.shut(Loss::Deleted);
        assert_eq!(tidied(), 2, "lost");
    }

    /// A write during which the proof ran out counts only if the lock turns out to be ours still.
    #[test]
    fn a_write_that_outlives_the_proof_waits_for_the_next() {
        for lost in [false, true] {
            let fence = Arc::new(Fence::new());
            fence.prove(10);
            let clock = Arc::new(AtomicI64::new(9));
            let (passing, then) = (clock.clone(), fence.clone());
            // The clock moves on with each look at it: 9 before the write, 10 after it, and then the answer comes.
            let journal = Fenced::new(MemJournal::new(), fence.clone(), move || {
                let now = passing.fetch_add(1, Ordering::SeqCst);
                if now == 10 {
                    let then = then.clone();
                    std::thread::spawn(move || if lost { then.shut(Loss::Deleted) } else { then.prove(1_000) });
                }
                now
            });
            let appended = journal.append(&[vec![Record::CleanStop]]);
            assert_eq!(journal.stats().appends, 1, "the write itself went through");
            assert_eq!((appended.is_ok(), is_fenced(&appended)), (!lost, lost));
        }
    }
}
