//! The first command of both sides (1, W02, W03): what each can do.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::Error;
use super::fields::fields;

/// What every `WireFormatInfo` starts with.
pub const MAGIC: [u8; 8] = *b"ActiveMQ";

/// Entries of a property map.
const PROPERTIES_MAX: usize = 64;
/// Bytes of a name, a string or a byte array in it.
const PROPERTY_BYTES_MAX: usize = 512;

/// What a side can do; nothing is agreed by it alone, see [`Format::renegotiate`](super::Format::renegotiate).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WireFormatInfo {
    /// `ActiveMQ`, or the peer speaks something else.
    pub magic: [u8; 8],
    /// Newest version that it speaks.
    pub version: i32,
    /// Marshalled map of properties; see [`WireFormatInfo::properties`].
    pub marshalled_properties: Option<Bytes>,
}

/// A value of the property map; maps and lists are refused (W03).
#[derive(Debug, Clone, PartialEq)]
pub enum Property {
    /// Null (0).
    Null,
    /// Boolean (1).
    Boolean(bool),
    /// Byte (2).
    Byte(i8),
    /// UTF-16 unit (3).
    Char(u16),
    /// Short (4).
    Short(i16),
    /// Integer (5): `CacheSize`.
    Int(i32),
    /// Long (6): `MaxFrameSize` and the inactivity times.
    Long(i64),
    /// Double (7).
    Double(f64),
    /// Float (8).
    Float(f32),
    /// String (9, or 13 with a 4-byte length).
    String(ByteString),
    /// Bytes (10).
    Bytes(Bytes),
}

fields!(WireFormatInfo = 1 { magic: magic, version: int, marshalled_properties: bytes });

impl WireFormatInfo {
    /// An info with these properties, in this order.
    ///
    /// Names and strings are cut off nowhere: a map that breaks W03 is refused by the peer.
    pub fn new(version: i32, properties: &[(&str, Property)]) -> Self {
        Self { magic: MAGIC, version, marshalled_properties: Some(marshal(properties)) }
    }

    /// The property map in the order of the wire: at most 64 entries, 512 bytes each, no nesting (W03).
    pub fn properties(&self) -> Result<Vec<(ByteString, Property)>, Error> {
        self.marshalled_properties.as_ref().map_or_else(|| Ok(Vec::new()), unmarshal)
    }
}

fn marshal(properties: &[(&str, Property)]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(properties.len() as i32);
    for (name, value) in properties {
        put_text(name, &mut out);
        match value {
            Property::Null => out.put_u8(0),
            Property::Boolean(value) => out.put_slice(&[1, (*value).into()]),
            Property::Byte(value) => out.put_slice(&[2, *value as u8]),
            Property::Char(value) => {
                out.put_u8(3);
                out.put_u16(*value);
            }
            Property::Short(value) => {
                out.put_u8(4);
                out.put_i16(*value);
            }
            Property::Int(value) => {
                out.put_u8(5);
                out.put_i32(*value);
            }
            Property::Long(value) => {
                out.put_u8(6);
                out.put_i64(*value);
            }
            Property::Double(value) => {
                out.put_u8(7);
                out.put_f64(*value);
            }
            Property::Float(value) => {
                out.put_u8(8);
                out.put_f32(*value);
            }
            Property::String(value) => {
                out.put_u8(9);
                put_text(value, &mut out);
            }
            Property::Bytes(value) => {
                out.put_u8(10);
                out.put_i32(value.len() as i32);
                out.put_slice(value);
            }
        }
    }
    out.freeze()
}

fn put_text(value: &str, out: &mut BytesMut) {
    let length = super::text::encoded_length(value);
    out.put_u16(length.try_into().unwrap_or(u16::MAX));
    super::text::put(value, out);
}

/// Reads the map; `bytes` is what is left, `whole` how long it was.
struct Map {
    bytes: Bytes,
    whole: usize,
}

fn unmarshal(bytes: &Bytes) -> Result<Vec<(ByteString, Property)>, Error> {
    let mut map = Map { bytes: bytes.clone(), whole: bytes.len() };
    let count = map.need(4)?.get_i32();
    let Ok(count) = usize::try_from(count) else { return Ok(Vec::new()) };
    map.bound(count, PROPERTIES_MAX)?;
    let mut properties = Vec::with_capacity(count.min(PROPERTIES_MAX));
    for _ in 0..count {
        let length = map.need(2)?.get_u16();
        let name = map.text(length.into())?;
        properties.push((name, map.value()?));
    }
    Ok(properties)
}

impl Map {
    fn offset(&self) -> usize {
        self.whole - self.bytes.len()
    }

    fn need(&mut self, need: usize) -> Result<Bytes, Error> {
        let have = self.bytes.len();
        if need > have {
            return Err(Error::Truncated { what: "WireFormatInfo.properties", offset: self.offset(), need, have });
        }
        Ok(self.bytes.split_to(need))
    }

    fn bound(&self, need: usize, have: usize) -> Result<(), Error> {
        if need > have {
            return Err(Error::TooMany { what: "WireFormatInfo.properties", offset: self.offset(), need, have });
        }
        Ok(())
    }

    fn slice(&mut self, length: usize) -> Result<Bytes, Error> {
        self.bound(length, PROPERTY_BYTES_MAX)?;
        self.need(length)
    }

    fn text(&mut self, length: usize) -> Result<ByteString, Error> {
        let offset = self.offset();
        let bytes = self.slice(length)?;
        ByteString::try_from(bytes.clone())
            .ok()
            .or_else(|| super::text::parse(&bytes).map(ByteString::from))
            .ok_or(Error::Text { what: "WireFormatInfo.properties", offset })
    }

    fn length(&mut self) -> Result<usize, Error> {
        let offset = self.offset();
        let length = self.need(4)?.get_i32();
        usize::try_from(length).map_err(|_| Error::NegativeLength {
            what: "WireFormatInfo.properties",
            offset,
            length: length.into(),
        })
    }

    fn value(&mut self) -> Result<Property, Error> {
        let offset = self.offset();
        Ok(match self.need(1)?.get_u8() {
            0 => Property::Null,
            1 => Property::Boolean(self.need(1)?.get_u8() != 0),
            2 => Property::Byte(self.need(1)?.get_i8()),
            3 => Property::Char(self.need(2)?.get_u16()),
            4 => Property::Short(self.need(2)?.get_i16()),
            5 => Property::Int(self.need(4)?.get_i32()),
            6 => Property::Long(self.need(8)?.get_i64()),
            7 => Property::Double(self.need(8)?.get_f64()),
            8 => Property::Float(self.need(4)?.get_f32()),
            9 => {
                let length = self.need(2)?.get_u16();
                Property::String(self.text(length.into())?)
            }
            10 => {
                let length = self.length()?;
                Property::Bytes(self.slice(length)?)
            }
            13 => {
                let length = self.length()?;
                Property::String(self.text(length)?)
            }
            data_type => return Err(Error::Property { offset, data_type }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_go_out_and_come_back() {
        let properties = [
            ("a", Property::Null),
            ("b", Property::Boolean(true)),
            ("c", Property::Byte(-1)),
            ("d", Property::Char(0x20ac)),
            ("e", Property::Short(-2)),
            ("f", Property::Int(1024)),
            ("g", Property::Long(i64::MAX)),
            ("h", Property::Double(1.5)),
            ("i", Property::Float(-0.5)),
            ("j", Property::String("broker \0 €".into())),
            ("k", Property::Bytes(Bytes::from_static(b"\0\xff"))),
        ];
        let info = WireFormatInfo::new(12, &properties);
        let read = info.properties().expect("a map that we wrote ourselves");
        assert_eq!(read.len(), properties.len());
        for ((name, value), (read_name, read_value)) in properties.iter().zip(&read) {
            assert_eq!((*name, value), (&read_name[..], read_value));
        }
    }

    #[test]
    fn maps_that_break_the_rules_are_refused() {
        let many: Vec<_> = (0..65).map(|_| ("x", Property::Null)).collect();
        let long = [("x", Property::String("y".repeat(513).into()))];
        for info in [WireFormatInfo::new(12, &many), WireFormatInfo::new(12, &long)] {
            assert!(matches!(info.properties(), Err(Error::TooMany { .. })));
        }
        for bytes in [&b"\0\0\0\x01\0\x01x\x0b\0\0\0\0"[..], b"\0\0\0\x01\0\x01x\x0c\0\0\0\0", b"\0\0\0\x01\0\x01x\x7f"]
        {
            let info = WireFormatInfo { marshalled_properties: Some(Bytes::from_static(bytes)), ..Default::default() };
            assert!(matches!(info.properties(), Err(Error::Property { .. })), "{bytes:?}");
        }
    }
}
