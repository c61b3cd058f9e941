//! Single fields, written and read.

use bytes::Bytes;
use message::{ProducerId, Text};

use super::FormatError;

pub(super) fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, (value << 1 ^ value >> 63) as u64);
}

pub(super) fn put_slice(out: &mut Vec<u8>, slice: &[u8]) {
    put_unsigned(out, slice.len() as u64);
    out.extend_from_slice(slice);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_slice(out, text.as_bytes());
}

/// Reads fields one after the other. With `shared`, texts and bytes are slices of it and cost no copy.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    shared: Option<&'a Bytes>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, shared: None }
    }

    /// From now on texts and bytes are slices of `shared`, which must be what `bytes` is part of.
    pub(super) fn sharing(mut self, shared: &'a Bytes) -> Reader<'a> {
        self.shared = Some(shared);
        self
    }

    pub(super) fn impossible(&self, field: &'static str) -> FormatError {
        FormatError::Value { field, offset: self.at }
    }

    pub(super) fn end(&self) -> Result<(), FormatError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(FormatError::LeftOver { left }),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8, FormatError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn unsigned(&mut self, field: &'static str) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                // One way to write each number, so that equal records are equal bytes.
                return if byte == 0 && shift > 0 { Err(self.impossible(field)) } else { Ok(value) };
            }
        }
        Err(self.impossible(field))
    }

    pub(super) fn signed(&mut self, field: &'static str) -> Result<i64, FormatError> {
        let raw = self.unsigned(field)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, FormatError> {
        u32::try_from(self.unsigned(field)?).map_err(|_| self.impossible(field))
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, FormatError> {
        i32::try_from(self.signed(field)?).map_err(|_| self.impossible(field))
    }

    pub(super) fn bytes(&mut self, field: &'static str) -> Result<Bytes, FormatError> {
        let length = self.unsigned(field)?;
        let slice = self.take_long(length)?;
        Ok(match self.shared {
            Some(shared) => shared.slice_ref(slice),
            None => Bytes::copy_from_slice(slice),
        })
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<Text, FormatError> {
        Text::try_from(self.bytes(field)?).map_err(|_| self.impossible(field))
    }

    pub(super) fn producer_id(&mut self) -> Result<ProducerId, FormatError> {
        Ok(ProducerId {
            connection: self.text("producer connection")?,
            session: self.signed("producer session")?,
            value: self.signed("producer value")?,
        })
    }

    fn take(&mut self, need: usize) -> Result<&'a [u8], FormatError> {
        let have = self.bytes.len() - self.at;
        if need > have {
            return Err(FormatError::Truncated { offset: self.at, need: need as u64, have });
        }
        let slice = &self.bytes[self.at..self.at + need];
        self.at += need;
        Ok(slice)
    }

    fn take_long(&mut self, need: u64) -> Result<&'a [u8], FormatError> {
        let have = self.bytes.len() - self.at;
        match usize::try_from(need) {
            Ok(need) => self.take(need),
            Err(_) => Err(FormatError::Truncated { offset: self.at, need, have }),
        }
    }
}
