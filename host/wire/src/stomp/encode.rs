//! Frames -> bytes.
//!
//! What is written is always one frame, whatever the headers hold. Where a version can escape a character it does;
//! where it cannot, a space stands in its place:
//!
//! ```text
//!                       LF   CR   NUL  colon in a name  colon in a value  backslash
//! 1.0, and CONNECTED    ' '  ' '  ' '  ' '              as it is          as it is
//! 1.1                   \n   ' '  ' '  \c               \c                \\
//! 1.2                   \n   \r   ' '  \c               \c                \\
//! ```

use std::fmt::Write;

use bytes::{BufMut, BytesMut};

use super::{CONTENT_LENGTH, Command, Frame, Version};

/// What to send when nothing else was sent for too long.
pub const HEART_BEAT: &[u8] = b"\n";

/// Appends `frame` to `out`. See [`FrameWriter`] for what becomes of its `content-length`.
pub fn encode(frame: &Frame, version: Version, out: &mut BytesMut) {
    let headers = frame.headers.iter().map(|(name, value)| (&**name, &**value));
    encode_parts(&frame.command, headers, &frame.body, version, out);
}

/// Appends a frame of borrowed parts to `out`, without building a [`Frame`].
pub fn encode_parts<'h>(
    command: &Command,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    body: &[u8],
    version: Version,
    out: &mut BytesMut,
) {
    let mut writer = FrameWriter::new(command, version, out);
    for (name, value) in headers {
        writer.header(name, value);
    }
    writer.finish(body);
}

/// Writes one frame straight into an output buffer, header by header. Dropped before [`FrameWriter::finish`], it takes
/// back what it wrote.
///
/// The length of the body is told when asked for (by [`FrameWriter::content_length`] or by a header of that name, whose
/// value does not matter) or when the body holds a NUL; it is always the true one and the last header. To clients the
/// header's absence means text, its presence bytes.
#[derive(Debug)]
#[must_use = "a frame that is not finished is taken back"]
pub struct FrameWriter<'o> {
    out: &'o mut BytesMut,
    start: usize,
    escaping: Escaping,
    tell_length: bool,
    finished: bool,
}

/// What the version, for this command, does about characters that would end a name, a value or a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escaping {
    Never,
    V1_1,
    V1_2,
}

impl<'o> FrameWriter<'o> {
    /// Begins a frame behind what `out` holds.
    pub fn new(command: &Command, version: Version, out: &'o mut BytesMut) -> FrameWriter<'o> {
        let start = out.len();
        let escaping = match version {
            _ if !command.escapes(version) => Escaping::Never,
            Version::V1_2 => Escaping::V1_2,
            _ => Escaping::V1_1,
        };
        match command {
            // Not of our making, so it may hold anything, even nothing.
            Command::Unknown(name) => match name.trim_matches(|c: char| c.is_whitespace() || c == '\0') {
                "" => out.put_slice(b"UNKNOWN"),
                name => Escaping::Never.put(name, false, out),
            },
            known => out.put_slice(known.as_str().as_bytes()),
        }
        out.put_u8(b'\n');
        FrameWriter { out, start, escaping, tell_length: false, finished: false }
    }

    /// Writes a header. One without a name cannot be written and is left out.
    pub fn header(&mut self, name: &str, value: &str) {
        if name == CONTENT_LENGTH {
            self.tell_length = true;
        } else if !name.is_empty() {
            self.escaping.put(name, true, self.out);
            self.out.put_u8(b':');
            self.escaping.put(value, false, self.out);
            self.out.put_u8(b'\n');
        }
    }

    /// Writes a header whose value is a number.
    pub fn header_number(&mut self, name: &str, value: i64) {
        if name == CONTENT_LENGTH || name.is_empty() {
            return self.header(name, "");
        }
        self.escaping.put(name, true, self.out);
        self.put_number(value);
    }

    /// Tells the body's length, which marks the frame as carrying bytes rather than text.
    pub fn content_length(&mut self) {
        self.tell_length = true;
    }

    /// Writes the blank line, the body, its NUL and the line end that ActiveMQ puts behind each frame.
    pub fn finish(mut self, body: &[u8]) {
        if self.tell_length || body.contains(&0) {
            self.out.put_slice(CONTENT_LENGTH.as_bytes());
            self.put_number(body.len());
        }
        self.out.reserve(body.len() + 3);
        self.out.put_u8(b'\n');
        self.out.put_slice(body);
        self.out.put_slice(b"\0\n");
        self.finished = true;
    }

    fn put_number(&mut self, value: impl std::fmt::Display) {
        // Writing to a buffer that grows does not fail.
        let _ = writeln!(self.out, ":{value}");
    }
}

impl Drop for FrameWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

impl Escaping {
    /// Writes `part` in runs, with each character that must not stand there escaped or replaced.
    fn put(self, part: &str, name: bool, out: &mut BytesMut) {
        let mut rest = part.as_bytes();
        while let Some((at, instead)) =
            rest.iter().enumerate().find_map(|(at, b)| self.instead(*b, name).map(|instead| (at, instead)))
        {
            out.put_slice(&rest[..at]);
            out.put_slice(instead);
            rest = &rest[at + 1..];
        }
        out.put_slice(rest);
    }

    fn instead(self, byte: u8, name: bool) -> Option<&'static [u8]> {
        match (byte, self) {
            (b'\n' | b'\r' | 0, Escaping::Never) => Some(b" "),
            (b':', Escaping::Never) => name.then_some(b" "),
            (_, Escaping::Never) => None,
            (b'\n', _) => Some(b"\\n"),
            (b':', _) => Some(b"\\c"),
            (b'\\', _) => Some(b"\\\\"),
            (b'\r', Escaping::V1_2) => Some(b"\\r"),
            (b'\r' | 0, _) => Some(b" "),
            _ => None,
        }
    }
}
