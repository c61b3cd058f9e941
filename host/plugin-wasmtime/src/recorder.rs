//! Takes down what a queue's policy is asked and answers, while somebody wants it.
//!
//! The core's thread writes on a [`Tape`] that somebody else takes away; neither waits for the other. Where nothing is
//! recorded it costs the core a look at a flag a batch. A recording is of one instance: it ends when another one decides.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plugin::{DispatchBatch, Fallback, Member, MemberChange, SymbolTable};

use crate::Limits;
use crate::dispatch::note;
use crate::recording::{Answered, Change, Head, Recording, RecordingError, Step};

/// How long a recording that is over waits to be fetched.
const FETCH_WAIT: Duration = Duration::from_secs(60);

/// How much is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingWish {
    /// For so long at most, ms; the limit `recording_ms_max` holds too.
    pub ms: u64,
    /// So many batches at most; the limit `recording_batches_max` holds too.
    pub batches: u64,
}

/// How a recording stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingProgress {
    /// The queue.
    pub destination: String,
    /// The policy that decides there.
    pub policy: String,
    /// Batches so far.
    pub batches: u64,
    /// What they take in memory, bytes.
    pub bytes: u64,
    /// Nothing is added any more.
    pub is_over: bool,
}

/// What is recorded on one queue.
pub(crate) struct Tape {
    until: Instant,
    batches_max: u64,
    bytes_max: u64,
    batches: AtomicU64,
    bytes: AtomicU64,
    is_over: AtomicBool,
    /// Locked by the core's thread for a step, and by whoever takes it away.
    reel: Mutex<Reel>,
}

#[derive(Default)]
struct Reel {
    head: Option<Head>,
    steps: Vec<Step>,
    native: u64,
    ended: String,
}

impl Tape {
    pub(crate) fn new(wish: RecordingWish, limits: &Limits) -> Tape {
        Tape {
            until: Instant::now() + Duration::from_millis(wish.ms.min(limits.recording_ms_max)),
            batches_max: wish.batches.min(limits.recording_batches_max),
            bytes_max: limits.recording_bytes_max,
            batches: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            reel: Mutex::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire) || Instant::now() >= self.until
    }

    /// Nothing is added from now on, for this reason; an empty one if that was wished. For the core's thread.
    pub(crate) fn end(&self, reason: &str) {
        if !self.is_over.swap(true, Ordering::AcqRel)
            && let Ok(mut reel) = self.reel.try_lock()
        {
            reason.clone_into(&mut reel.ended);
        }
    }

    /// The recording begins. For the core's thread.
    pub(crate) fn begin(&self, head: Head) {
        if let Ok(mut reel) = self.reel.try_lock() {
            reel.head = Some(head);
        }
    }

    /// What was recorded, or why there is nothing; nothing is added any more. Not for the core's thread.
    fn take(&self, symbols: &SymbolTable) -> Result<Recording, String> {
        self.is_over.store(true, Ordering::Release);
        let reel = std::mem::take(&mut *self.reel.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(mut head) = reel.head.filter(|_| !reel.steps.is_empty()) else {
            return Err(match (reel.ended.is_empty(), reel.native) {
                (false, _) => reel.ended,
                (true, 0) => "its policy was asked nothing meanwhile; let messages come, or wait longer".to_owned(),
                (true, native) => format!("the native policy decided all {native} batches"),
            });
        };
        let mut named = Recording::named(&reel.steps);
        named.insert(symbols.intern(&head.destination));
        let text = |symbol: u32| Some((symbol, symbols.text(symbol)?.to_string()));
        head.symbols = named.into_iter().filter_map(text).collect();
        head.batches_native = reel.native;
        head.ended = reel.ended;
        Ok(Recording { head, steps: reel.steps })
    }
}

/// The core's end of a tape.
pub(crate) struct Recorder {
    tape: Arc<Tape>,
    /// Who came and went since the last step.
    untold: Vec<MemberChange>,
    is_first: bool,
}

impl Recorder {
    pub(crate) fn new(tape: Arc<Tape>) -> Recorder {
        Recorder { tape, untold: Vec::new(), is_first: true }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.tape.is_over()
    }

    pub(crate) fn note(&mut self, change: &MemberChange) {
        note(&mut self.untold, change);
    }

    pub(crate) fn end(&self, reason: &str) {
        self.tape.end(reason);
    }

    /// A batch was put to the policy. `is_new` if its instance was spoken to for the first time.
    pub(crate) fn look(
        &mut self,
        members: &[Member],
        asked: &DispatchBatch<'_>,
        answer: Result<&[u32], Fallback>,
        is_new: bool,
    ) {
        let answer = match answer {
            Ok(slots) => Answered::Slots(slots.to_vec()),
            Err(Fallback::Trap) => Answered::Fault("trap".to_owned()),
            Err(Fallback::Deadline) => Answered::Fault("deadline".to_owned()),
            Err(Fallback::WrongLength) => Answered::Fault("wrong-length".to_owned()),
            Err(_) => {
                if let Ok(mut reel) = self.tape.reel.try_lock() {
                    reel.native += 1;
                }
                return;
            }
        };
        if is_new && !self.is_first {
            return self.end("another instance decides: the one before was put to sleep or had failed");
        }
        let is_lost = matches!(&answer, Answered::Fault(kind) if kind != "wrong-length");
        let changes = match std::mem::take(&mut self.is_first) {
            true => members.iter().cloned().map(|member| Change::of(&MemberChange::Joined(member))).collect(),
            false => self.untold.iter().map(Change::of).collect(),
        };
        self.untold.clear();
        let step = Step::of(changes, asked, answer);
        let tape = &self.tape;
        let bytes = tape.bytes.load(Ordering::Relaxed) + step.bytes();
        if bytes > tape.bytes_max {
            return self.end(&format!("the limit recording_bytes_max of {} is reached", tape.bytes_max));
        }
        // Somebody took it away.
        let Ok(mut reel) = tape.reel.try_lock() else { return self.end("") };
        reel.steps.push(step);
        drop(reel);
        tape.bytes.store(bytes, Ordering::Relaxed);
        let batches = tape.batches.fetch_add(1, Ordering::Relaxed) + 1;
        if is_lost {
            self.end("the policy failed");
        } else if batches >= tape.batches_max {
            self.end("");
        }
    }
}

/// Tapes by queue, each with the policy that decides there.
type Tapes = BTreeMap<String, (Arc<str>, Arc<Tape>)>;

/// The recordings of a host.
#[derive(Default)]
pub(crate) struct Recordings(Mutex<Tapes>);

impl Recordings {
    /// Makes room and a tape for a queue.
    pub(crate) fn begin(
        &self,
        destination: &str,
        policy: &Arc<str>,
        wish: RecordingWish,
        limits: &Limits,
    ) -> Result<Arc<Tape>, RecordingError> {
        let mut tapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sweep(&mut tapes);
        if tapes.contains_key(destination) {
            return Err(RecordingError::Taken { destination: destination.to_owned() });
        }
        if tapes.len() >= limits.recordings_max {
            return Err(RecordingError::TooMany { limit: limits.recordings_max });
        }
        let tape = Arc::new(Tape::new(wish, limits));
        tapes.insert(destination.to_owned(), (policy.clone(), tape.clone()));
        Ok(tape)
    }

    /// How the recording of a queue stands.
    pub(crate) fn progress(&self, destination: &str) -> Result<RecordingProgress, RecordingError> {
        let tapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody = || RecordingError::NotRecorded { destination: destination.to_owned() };
        let (policy, tape) = tapes.get(destination).ok_or_else(nobody)?;
        Ok(RecordingProgress {
            destination: destination.to_owned(),
            policy: policy.to_string(),
            batches: tape.batches.load(Ordering::Relaxed),
            bytes: tape.bytes.load(Ordering::Relaxed),
            is_over: tape.is_over(),
        })
    }

    /// Ends the recording of a queue and takes it away.
    pub(crate) fn take(&self, destination: &str, symbols: &SymbolTable) -> Result<Recording, RecordingError> {
        let tape = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(destination);
        let destination = destination.to_owned();
        let Some((_, tape)) = tape else { return Err(RecordingError::NotRecorded { destination }) };
        tape.take(symbols).map_err(|reason| RecordingError::Empty { destination, reason })
    }

    /// Drops what was not fetched in time.
    pub(crate) fn sweep(&self) {
        sweep(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn sweep(tapes: &mut Tapes) {
    let now = Instant::now();
    tapes.retain(|destination, (policy, tape)| {
        let is_kept = now < tape.until + FETCH_WAIT;
        if !is_kept {
            tape.is_over.store(true, Ordering::Release);
            tracing::warn!(destination, policy = &**policy, "a recording that nobody fetched is dropped");
        }
        is_kept
    });
}
