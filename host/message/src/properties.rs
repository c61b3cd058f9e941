//! Application properties, kept in the encoding OpenWire clients send them in, so that a message that only passes
//! through is never taken apart: a 4-byte count, then per property a name (2-byte length, modified UTF-8), a type byte
//! and the value, all big-endian.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::Text;

/// Bounds on what a peer may send as properties.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Properties in one map and all maps and lists within it together.
    pub count_max: usize,
    /// Maps and lists within one another.
    pub depth_max: usize,
    /// Bytes of the whole encoding.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { count_max: 4096, depth_max: 16, bytes_max: 8 * 1024 * 1024 }
    }
}

/// Why a property map was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PropertyError {
    /// The bytes end inside a value.
    #[error("properties end at byte {offset}: {need} more bytes announced, {have} are there")]
    Short {
        /// Where.
        offset: usize,
        /// Bytes announced.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// More properties than [`Limits::count_max`].
    #[error("properties hold more than {limit} values")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Deeper than [`Limits::depth_max`].
    #[error("properties nest deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Longer than [`Limits::bytes_max`].
    #[error("properties take {have} bytes, at most {limit} are allowed")]
    TooLong {
        /// Bytes.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// No such type.
    #[error("property type {tag} at byte {offset} is unknown")]
    UnknownType {
        /// The type byte.
        tag: u8,
        /// Where.
        offset: usize,
    },
    /// A negative length.
    #[error("negative length {length} at byte {offset} of the properties")]
    Negative {
        /// The length.
        length: i32,
        /// Where.
        offset: usize,
    },
    /// A string that is no modified UTF-8.
    #[error("string at byte {offset} of the properties is not valid UTF-8")]
    Encoding {
        /// Where.
        offset: usize,
    },
}

/// The properties of one message: a checked encoding. Empty maps take no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Option<Bytes>);

/// One value. Maps and lists are left in their encoding: no selector looks inside.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// Boolean.
    Bool(bool),
    /// Signed byte.
    Byte(i8),
    /// UTF-16 code unit.
    Char(u16),
    /// Signed 16 bits.
    Short(i16),
    /// Signed 32 bits.
    Int(i32),
    /// Signed 64 bits.
    Long(i64),
    /// 64-bit float.
    Double(f64),
    /// 32-bit float.
    Float(f32),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A map in this module's encoding.
    Map(&'a [u8]),
    /// A list: 4-byte count, then values.
    List(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The value as a selector compares it; null, bytes, maps and lists are unknown to selectors.
    pub fn into_selector(self) -> Option<selector::Value<'a>> {
        use selector::Value as V;
        Some(match self {
            Value::Bool(v) => V::Bool(v),
            Value::Byte(v) => V::Int(v.into()),
            Value::Short(v) => V::Int(v.into()),
            Value::Int(v) => V::Int(v.into()),
            Value::Long(v) => V::Int(v),
            Value::Double(v) => V::Float(v),
            Value::Float(v) => V::Float(v.into()),
            Value::Char(v) => V::Owned(String::from_utf16_lossy(&[v]).into()),
            Value::Text(Cow::Borrowed(v)) => V::Str(v),
            Value::Text(Cow::Owned(v)) => V::Owned(v.into()),
            Value::Null | Value::Bytes(_) | Value::Map(_) | Value::List(_) => return None,
        })
    }

    /// The value as text, as STOMP headers show it; `None` for null, bytes, maps and lists.
    pub fn to_text(&self) -> Option<Cow<'a, str>> {
        Some(match self {
            Value::Text(v) => v.clone(),
            Value::Bool(v) => Cow::Borrowed(if *v { "true" } else { "false" }),
            Value::Byte(v) => v.to_string().into(),
            Value::Char(v) => String::from_utf16_lossy(&[*v]).into(),
            Value::Short(v) => v.to_string().into(),
            Value::Int(v) => v.to_string().into(),
            Value::Long(v) => v.to_string().into(),
            Value::Double(v) => v.to_string().into(),
            Value::Float(v) => v.to_string().into(),
            Value::Null | Value::Bytes(_) | Value::Map(_) | Value::List(_) => return None,
        })
    }
}

impl Properties {
    /// Takes the encoding from a client after checking every length, count and depth in it. A null map (count -1) and
    /// an empty one are the same.
    pub fn from_encoded(bytes: Bytes, limits: &Limits) -> Result<Properties, PropertyError> {
        if bytes.is_empty() {
            return Ok(Properties(None));
        }
        if bytes.len() > limits.bytes_max {
            return Err(PropertyError::TooLong { have: bytes.len(), limit: limits.bytes_max });
        }
        let mut check = Check { reader: Reader { bytes: &bytes, at: 0 }, limits, values: 0 };
        let count = check.map(0)?;
        let end = check.reader.at;
        Ok(if count == 0 { Properties(None) } else { Properties(Some(bytes.slice(..end))) })
    }

    /// The encoding; `None` when there are no properties.
    pub fn encoded(&self) -> Option<&Bytes> {
        self.0.as_ref()
    }

    /// Bytes of the encoding.
    pub fn len_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, Bytes::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of this name; the last one when a client sent the name twice, as a Java map would keep it.
    pub fn get(&self, name: &str) -> Option<Value<'_>> {
        let mut found = None;
        let mut walk = self.iter();
        while let Some((key, value)) = walk.next_raw() {
            if key == name.as_bytes() {
                found = Some(value);
            }
        }
        found
    }

    /// All names and values in the order they were sent.
    pub fn iter(&self) -> Iter<'_> {
        let bytes: &[u8] = self.0.as_deref().unwrap_or(&[]);
        let mut reader = Reader { bytes, at: 0 };
        let left = reader.i32().map_or(0, |n| n.max(0) as usize);
        Iter { reader, left }
    }

    /// These properties with one more, or with one replaced.
    pub fn with(&self, name: &str, value: &Value<'_>) -> Properties {
        let mut builder = Builder::new();
        for (key, old) in self.iter() {
            if key != name {
                builder.push(&key, &old);
            }
        }
        builder.push(name, value);
        builder.finish()
    }
}

/// Writes properties one by one.
#[derive(Debug)]
pub struct Builder {
    out: BytesMut,
    count: i32,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// Longest name, in bytes of its encoding; longer ones are left out by [`Builder::push`].
    pub const NAME_BYTES_MAX: usize = u16::MAX as usize;

    /// An empty map.
    pub fn new() -> Builder {
        let mut out = BytesMut::new();
        out.put_i32(0);
        Builder { out, count: 0 }
    }

    /// Adds a property. Returns false, and adds nothing, when the name is longer than [`Builder::NAME_BYTES_MAX`].
    pub fn push(&mut self, name: &str, value: &Value<'_>) -> bool {
        let name = to_modified(name);
        let Ok(length) = u16::try_from(name.len()) else { return false };
        self.out.put_u16(length);
        self.out.put_slice(&name);
        put_value(&mut self.out, value);
        self.count += 1;
        true
    }

    /// The finished map.
    pub fn finish(mut self) -> Properties {
        if self.count == 0 {
            return Properties(None);
        }
        self.out[..4].copy_from_slice(&self.count.to_be_bytes());
        Properties(Some(self.out.freeze()))
    }
}

fn put_value(out: &mut BytesMut, value: &Value<'_>) {
    match value {
        Value::Null => out.put_u8(0),
        Value::Bool(v) => {
            out.put_u8(1);
            out.put_u8(u8::from(*v));
        }
        Value::Byte(v) => {
            out.put_u8(2);
            out.put_i8(*v);
        }
        Value::Char(v) => {
            out.put_u8(3);
            out.put_u16(*v);
        }
        Value::Short(v) => {
            out.put_u8(4);
            out.put_i16(*v);
        }
        Value::Int(v) => {
            out.put_u8(5);
            out.put_i32(*v);
        }
        Value::Long(v) => {
            out.put_u8(6);
            out.put_i64(*v);
        }
        Value::Double(v) => {
            out.put_u8(7);
            out.put_f64(*v);
        }
        Value::Float(v) => {
            out.put_u8(8);
            out.put_f32(*v);
        }
        Value::Text(v) => {
            let text = to_modified(v);
            // Java readers take at most 8191 characters in the short form's buffers of old versions; the long form is
            // read by all.
            match u16::try_from(text.len()) {
                Ok(length) if length <= 8191 => {
                    out.put_u8(9);
                    out.put_u16(length);
                }
                _ => {
                    out.put_u8(13);
                    out.put_i32(text.len() as i32);
                }
            }
            out.put_slice(&text);
        }
        Value::Bytes(v) => {
            out.put_u8(10);
            out.put_i32(v.len() as i32);
            out.put_slice(v);
        }
        Value::Map(v) => {
            out.put_u8(11);
            out.put_slice(v);
        }
        Value::List(v) => {
            out.put_u8(12);
            out.put_slice(v);
        }
    }
}

/// Walks over checked properties.
#[derive(Debug)]
pub struct Iter<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iter<'a> {
    fn next_raw(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let name = self.reader.short_bytes().ok()?;
        let value = self.reader.value().ok()?;
        Some((name, value))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.next_raw()?;
        Some((from_modified(name)?, value))
    }
}

struct Check<'a> {
    reader: Reader<'a>,
    limits: &'a Limits,
    values: usize,
}

impl Check<'_> {
    fn map(&mut self, depth: usize) -> Result<usize, PropertyError> {
        let count = self.count(depth)?;
        for _ in 0..count {
            let offset = self.reader.at;
            let name = self.reader.short_bytes()?;
            from_modified(name).ok_or(PropertyError::Encoding { offset })?;
            self.value(depth)?;
        }
        Ok(count)
    }

    fn list(&mut self, depth: usize) -> Result<(), PropertyError> {
        for _ in 0..self.count(depth)? {
            self.value(depth)?;
        }
        Ok(())
    }

    fn count(&mut self, depth: usize) -> Result<usize, PropertyError> {
        if depth > self.limits.depth_max {
            return Err(PropertyError::TooDeep { limit: self.limits.depth_max });
        }
        let count = self.reader.i32()?.max(0) as usize;
        self.values = self.values.saturating_add(count);
        if self.values > self.limits.count_max {
            return Err(PropertyError::TooMany { limit: self.limits.count_max });
        }
        Ok(count)
    }

    fn value(&mut self, depth: usize) -> Result<(), PropertyError> {
        let offset = self.reader.at;
        match self.reader.peek()? {
            11 => {
                self.reader.at += 1;
                self.map(depth + 1).map(drop)
            }
            12 => {
                self.reader.at += 1;
                self.list(depth + 1)
            }
            9 | 13 => match self.reader.value()? {
                Value::Null => Err(PropertyError::Encoding { offset }),
                _ => Ok(()),
            },
            _ => self.reader.value().map(drop),
        }
    }
}

#[derive(Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, need: usize) -> Result<&'a [u8], PropertyError> {
        let have = self.bytes.len() - self.at;
        if need > have {
            return Err(PropertyError::Short { offset: self.at, need, have });
        }
        let slice = &self.bytes[self.at..self.at + need];
        self.at += need;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PropertyError> {
        Ok(self.take(N)?.try_into().expect("take gives what was asked for"))
    }

    fn peek(&self) -> Result<u8, PropertyError> {
        self.bytes.get(self.at).copied().ok_or(PropertyError::Short { offset: self.at, need: 1, have: 0 })
    }

    fn i32(&mut self) -> Result<i32, PropertyError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn short_bytes(&mut self) -> Result<&'a [u8], PropertyError> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(length.into())
    }

    fn long_bytes(&mut self) -> Result<&'a [u8], PropertyError> {
        let offset = self.at;
        let length = self.i32()?;
        let length = usize::try_from(length).map_err(|_| PropertyError::Negative { length, offset })?;
        self.take(length)
    }

    /// A text that is no modified UTF-8 reads as null; the check refuses it before anybody else reads.
    fn value(&mut self) -> Result<Value<'a>, PropertyError> {
        let offset = self.at;
        let [tag] = self.array()?;
        Ok(match tag {
            0 => Value::Null,
            1 => Value::Bool(self.array::<1>()?[0] != 0),
            2 => Value::Byte(self.array::<1>()?[0] as i8),
            3 => Value::Char(u16::from_be_bytes(self.array()?)),
            4 => Value::Short(i16::from_be_bytes(self.array()?)),
            5 => Value::Int(self.i32()?),
            6 => Value::Long(i64::from_be_bytes(self.array()?)),
            7 => Value::Double(f64::from_be_bytes(self.array()?)),
            8 => Value::Float(f32::from_be_bytes(self.array()?)),
            9 => from_modified(self.short_bytes()?).map_or(Value::Null, Value::Text),
            10 => Value::Bytes(self.long_bytes()?),
            11 => Value::Map(self.span(true)?),
            12 => Value::List(self.span(false)?),
            13 => from_modified(self.long_bytes()?).map_or(Value::Null, Value::Text),
            tag => return Err(PropertyError::UnknownType { tag, offset }),
        })
    }

    /// Steps over a map or list that the check has already walked.
    fn span(&mut self, names: bool) -> Result<&'a [u8], PropertyError> {
        let start = self.at;
        for _ in 0..self.i32()?.max(0) {
            if names {
                self.short_bytes()?;
            }
            self.value()?;
        }
        Ok(&self.bytes[start..self.at])
    }
}

/// Java's modified UTF-8 as text: NUL as two bytes, characters beyond 16 bits as two surrogates of three bytes each.
/// `None` when the bytes are neither that nor UTF-8; a lone surrogate becomes U+FFFD.
pub fn from_modified(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if !bytes.windows(2).any(|w| w == [0xc0, 0x80])
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Some(Cow::Borrowed(text));
    }
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let continued = |i: usize| tail.get(i).filter(|b| **b & 0xc0 == 0x80).map(|b| u16::from(b & 0x3f));
        let (unit, length) = match first {
            0..=0x7f => (u16::from(*first), 1),
            0xc0..=0xdf => (u16::from(first & 0x1f) << 6 | continued(0)?, 2),
            0xe0..=0xef => (u16::from(first & 0x0f) << 12 | continued(0)? << 6 | continued(1)?, 3),
            _ => return None,
        };
        units.push(unit);
        rest = &rest[length..];
    }
    Some(Cow::Owned(String::from_utf16_lossy(&units)))
}

/// Text as Java's modified UTF-8; borrowed when both are the same.
pub fn to_modified(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|b| b == 0 || b >= 0xf0) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    for unit in text.encode_utf16() {
        match unit {
            1..=0x7f => out.push(unit as u8),
            0 | 0x80..=0x7ff => out.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => out.extend([0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]),
        }
    }
    Cow::Owned(out)
}

/// A text body as clients send it: 4-byte length, then modified UTF-8.
pub fn text_content(text: &str) -> Bytes {
    let text = to_modified(text);
    let mut out = BytesMut::with_capacity(4 + text.len());
    out.put_i32(text.len() as i32);
    out.put_slice(&text);
    out.freeze()
}

/// The text of a text body; `None` when the bytes are not such a body.
pub fn content_text(content: &Bytes) -> Option<Text> {
    let length = i32::from_be_bytes(content.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    if content.len() - 4 < length {
        return None;
    }
    let bytes = content.slice(4..4 + length);
    match from_modified(&bytes)? {
        Cow::Owned(text) => Some(Text::from(text)),
        Cow::Borrowed(_) => Text::try_from(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Properties {
        let mut b = Builder::new();
        b.push("flag", &Value::Bool(true));
        b.push("int", &Value::Int(-7));
        b.push("text", &Value::Text("grüße 😀\0".into()));
        b.push("big", &Value::Text("x".repeat(70_000).into()));
        b.push("map", &Value::Map(&[0, 0, 0, 1, 0, 1, b'k', 5, 0, 0, 0, 9]));
        b.push("list", &Value::List(&[0, 0, 0, 2, 0, 1, 1]));
        b.push("last", &Value::Double(2.5));
        b.finish()
    }

    #[test]
    fn what_is_written_is_read() {
        let p = Properties::from_encoded(sample().encoded().expect("not empty").clone(), &Limits::default())
            .expect("own encoding");
        assert_eq!(p.get("flag"), Some(Value::Bool(true)));
        assert_eq!(p.get("int"), Some(Value::Int(-7)));
        assert_eq!(p.get("text"), Some(Value::Text("grüße 😀\0".into())));
        assert_eq!(p.get("last"), Some(Value::Double(2.5)));
        assert_eq!(p.get("none"), None);
        assert_eq!(p.iter().count(), 7);
        let q = p.with("int", &Value::Long(1)).with("new", &Value::Null);
        assert_eq!((q.get("int"), q.get("new"), q.iter().count()), (Some(Value::Long(1)), Some(Value::Null), 8));
    }

    /// Cut anywhere and changed anywhere, the bytes are refused or read; nothing else.
    #[test]
    fn hostile_maps_are_refused() {
        let good = sample().encoded().expect("not empty").clone();
        for cut in (1..good.len()).filter(|i| *i < 200 || i % 977 == 0) {
            assert!(Properties::from_encoded(good.slice(..cut), &Limits::default()).is_err(), "cut at {cut}");
        }
        for at in 0..120 {
            for value in [0u8, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.to_vec();
                bad[at] = value;
                if let Ok(p) = Properties::from_encoded(bad.into(), &Limits::default()) {
                    p.iter().for_each(drop);
                }
            }
        }
        let mut nested = Vec::new();
        for _ in 0..10_000 {
            nested.extend([0, 0, 0, 1, 0, 1, b'k', 11]);
        }
        nested.extend([0, 0, 0, 0]);
        assert_eq!(
            Properties::from_encoded(nested.into(), &Limits::default()),
            Err(PropertyError::TooDeep { limit: 16 })
        );
        let many = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0]);
        assert_eq!(Properties::from_encoded(many, &Limits::default()), Err(PropertyError::TooMany { limit: 4096 }));
    }

    #[test]
    fn text_bodies_read_back() {
        for text in ["", "plain", "grüße", "😀\0!"] {
            assert_eq!(content_text(&text_content(text)).as_deref(), Some(text));
        }
        assert_eq!(content_text(&Bytes::from_static(&[0, 0, 0, 9, b'x'])), None);
        assert_eq!(content_text(&Bytes::from_static(&[255, 255, 255, 255])), None);
    }
}
