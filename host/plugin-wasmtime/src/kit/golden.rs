//! A recording of random traffic: what one policy decides becomes what others are held to.

use plugin::{Decided, PolicyHost};

use crate::kit::contract::CALL_MS;
use crate::kit::replay::recordable;
use crate::kit::traffic::Traffic;
use crate::{Limits, Recording, RecordingError, RecordingWish, WasmHost};

/// What the policy is called meanwhile: its own name may be that of a stock policy.
const RECORDED: &str = "recorded";
/// The queue that messages come to.
const QUEUE: &str = "orders";

/// Asks the policy `name` about so many batches of the traffic of a seed, from a new start, and records that. The same
/// component, settings and seed give the same recording everywhere.
pub fn golden(
    name: &str,
    bytes: &[u8],
    settings: &[(String, String)],
    limits: &Limits,
    seed: u64,
    batches: u64,
) -> Result<Recording, RecordingError> {
    recordable(name, bytes, limits)?;
    let limits = Limits { call_ms_max: CALL_MS, recording_ms_max: u64::from(u32::MAX), ..*limits };
    let host = WasmHost::new(limits)?;
    host.add(RECORDED, bytes.to_vec(), settings)?;
    host.prepare(RECORDED)?;
    let mut policy = host.queue_dispatch(RECORDED, QUEUE)?;
    host.record(QUEUE, RecordingWish { ms: u64::MAX, batches })?;
    let mut traffic = Traffic::new(seed, host.symbols());
    let (mut changes, mut plan) = (Vec::new(), Vec::new());
    for _ in 0..batches {
        policy.boundary(traffic.now_ms());
        let rows = traffic.step(&*policy, &mut changes);
        policy.members_changed(&changes);
        let decided = policy.plan(&traffic.batch(rows), &mut plan);
        if let Decided::Fallback(reason) = decided {
            let reason =
                format!("the native policy had to decide in its place: {reason:?}; see `jackfield plugin test`");
            return Err(plugin::PolicyError::Refused { policy: name.to_owned(), reason }.into());
        }
    }
    let mut recording = host.end_recording(QUEUE)?;
    name.clone_into(&mut recording.head.policy);
    Ok(recording)
}
