//! The contract that every policy of a world keeps, as checks over random questions. What a world asks and which answers
//! are right is in the files named after the worlds; see [`Questions`].

use std::borrow::Cow;
use std::time::{Duration, Instant};

use plugin::{Decided, Point, PolicyError};

use crate::check::check;
use crate::kit::auth::AuthQuestions;
use crate::kit::group::GroupQuestions;
use crate::kit::network::NetworkQuestions;
use crate::kit::questions::{Ground, PLACE, Questions, Size};
use crate::kit::queue::QueueQuestions;
use crate::kit::routing::RoutingQuestions;
use crate::kit::topic::TopicQuestions;
use crate::{CachePlace, Limits, WasmHost};

/// Seeds of the questions.
const SEEDS: u64 = 8;
/// Questions of each seed; a batch each.
const BATCHES: usize = 300;
/// Time of one call: the answer is judged, on a machine that may be busy.
pub(super) const CALL_MS: u64 = 10_000;
/// Times that a policy may try to keep the deadline: time of the processor is longer where another program takes the caches.
const DEADLINE_TRIES: u32 = 10;
/// How long to wait for a policy that is put to sleep and woken.
const SLEEP_PATIENCE: Duration = Duration::from_secs(60);
/// What the policy is called while it is judged.
pub(super) const JUDGED: &str = "judged";

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

/// A component with its settings, and the limits and the cache that it is run with.
pub(super) struct Subject<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) settings: &'a [(String, String)],
    limits: Limits,
    /// What a call may take where that is judged, ms.
    deadline_ms: u64,
    cache: Option<&'a CachePlace>,
}

/// Holds a component with these settings to the contract of its world, as a broker with these limits would run it. The
/// list ends with the first check without which the others make no sense. It is compiled several times; with a cache,
/// once. One of the auth world is granted to see passwords.
pub fn contract(
    bytes: &[u8],
    settings: &[(String, String)],
    limits: &Limits,
    cache: Option<&CachePlace>,
) -> Result<Vec<Finding>, PolicyError> {
    let deadline_ms = limits.call_ms_max;
    let subject = Subject { bytes, settings, limits: Limits { call_ms_max: CALL_MS, ..*limits }, deadline_ms, cache };
    match check(JUDGED, bytes, limits) {
        Err(error) => Ok(vec![taken(Err(&error), bytes)]),
        Ok(world) => match world.point {
            Point::QueueDispatch => subject.hold::<QueueQuestions>(),
            Point::TopicDispatch => subject.hold::<TopicQuestions>(),
            Point::GroupAssignment => subject.hold::<GroupQuestions>(),
            Point::PublishRouting => subject.hold::<RoutingQuestions>(),
            Point::NetworkFilter => subject.hold::<NetworkQuestions>(),
            Point::Auth => subject.hold::<AuthQuestions>(),
        },
    }
}

fn taken(outcome: Result<(), &PolicyError>, bytes: &[u8]) -> Finding {
    let outcome = match outcome {
        Ok(()) => Outcome::Kept(format!("{} bytes", bytes.len())),
        Err(error) => Outcome::Broken(error.to_string()),
    };
    Finding { check: "a broker takes it with these settings".into(), outcome }
}

/// What kept a policy from answering, if anything did.
pub(super) fn answered(decided: Decided) -> Result<(), String> {
    match decided {
        Decided::Policy => Ok(()),
        Decided::Fallback(reason) => Err(format!("was not answered: {reason:?}")),
    }
}

impl Subject<'_> {
    /// The checks, in the order in which they are told.
    fn hold<Q: Questions>(&self) -> Result<Vec<Finding>, PolicyError> {
        let host = WasmHost::with_cache(self.limits, self.cache)?;
        let seated = self.seat::<Q>(&host, JUDGED);
        let mut findings = vec![taken(seated.as_ref().map(|_| ()), self.bytes)];
        if seated.is_err() {
            return Ok(findings);
        }
        let ground = Ground::new(&host, self)?;
        let finding = |check: &'static str, outcome| Finding { check: check.into(), outcome };
        findings.push(finding("it refuses settings that it does not know", self.refuses_unknown::<Q>(&host)));
        let right = self.answers::<Q>(&host, &ground)?;
        let goes_on = !matches!(right, Outcome::Broken(_));
        findings.push(finding(Q::RIGHT, right));
        if !goes_on {
            return Ok(findings);
        }
        if Q::READS {
            findings.push(finding("it reads what a message can have", self.reads::<Q>(&host, &ground)?));
        }
        findings.push(finding("it answers within the deadline", self.answers_in_time::<Q>()?));
        findings.push(finding("the same questions get the same answers", self.repeats::<Q>(&host, &ground)?));
        findings.extend(Q::own(self, &host, &ground)?);
        findings.push(finding("it goes on where it was after it slept", self.sleeps::<Q>()?));
        Ok(findings)
    }

    /// Has a host serve the component under a name.
    fn seat<Q: Questions>(&self, host: &WasmHost, name: &str) -> Result<Q::Policy, PolicyError> {
        host.add(name, self.bytes.to_vec(), self.settings)?;
        host.prepare(name)?;
        Q::policy(host, name, PLACE)
    }

    fn refuses_unknown<Q: Questions>(&self, host: &WasmHost) -> Outcome {
        let mut settings = self.settings.to_vec();
        settings.push(("a-key-that-nobody-knows".into(), "1".into()));
        match (Subject { settings: &settings, ..*self }).seat::<Q>(host, "unknown") {
            Ok(_) => Outcome::Broken("it took a-key-that-nobody-knows = 1; an operator's slip would go unseen".into()),
            Err(PolicyError::Refused { reason, .. }) => Outcome::Kept(reason),
            Err(other) => Outcome::Broken(format!("it failed instead of refusing in words: {other}")),
        }
    }

    fn answers<Q: Questions>(&self, host: &WasmHost, ground: &Ground) -> Result<Outcome, PolicyError> {
        let mut rows = 0;
        for seed in 0..SEEDS {
            let mut policy = Q::policy(host, JUDGED, PLACE)?;
            let mut questions = Q::new(seed, ground);
            let outcome = run(host, &mut questions, &mut policy, seed, |_, asked, _| rows += asked);
            if let Err(what) = outcome {
                return Ok(Outcome::Broken(what));
            }
        }
        Ok(Outcome::Kept(format!("{} batches, {rows} rows", SEEDS as usize * BATCHES)))
    }

    /// The host has made sure that there are no more names than it takes, and no longer ones.
    fn reads<Q: Questions>(&self, host: &WasmHost, ground: &Ground) -> Result<Outcome, PolicyError> {
        let mut policy = Q::policy(host, JUDGED, PLACE)?;
        let mut questions = Q::new(0, ground);
        let ran = run(host, &mut questions, &mut policy, 0, |_, _, _| {});
        let names = questions.wanted(&policy);
        Ok(match ran {
            Err(what) => Outcome::Broken(what),
            Ok(()) if names.is_empty() => Outcome::Kept("no properties".to_owned()),
            Ok(()) => match names.iter().find(|name| name.trim().is_empty()) {
                Some(name) => {
                    Outcome::Broken(format!("it reads a property named {name:?}, which no message has; leave it out"))
                }
                None => Outcome::Kept(names.into_iter().collect::<Vec<_>>().join(", ")),
            },
        })
    }

    /// With the time that a broker gives, which is the thread's own: another program that runs meanwhile does not count. A
    /// machine that is very busy gets another try.
    fn answers_in_time<Q: Questions>(&self) -> Result<Outcome, PolicyError> {
        let limits = Limits { call_ms_max: self.deadline_ms, ..self.limits };
        let mut why = String::new();
        for _ in 0..DEADLINE_TRIES {
            let host = WasmHost::with_cache(limits, self.cache)?;
            let outcome = self.seat::<Q>(&host, JUDGED).map_err(|error| error.to_string()).and_then(|mut policy| {
                let ground = Ground::new(&host, self).map_err(|error| error.to_string())?;
                let mut questions = Q::new(0, &ground);
                run(&host, &mut questions, &mut policy, 0, |_, _, _| {})?;
                for (size, name) in [(Size::Empty, "an empty batch"), (Size::Largest, "the largest batch")] {
                    questions.draw(size, &mut policy);
                    put(&host, &mut questions, &mut policy)
                        .map_err(|what| format!("{name} ({} rows) {what}", questions.rows()))?;
                }
                Ok(questions.rows())
            });
            match outcome {
                Ok(rows) => {
                    let ms = limits.call_ms_max;
                    let what =
                        format!("{BATCHES} batches within {ms} ms each, an empty one and one of {rows} rows too");
                    return Ok(Outcome::Kept(what));
                }
                Err(what) => why = what,
            }
        }
        Ok(Outcome::Broken(format!("{why}; call_ms_max is {} ms of processor time", limits.call_ms_max)))
    }

    /// Two that are new: what one of them keeps for good the other does not know.
    fn repeats<Q: Questions>(&self, host: &WasmHost, ground: &Ground) -> Result<Outcome, PolicyError> {
        let described = ["once", "again"].map(|name| self.described::<Q>(host, name));
        let [first, second] = described;
        if first? != second? {
            return Ok(Outcome::Broken("describe says something else each time".into()));
        }
        for seed in 0..SEEDS {
            let mut answers = Vec::new();
            let (mut first, mut second) = (Q::policy(host, "once", PLACE)?, Q::policy(host, "again", PLACE)?);
            let (mut one, mut other) = (Q::new(seed, ground), Q::new(seed, ground));
            let mut differs = None;
            let outcome =
                run(host, &mut one, &mut first, seed, |_, _, answer| answers.push(answer.clone())).and_then(|()| {
                    run(host, &mut other, &mut second, seed, |step, _, answer| {
                        if answers[step] != *answer {
                            differs.get_or_insert(step);
                        }
                    })
                });
            if let Err(what) = outcome {
                return Ok(Outcome::Broken(what));
            }
            if let Some(step) = differs {
                let what = format!("batch {step} of seed {seed} was decided otherwise by a second instance");
                let remedy = "leave chance, time and the order of hash tables out of it";
                return Ok(Outcome::Broken(format!("{what}; {remedy}")));
            }
            if one.wanted(&first) != other.wanted(&second) {
                return Ok(Outcome::Broken("what it wants to see is something else each time".into()));
            }
        }
        Ok(Outcome::Kept(format!("{SEEDS} seeds, two instances")))
    }

    /// Seats it under a name, and what it says of itself there.
    fn described<Q: Questions>(&self, host: &WasmHost, name: &str) -> Result<String, PolicyError> {
        self.seat::<Q>(host, name)?;
        let prepared = host.prepare_generation(name, 1, self.bytes.to_vec(), self.settings)?;
        Ok(format!("{:?} {:?}", prepared.wants(), prepared.states()))
    }

    fn sleeps<Q: Questions>(&self) -> Result<Outcome, PolicyError> {
        let awake = WasmHost::with_cache(self.limits, self.cache)?;
        let (format, _) = awake.prepare_generation("probe", 1, self.bytes.to_vec(), self.settings)?.states();
        let drowsy = WasmHost::with_cache(Limits { instances_live_max: 1, ..self.limits }, self.cache)?;
        for host in [&awake, &drowsy] {
            self.seat::<Q>(host, JUDGED)?;
        }
        let grounds = [Ground::new(&awake, self)?, Ground::new(&drowsy, self)?];
        // Each of them wakes the other.
        let mut pairs = Vec::new();
        for seed in 0..3 {
            let name = format!("{PLACE}-{seed}");
            let questions = grounds.each_ref().map(|ground| Q::new(seed, ground));
            pairs.push((Q::policy(&awake, JUDGED, &name)?, Q::policy(&drowsy, JUDGED, &name)?, questions));
        }
        let begin = Instant::now();
        for step in 0..BATCHES / 6 {
            for (one, other, [ones, others]) in &mut pairs {
                ones.draw(Size::Random, one);
                others.draw(Size::Random, other);
                let expected = match ones.ask(one) {
                    Ok(answer) => answer,
                    Err(what) => return Ok(Outcome::Broken(format!("batch {step} {what}"))),
                };
                // What others decide meanwhile does not move the one that is judged.
                let answer = loop {
                    match others.ask(other) {
                        Ok(answer) => break answer,
                        Err(what) if begin.elapsed() > SLEEP_PATIENCE => {
                            let stats = Q::stats(other);
                            return Ok(Outcome::Broken(format!(
                                "it does not wake again, batch {step} {what}: {stats:?}"
                            )));
                        }
                        Err(_) => std::thread::yield_now(),
                    }
                };
                if answer != expected && format == 0 {
                    let what = "it keeps no state, so what it remembers ends with each sleep";
                    return Ok(Outcome::NotAsked(what.to_owned()));
                }
                if answer != expected {
                    let what = format!("batch {step} was decided otherwise by an instance that had slept");
                    return Ok(Outcome::Broken(format!("{what}; have snapshot write all that it goes by")));
                }
            }
        }
        let slept: u64 = pairs.iter().map(|(_, other, _)| Q::stats(other).instances_slept).sum();
        let lost: u64 = pairs.iter().map(|(_, other, _)| Q::stats(other).states_lost).sum();
        Ok(match (slept, lost) {
            (0, _) => Outcome::NotAsked("it was not put to sleep in time".into()),
            (_, 0) => Outcome::Kept(format!("{slept} times")),
            _ => Outcome::Broken(format!("{lost} of {slept} states were lost: snapshot or restore refused")),
        })
    }
}

/// Puts a policy the questions of a seed; `each` gets the number of each, its rows and its answer. What went wrong, if
/// anything did.
fn run<Q: Questions>(
    host: &WasmHost,
    questions: &mut Q,
    policy: &mut Q::Policy,
    seed: u64,
    mut each: impl FnMut(usize, usize, &Q::Answer),
) -> Result<(), String> {
    for step in 0..BATCHES {
        questions.draw(Size::Random, policy);
        let answer = put(host, questions, policy)
            .map_err(|what| format!("batch {step} of seed {seed} ({} rows) {what}", questions.rows()))?;
        each(step, questions.rows(), &answer);
    }
    Ok(())
}

/// Puts the question that was drawn, and judges the answer.
fn put<Q: Questions>(host: &WasmHost, questions: &mut Q, policy: &mut Q::Policy) -> Result<Q::Answer, String> {
    let answer = questions.ask(policy).map_err(|what| {
        let fault = host.last_fault();
        if fault.is_empty() { what } else { format!("{what}: {fault}") }
    })?;
    questions.judge(&answer)?;
    Ok(answer)
}
