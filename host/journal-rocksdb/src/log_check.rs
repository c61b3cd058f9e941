//! Tells a log whose end is torn from one that is damaged in the middle.
//!
//! The engine reads a log up to the first record that is not whole and takes that for the end. After a power cut it is.
//! But each append is synced before the next one begins, so a record that begins behind a broken one proves that the
//! broken one was durable, and confirmed, once: the disk has damaged it. Going on would lose it, and all behind it, in
//! silence.
//!
//! ```text
//! blocks of 32 KiB:   | checksum 4 | length 2 | type 1 | log number 4, in types 5 to 8 | payload |
//! types:              1 to 4: whole, first, middle, last; 5 to 8: the same in a log that may be written over
//! ```
//!
//! The checksum covers type, log number and payload. Bytes of a former life of the file carry another log number.
//!
//! A log that is not needed any more proves nothing: it may have been taken for a new one, whose first append was under way
//! when the power went, so that the beginning is new and the name the old one still.

use std::fs;
use std::path::Path;

use journal::JournalError;

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
const HEADER_NUMBERED_BYTES: usize = 11;

/// Refuses a directory with a damaged log, naming file and offset. `oldest_needed` tells, where it matters, which logs
/// still count.
pub(crate) fn check(place: &Path, oldest_needed: impl Fn() -> u64) -> Result<(), JournalError> {
    let io = |e: std::io::Error| JournalError::Io {
        attempt: "read the logs in",
        place: place.display().to_string(),
        cause: e.to_string(),
    };
    for entry in fs::read_dir(place).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        let (Some(number), true) = (number, path.extension().is_some_and(|e| e == "log")) else { continue };
        let bytes = fs::read(&path).map_err(io)?;
        if let Some((broken, whole)) = damage(&bytes, number as u32)
            && number >= oldest_needed()
        {
            return Err(JournalError::Damaged {
                what: "log",
                key: format!("{} at byte {broken}", path.display()),
                cause: format!("the record there is broken, one at byte {whole} behind it is whole"),
            });
        }
    }
    Ok(())
}

/// Where reading stops, and where a record begins behind that; `None` when nothing is behind.
fn damage(bytes: &[u8], number: u32) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        match record(bytes, at, number) {
            Some(record) => at = record.end,
            // No header fits into what is left of the block, so the next record begins behind it.
            None if BLOCK_BYTES - at % BLOCK_BYTES < HEADER_NUMBERED_BYTES => at = at.next_multiple_of(BLOCK_BYTES),
            None => break,
        }
    }
    let behind = (at + 1..bytes.len()).find(|i| record(bytes, *i, number).is_some_and(|r| r.begins))?;
    Some((at, behind))
}

struct Found {
    end: usize,
    /// It is not the continuation of another one.
    begins: bool,
}

/// The whole record of this log at this place.
fn record(bytes: &[u8], at: usize, number: u32) -> Option<Found> {
    let header = bytes.get(at..at + HEADER_BYTES)?;
    let kind = header[6];
    let header_bytes = match kind {
        1..=4 => HEADER_BYTES,
        5..=8 if bytes.get(at + HEADER_BYTES..at + HEADER_NUMBERED_BYTES)? == number.to_le_bytes() => {
            HEADER_NUMBERED_BYTES
        }
        _ => return None,
    };
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let end = at + header_bytes + length;
    if at % BLOCK_BYTES + header_bytes + length > BLOCK_BYTES {
        return None;
    }
    let computed = crc32c::crc32c(bytes.get(at + 6..end)?);
    let stored = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    // The engine stores checksums in disguise, lest a checksum over checksums be weak.
    let disguised = computed.rotate_right(15).wrapping_add(0xa282_ead8);
    (stored == disguised).then_some(Found { end, begins: matches!(kind, 1 | 2 | 5 | 6) })
}
