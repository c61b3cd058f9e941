//! The contract that every dispatch policy keeps, as checks over random traffic.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use plugin::{ConsumerRow, Decided, DispatchBatch, LEAVE, PlanCheck, PolicyError, PolicyHost, QueueDispatch};

use crate::kit::traffic::{Headers, Traffic, absent};
use crate::{CachePlace, Limits, WasmHost};

/// Seeds of the traffic.
const SEEDS: u64 = 8;
/// Batches of each seed.
const BATCHES: usize = 300;
/// Time of one call: the answer is judged, on a machine that may be busy.
pub(super) const CALL_MS: u64 = 10_000;
/// A policy that gave nothing although everything was there is asked so often again.
const TRIES: u64 = 100;
/// Times that a policy may try to keep the deadline.
const DEADLINE_TRIES: u32 = 3;
/// How long to wait for a policy that is put to sleep and woken.
const SLEEP_PATIENCE: Duration = Duration::from_secs(60);

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The policy keeps it, and what was seen.
    Kept(String),
    /// The policy breaks it: what happened and the remedy.
    Broken(String),
    /// It does not apply, for this reason.
    NotAsked(String),
}

/// One check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What the contract says.
    pub check: Cow<'static, str>,
    /// Whether it is kept.
    pub outcome: Outcome,
}

/// Holds a component with these settings to the contract, as a broker with these limits would run it. The list ends with
/// the first check without which the others make no sense. It is compiled several times; with a cache, once.
pub fn contract(
    bytes: &[u8],
    settings: &[(String, String)],
    limits: &Limits,
    cache: Option<&CachePlace>,
) -> Result<Vec<Finding>, PolicyError> {
    let mut findings = Vec::new();
    let deadline = limits.call_ms_max;
    let limits = Limits { call_ms_max: CALL_MS, ..*limits };
    let host = WasmHost::with_cache(limits, cache)?;
    let mut tell = |check, outcome| {
        let goes_on = !matches!(outcome, Outcome::Broken(_));
        findings.push(Finding { check: Cow::Borrowed(check), outcome });
        goes_on
    };
    let taken = host.add("judged", bytes.to_vec(), settings).and_then(|()| host.prepare("judged"));
    let outcome = match &taken {
        Ok(()) => Outcome::Kept(format!("{} bytes", bytes.len())),
        Err(error) => Outcome::Broken(error.to_string()),
    };
    if !tell("a broker takes it with these settings", outcome) {
        return Ok(findings);
    }
    tell("it refuses settings that it does not know", refuses_unknown(&host, bytes, settings));
    if !tell("each row has an answer, and none has to be corrected", answers(&host)?) {
        return Ok(findings);
    }
    let hurried = Limits { call_ms_max: deadline, ..limits };
    tell("it answers within the deadline", answers_in_time(bytes, settings, hurried, cache)?);
    tell("the same questions get the same answers", repeats(&host, bytes, settings)?);
    tell("a consumer with credit is given something", gives(&host)?);
    tell("it goes on where it was after it slept", sleeps(bytes, settings, limits, cache)?);
    Ok(findings)
}

fn refuses_unknown(host: &WasmHost, bytes: &[u8], settings: &[(String, String)]) -> Outcome {
    let mut settings = settings.to_vec();
    settings.push(("a-key-that-nobody-knows".into(), "1".into()));
    let refused = host.add("unknown", bytes.to_vec(), &settings).and_then(|()| host.prepare("unknown"));
    match refused {
        Ok(()) => Outcome::Broken("it took a-key-that-nobody-knows = 1; an operator's slip would go unseen".into()),
        Err(PolicyError::Refused { reason, .. }) => Outcome::Kept(reason),
        Err(other) => Outcome::Broken(format!("it failed instead of refusing in words: {other}")),
    }
}

/// Asks a policy about the traffic of a seed; `each` gets every plan. What went wrong, if anything did.
fn run(
    host: &WasmHost,
    policy: &mut dyn QueueDispatch,
    seed: u64,
    mut each: impl FnMut(usize, &[u32]),
) -> Result<(), String> {
    let mut traffic = Traffic::new(seed, host.symbols());
    let (mut check, mut changes, mut plan) = (PlanCheck::new(), Vec::new(), Vec::new());
    for step in 0..BATCHES {
        let rows = traffic.step(policy, &mut changes);
        policy.members_changed(&changes);
        let batch = traffic.batch(rows);
        match policy.plan(&batch, &mut plan) {
            Decided::Policy => {}
            Decided::Fallback(reason) => {
                let fault = host.last_fault();
                let why = if fault.is_empty() { String::new() } else { format!(": {fault}") };
                return Err(format!(
                    "batch {step} of seed {seed} ({rows} rows) went to the native policy: {reason:?}{why}"
                ));
            }
        }
        let as_given = plan.clone();
        let corrections = check.correct(&batch, &mut plan);
        if corrections.total() > 0 {
            return Err(format!("batch {step} of seed {seed} ({rows} rows) was corrected: {corrections:?}"));
        }
        each(step, &as_given);
    }
    Ok(())
}

fn answers(host: &WasmHost) -> Result<Outcome, PolicyError> {
    let mut rows = 0;
    for seed in 0..SEEDS {
        let mut policy = host.queue_dispatch("judged", "orders")?;
        if let Err(what) = run(host, &mut *policy, seed, |_, plan| rows += plan.len()) {
            return Ok(Outcome::Broken(what));
        }
    }
    Ok(Outcome::Kept(format!("{} batches, {rows} rows", SEEDS as usize * BATCHES)))
}

/// With the time that a broker gives, which is the thread's own: another program that runs meanwhile does not count. A
/// machine that is very busy gets another try.
fn answers_in_time(
    bytes: &[u8],
    settings: &[(String, String)],
    limits: Limits,
    cache: Option<&CachePlace>,
) -> Result<Outcome, PolicyError> {
    let mut why = String::new();
    for _ in 0..DEADLINE_TRIES {
        let host = WasmHost::with_cache(limits, cache)?;
        let prepared = host.add("judged", bytes.to_vec(), settings).and_then(|()| host.prepare("judged"));
        let outcome = prepared.map_err(|error| error.to_string()).and_then(|()| {
            let mut policy = host.queue_dispatch("judged", "orders").map_err(|error| error.to_string())?;
            run(&host, &mut *policy, 0, |_, _| {})
        });
        match outcome {
            Ok(()) => return Ok(Outcome::Kept(format!("{BATCHES} batches within {} ms each", limits.call_ms_max))),
            Err(what) => why = what,
        }
    }
    Ok(Outcome::Broken(format!("{why}; call_ms_max is {} ms of processor time", limits.call_ms_max)))
}

fn repeats(host: &WasmHost, bytes: &[u8], settings: &[(String, String)]) -> Result<Outcome, PolicyError> {
    host.add("again", bytes.to_vec(), settings)?;
    host.prepare("again")?;
    for seed in 0..SEEDS {
        let mut plans = Vec::new();
        let mut first = host.queue_dispatch("judged", "orders")?;
        let mut second = host.queue_dispatch("again", "orders")?;
        if (first.wants(), first.properties()) != (second.wants(), second.properties()) {
            return Ok(Outcome::Broken("describe says something else each time".into()));
        }
        let mut differs = None;
        let outcome = run(host, &mut *first, seed, |_, plan| plans.push(plan.to_vec())).and_then(|()| {
            run(host, &mut *second, seed, |step, plan| {
                if plans[step] != plan {
                    differs.get_or_insert(step);
                }
            })
        });
        if let Err(what) = outcome {
            return Ok(Outcome::Broken(what));
        }
        if let Some(step) = differs {
            let what = format!("batch {step} of seed {seed} was decided otherwise by a second instance");
            return Ok(Outcome::Broken(format!("{what}; leave chance, time and the order of hash tables out of it")));
        }
    }
    Ok(Outcome::Kept(format!("{SEEDS} seeds, two instances")))
}

fn gives(host: &WasmHost) -> Result<Outcome, PolicyError> {
    let mut policy = host.queue_dispatch("judged", "orders")?;
    let member = plugin::Member { slot: 7, client_id: "gold".into(), selector: None, is_network: false };
    policy.members_changed(&[plugin::MemberChange::Joined(member)]);
    let consumers = [ConsumerRow { slot: 7, credit: 10, in_flight: 0, priority: 0 }];
    let mut plan = Vec::new();
    for now in 0..TRIES {
        let properties: Vec<_> = policy.properties().iter().map(|property| absent(property.form, 4)).collect();
        let wants_pace = policy.wants().contains(plugin::Columns::ACK_INTERVAL);
        let ack_interval = vec![0; usize::from(wants_pace)];
        let headers = Headers::plain(policy.wants(), 4);
        let batch = DispatchBatch {
            properties: &properties,
            ack_interval: &ack_interval,
            ..headers.shown(DispatchBatch::new(now * 1_000, 4, &consumers))
        };
        policy.plan(&batch, &mut plan);
        if plan.iter().any(|slot| *slot != LEAVE) {
            return Ok(Outcome::Kept(format!("at call {}", now + 1)));
        }
    }
    let what = format!("4 plain messages, one consumer with credit, and nothing given in {TRIES} calls");
    Ok(Outcome::Broken(format!("{what}; such a queue stands still")))
}

fn sleeps(
    bytes: &[u8],
    settings: &[(String, String)],
    limits: Limits,
    cache: Option<&CachePlace>,
) -> Result<Outcome, PolicyError> {
    let awake = WasmHost::with_cache(limits, cache)?;
    let (format, _) = awake.prepare_generation("probe", 1, bytes.to_vec(), settings)?.states();
    let drowsy = WasmHost::with_cache(Limits { instances_live_max: 1, ..limits }, cache)?;
    for host in [&awake, &drowsy] {
        host.add("judged", bytes.to_vec(), settings)?;
        host.prepare("judged")?;
    }
    // Each of them wakes the other.
    let mut pairs = Vec::new();
    for seed in 0..3 {
        let name = format!("orders-{seed}");
        let traffics = [Traffic::new(seed, awake.symbols()), Traffic::new(seed, drowsy.symbols())];
        pairs.push((awake.queue_dispatch("judged", &name)?, drowsy.queue_dispatch("judged", &name)?, traffics));
    }
    let begin = Instant::now();
    let (mut changes, mut plan, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..BATCHES / 6 {
        for (one, other, [ones, others]) in &mut pairs {
            let rows = ones.step(&**one, &mut changes);
            one.members_changed(&changes);
            one.plan(&ones.batch(rows), &mut expected);
            others.step(&**other, &mut changes);
            other.members_changed(&changes);
            // What the native policy decides meanwhile does not move the one that is judged.
            while other.plan(&others.batch(rows), &mut plan) != Decided::Policy {
                if begin.elapsed() > SLEEP_PATIENCE {
                    return Ok(Outcome::Broken(format!("it does not wake again: {:?}", other.stats())));
                }
                std::thread::yield_now();
            }
            if plan != expected && format == 0 {
                return Ok(Outcome::NotAsked("it keeps no state, so what it remembers ends with each sleep".into()));
            }
            if plan != expected {
                let what = format!("batch {step} was decided otherwise by an instance that had slept");
                return Ok(Outcome::Broken(format!("{what}; have snapshot write all that plan goes by")));
            }
        }
    }
    let slept: u64 = pairs.iter().map(|(_, other, _)| other.stats().instances_slept).sum();
    let lost: u64 = pairs.iter().map(|(_, other, _)| other.stats().states_lost).sum();
    Ok(match (slept, lost) {
        (0, _) => Outcome::NotAsked("it was not put to sleep in time".into()),
        (_, 0) => Outcome::Kept(format!("{slept} times")),
        _ => Outcome::Broken(format!("{lost} of {slept} states were lost: snapshot or restore refused")),
    })
}
