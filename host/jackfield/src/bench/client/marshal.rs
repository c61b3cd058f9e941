//! OpenWire's two encodings seen from the client's side: tight (a bit stream in front, short longs) and loose.
//!
//! The generator has its own small marshaller on purpose. A judge that reads with the broker's codec cannot see a
//! mistake that both ends share, and a marshaller that knows only a dozen commands allocates nothing per message.

use super::Failure;

/// What both sides agreed on in their `WireFormatInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Tight encoding instead of loose.
    pub(crate) tight: bool,
    /// Number of slots of the object cache; 0 when the cache is off.
    pub(crate) cache_slots: usize,
}

impl Format {
    /// What every side speaks before the handshake.
    pub(crate) const FIRST: Self = Self { tight: false, cache_slots: 0 };
}

/// Writes one command at a time; bits and data are gathered apart because tight encoding sends all bits first.
pub(crate) struct Writer {
    pub(crate) format: Format,
    kind: u8,
    bits: u128,
    bits_len: u32,
    data: Vec<u8>,
    /// Slots of the peer's cache that hold a value of ours.
    sent: Vec<bool>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            format: Format::FIRST,
            kind: 0,
            bits: 0,
            bits_len: 0,
            data: Vec::with_capacity(64 << 10),
            sent: Vec::new(),
        }
    }

    /// Starts a command with the two fields that all commands but `WireFormatInfo` have.
    pub(crate) fn command(&mut self, kind: u8, id: u32, response_required: bool) {
        self.start(kind);
        self.int(id as i32);
        self.bool(response_required);
    }

    pub(crate) fn start(&mut self, kind: u8) {
        self.kind = kind;
        self.bits = 0;
        self.bits_len = 0;
        self.data.clear();
    }

    /// Appends the finished frame with its size prefix.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.format.tight {
            let bits_bytes = self.bits_len.div_ceil(8) as usize;
            let size = 2 + bits_bytes + self.data.len();
            out.extend_from_slice(&(size as u32).to_be_bytes());
            out.push(self.kind);
            out.push(bits_bytes as u8);
            out.extend_from_slice(&self.bits.to_le_bytes()[..bits_bytes]);
        } else {
            out.extend_from_slice(&(1 + self.data.len() as u32).to_be_bytes());
            out.push(self.kind);
        }
        out.extend_from_slice(&self.data);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        if self.format.tight {
            debug_assert!(self.bits_len < 128, "no command of the generator has so many bits");
            self.bits |= u128::from(value) << self.bits_len;
            self.bits_len += 1;
        } else {
            self.data.push(u8::from(value));
        }
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.data.push(value);
    }

    pub(crate) fn short(&mut self, value: i16) {
        self.data.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn int(&mut self, value: i32) {
        self.data.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn long(&mut self, value: i64) {
        if !self.format.tight {
            self.data.extend_from_slice(&value.to_be_bytes());
            return;
        }
        let bits = value as u64;
        let (high, low) = match bits {
            0 => (false, false),
            1..=0xffff => (false, true),
            0x1_0000..=0xffff_ffff => (true, false),
            _ => (true, true),
        };
        self.bool(high);
        self.bool(low);
        match (high, low) {
            (false, false) => {}
            (false, true) => self.data.extend_from_slice(&(bits as u16).to_be_bytes()),
            (true, false) => self.data.extend_from_slice(&(bits as u32).to_be_bytes()),
            (true, true) => self.data.extend_from_slice(&bits.to_be_bytes()),
        }
    }

    /// A string of at most 64 KiB; the generator only sends ASCII ones.
    pub(crate) fn string(&mut self, value: Option<&str>) {
        self.bool(value.is_some());
        let Some(value) = value else { return };
        debug_assert!(value.is_ascii());
        if self.format.tight {
            self.bool(true);
        }
        self.short(value.len() as u16 as i16);
        self.data.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn bytes(&mut self, value: Option<&[u8]>) {
        self.bool(value.is_some());
        let Some(value) = value else { return };
        self.int(value.len() as i32);
        self.data.extend_from_slice(value);
    }

    pub(crate) fn raw(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
    }

    /// A value that may live in the peer's cache; `slot` names it for the life of the connection, none sends it whole.
    pub(crate) fn cached(&mut self, slot: Option<usize>, write: impl FnOnce(&mut Self)) {
        if self.format.cache_slots == 0 {
            return write(self);
        }
        let slot = slot.filter(|slot| *slot < self.format.cache_slots);
        let known = slot.is_some_and(|slot| self.sent.get(slot).copied().unwrap_or(false));
        self.bool(!known);
        self.short(slot.map_or(-1, |slot| slot as i16));
        if known {
            return;
        }
        if let Some(slot) = slot {
            if self.sent.len() <= slot {
                self.sent.resize(slot + 1, false);
            }
            self.sent[slot] = true;
        }
        write(self);
    }

    /// The null of a nested object.
    pub(crate) fn null(&mut self) {
        self.bool(false);
    }

    /// The head of a nested object; its fields follow.
    pub(crate) fn nested(&mut self, kind: u8) {
        self.bool(true);
        self.byte(kind);
    }
}

/// Reads one frame.
pub(crate) struct Reader<'a> {
    tight: bool,
    data: &'a [u8],
    position: usize,
    bits: &'a [u8],
    bits_position: usize,
}

impl<'a> Reader<'a> {
    /// Takes a frame without its size prefix; returns the command's type and the reader of its fields.
    pub(crate) fn new(frame: &'a [u8], tight: bool) -> Result<(u8, Self), Failure> {
        let mut reader = Self { tight, data: frame, position: 0, bits: &[], bits_position: 0 };
        let kind = reader.byte()?;
        if tight && kind != super::openwire::WIRE_FORMAT_INFO {
            let len = match reader.byte()? {
                0xc0 => usize::from(reader.byte()?),
                0x80 => usize::from(reader.short()? as u16),
                len => usize::from(len),
            };
            reader.bits = reader.raw(len)?;
        } else {
            reader.tight = false;
        }
        Ok((kind, reader))
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], Failure> {
        let end = self.position.checked_add(len).filter(|end| *end <= self.data.len());
        let end = end.ok_or_else(|| Failure::Protocol(format!("frame ends early: need {len} at {}", self.position)))?;
        let slice = &self.data[self.position..end];
        self.position = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Failure> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn short(&mut self) -> Result<i16, Failure> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn int(&mut self) -> Result<i32, Failure> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Failure> {
        if !self.tight {
            return Ok(self.byte()? != 0);
        }
        let byte = self.bits.get(self.bits_position / 8);
        let byte = byte.ok_or_else(|| Failure::Protocol("bit stream ends early".into()))?;
        let bit = byte >> (self.bits_position % 8) & 1;
        self.bits_position += 1;
        Ok(bit != 0)
    }

    pub(crate) fn long(&mut self) -> Result<i64, Failure> {
        if !self.tight {
            return Ok(i64::from_be_bytes(self.array()?));
        }
        Ok(match (self.bool()?, self.bool()?) {
            (false, false) => 0,
            (false, true) => i64::from(u16::from_be_bytes(self.array()?)),
            (true, false) => i64::from(u32::from_be_bytes(self.array()?)),
            (true, true) => i64::from_be_bytes(self.array()?),
        })
    }

    pub(crate) fn string(&mut self) -> Result<Option<&'a [u8]>, Failure> {
        if !self.bool()? {
            return Ok(None);
        }
        if self.tight {
            self.bool()?;
        }
        let len = usize::from(self.short()? as u16);
        self.raw(len).map(Some)
    }

    pub(crate) fn bytes(&mut self) -> Result<Option<&'a [u8]>, Failure> {
        if !self.bool()? {
            return Ok(None);
        }
        let len = self.int()?;
        let len = usize::try_from(len).map_err(|_| Failure::Protocol(format!("byte sequence of length {len}")))?;
        self.raw(len).map(Some)
    }

    /// Class and message of a throwable; stack traces are switched off in the handshake.
    pub(crate) fn throwable(&mut self) -> Result<String, Failure> {
        if !self.bool()? {
            return Ok("no reason given".into());
        }
        let class = self.string()?.unwrap_or_default();
        let text = self.string()?.unwrap_or_default();
        Ok(format!("{}: {}", String::from_utf8_lossy(class), String::from_utf8_lossy(text)))
    }

    pub(crate) fn is_tight(&self) -> bool {
        self.tight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of field comes back as it was written, in both encodings and at the borders of the short longs.
    #[test]
    fn fields_round_trip() {
        for tight in [false, true] {
            let mut writer = Writer::new();
            writer.format = Format { tight, cache_slots: 0 };
            writer.command(21, 77, true);
            let longs = [0, 1, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, -1, i64::MIN, i64::MAX];
            longs.iter().for_each(|value| writer.long(*value));
            writer.string(Some("hello"));
            writer.string(None);
            writer.bytes(Some(b"body"));
            writer.byte(9);
            let mut out = Vec::new();
            writer.finish(&mut out);
            assert_eq!(u32::from_be_bytes(out[..4].try_into().unwrap()) as usize, out.len() - 4);
            let (kind, mut reader) = Reader::new(&out[4..], tight).unwrap();
            assert_eq!((kind, reader.int().unwrap(), reader.bool().unwrap()), (21, 77, true));
            for value in longs {
                assert_eq!(reader.long().unwrap(), value, "tight {tight}");
            }
            assert_eq!(reader.string().unwrap(), Some(&b"hello"[..]));
            assert_eq!(reader.string().unwrap(), None);
            assert_eq!(reader.bytes().unwrap(), Some(&b"body"[..]));
            assert_eq!(reader.byte().unwrap(), 9);
            assert!(reader.byte().is_err());
        }
    }

    /// A cached value is sent whole once and by its number after that; without a slot it is always whole.
    #[test]
    fn cache_sends_a_value_once() {
        let mut writer = Writer::new();
        writer.format = Format { tight: false, cache_slots: 8 };
        let mut sizes = Vec::new();
        for slot in [Some(3), Some(3), None, Some(9)] {
            writer.start(0);
            writer.cached(slot, |writer| writer.int(1));
            sizes.push(writer.data.len());
        }
        assert_eq!(sizes, [7, 3, 7, 7]);
    }
}
