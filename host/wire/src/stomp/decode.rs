//! Bytes -> frames.

use std::ffi::CStr;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;

use super::{CONTENT_LENGTH, Command, Error, Frame, Item, Limits, Version};

/// How much of a header an error message shows.
const SHOWN_CHARS_MAX: usize = 32;

/// Cuts one connection's bytes into frames.
///
/// It remembers how far it looked, so each byte is searched once however slowly it arrives; the caller only appends to
/// the buffer between calls. It reserves nothing: a length that a peer announces costs no memory until the bytes are
/// there. The buffer never needs to hold more than one frame.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Version,
    state: State,
    /// Bytes at the front of the buffer that hold no end of what is being read.
    searched: usize,
}

#[derive(Debug)]
enum State {
    /// Between frames.
    Idle,
    /// The command or headers; `line` is where the unfinished line begins.
    Head { line: usize, lines: usize },
    /// The head is out of the buffer, the body begins at its front.
    Body { head: Box<Head>, length: Option<usize> },
    /// No frame boundary is known any more.
    Failed(Error),
}

#[derive(Debug)]
struct Head {
    command: Command,
    headers: Vec<(ByteString, ByteString)>,
    bytes: usize,
}

impl Decoder {
    /// A decoder for a fresh connection, at version 1.0.
    pub fn new(limits: Limits) -> Decoder {
        Decoder { limits, version: Version::V1_0, state: State::Idle, searched: 0 }
    }

    /// The rules for the heads that are completed from now on. To be called between the CONNECT frame and the next
    /// [`Decoder::decode`].
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Takes the next frame or heart-beat from the front of `buf`; `None` when more bytes are needed. Call again until
    /// `None`, and append to `buf` without touching what is left in it.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Item>, Error> {
        loop {
            let step = match &mut self.state {
                State::Idle => Ok(self.idle(buf)),
                State::Head { .. } => self.head(buf),
                State::Body { .. } => self.body(buf),
                State::Failed(error) => Err(error.clone()),
            };
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Wait) => return Ok(None),
                Ok(Step::Give(item)) => return Ok(Some(item)),
                Err(error) => {
                    self.state = State::Failed(error.clone());
                    return Err(error);
                }
            }
        }
    }

    /// Line ends are heart-beats, one item for a run of them. Stray NULs are skipped, as ActiveMQ does.
    fn idle(&mut self, buf: &mut BytesMut) -> Step {
        let mut skipped = 0;
        let mut beat = false;
        let wait = loop {
            match (buf.get(skipped), buf.get(skipped + 1)) {
                (Some(b'\n'), _) => (skipped, beat) = (skipped + 1, true),
                (Some(b'\r'), Some(b'\n')) => (skipped, beat) = (skipped + 2, true),
                (Some(0), _) => skipped += 1,
                (None, _) | (Some(b'\r'), None) => break true,
                _ => break false,
            }
        };
        buf.advance(skipped);
        if beat {
            return Step::Give(Item::HeartBeat);
        }
        if wait {
            return Step::Wait;
        }
        self.state = State::Head { line: 0, lines: 0 };
        self.searched = 0;
        Step::Again
    }

    /// Looks for the blank line. Lengths are checked on each line as far as it has arrived.
    fn head(&mut self, buf: &mut BytesMut) -> Result<Step, Error> {
        let State::Head { line, lines } = &mut self.state else {
            return Ok(Step::Again);
        };
        loop {
            let found = buf[self.searched..].iter().position(|b| matches!(b, b'\n' | 0));
            let end = found.map_or(buf.len(), |found| self.searched + found);
            let (what, limit) = match *lines {
                0 => ("command length", self.limits.command_bytes_max),
                _ => ("header length", self.limits.header_bytes_max),
            };
            check(what, end - *line, limit)?;
            check("head length", end, self.limits.head_bytes_max.min(self.limits.frame_bytes_max))?;
            self.searched = end;
            if found.is_none() {
                return Ok(Step::Wait);
            }
            if buf[end] == 0 {
                return Err(Error::NulInHead { at: end });
            }
            self.searched = end + 1;
            if matches!(&buf[*line..end], b"" | b"\r") {
                break;
            }
            if *lines > self.limits.headers_max {
                return Err(Error::TooManyHeaders { limit: self.limits.headers_max });
            }
            *lines += 1;
            *line = end + 1;
        }
        let head = parse_head(buf.split_to(self.searched).freeze(), *lines, self.version)?;
        let length = self.content_length(&head)?;
        self.state = State::Body { head: Box::new(head), length };
        self.searched = 0;
        Ok(Step::Again)
    }

    /// The announced length of the body, within its limits.
    fn content_length(&self, head: &Head) -> Result<Option<usize>, Error> {
        let Some((_, value)) = head.headers.iter().find(|(name, _)| *name == *CONTENT_LENGTH) else {
            return Ok(None);
        };
        let digits = value.trim();
        // A number's own parser would take a plus sign.
        let parsed = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<u64>().ok() } else { None };
        let Some(have) = parsed else {
            let have = value.chars().take(SHOWN_CHARS_MAX).collect();
            return Err(
                match digits.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                    true => Error::NegativeContentLength { have },
                    false => Error::BadContentLength { have },
                },
            );
        };
        let too_long = |what, limit| Error::TooLong { what, have, limit };
        let length = usize::try_from(have).map_err(|_| too_long("data length", self.limits.body_bytes_max))?;
        check("data length", length, self.limits.body_bytes_max)?;
        check("frame size", length.saturating_add(head.bytes), self.limits.frame_bytes_max)?;
        Ok(Some(length))
    }

    fn body(&mut self, buf: &mut BytesMut) -> Result<Step, Error> {
        let State::Body { head, length } = &mut self.state else {
            return Ok(Step::Again);
        };
        let end = match *length {
            Some(length) => match buf.get(length) {
                None => return Ok(Step::Wait),
                Some(0) => length,
                Some(&have) => return Err(Error::NoNulAfterBody { length, have }),
            },
            None => {
                let found = CStr::from_bytes_until_nul(&buf[self.searched..]).ok().map(CStr::count_bytes);
                let end = found.map_or(buf.len(), |found| self.searched + found);
                check("data length", end, self.limits.body_bytes_max)?;
                check("frame size", end.saturating_add(head.bytes), self.limits.frame_bytes_max)?;
                self.searched = end;
                if found.is_none() {
                    return Ok(Step::Wait);
                }
                end
            }
        };
        // An empty slice would hold on to the buffer for nothing.
        let body = if end == 0 { Bytes::new() } else { buf.split_to(end).freeze() };
        buf.advance(1);
        let command = std::mem::replace(&mut head.command, Command::Error);
        let headers = std::mem::take(&mut head.headers);
        self.state = State::Idle;
        self.searched = 0;
        Ok(Step::Give(Item::Frame(Frame { command, headers, body })))
    }
}

enum Step {
    Again,
    Wait,
    Give(Item),
}

fn check(what: &'static str, have: usize, limit: usize) -> Result<(), Error> {
    if have > limit { Err(Error::TooLong { what, have: have as u64, limit }) } else { Ok(()) }
}

/// Reads a head that is complete: `lines` lines and the blank one. Names and values share its bytes.
fn parse_head(head: Bytes, lines: usize, version: Version) -> Result<Head, Error> {
    let bytes = head.len();
    if let Err(error) = std::str::from_utf8(&head) {
        return Err(Error::NotUtf8 { at: error.valid_up_to() });
    }
    let text = ByteString::try_from(head).map_err(|_| Error::NotUtf8 { at: 0 })?;
    let mut rest = text.split('\n').take(lines);
    let name = rest.next().unwrap_or_default().trim();
    if name.is_empty() {
        return Err(Error::NoCommand);
    }
    let command = Command::known(name).unwrap_or_else(|| Command::Unknown(text.slice_ref(name)));
    let escapes = command.escapes(version);
    let of_broker = matches!(command, Command::Connected | Command::Message | Command::Receipt | Command::Error);
    let mut headers = Vec::with_capacity(lines.saturating_sub(1));
    for (index, header) in rest.enumerate() {
        let line = index + 1;
        // In 1.1 a line ends in LF alone and a CR before it is part of the value.
        let header = if version == Version::V1_1 { header } else { header.strip_suffix('\r').unwrap_or(header) };
        // As in ActiveMQ, what has no colon is a name.
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        if name.is_empty() {
            return Err(Error::NoName { line });
        }
        let name = if escapes { unescape(&text, name, version) } else { text.slice_ref(name) };
        // ActiveMQ reads escapes in CONNECT and in 1.0 too, and there are clients that always write them; brokers
        // do not.
        let value = if escapes || !of_broker { unescape(&text, value, version) } else { text.slice_ref(value) };
        headers.push((name, if version == Version::V1_0 { trimmed(value) } else { value }));
    }
    Ok(Head { command, headers, bytes })
}

/// `part` of `text` without its escapes. As in ActiveMQ, one that `version` does not define stays as it is.
fn unescape(text: &ByteString, part: &str, version: Version) -> ByteString {
    if !part.contains('\\') {
        return text.slice_ref(part);
    }
    let mut plain = String::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, behind)) = rest.split_once('\\') {
        plain.push_str(before);
        let escaped = match behind.as_bytes().first() {
            Some(b'\\') => Some('\\'),
            Some(b'n') => Some('\n'),
            Some(b'c') => Some(':'),
            Some(b'r') if version == Version::V1_2 => Some('\r'),
            _ => None,
        };
        plain.push(escaped.unwrap_or('\\'));
        rest = if escaped.is_some() { &behind[1..] } else { behind };
    }
    plain.push_str(rest);
    plain.into()
}

fn trimmed(text: ByteString) -> ByteString {
    text.slice_ref(text.trim())
}
