//! Writes the fields of one frame, loose or tight (W09, W10).

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::Error;
use super::cache::{Cacheable, Sent};
use super::decoder::{marshal_aware, since};
use super::fields::{Header, Nested, Throwable};
use super::text::{self, Shape};

/// Bytes of a throwable's message that are sent at most.
const THROWABLE_MESSAGE_BYTES_MAX: usize = 4096;

/// The booleans of a tight frame, eight to a byte, lowest bit first.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn push(&mut self, value: bool) {
        let place = self.count % 8;
        self.count += 1;
        match self.bytes.last_mut() {
            Some(last) if place != 0 => *last |= u8::from(value) << place,
            _ => self.bytes.push(value.into()),
        }
    }
}

/// Appends the bytes of a frame to `out`; with `TIGHT`, its booleans go to `bits`.
///
/// One pass does for both: whoever begins the frame puts the bit stream before the bytes.
pub(super) struct Encoder<'a, const TIGHT: bool> {
    pub(super) out: &'a mut BytesMut,
    pub(super) bits: &'a mut Bits,
    pub(super) cache: Option<&'a mut Sent>,
    pub(super) version: u8,
    pub(super) stack_trace: bool,
    /// The field being written, for errors.
    pub(super) what: &'static str,
}

impl<const TIGHT: bool> Encoder<'_, TIGHT> {
    pub(super) fn byte(&mut self, value: &u8) -> Result<(), Error> {
        self.out.put_u8(*value);
        Ok(())
    }

    pub(super) fn int(&mut self, value: &i32) -> Result<(), Error> {
        self.out.put_i32(*value);
        Ok(())
    }

    pub(super) fn long(&mut self, value: &i64) -> Result<(), Error> {
        let value = *value;
        if !TIGHT {
            self.out.put_i64(value);
            return Ok(());
        }
        let (first, second) = match value {
            0 => (false, false),
            1..=0xffff => (false, true),
            0x1_0000..=0xffff_ffff => (true, false),
            _ => (true, true),
        };
        self.bits.push(first);
        self.bits.push(second);
        match (first, second) {
            (false, false) => {}
            (false, true) => self.out.put_u16(value as u16),
            (true, false) => self.out.put_u32(value as u32),
            (true, true) => self.out.put_i64(value),
        }
        Ok(())
    }

    fn flag(&mut self, value: bool) {
        if TIGHT {
            self.bits.push(value);
        } else {
            self.out.put_u8(value.into());
        }
    }

    pub(super) fn boolean(&mut self, value: &bool) -> Result<(), Error> {
        self.flag(*value);
        Ok(())
    }

    pub(super) fn header(&mut self, header: &Header) -> Result<(), Error> {
        self.int(&header.command_id)?;
        self.boolean(&header.response_required)
    }

    pub(super) fn bytes(&mut self, value: &Option<Bytes>) -> Result<(), Error> {
        self.flag(value.is_some());
        let Some(value) = value else { return Ok(()) };
        self.sequence(value)
    }

    pub(super) fn blob(&mut self, value: &Bytes) -> Result<(), Error> {
        self.flag(true);
        self.sequence(value)
    }

    fn sequence(&mut self, value: &Bytes) -> Result<(), Error> {
        let length = i32::try_from(value.len()).map_err(|_| self.too_many(value.len(), i32::MAX as usize))?;
        self.out.put_i32(length);
        self.out.put_slice(value);
        Ok(())
    }

    #[cold]
    fn too_many(&self, need: usize, have: usize) -> Error {
        Error::TooMany { what: self.what, offset: self.out.len(), need, have }
    }

    pub(super) fn string(&mut self, value: &Option<ByteString>) -> Result<(), Error> {
        match value {
            Some(value) => self.name(value),
            None => {
                self.flag(false);
                Ok(())
            }
        }
    }

    pub(super) fn name(&mut self, value: &ByteString) -> Result<(), Error> {
        self.flag(true);
        let shape = text::shape(value);
        let length = if shape == Shape::Differs { text::encoded_length(value) } else { value.len() };
        let most = if TIGHT { i16::MAX as usize - 1 } else { u16::MAX as usize };
        if length > most {
            return Err(self.too_many(length, most));
        }
        if TIGHT {
            self.bits.push(shape == Shape::Ascii);
        }
        self.out.put_u16(length as u16);
        if shape == Shape::Differs {
            text::put(value, self.out);
        } else {
            self.out.put_slice(value.as_bytes());
        }
        Ok(())
    }

    fn nested_value<T: Nested>(&mut self, value: &T) -> Result<(), Error> {
        let data_type = value.data_type();
        self.known(data_type)?;
        self.out.put_u8(data_type);
        if TIGHT && marshal_aware(data_type) {
            self.bits.push(false);
        }
        value.write(self)
    }

    /// Refuses a data type that the agreed version does not have.
    pub(super) fn known(&self, data_type: u8) -> Result<(), Error> {
        if self.version >= since(data_type) {
            return Ok(());
        }
        Err(Error::UnknownType { what: self.what, offset: self.out.len(), data_type, version: self.version })
    }

    pub(super) fn nested<T: Nested>(&mut self, value: &Option<T>) -> Result<(), Error> {
        self.nested_ref(value.as_ref())
    }

    pub(super) fn boxed<T: Nested>(&mut self, value: &Option<Box<T>>) -> Result<(), Error> {
        self.nested_ref(value.as_deref())
    }

    pub(super) fn nested_ref<T: Nested>(&mut self, value: Option<&T>) -> Result<(), Error> {
        self.flag(value.is_some());
        match value {
            Some(value) => self.nested_value(value),
            None => Ok(()),
        }
    }

    pub(super) fn cached<T: Nested + Cacheable>(&mut self, value: &Option<T>) -> Result<(), Error> {
        self.cached_ref(value.as_ref())
    }

    pub(super) fn cached_default<T>(&mut self, value: &T) -> Result<(), Error>
    where
        T: Nested + Cacheable + Default + PartialEq,
    {
        self.cached_ref((*value != T::default()).then_some(value))
    }

    pub(super) fn cached_ref<T: Nested + Cacheable>(&mut self, value: Option<&T>) -> Result<(), Error> {
        let Some(cache) = &mut self.cache else { return self.nested_ref(value) };
        let (hash, found) = match value {
            None => (0, cache.find_null()),
            Some(value) => {
                let hash = cache.hash(value);
                (hash, cache.find(hash, value))
            }
        };
        if let Some(index) = found {
            self.flag(false);
            self.out.put_u16(index);
            return Ok(());
        }
        if !TIGHT {
            let index = cache.insert(hash, value);
            self.flag(true);
            self.out.put_i16(index);
            return self.nested_ref(value);
        }
        // ActiveMQ numbers a tight object after the objects within it, although its index stands before them.
        self.flag(true);
        let place = self.out.len();
        self.out.put_i16(-1);
        self.nested_ref(value)?;
        if let Some(cache) = &mut self.cache {
            let index = cache.insert(hash, value);
            self.out[place..place + 2].copy_from_slice(&index.to_be_bytes());
        }
        Ok(())
    }

    pub(super) fn array<T: Nested>(&mut self, values: &Option<Vec<T>>) -> Result<(), Error> {
        self.flag(values.is_some());
        let Some(values) = values else { return Ok(()) };
        let count = i16::try_from(values.len()).map_err(|_| self.too_many(values.len(), i16::MAX as usize))?;
        self.out.put_i16(count);
        for value in values {
            self.flag(true);
            self.nested_value(value)?;
        }
        Ok(())
    }

    /// Class name and message, with no stack trace elements and no cause. A long message is cut: an error must not
    /// fail to be told.
    pub(super) fn throwable(&mut self, value: &Option<Throwable>) -> Result<(), Error> {
        self.flag(value.is_some());
        let Some(value) = value else { return Ok(()) };
        self.name(&value.class)?;
        match &value.message {
            Some(message) if message.len() > THROWABLE_MESSAGE_BYTES_MAX => {
                self.name(&message[..message.floor_char_boundary(THROWABLE_MESSAGE_BYTES_MAX)].into())?;
            }
            message => self.string(message)?,
        }
        if self.stack_trace {
            self.out.put_i16(0);
            self.flag(false);
        }
        Ok(())
    }

    pub(super) fn magic(&mut self, value: &[u8; 8]) -> Result<(), Error> {
        self.out.put_slice(value);
        Ok(())
    }
}
