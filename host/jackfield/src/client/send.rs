//! `jackfield send`.

use std::io::{BufRead, stdin};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use wire::stomp::{Command, Frame};

use super::{Connection, stomp_name};
use crate::cli;

/// Messages after which the broker must confirm: enough to keep the wire busy, few enough to notice a refusal soon.
const UNCONFIRMED_MAX: u64 = 256;
/// Bytes written at once.
const WRITE_BYTES: usize = 256 * 1024;
/// From this many messages on, progress is shown.
const PROGRESS_FROM: u64 = 1000;

/// Sends what the arguments say; returns when the broker has confirmed all of it.
pub(crate) fn send(args: &cli::Send) -> anyhow::Result<()> {
    let mut connection = Connection::open(&args.remote, None)?;
    let mut template = Frame::new(Command::Send)
        .header("destination", stomp_name(&args.destination))
        .header("persistent", if args.non_persistent { "false" } else { "true" });
    for (name, value) in &args.properties {
        template = template.header(name.clone(), value.clone());
    }
    let mut sender = Sender { connection: &mut connection, template, sent: 0, progress: progress(args) };
    match &args.text {
        Some(text) => {
            for _ in 0..args.count {
                sender.send(text.clone().into_bytes())?;
            }
        }
        None => {
            for line in stdin().lock().split(b'\n') {
                let mut line = line.context("cannot read standard input")?;
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                sender.send(line)?;
            }
        }
    }
    let sent = sender.sent;
    sender.progress.finish_and_clear();
    connection.close()?;
    eprintln!("sent {sent} {} to {}", if sent == 1 { "message" } else { "messages" }, args.destination);
    Ok(())
}

struct Sender<'c> {
    connection: &'c mut Connection,
    template: Frame,
    sent: u64,
    progress: ProgressBar,
}

impl Sender<'_> {
    fn send(&mut self, body: Vec<u8>) -> anyhow::Result<()> {
        let frame = self.template.clone().body(body);
        self.sent += 1;
        if self.sent.is_multiple_of(UNCONFIRMED_MAX) {
            let receipt = self.connection.push_confirmed(frame);
            self.connection.confirmed(receipt)?;
            self.progress.set_position(self.sent);
        } else {
            self.connection.push(&frame);
            if self.connection.outgoing.len() >= WRITE_BYTES {
                self.connection.flush()?;
            }
        }
        Ok(())
    }
}

/// A bar on standard error; nothing when that is no terminal or when the run is short.
fn progress(args: &cli::Send) -> ProgressBar {
    let template = "{wide_bar} {pos}/{len} messages, {per_sec}, {eta} left";
    if args.stdin {
        ProgressBar::new_spinner().with_style(style("{spinner} {pos} messages, {per_sec}"))
    } else if args.count >= PROGRESS_FROM {
        ProgressBar::new(args.count).with_style(style(template))
    } else {
        ProgressBar::hidden()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is correct")
}
