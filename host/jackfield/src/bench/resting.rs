//! Scenarios in which little flows: idle connections, many queues, a broker's start.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{
    body,
    client::{Client, Destination, Login, Outgoing, Received, Subscription, Target},
    flow::{Settings, megabytes},
    process,
    progress::Progress,
    report::Figures,
};

/// Opens `count` logged-in connections and looks at the broker with them.
pub(crate) fn connections(count: u32, settings: &Settings, progress: &mut Progress) -> anyhow::Result<Figures> {
    let look = || settings.pid.and_then(process::sample);
    let before = look();
    let start = Instant::now();
    let mut open = Vec::new();
    for index in 0..count {
        let client = Client::connect(&settings.login).with_context(|| format!("connection {}", index + 1))?;
        open.push(client);
        progress.show("connect", u64::from(index), 0);
    }
    let seconds = start.elapsed().as_secs_f64();
    thread::sleep(Duration::from_secs(2));
    let with = look();
    let mut figures = Figures::default();
    figures.add("connections", f64::from(count));
    figures.add("connect_s", seconds);
    if let (Some(before), Some(with)) = (before, with) {
        figures.add("rss_before_mb", megabytes(before.rss_bytes));
        figures.add("rss_with_mb", megabytes(with.rss_bytes));
        let more = with.rss_bytes.saturating_sub(before.rss_bytes) as f64;
        figures.add("kib_per_connection", more / 1024.0 / f64::from(count.max(1)));
        figures.add("threads", with.threads as f64);
    }
    open.into_iter().for_each(Client::close);
    Ok(figures)
}

/// One message to each of `count` new queues, a commit for each 100.
pub(crate) fn queues(
    count: u32,
    body_bytes: usize,
    settings: &Settings,
    progress: &mut Progress,
) -> anyhow::Result<Figures> {
    const BATCH: u32 = 100;
    let look = || settings.pid.and_then(process::sample);
    let mut client = Client::connect(&settings.login)?;
    client.open_producer(None, 0)?;
    let mut filling = Vec::new();
    body::fill(&mut filling, body_bytes, 1);
    let before = look();
    let start = Instant::now();
    for first in (0..count).step_by(BATCH as usize) {
        client.begin();
        for index in first..count.min(first + BATCH) {
            let destination = Destination::queue(format!("{}.{index}", settings.destination.name));
            let message = Outgoing {
                destination: &destination,
                body: &filling,
                persistent: true,
                transacted: true,
                property: None,
                group: None,
                timestamp_ms: 0,
            };
            client.send(&message, false);
        }
        let id = client.end(true);
        client.confirm(id).with_context(|| format!("commit of queue {first} and after"))?;
        progress.show("queues", u64::from(first), 0);
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = look();
    // The last one stands for all: its message must be there.
    let last = Destination::queue(format!("{}.{}", settings.destination.name, count.saturating_sub(1)));
    let (confirm, consumer) =
        client.subscribe(&Subscription { destination: &last, prefetch: 1, selector: None, individual: true })?;
    let mut lost = 1.0;
    loop {
        match client.receive(Instant::now() + Duration::from_secs(5))? {
            Received::Delivery(_) => {
                lost = 0.0;
                client.ack(consumer, true, false, false);
                break;
            }
            Received::Confirm(answer) if answer.id == confirm && answer.refused.is_none() => {}
            Received::Idle => break,
            other => bail!("subscribe to the last queue: {other:?}"),
        }
    }
    client.close();
    let mut figures = Figures::default();
    figures.add("lost", lost);
    figures.add("created", f64::from(count));
    figures.add("seconds", seconds);
    figures.add("queues_per_s", f64::from(count) / seconds);
    if let (Some(before), Some(after)) = (before, after) {
        figures.add("rss_before_mb", megabytes(before.rss_bytes));
        figures.add("rss_after_mb", megabytes(after.rss_bytes));
        figures.add("cpu_s", after.cpu.saturating_sub(before.cpu).as_secs_f64());
        let written = after.written_bytes.saturating_sub(before.written_bytes);
        figures.add("disk_bytes_per_msg", written as f64 / f64::from(count.max(1)));
    }
    Ok(figures)
}

/// A process that ends when this value does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The command is ours; what cannot be killed has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program and waits until the broker's port takes a login; then its memory at rest.
pub(crate) fn start(command: &[String], login: &Login) -> anyhow::Result<Figures> {
    const START_MAX: Duration = Duration::from_secs(60);
    let [program, arguments @ ..] = command else { bail!("start needs --command PROGRAM --command ARGUMENT …") };
    if TcpStream::connect(login.target.address).is_ok() {
        bail!("something listens at {} before the start", login.target);
    }
    let begun = Instant::now();
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut running = Running(child.with_context(|| format!("start {program:?}"))?);
    wait_port(&login.target, begun + START_MAX, &mut running)?;
    let listens = begun.elapsed();
    let client = Client::connect(login)?;
    let answers = begun.elapsed();
    client.close();
    thread::sleep(Duration::from_secs(3));
    let idle = process::sample(running.0.id()).unwrap_or_default();
    let mut figures = Figures::default();
    figures.add("listens_ms", listens.as_secs_f64() * 1e3);
    figures.add("answers_ms", answers.as_secs_f64() * 1e3);
    figures.add("idle_rss_mb", megabytes(idle.rss_bytes));
    figures.add("threads", idle.threads as f64);
    Ok(figures)
}

fn wait_port(target: &Target, deadline: Instant, running: &mut Running) -> anyhow::Result<()> {
    while TcpStream::connect(target.address).is_err() {
        if let Some(status) = running.0.try_wait()? {
            bail!("the program ended before it listened: {status}");
        }
        if Instant::now() > deadline {
            bail!("nothing listens at {target} in time");
        }
        thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}
