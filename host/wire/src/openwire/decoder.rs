//! Reads the fields of one frame, loose or tight (W09, W10).

use bytes::Bytes;
use bytestring::ByteString;

use super::cache::{Cacheable, Received};
use super::fields::{Header, Nested, Throwable};
use super::limits::Limits;
use super::{Error, text};

/// A place in a frame. Strings and byte sequences that it gives out are slices of the frame.
///
/// With `TIGHT`, booleans come from the bit stream at the head of the object, everything else from the bytes behind.
pub(super) struct Decoder<'a, const TIGHT: bool> {
    frame: &'a Bytes,
    at: usize,
    /// Next bit and end of the bit stream, counted in bits from the start of the frame.
    bit: usize,
    bit_end: usize,
    limits: &'a Limits,
    cache: Option<&'a mut Received>,
    depth: usize,
    items: usize,
    pub(super) version: u8,
    stack_trace: bool,
    /// The field being read, for errors.
    pub(super) what: &'static str,
}

impl<'a, const TIGHT: bool> Decoder<'a, TIGHT> {
    pub(super) fn new(
        frame: &'a Bytes,
        at: usize,
        limits: &'a Limits,
        cache: Option<&'a mut Received>,
        version: u8,
        stack_trace: bool,
    ) -> Self {
        Self {
            frame,
            at,
            bit: 0,
            bit_end: 0,
            limits,
            cache,
            depth: 0,
            items: 0,
            version,
            stack_trace,
            what: "data type",
        }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    fn take(&mut self, need: usize) -> Result<usize, Error> {
        let start = self.at;
        let have = self.frame.len() - start;
        if need > have {
            return Err(Error::Truncated { what: self.what, offset: start, need, have });
        }
        self.at = start + need;
        Ok(start)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let start = self.take(N)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.frame[start..start + N]);
        Ok(bytes)
    }

    fn slice(&mut self, need: usize) -> Result<Bytes, Error> {
        let start = self.take(need)?;
        Ok(self.frame.slice(start..start + need))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        let start = self.take(1)?;
        Ok(self.frame[start])
    }

    fn short(&mut self) -> Result<i16, Error> {
        self.array_of().map(i16::from_be_bytes)
    }

    pub(super) fn int(&mut self) -> Result<i32, Error> {
        self.array_of().map(i32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<i64, Error> {
        if !TIGHT {
            return self.array_of().map(i64::from_be_bytes);
        }
        match (self.boolean()?, self.boolean()?) {
            (false, false) => Ok(0),
            (false, true) => self.array_of().map(|bytes| u16::from_be_bytes(bytes).into()),
            (true, false) => self.array_of().map(|bytes| u32::from_be_bytes(bytes).into()),
            (true, true) => self.array_of().map(i64::from_be_bytes),
        }
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Error> {
        if !TIGHT {
            return Ok(self.byte()? != 0);
        }
        if self.bit >= self.bit_end {
            return Err(Error::BitsExhausted { what: self.what, offset: self.at });
        }
        let bit = self.bit;
        self.bit += 1;
        Ok(self.frame[bit / 8] >> (bit % 8) & 1 != 0)
    }

    /// Enters the bit stream of an object: a size of 1, 2 or 3 bytes and the packed booleans.
    pub(super) fn bit_stream(&mut self) -> Result<(), Error> {
        self.what = "bit stream";
        let length = match self.byte()? {
            0xc0 => usize::from(self.byte()?),
            0x80 => {
                let length = self.short()?;
                self.length(length.into(), 2)?
            }
            length => usize::from(length),
        };
        let start = self.take(length)?;
        (self.bit, self.bit_end) = (start * 8, (start + length) * 8);
        Ok(())
    }

    /// A length just read from `bytes` bytes, refused when negative.
    fn length(&self, length: i64, bytes: usize) -> Result<usize, Error> {
        usize::try_from(length).map_err(|_| Error::NegativeLength { what: self.what, offset: self.at - bytes, length })
    }

    pub(super) fn header(&mut self) -> Result<Header, Error> {
        Ok(Header { command_id: self.int()?, response_required: self.boolean()? })
    }

    pub(super) fn bytes(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.boolean()? {
            return Ok(None);
        }
        let length = self.int()?;
        let length = self.length(length.into(), 4)?;
        self.slice(length).map(Some)
    }

    /// A byte sequence for which null and empty are one.
    pub(super) fn blob(&mut self) -> Result<Bytes, Error> {
        self.bytes().map(Option::unwrap_or_default)
    }

    pub(super) fn string(&mut self) -> Result<Option<ByteString>, Error> {
        if !self.boolean()? {
            return Ok(None);
        }
        let ascii = TIGHT && self.boolean()?;
        let length = self.short()?;
        // Java reads the length of a tight ASCII string as signed, every other one as unsigned.
        let length = if ascii { self.length(length.into(), 2)? } else { usize::from(length as u16) };
        let limit = self.limits.string_bytes_max;
        if length > limit {
            return Err(Error::TooMany { what: self.what, offset: self.at, need: length, have: limit });
        }
        let offset = self.at;
        let bytes = self.slice(length)?;
        match ByteString::try_from(bytes) {
            Ok(string) => Ok(Some(string)),
            Err(_) => self.odd_string(offset, ascii).map(Some),
        }
    }

    #[cold]
    fn odd_string(&self, offset: usize, ascii: bool) -> Result<ByteString, Error> {
        let bytes = &self.frame[offset..self.at];
        if ascii {
            return Ok(text::parse_latin(bytes).into());
        }
        let string = text::parse(bytes).ok_or(Error::Text { what: self.what, offset })?;
        Ok(string.into())
    }

    /// A string for which null and empty are one.
    pub(super) fn name(&mut self) -> Result<ByteString, Error> {
        self.string().map(Option::unwrap_or_default)
    }

    /// The data type of an object, checked against the agreed version; tight objects that can carry a marshalled form
    /// of their own say so in a bit.
    fn nested_value<T: Nested>(&mut self) -> Result<T, Error> {
        let what = self.what;
        let offset = self.at;
        let data_type = self.byte()?;
        if self.depth >= self.limits.nesting_depth_max {
            return Err(Error::TooDeep { what, offset, have: self.limits.nesting_depth_max });
        }
        self.known(data_type)?;
        self.depth += 1;
        let value = if TIGHT && marshal_aware(data_type) && self.boolean()? {
            // A form marshalled earlier: its size, its type, then bits and bytes of its own.
            self.int()?;
            self.byte()?;
            let outer = (self.bit, self.bit_end);
            self.bit_stream()?;
            let value = T::read(self, data_type);
            (self.bit, self.bit_end) = outer;
            value?
        } else {
            T::read(self, data_type)?
        };
        self.depth -= 1;
        self.what = what;
        Ok(value)
    }

    /// Refuses a data type that the agreed version does not have; its byte was the last one read.
    pub(super) fn known(&self, data_type: u8) -> Result<(), Error> {
        if self.version >= since(data_type) {
            return Ok(());
        }
        Err(Error::UnknownType { what: self.what, offset: self.at - 1, data_type, version: self.version })
    }

    /// The error for a type that exists but must not stand here; its byte was the last one read.
    pub(super) fn unexpected<T>(&self, data_type: u8) -> Result<T, Error> {
        Err(Error::UnexpectedType { what: self.what, offset: self.at, data_type })
    }

    pub(super) fn nested<T: Nested>(&mut self) -> Result<Option<T>, Error> {
        if self.boolean()? { self.nested_value().map(Some) } else { Ok(None) }
    }

    pub(super) fn boxed<T: Nested>(&mut self) -> Result<Option<Box<T>>, Error> {
        if self.boolean()? { self.nested_value().map(Box::new).map(Some) } else { Ok(None) }
    }

    pub(super) fn cached<T: Nested + Cacheable>(&mut self) -> Result<Option<T>, Error> {
        if self.cache.is_none() {
            return self.nested();
        }
        let what = self.what;
        let new = self.boolean()?;
        let offset = self.at;
        let index = self.short()?;
        if new {
            let value = self.nested()?;
            let Some(cache) = &mut self.cache else { return Ok(value) };
            match cache.set::<T>(index, value.as_ref()) {
                Ok(true) => return Ok(value),
                Ok(false) => {}
                Err(need) => return Err(Error::TooMany { what, offset, need, have: self.limits.cache_bytes_max }),
            }
        } else {
            match self.cache.as_ref().and_then(|cache| cache.get(index)) {
                Some(super::cache::Cached::Null) => return Ok(None),
                Some(cached) => {
                    if let Some(value) = T::load(cached) {
                        return Ok(Some(value));
                    }
                }
                None => {}
            }
        }
        let have = self.cache.as_ref().map_or(0, |cache| cache.size());
        Err(Error::CacheIndex { what, offset, index, have })
    }

    /// A cached object for which null and the default are one.
    pub(super) fn cached_default<T: Nested + Cacheable + Default>(&mut self) -> Result<T, Error> {
        self.cached().map(Option::unwrap_or_default)
    }

    pub(super) fn array<T: Nested>(&mut self) -> Result<Option<Vec<T>>, Error> {
        if !self.boolean()? {
            return Ok(None);
        }
        let offset = self.at;
        let count = self.short()?;
        let count = self.length(count.into(), 2)?;
        self.items += count;
        let limit = self.limits.array_items_max;
        if self.items > limit {
            return Err(Error::TooMany { what: self.what, offset, need: self.items, have: limit });
        }
        // Grown by what really arrives; a count that is not followed by elements sets nothing aside.
        let mut values = Vec::new();
        for _ in 0..count {
            if !self.boolean()? {
                return Err(Error::Null { what: self.what, offset: self.at });
            }
            values.push(self.nested_value()?);
        }
        Ok(Some(values))
    }

    /// Class name and message; stack trace and causes are read and dropped, nothing is ever built from them (H29).
    pub(super) fn throwable(&mut self) -> Result<Option<Throwable>, Error> {
        if !self.boolean()? {
            return Ok(None);
        }
        let throwable = Throwable { class: self.name()?, message: self.string()? };
        let (mut elements, mut causes) = (0, 0);
        while self.stack_trace {
            let offset = self.at;
            let count = self.short()?;
            let count = self.length(count.into(), 2)?;
            elements += count;
            let limit = self.limits.stack_trace_elements_max;
            if elements > limit {
                return Err(Error::TooMany { what: self.what, offset, need: elements, have: limit });
            }
            for _ in 0..count {
                self.skip_string()?;
                self.skip_string()?;
                self.skip_string()?;
                self.int()?;
            }
            if !self.boolean()? {
                break;
            }
            causes += 1;
            if causes > self.limits.nesting_depth_max {
                return Err(Error::TooDeep { what: self.what, offset, have: self.limits.nesting_depth_max });
            }
            self.skip_string()?;
            self.skip_string()?;
        }
        Ok(Some(throwable))
    }

    fn skip_string(&mut self) -> Result<(), Error> {
        if !self.boolean()? {
            return Ok(());
        }
        let ascii = TIGHT && self.boolean()?;
        let length = self.short()?;
        let length = if ascii { self.length(length.into(), 2)? } else { usize::from(length as u16) };
        self.take(length).map(drop)
    }

    /// Exactly eight bytes.
    pub(super) fn magic(&mut self) -> Result<[u8; 8], Error> {
        self.array_of()
    }
}

/// The version that brought a data type; 255 for types that do not exist.
pub(super) fn since(data_type: u8) -> u8 {
    match data_type {
        1..=12 | 14..=18 | 21..=28 | 30..=34 | 40 | 50 | 52..=55 | 60 | 61 | 65 | 90 | 91 => 1,
        100..=103 | 110..=112 | 120..=124 => 1,
        20 => 2,
        19 | 29 => 3,
        92 => 12,
        _ => 255,
    }
}

/// Types that tell in a bit whether a form marshalled earlier follows: messages and `WireFormatInfo`.
pub(super) fn marshal_aware(data_type: u8) -> bool {
    matches!(data_type, 1 | 23..=29)
}
