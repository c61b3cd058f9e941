//! Destination names: `/queue/A` here, `queue://A` there, and the temporary ones that a client names by itself.

use std::fmt::Write;

use message::{Command, Destination, DestinationKind, Text};
use rustc_hash::FxHashMap;

use super::{own, push};
use crate::Output;

/// Temporary destinations of one connection.
const TEMPORARY_MAX: usize = 10_000;

const PREFIXES: [(&str, DestinationKind); 4] = [
    ("/queue/", DestinationKind::Queue),
    ("/topic/", DestinationKind::Topic),
    ("/remote-temp-queue/", DestinationKind::TempQueue),
    ("/remote-temp-topic/", DestinationKind::TempTopic),
];
/// Names that stand for a temporary destination of the client's own, made when first used.
const OWN_PREFIXES: [(&str, DestinationKind); 2] =
    [("/temp-queue/", DestinationKind::TempQueue), ("/temp-topic/", DestinationKind::TempTopic)];

/// What a connection knows of destination names.
#[derive(Debug)]
pub(super) struct Destinations {
    /// The connection's id, which its temporary destinations are named after.
    connection: Text,
    /// By the client's name, such as `/temp-queue/answers`.
    temporary: FxHashMap<Text, Destination>,
    /// The client's name by the broker's.
    temporary_names: FxHashMap<Text, Text>,
    /// The header last sent to and what it means; most producers never change it.
    last_sent: Option<(Text, Destination)>,
}

impl Destinations {
    pub(super) fn new(connection: Text) -> Destinations {
        Destinations {
            connection,
            temporary: FxHashMap::default(),
            temporary_names: FxHashMap::default(),
            last_sent: None,
        }
    }

    /// Like [`Destinations::resolve`], remembering the last answer.
    pub(super) fn resolve_sent(&mut self, header: &str, out: &mut Output) -> Result<Destination, String> {
        if let Some((last, destination)) = &self.last_sent
            && *last == *header
        {
            return Ok(destination.clone());
        }
        let destination = self.resolve(header, true, out)?;
        self.last_sent = Some((own(header), destination.clone()));
        Ok(destination)
    }

    /// What a header means, parts of a composite included. A name without a known prefix is a queue's when `fallback`
    /// (as ActiveMQ has it for SEND and SUBSCRIBE), otherwise an error. Options behind `?` are for JMS clients and are
    /// taken off.
    pub(super) fn resolve(&mut self, header: &str, fallback: bool, out: &mut Output) -> Result<Destination, String> {
        let names = header.split_once('?').map_or(header, |(names, _)| names).trim();
        let mut whole: Option<DestinationKind> = None;
        let mut name = String::with_capacity(names.len());
        for part in names.split(',') {
            let one = self.resolve_one(part.trim(), fallback, out)?;
            match whole {
                None => whole = Some(one.kind),
                Some(kind) => {
                    name.push(',');
                    if kind != one.kind {
                        name.push_str(one.kind.scheme());
                    }
                }
            }
            name.push_str(&one.name);
        }
        let destination = Destination { kind: whole.unwrap_or(DestinationKind::Queue), name: name.into() };
        destination.check().map_err(|error| format!("Illegal destination name: [{header}]: {error}"))?;
        Ok(destination)
    }

    fn resolve_one(&mut self, part: &str, fallback: bool, out: &mut Output) -> Result<Destination, String> {
        for (prefix, kind) in PREFIXES {
            if let Some(name) = part.strip_prefix(prefix).or_else(|| part.strip_prefix(kind.scheme())) {
                return Ok(Destination { kind, name: own(name) });
            }
        }
        for (prefix, kind) in OWN_PREFIXES {
            if part.starts_with(prefix) {
                return self.temporary(part, kind, out);
            }
        }
        if !fallback {
            return Err(format!(
                "Illegal destination name: [{part}]; it must begin with one of /queue/ /topic/ /temp-queue/ /temp-topic/"
            ));
        }
        Ok(Destination { kind: DestinationKind::Queue, name: own(part) })
    }

    fn temporary(&mut self, name: &str, kind: DestinationKind, out: &mut Output) -> Result<Destination, String> {
        if let Some(known) = self.temporary.get(name) {
            return Ok(known.clone());
        }
        if self.temporary.len() >= TEMPORARY_MAX {
            return Err(format!("the connection has {TEMPORARY_MAX} temporary destinations, it may not have more"));
        }
        let real = Text::from(format!("{}:{}", self.connection, self.temporary.len() + 1));
        let destination = Destination { kind, name: real.clone() };
        let name = own(name);
        self.temporary.insert(name.clone(), destination.clone());
        self.temporary_names.insert(real, name);
        push(out, Command::AddDestination { destination: destination.clone(), receipt: None });
        Ok(destination)
    }

    /// Appends what the client calls `destination`.
    pub(super) fn spell(&self, destination: &Destination, into: &mut String) {
        if destination.kind.is_temporary()
            && let Some(name) = self.temporary_names.get(&destination.name)
        {
            into.push_str(name);
            return;
        }
        let prefix = PREFIXES.iter().find(|(_, kind)| *kind == destination.kind).map_or("", |(prefix, _)| prefix);
        // Writing to a string does not fail.
        let _ = write!(into, "{prefix}{}", destination.name);
    }
}
