//! `jackfield receive`.

use std::io::{ErrorKind, Write, stdout};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use message::DestinationKind;
use wire::stomp::{Command, Frame};

use super::{Connection, stomp_name};
use crate::cli;

/// Messages asked for ahead.
const PREFETCH_MAX: u64 = 200;
/// Acknowledgements written at once while messages keep coming.
const ACKS_TOGETHER: u64 = 50;
/// From this many messages on, progress is shown when the messages themselves do not go to the terminal.
const PROGRESS_FROM: u64 = 1000;
/// How long acknowledgements wait for more of them before they are written.
const IDLE_WAIT: Duration = Duration::from_millis(1);

/// Receives what the arguments say and writes it to `out`; a message is acknowledged after it was written there.
pub(crate) fn receive(args: &cli::Receive, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.durable.is_some() && args.destination.kind != DestinationKind::Topic {
        bail!("a durable subscription needs a topic; write topic://{}", args.destination.name);
    }
    let mut connection = Connection::open(&args.remote, args.client_id.as_deref())?;
    let receipt = connection.push_confirmed(subscription(args));
    connection.flush()?;
    let wait = (!args.follow).then_some(args.timeout);
    let progress = progress(args);
    let mut received = 0;
    let mut subscribed = false;
    loop {
        let frame = match connection.next(Some(IDLE_WAIT))? {
            Some(frame) => Some(frame),
            None => {
                connection.flush()?;
                connection.next(wait)?
            }
        };
        match frame {
            Some(frame) if frame.command == Command::Message => {
                match print(&frame, args.headers, out) {
                    Ok(()) => {}
                    // Whoever read our output has enough.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                    Err(error) => return Err(error).context("cannot write the message out"),
                }
                received += 1;
                progress.set_position(received);
                let id =
                    frame.get("ack").or(frame.get("message-id")).cloned().context("a message came without an id")?;
                connection.push(&Frame::new(Command::Ack).header("id", id));
                if !args.follow && received == args.count {
                    break;
                }
                if received.is_multiple_of(ACKS_TOGETHER) {
                    connection.flush()?;
                }
            }
            Some(frame) if frame.command == Command::Receipt => {
                subscribed |= frame.get("receipt-id").is_some_and(|id| **id == *receipt.to_string());
            }
            Some(_) => {}
            None => {
                progress.finish_and_clear();
                if !subscribed {
                    bail!("the broker did not confirm the subscription within {:?}", args.timeout);
                }
                connection.close()?;
                match received {
                    0 => bail!("no message on {} within {:?}", args.destination, args.timeout),
                    _ => bail!("only {received} of {} messages came from {}", args.count, args.destination),
                }
            }
        }
    }
    progress.finish_and_clear();
    connection.close()
}

/// SUBSCRIBE, with no more asked for ahead than is wanted: what is left over would have to go back.
fn subscription(args: &cli::Receive) -> Frame {
    let prefetch = if args.follow { PREFETCH_MAX } else { args.count.min(PREFETCH_MAX) };
    let mut frame = Frame::new(Command::Subscribe)
        .header("id", "1")
        .header("destination", stomp_name(&args.destination))
        .header("ack", "client-individual")
        .header("activemq.prefetchSize", prefetch.to_string());
    if let Some(selector) = &args.selector {
        frame = frame.header("selector", selector.clone());
    }
    if let Some(durable) = &args.durable {
        frame = frame.header("activemq.subscriptionName", durable.clone());
    }
    frame
}

fn print(frame: &Frame, with_headers: bool, out: &mut dyn Write) -> std::io::Result<()> {
    if with_headers {
        for (name, value) in &frame.headers {
            writeln!(out, "{name}: {value}")?;
        }
        writeln!(out)?;
    }
    out.write_all(&frame.body)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A bar on standard error; nothing when that is no terminal, when the run is short or when messages go to the terminal.
fn progress(args: &cli::Receive) -> ProgressBar {
    use std::io::IsTerminal;
    if args.follow || args.count < PROGRESS_FROM || stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} messages, {per_sec}, {eta} left");
    ProgressBar::new(args.count).with_style(style.expect("the template is correct"))
}
