//! Java's modified UTF-8: NUL is two bytes, a character above U+FFFF is two surrogates of three bytes each.

use bytes::{BufMut, BytesMut};

/// How the bytes of a Rust string relate to its modified UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Every byte is within 1..=127: the same bytes, and the tight ASCII bit may be set.
    Ascii,
    /// The same bytes.
    Same,
    /// Other bytes: there is a NUL or a character above U+FFFF.
    Differs,
}

pub(super) fn shape(text: &str) -> Shape {
    let (mut high, mut zero) = (0u8, false);
    for &byte in text.as_bytes() {
        high |= byte;
        zero |= byte == 0;
    }
    match (high < 0x80, zero) {
        (true, false) => Shape::Ascii,
        (false, false) if text.bytes().all(|byte| byte < 0xf0) => Shape::Same,
        _ => Shape::Differs,
    }
}

pub(super) fn encoded_length(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '\0' => 2,
            _ if character.len_utf8() == 4 => 6,
            _ => character.len_utf8(),
        })
        .sum()
}

pub(super) fn put(text: &str, out: &mut BytesMut) {
    for unit in text.encode_utf16() {
        match unit {
            1..=0x7f => out.put_u8(unit as u8),
            0 | 0x80..=0x7ff => out.put_slice(&[0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => {
                out.put_slice(&[0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8])
            }
        }
    }
}

/// Reads bytes that are not plain UTF-8; a surrogate without its partner becomes U+FFFD.
pub(super) fn parse(bytes: &[u8]) -> Option<String> {
    let follow = |at: usize| bytes.get(at).filter(|byte| *byte & 0xc0 == 0x80).map(|byte| u16::from(byte & 0x3f));
    let mut units = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&first) = bytes.get(at) {
        let lead = u16::from(first);
        let (unit, length) = match first {
            0..=0x7f => (lead, 1),
            0xc0..=0xdf => ((lead & 0x1f) << 6 | follow(at + 1)?, 2),
            0xe0..=0xef => ((lead & 0x0f) << 12 | follow(at + 1)? << 6 | follow(at + 2)?, 3),
            _ => return None,
        };
        units.push(unit);
        at += length;
    }
    Some(String::from_utf16_lossy(&units))
}

/// Reads a string whose tight ASCII bit is set although it is not ASCII: Java takes each byte for a character.
pub(super) fn parse_latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Shape, bytes: &[u8]) {
        let mut out = BytesMut::new();
        put(text, &mut out);
        assert_eq!(out, bytes, "{text:?}");
        assert_eq!(shape(text), expected, "{text:?}");
        assert_eq!(encoded_length(text), bytes.len(), "{text:?}");
        assert_eq!(parse(bytes).as_deref(), Some(text));
    }

    #[test]
    fn strings_go_to_modified_utf8_and_back() {
        check("", Shape::Ascii, b"");
        check("queue", Shape::Ascii, b"queue");
        check("é€", Shape::Same, "é€".as_bytes());
        check("a\0b", Shape::Differs, b"a\xc0\x80b");
        check("😀", Shape::Differs, b"\xed\xa0\xbd\xed\xb8\x80");
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for bytes in [&b"\xf0\x9f\x98\x80"[..], b"\x80", b"\xc3", b"\xe2\x82", b"\xc3A", b"\xff"] {
            assert_eq!(parse(bytes), None, "{bytes:x?}");
        }
        assert_eq!(parse(b"\xed\xa0\xbdx").as_deref(), Some("\u{fffd}x"));
        assert_eq!(parse_latin(b"caf\xe9"), "café");
    }
}
