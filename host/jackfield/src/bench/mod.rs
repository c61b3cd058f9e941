//! `jackfield bench`: a load generator for any broker that speaks OpenWire or STOMP, and a judge of its promises.
//!
//! It never touches the broker's code: all it knows comes over a socket and from `/proc`. Start reading at
//! [`scenario`] for what is measured, at [`flow`] for how, and at [`judge`] for what a broker is held to.

mod backlog;
mod body;
mod client;
mod flow;
mod judge;
mod options;
mod process;
mod progress;
mod report;
mod resting;
mod scenario;

use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::{Context, bail};

pub(crate) use self::options::Args;
use self::{
    client::Destination,
    flow::Settings,
    options::Load,
    progress::Progress,
    report::{Figures, Report},
    scenario::{Kind, SCENARIOS, Scenario},
};

/// Runs what the arguments name. The exit code is 1 when a judge found a broken promise or a run lost messages.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(options::Command::Judge(judge)) => judge::run(&args.load, &judge),
        Some(options::Command::Kill(kill)) => judge::kill::run(&args.load, &kill),
        None => load(&args.load),
    }
}

fn load(load: &Load) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if load.scenarios.is_empty() || load.scenarios.iter().any(|name| name == "list") {
        for scenario in SCENARIOS {
            writeln!(out, "{:8} {}", scenario.name, scenario.about)?;
        }
        writeln!(out, "{:8} what a broker promised and what it kept (a command of its own: bench judge)", "judge")?;
        writeln!(out, "{:8} the judge while the broker is killed again and again (bench kill)", "kill")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut scenarios = Vec::new();
    for name in &load.scenarios {
        let Some(scenario) = scenario::find(name) else {
            bail!("no scenario is named {name:?}; `jackfield bench list` shows them");
        };
        scenarios.push(scenario);
    }
    let mut reports = Vec::new();
    let mut kept = true;
    for scenario in scenarios {
        let mut report = Report {
            scenario: scenario.name.into(),
            label: load.label.clone(),
            broker: load.broker.to_string(),
            runs: Vec::new(),
        };
        for run in 1..=load.runs {
            let mut progress = Progress::new(format!("{} {run}/{}", scenario.name, load.runs));
            let figures = one(scenario, load, run, &mut progress);
            progress.done();
            let figures = figures.with_context(|| format!("{} run {run}", scenario.name))?;
            let broken = ["lost", "order_violations", "damaged"];
            kept &= figures.0.iter().all(|(name, value)| *value == 0.0 || !broken.contains(&name.as_str()));
            report.runs.push(figures);
        }
        writeln!(out, "{}\n", report.table())?;
        reports.push(report.json());
        if let Some(path) = &load.json {
            let text = serde_json::to_string_pretty(&reports)?;
            std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run; each has its own destination, so that what one leaves behind does not count in the next.
fn one(scenario: &Scenario, load: &Load, run: u32, progress: &mut Progress) -> anyhow::Result<Figures> {
    let plan = load.change(scenario.plan(), scenario.name == "custom");
    let name = format!("bench.{}.{}.{run}", scenario.name, std::process::id());
    let settings = Settings {
        login: load.login(),
        warmup: Duration::from(load.warmup),
        duration: Duration::from(load.duration),
        pid: load.pid,
        producer_window: load.producer_window,
        destination: Destination { topic: plan.topic, name },
    };
    match scenario.kind {
        Kind::Flow => flow::run(&plan, &settings, progress),
        Kind::Backlog(count) => backlog::run(load.count.unwrap_or(count), &plan, &settings, progress),
        Kind::Idle(count) => resting::connections(load.count.map_or(count, |count| count as u32), &settings, progress),
        Kind::Queues(count) => {
            let count = load.count.map_or(count, |count| count as u32);
            resting::queues(count, plan.body_bytes, &settings, progress)
        }
        Kind::Start => resting::start(&load.command, &settings.login),
    }
}
