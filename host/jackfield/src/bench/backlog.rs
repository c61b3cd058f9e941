//! Messages piled up without a consumer, then drained.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{
    flow::{Settings, Shared, Threads, megabytes},
    process,
    progress::Progress,
    report::Figures,
    scenario::Plan,
};

/// The figures of one run of `count` messages in and out.
pub(crate) fn run(count: u64, plan: &Plan, settings: &Settings, progress: &mut Progress) -> anyhow::Result<Figures> {
    let each = count / u64::from(plan.producers.max(1));
    let shared = Shared::new(plan, Some(each));
    let count = each * u64::from(plan.producers);
    shared.measure();
    let look = || settings.pid.and_then(process::sample);
    let before = look();

    let start = Instant::now();
    let producers = Threads::producers(plan, settings, &shared);
    while !producers.all_finished() {
        thread::sleep(Duration::from_millis(5));
        progress.show("pile up", shared.produced(), 0);
    }
    let produce_s = start.elapsed().as_secs_f64();
    producers.join().context("producers")?;
    let piled = look();

    let start = Instant::now();
    let consumers = Threads::consumers(plan, settings, &shared)?;
    let mut last = (0, Instant::now());
    while shared.consumed() < count && !consumers.any_finished() && last.1.elapsed() < Duration::from_secs(30) {
        thread::sleep(Duration::from_millis(5));
        let consumed = shared.consumed();
        if consumed > last.0 {
            last = (consumed, Instant::now());
        }
        progress.show("drain", shared.produced(), consumed);
    }
    let drain_s = start.elapsed().as_secs_f64();
    let drained = look();
    shared.stop();
    let received = consumers.join().context("consumers")?;

    let mut figures = Figures::default();
    figures.add("produced_per_s", count as f64 / produce_s);
    figures.add("drained_per_s", shared.consumed() as f64 / drain_s);
    if let (Some(before), Some(piled), Some(drained)) = (before, piled, drained) {
        let cpu = |from: process::Sample, to: process::Sample| {
            to.cpu.saturating_sub(from.cpu).as_secs_f64() * 100_000.0 / count.max(1) as f64
        };
        figures.add("rss_before_mb", megabytes(before.rss_bytes));
        figures.add("rss_piled_mb", megabytes(piled.rss_bytes));
        figures.add("broker_peak_mb", megabytes(drained.rss_bytes_peak));
        figures.add("produce_cpu_s_per_100k", cpu(before, piled));
        figures.add("drain_cpu_s_per_100k", cpu(piled, drained));
        let written = drained.written_bytes.saturating_sub(before.written_bytes);
        figures.add("disk_bytes_per_msg", written as f64 / count.max(1) as f64);
    }
    figures.add("lost", count.saturating_sub(shared.consumed()) as f64);
    figures.add("order_violations", received.order_violations as f64);
    figures.add("damaged", received.damaged as f64);
    Ok(figures)
}
