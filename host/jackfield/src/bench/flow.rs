//! A load of producers and consumers at once: one thread and one connection each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow, bail};
use hdrhistogram::Histogram;

use super::{
    body::{self, Head, now_ns, since_start},
    client::{CONFIRM_TIMEOUT, Client, Destination, Failure, Login, Outgoing, Received, Subscription},
    process,
    progress::Progress,
    report::{Figures, histogram},
    scenario::{Acking, Plan, Sending},
};

/// Times and settings that are not the plan's.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) login: Login,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) pid: Option<u32>,
    /// Bytes of an OpenWire producer window; 0 for none.
    pub(crate) producer_window: u32,
    pub(crate) destination: Destination,
}

const WARM: u8 = 0;
const MEASURE: u8 = 1;
const DRAIN: u8 = 2;
const STOP: u8 = 3;

/// A counter that shares its cache line with no other.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Counter {
    /// Only the owner writes.
    fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed) + more, Relaxed);
    }
}

/// What the threads of a run share.
pub(crate) struct Shared {
    phase: AtomicU8,
    /// Producers stop by themselves after so many messages each.
    count_each: Option<u64>,
    produced: Vec<Counter>,
    consumed: Vec<Counter>,
    topic: bool,
}

impl Shared {
    pub(crate) fn new(plan: &Plan, count_each: Option<u64>) -> Arc<Self> {
        let counters = |count: u32| (0..count).map(|_| Counter::default()).collect();
        Arc::new(Self {
            phase: AtomicU8::new(WARM),
            count_each,
            produced: counters(plan.producers),
            consumed: counters(plan.consumers),
            topic: plan.topic,
        })
    }

    pub(crate) fn produced(&self) -> u64 {
        self.produced.iter().map(|counter| counter.0.load(Relaxed)).sum()
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.consumed.iter().map(|counter| counter.0.load(Relaxed)).sum()
    }

    /// Messages that the slowest way has brought to its end: of a topic what its slowest subscriber has.
    fn passed(&self) -> u64 {
        let each = self.consumed.iter().map(|counter| counter.0.load(Relaxed));
        if self.topic { each.min().unwrap_or(u64::MAX) } else { each.sum() }
    }

    fn phase(&self) -> u8 {
        self.phase.load(Relaxed)
    }

    pub(crate) fn measure(&self) {
        self.phase.store(MEASURE, Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.phase.store(STOP, Relaxed);
    }
}

/// What a producer or a consumer has seen.
pub(crate) struct Seen {
    pub(crate) latency: Histogram<u64>,
    pub(crate) order_violations: u64,
    pub(crate) damaged: u64,
}

impl Seen {
    fn new() -> Self {
        Self { latency: histogram(), order_violations: 0, damaged: 0 }
    }

    fn record(&mut self, nanoseconds: u64) {
        self.latency.saturating_record(nanoseconds);
    }
}

/// Threads of one kind, joined into one result.
pub(crate) struct Threads(Vec<thread::JoinHandle<Result<Seen, Failure>>>);

impl Threads {
    fn spawn(name: &str, count: u32, work: impl Fn(u32) -> Result<Seen, Failure> + Clone + Send + 'static) -> Self {
        let spawn = |index| {
            let work = work.clone();
            let builder = thread::Builder::new().name(format!("{name}-{index}")).stack_size(512 << 10);
            builder.spawn(move || work(index)).expect("the system gives a thread")
        };
        Self((0..count).map(spawn).collect())
    }

    pub(crate) fn producers(plan: &Plan, settings: &Settings, shared: &Arc<Shared>) -> Self {
        let (plan, settings, shared) = (plan.clone(), settings.clone(), shared.clone());
        Self::spawn("producer", plan.producers, move |index| Producer::new(index, &plan, &settings, &shared)?.run())
    }

    /// Spawns the consumers and waits until each is subscribed.
    pub(crate) fn consumers(plan: &Plan, settings: &Settings, shared: &Arc<Shared>) -> anyhow::Result<Self> {
        let ready = Arc::new(AtomicU64::new(0));
        let all = u64::from(plan.consumers);
        let threads = {
            let (plan, settings, shared, ready) = (plan.clone(), settings.clone(), shared.clone(), ready.clone());
            Self::spawn("consumer", plan.consumers, move |index| consume(index, &plan, &settings, &shared, &ready))
        };
        while ready.load(Relaxed) < all {
            if threads.any_finished() {
                shared.stop();
                threads.join().context("a consumer cannot subscribe")?;
                bail!("a consumer ended before it was subscribed");
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(threads)
    }

    pub(crate) fn any_finished(&self) -> bool {
        self.0.iter().any(thread::JoinHandle::is_finished)
    }

    pub(crate) fn all_finished(&self) -> bool {
        self.0.iter().all(thread::JoinHandle::is_finished)
    }

    pub(crate) fn join(self) -> anyhow::Result<Seen> {
        let mut all = Seen::new();
        for thread in self.0 {
            let seen = thread.join().map_err(|_| anyhow!("a thread of the load panicked"))??;
            all.latency.add(&seen.latency).expect("all histograms have the same bounds");
            all.order_violations += seen.order_violations;
            all.damaged += seen.damaged;
        }
        Ok(all)
    }
}

/// Warm-up, measurement, drain: the figures of one run.
pub(crate) fn run(plan: &Plan, settings: &Settings, progress: &mut Progress) -> anyhow::Result<Figures> {
    let shared = Shared::new(plan, None);
    let before = settings.pid.and_then(process::sample);
    let consumers = Threads::consumers(plan, settings, &shared)?;
    let producers = Threads::producers(plan, settings, &shared);

    watch(settings.warmup, "warm-up", &shared, &[&producers, &consumers], progress);
    shared.measure();
    let start = Mark::take(&shared, settings.pid);
    watch(settings.duration, "measure", &shared, &[&producers, &consumers], progress);
    let end = Mark::take(&shared, settings.pid);
    shared.phase.store(DRAIN, Relaxed);
    let sent = producers.join().context("producers")?;
    // What was sent is to arrive: consumers go on until all came or nothing comes any more.
    let lost = drain(&shared, plan, progress);
    shared.stop();
    let received = consumers.join().context("consumers")?;

    let mut figures = Figures::default();
    let seconds = (end.at - start.at).as_secs_f64();
    let (produced, consumed) = (end.produced - start.produced, end.consumed - start.consumed);
    figures.add("produced_per_s", produced as f64 / seconds);
    figures.add("consumed_per_s", consumed as f64 / seconds);
    figures.add_latency("", &received.latency);
    figures.add_latency("confirm_", &sent.latency);
    if let (Some(from), Some(to)) = (start.process, end.process) {
        add_process(&mut figures, &from, &to, produced, consumed);
        figures.add("broker_cores", to.cpu.saturating_sub(from.cpu).as_secs_f64() / seconds);
        figures.add("rss_before_mb", before.map_or(0.0, |before| megabytes(before.rss_bytes)));
    }
    figures.add("lost", lost as f64);
    figures.add("order_violations", received.order_violations as f64);
    figures.add("damaged", received.damaged as f64);
    Ok(figures)
}

/// Processor time, memory and disk of the broker over a part of a run.
pub(crate) fn add_process(
    figures: &mut Figures,
    from: &process::Sample,
    to: &process::Sample,
    produced: u64,
    consumed: u64,
) {
    let cpu = to.cpu.saturating_sub(from.cpu).as_secs_f64();
    figures.add("broker_cpu_s_per_100k", cpu * 100_000.0 / consumed.max(1) as f64);
    figures.add("broker_rss_mb", megabytes(to.rss_bytes));
    figures.add("broker_peak_mb", megabytes(to.rss_bytes_peak));
    let written = to.written_bytes.saturating_sub(from.written_bytes);
    figures.add("disk_bytes_per_msg", written as f64 / produced.max(1) as f64);
}

/// Bytes as mebibytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Counters at one moment.
struct Mark {
    at: Instant,
    produced: u64,
    consumed: u64,
    process: Option<process::Sample>,
}

impl Mark {
    fn take(shared: &Shared, pid: Option<u32>) -> Self {
        Self {
            process: pid.and_then(process::sample),
            at: Instant::now(),
            produced: shared.produced(),
            consumed: shared.consumed(),
        }
    }
}

/// Lets time pass, showing progress; ends early when a thread has ended.
fn watch(time: Duration, phase: &str, shared: &Shared, threads: &[&Threads], progress: &mut Progress) {
    let end = Instant::now() + time;
    while Instant::now() < end && !threads.iter().any(|threads| threads.any_finished()) {
        thread::sleep(end.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
        progress.show(phase, shared.produced(), shared.consumed());
    }
}

/// Waits for what is on its way; returns how many messages never came.
fn drain(shared: &Shared, plan: &Plan, progress: &mut Progress) -> u64 {
    const QUIET: Duration = Duration::from_secs(5);
    let copies = if plan.topic { u64::from(plan.consumers) } else { 1 };
    let awaited = shared.produced() * copies;
    let mut last = (shared.consumed(), Instant::now());
    loop {
        let consumed = shared.consumed();
        if consumed >= awaited {
            return 0;
        }
        if consumed > last.0 {
            last = (consumed, Instant::now());
        } else if last.1.elapsed() > QUIET {
            return awaited - consumed;
        }
        thread::sleep(Duration::from_millis(10));
        progress.show("drain", shared.produced(), consumed);
    }
}

/// Most messages between two looks at the window, and most bytes in one write.
const GATHER_MESSAGES: u64 = 64;
const GATHER_BYTES: usize = 64 << 10;
/// How long a producer with a full window sleeps.
const WINDOW_PAUSE: Duration = Duration::from_micros(150);
/// What the JMS client counts for a message besides its body.
const MESSAGE_BYTES: i64 = 1024;

/// One producer's connection and place in its work.
struct Producer<'a> {
    index: u32,
    plan: &'a Plan,
    settings: &'a Settings,
    shared: &'a Shared,
    client: Client,
    body: Vec<u8>,
    sequence: u64,
    seen: Seen,
    /// Bytes that the broker has not given credit for yet.
    uncredited: i64,
}

impl<'a> Producer<'a> {
    fn new(index: u32, plan: &'a Plan, settings: &'a Settings, shared: &'a Shared) -> Result<Self, Failure> {
        // Sleeping until a send's time must not add the kernel's usual slack of 50 microseconds.
        let _ = nix::sys::prctl::set_timerslack(1_000);
        let mut client = Client::connect(&settings.login)?;
        client.open_producer(Some(&settings.destination), settings.producer_window)?;
        let mut body = Vec::new();
        body::fill(&mut body, plan.body_bytes, u64::from(index));
        let seen = Seen::new();
        Ok(Self { index, plan, settings, shared, client, body, sequence: 0, seen, uncredited: 0 })
    }

    fn run(mut self) -> Result<Seen, Failure> {
        let interval = self.plan.rate.map(|rate| Duration::from_secs_f64(f64::from(self.plan.producers) / rate));
        let start = Instant::now() + interval.unwrap_or_default() * self.index / self.plan.producers.max(1);
        while self.shared.phase() < DRAIN {
            let room = self.room()?;
            if room == 0 {
                if self.shared.count_each.is_some_and(|count| self.sequence >= count) {
                    break;
                }
                thread::sleep(WINDOW_PAUSE);
                continue;
            }
            let intended = match interval {
                None => None,
                Some(interval) => {
                    let at = start + Duration::from_nanos(interval.as_nanos() as u64 * self.sequence);
                    self.client.flush()?;
                    thread::sleep(at.saturating_duration_since(Instant::now()));
                    Some(since_start(at))
                }
            };
            match self.plan.sending {
                Sending::Sync => self.send_confirmed(intended)?,
                Sending::Transacted(batch) => self.send_transaction(u64::from(batch).min(room), intended)?,
                Sending::Async => self.send_gathered(if interval.is_some() { 1 } else { room }, intended)?,
            }
        }
        self.client.flush()?;
        self.client.close();
        Ok(self.seen)
    }

    /// Messages that window, credit and count leave to be sent now.
    fn room(&mut self) -> Result<u64, Failure> {
        let mut room = u64::MAX;
        if let Some(window) = self.plan.window {
            let on_way = self.shared.produced().saturating_sub(self.shared.passed());
            room = window.saturating_sub(on_way);
            // Producers share a window: each takes its part, so that together they do not pass it by much.
            room = room.div_ceil(u64::from(self.plan.producers));
            if matches!(self.plan.sending, Sending::Transacted(batch) if room < u64::from(batch).min(window)) {
                room = 0;
            }
        }
        if let Some(count) = self.shared.count_each {
            room = room.min(count - self.sequence);
        }
        let window = i64::from(self.settings.producer_window);
        let until = Instant::now() + CONFIRM_TIMEOUT;
        while window > 0 && self.uncredited >= window {
            self.client.flush()?;
            self.take(until)?;
        }
        Ok(room)
    }

    /// Takes what the broker says to a producer that waits for no confirmation.
    fn take(&mut self, until: Instant) -> Result<bool, Failure> {
        match self.client.receive(until)? {
            Received::Credit(bytes) => self.uncredited -= i64::from(bytes),
            Received::Refused(text) => return Err(Failure::Refused(text)),
            Received::Confirm(confirm) => {
                if let Some(text) = confirm.refused {
                    return Err(Failure::Refused(text));
                }
            }
            Received::Idle => return Ok(false),
            Received::Delivery(_) | Received::Nothing => {}
        }
        Ok(true)
    }

    fn send(&mut self, sent_ns: u64, confirm: bool, transacted: bool) -> u32 {
        let head = Head { producer: self.index, sequence: self.sequence, sent_ns };
        if self.plan.fresh_bodies {
            body::fill(&mut self.body, self.plan.body_bytes, (u64::from(self.index) << 48) | self.sequence);
        }
        body::write(&mut self.body, head, false);
        let property = self.plan.selectors.then(|| ("share", (self.sequence % u64::from(self.plan.consumers)) as i32));
        // Each fourth is in none, so that the dispatch policy is asked too.
        let group = if self.sequence % 4 == 3 { None } else { self.sequence.checked_rem(self.plan.groups.into()) };
        let group = group.map(|group| format!("g{group}"));
        let message = Outgoing {
            destination: &self.settings.destination,
            body: &self.body,
            persistent: self.plan.persistent,
            transacted,
            property,
            group: group.as_deref(),
            timestamp_ms: timestamp_ms(),
        };
        self.sequence += 1;
        self.client.send(&message, confirm)
    }

    fn send_confirmed(&mut self, intended: Option<u64>) -> Result<(), Failure> {
        let sent_ns = intended.unwrap_or_else(now_ns);
        let id = self.send(sent_ns, true, false);
        self.client.confirm(id)?;
        self.confirmed(sent_ns, 1);
        Ok(())
    }

    fn send_transaction(&mut self, batch: u64, intended: Option<u64>) -> Result<(), Failure> {
        let began_ns = intended.unwrap_or_else(now_ns);
        self.client.begin();
        for _ in 0..batch {
            let sent_ns = intended.unwrap_or_else(now_ns);
            self.send(sent_ns, false, true);
            if self.client.gathered() > GATHER_BYTES {
                self.client.flush()?;
            }
        }
        let id = self.client.end(true);
        self.client.confirm(id)?;
        self.confirmed(began_ns, batch);
        Ok(())
    }

    fn confirmed(&mut self, sent_ns: u64, count: u64) {
        self.shared.produced[self.index as usize].add(count);
        if self.shared.phase() == MEASURE {
            self.seen.record(now_ns().saturating_sub(sent_ns));
        }
    }

    fn send_gathered(&mut self, room: u64, intended: Option<u64>) -> Result<(), Failure> {
        let batch = room.min(GATHER_MESSAGES);
        let mut count = 0;
        let sent_ns = intended.unwrap_or_else(now_ns);
        while count < batch && self.client.gathered() < GATHER_BYTES {
            self.send(sent_ns, false, false);
            count += 1;
        }
        if self.settings.producer_window > 0 {
            self.uncredited += (MESSAGE_BYTES + self.body.len() as i64) * count as i64;
        }
        // Counted before it is written: a consumer must never be ahead of its producer.
        self.shared.produced[self.index as usize].add(count);
        self.client.flush()?;
        if (self.sequence / GATHER_MESSAGES).is_multiple_of(64) {
            while self.take(Instant::now())? {}
        }
        Ok(())
    }
}

/// Wall clock for the JMS timestamp, read at most once a millisecond or so.
fn timestamp_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// How long a consumer waits before it acknowledges a part of a batch.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

fn consume(index: u32, plan: &Plan, settings: &Settings, shared: &Shared, ready: &AtomicU64) -> Result<Seen, Failure> {
    let mut client = Client::connect(&settings.login)?;
    let selector = plan.selectors.then(|| format!("share = {index}"));
    let (confirm, _) = client.subscribe(&Subscription {
        destination: &settings.destination,
        prefetch: plan.prefetch,
        selector: selector.as_deref(),
        individual: plan.acking == Acking::Each && !plan.topic,
    })?;
    let batch = match plan.sending {
        Sending::Transacted(batch) if plan.acking == Acking::Batch => batch,
        _ => (plan.prefetch / 2).max(1),
    };
    let transacted = plan.acking == Acking::Batch && matches!(plan.sending, Sending::Transacted(_));
    let individual = plan.acking == Acking::Each;
    let mut seen = Seen::new();
    let mut next = vec![0u64; plan.producers as usize];
    let mut unacked = 0u32;
    let mut consumer = 0;
    let mut now = Instant::now();
    let mut measuring = false;
    let mut reads = client.reads();
    while shared.phase() < STOP {
        // One look at the clock for all messages of one read: that is when they came.
        let wait = if unacked > 0 { BATCH_PAUSE } else { Duration::from_millis(250) };
        let received = client.receive(now + wait)?;
        if client.reads() != reads {
            reads = client.reads();
            now = Instant::now();
            measuring = shared.phase() == MEASURE;
        }
        let idle = matches!(received, Received::Idle);
        match received {
            Received::Delivery(delivery) => {
                consumer = delivery.consumer;
                match body::read(client.body(&delivery), false) {
                    Some(head) if (head.producer as usize) < next.len() => {
                        let next = &mut next[head.producer as usize];
                        seen.order_violations += u64::from(head.sequence < *next);
                        *next = head.sequence + 1;
                        if measuring {
                            seen.record(since_start(now).saturating_sub(head.sent_ns));
                        }
                    }
                    _ => seen.damaged += 1,
                }
                unacked += 1;
                shared.consumed[index as usize].add(1);
            }
            Received::Confirm(answer) => {
                if let Some(text) = answer.refused {
                    return Err(Failure::Refused(text));
                }
                if answer.id == confirm {
                    ready.fetch_add(1, Relaxed);
                }
                continue;
            }
            Received::Refused(text) => return Err(Failure::Refused(text)),
            Received::Idle if unacked == 0 => continue,
            Received::Idle => {}
            Received::Credit(_) | Received::Nothing => continue,
        }
        if individual || unacked >= batch || idle {
            unacked = 0;
            acknowledge(&mut client, consumer, transacted)?;
        }
    }
    if unacked > 0 {
        acknowledge(&mut client, consumer, transacted)?;
    }
    client.close();
    Ok(seen)
}

/// Gathers one standard acknowledgement of all since the last one, as the JMS client does even for one message; in a transaction of its own it is confirmed by the commit.
fn acknowledge(client: &mut Client, consumer: i64, transacted: bool) -> Result<(), Failure> {
    if transacted {
        client.begin();
    }
    client.ack(consumer, false, transacted, false);
    if transacted {
        // The response is read among the deliveries that follow.
        client.end(true);
    }
    if client.gathered() > GATHER_BYTES { client.flush() } else { Ok(()) }
}
