//! What a lock says about its holder: a few lines of text that people can read too.
//!
//! ```text
//! jackfield lock, format 1
//! state held
//! broker north
//! host amq1
//! address tcp://amq1:61616
//! process 4711
//! since 2026-11-26T12:00:00Z
//! epoch 7
//! file 1234567
//! window_ms 2000
//! ```
//!
//! It always takes [`HOLDER_BYTES`], so that one write replaces another. `file` is the number that the file system gave the
//! file: a copy says another one than it has.

use std::fmt;
use std::fmt::Write as _;

/// Bytes that it takes, blanks at the end included.
pub const HOLDER_BYTES: usize = 1024;

const MARK: &str = "jackfield lock, format ";
const FORMAT: u32 = 1;
/// Longest name of a broker or machine that is kept.
const NAME_CHARS_MAX: usize = 255;

/// Who holds a lock, or held it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// It said that it is done: what the lock guards is closed.
    pub released: bool,
    /// Name of the broker.
    pub broker: String,
    /// Name of its machine.
    pub host: String,
    /// Where clients reach it; empty if it does not say.
    pub address: String,
    /// Its process there.
    pub process: u32,
    /// When that process began, as people write it.
    pub since: String,
    /// Epoch of the journal; `None` until it was read.
    pub epoch: Option<u64>,
    /// Number of the file that this was written into.
    pub file: u64,
    /// How long after a proof it may go on confirming, ms; 0 for ever.
    pub window_ms: i64,
}

/// Why a text is nothing that a holder wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolderError {
    /// Another program's.
    #[error("it holds something else")]
    Foreign,
    /// A later version's.
    #[error("it has format {found}, this program knows {FORMAT}; use the version that wrote it")]
    Newer {
        /// Format found.
        found: u32,
    },
}

impl Holder {
    /// The text, with blanks up to [`HOLDER_BYTES`].
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{MARK}{FORMAT}\nstate {}\n", if self.released { "released" } else { "held" });
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(text, "{name} {value}").unwrap_or_default();
        line("broker", &plain(&self.broker));
        line("host", &plain(&self.host));
        if !self.address.is_empty() {
            line("address", &plain(&self.address));
        }
        line("process", &self.process);
        line("since", &plain(&self.since));
        if let Some(epoch) = self.epoch {
            line("epoch", &epoch);
        }
        line("file", &self.file);
        line("window_ms", &self.window_ms);
        let mut bytes = text.into_bytes();
        bytes.resize(HOLDER_BYTES - 1, b' ');
        bytes.push(b'\n');
        bytes
    }

    /// Reads what [`Holder::encode`] wrote; `None` where nothing was written, or a write was cut short by a power cut.
    pub fn decode(bytes: &[u8]) -> Result<Option<Holder>, HolderError> {
        let bytes = &bytes[..bytes.len().min(HOLDER_BYTES)];
        if bytes.iter().all(|byte| matches!(byte, 0 | b' ' | b'\n')) || MARK.as_bytes().starts_with(bytes) {
            return Ok(None);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| HolderError::Foreign)?;
        let mut lines = text.strip_prefix(MARK).ok_or(HolderError::Foreign)?.lines();
        let format = lines.next().unwrap_or_default().trim();
        match format.parse::<u32>() {
            Ok(found) if found > FORMAT => return Err(HolderError::Newer { found }),
            Ok(1..) => {}
            Ok(0) => return Err(HolderError::Foreign),
            Err(_) if format.is_empty() => return Ok(None),
            Err(_) => return Err(HolderError::Foreign),
        }
        let mut holder = Holder::default();
        for (name, value) in lines.filter_map(|line| line.trim_end().split_once(' ')) {
            match name {
                "state" => holder.released = value == "released",
                "broker" => holder.broker = value.to_owned(),
                "host" => holder.host = value.to_owned(),
                "address" => holder.address = value.to_owned(),
                "process" => holder.process = value.parse().unwrap_or(0),
                "since" => holder.since = value.to_owned(),
                "epoch" => holder.epoch = value.parse().ok(),
                "file" => holder.file = value.parse().unwrap_or(0),
                "window_ms" => holder.window_ms = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        Ok(Some(holder))
    }
}

/// On one line and short enough for the file.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || !c.is_ascii() { '?' } else { c }).take(NAME_CHARS_MAX).collect()
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { broker, host, address, process, since, .. } = self;
        write!(f, "broker {broker} on {host}, process {process}, running since {since}")?;
        if !address.is_empty() {
            write!(f, ", serving {address}")?;
        }
        match self.epoch {
            Some(epoch) => write!(f, ", epoch {epoch}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Holder {
        Holder {
            released: false,
            broker: "north".into(),
            host: "amq1".into(),
            address: "tcp://amq1:61616".into(),
            process: 4711,
            since: "2026-11-26T12:00:00Z".into(),
            epoch: Some(7),
            file: 1_234_567,
            window_ms: 2000,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for holder in [
            sample(),
            Holder { released: true, ..sample() },
            Holder { epoch: None, address: String::new(), ..sample() },
            Holder { broker: "b".repeat(NAME_CHARS_MAX), host: "h".repeat(NAME_CHARS_MAX), ..sample() },
        ] {
            let bytes = holder.encode();
            assert_eq!(bytes.len(), HOLDER_BYTES);
            assert_eq!(Holder::decode(&bytes), Ok(Some(holder)));
        }
        let odd = Holder { broker: "a\nstate released\u{e4}".into(), ..sample() };
        let read = Holder::decode(&odd.encode()).expect("ours").expect("whole");
        assert_eq!((read.broker.as_str(), read.released), ("a?state released?", false));
        assert_eq!(
            sample().to_string(),
            "broker north on amq1, process 4711, running since 2026-11-26T12:00:00Z, serving tcp://amq1:61616, epoch 7"
        );
    }

    /// A text that was cut short never passes for a whole one of another holder; other programs' files are told apart.
    #[test]
    fn what_is_not_whole_or_not_ours() {
        let whole = sample().encode();
        for length in 0..=MARK.len() {
            assert_eq!(Holder::decode(&whole[..length]), Ok(None), "{length}");
        }
        for length in MARK.len() + 1..whole.len() {
            let read = Holder::decode(&whole[..length]).expect("ours").expect("begun");
            assert!(!read.released, "{length}");
        }
        assert_eq!(Holder::decode(&[0; HOLDER_BYTES]), Ok(None));
        // ActiveMQ writes a time of eight bytes, or nothing.
        for foreign in [&b"\0\0\x01\x8f\x10\x20\x30\x40"[..], b"4711\n", b"jackfield lock, format x", &[0xff; 9]] {
            assert_eq!(Holder::decode(foreign), Err(HolderError::Foreign), "{foreign:?}");
        }
        assert_eq!(Holder::decode(b"jackfield lock, format 2\n"), Err(HolderError::Newer { found: 2 }));
    }
}
