//! Subjects as RFC 2253 writes them, in the form of Java's `X500Principal.getName()`: that is what stands in the user
//! files of people who come from ActiveMQ.

use std::fmt::Write;

use super::x509::{Der, OBJECT_IDENTIFIER, SEQUENCE, SET};

/// Parts of names that have a word; any other is written by its number, and its value in hex.
const WORDS: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

/// The kinds of text whose bytes are UTF-8 or ASCII: UTF8String, PrintableString, T61String, IA5String, GeneralString.
const TEXTS: [u8; 5] = [0x0c, 0x13, 0x14, 0x16, 0x1b];

/// Writes the names within a subject, the last one first. `None` if they do not read; empty for an empty subject.
pub(super) fn rfc2253(names: &[u8]) -> Option<String> {
    let mut sets = Vec::new();
    let mut names = Der(names);
    while !names.is_empty() {
        sets.push(one_set(names.expect(SET)?)?);
    }
    sets.reverse();
    Some(sets.join(","))
}

/// Names that stand side by side, joined by `+`.
fn one_set(set: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut set = Der(set);
    while !set.is_empty() {
        if !out.is_empty() {
            out.push('+');
        }
        let mut pair = Der(set.expect(SEQUENCE)?);
        let identifier = pair.expect(OBJECT_IDENTIFIER)?;
        let (tag, contents, whole) = pair.next()?;
        let word = WORDS.iter().find(|(known, _)| *known == identifier);
        match word {
            Some((_, word)) => out.push_str(word),
            None => numbers(identifier, &mut out)?,
        }
        out.push('=');
        match std::str::from_utf8(contents) {
            Ok(text) if word.is_some() && TEXTS.contains(&tag) => escape(text, &mut out),
            _ => {
                out.push('#');
                whole.iter().try_for_each(|byte| write!(out, "{byte:02x}")).ok()?;
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

/// An object identifier with dots.
fn numbers(identifier: &[u8], out: &mut String) -> Option<()> {
    let mut number = 0u64;
    let mut first = true;
    for byte in identifier {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if std::mem::take(&mut first) {
            let root = (number / 40).min(2);
            write!(out, "{root}.{}", number - root * 40).ok()?;
        } else {
            write!(out, ".{number}").ok()?;
        }
        number = 0;
    }
    (!first && identifier.last()? & 0x80 == 0).then_some(())
}

/// Escapes what has a meaning in a name, and the spaces at both ends.
fn escape(text: &str, out: &mut String) {
    let is_space = |c: char| c == ' ' || c == '\r';
    let lead = text.len() - text.trim_start_matches(is_space).len();
    let trail = text.trim_end_matches(is_space).len();
    for (at, c) in text.char_indices() {
        match c {
            '\0' => out.push_str("\\00"),
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => out.extend(['\\', c]),
            c if is_space(c) && (at < lead || at >= trail) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    /// Subjects made by openssl, and what `X500Principal.getName()` of a JDK 21 prints for them.
    #[test]
    fn names_are_written_as_java_writes_them() {
        let table = [
            (
                "304d310b300906035504061302555331153013060355040a0c0c4578616d706c6520436f7270310f300d060355040b0c064f7264\
                 6572733116301406035504030c0d6f726465722073657276696365",
                "CN=order service,OU=Orders,O=Example Corp,C=US",
            ),
            (
                "307131133011060a0992268993f22c6401191603636f6d31173015060a0992268993f22c64011916076578616d706c6531123010\
                 060a0992268993f22c6401010c026a64310e300c06035504030c054a2e20442e311d301b06092a864886f70d010901160e6a6440\
                 6578616d706c652e636f6d",
                "1.2.840.113549.1.9.1=#160e6a64406578616d706c652e636f6d,CN=J. D.,UID=jd,DC=example,DC=com",
            ),
            (
                "303531153013060355040a0c0c5375652c2047726162626974311c301a06035504030c13612b623d6320227122203c783e3b5c\
                 79237a20",
                "CN=a\\+b\\=c \\\"q\\\" \\<x\\>\\;\\\\y\\#z\\ ,O=Sue\\, Grabbit",
            ),
            ("301b3119301706035504030c10206c65616420616e6420747261696c20", "CN=\\ lead and trail\\ "),
            ("300e310c300a06035504030c03202078", "CN=\\ \\ x"),
            (
                "3044310e300c06035504030c052368617368310f300d06035504080c0642617965726e3111300f06035504070c084dc3bc6e6368\
                 656e310e300c06035504090c055765672031",
                "STREET=Weg 1,L=München,ST=Bayern,CN=\\#hash",
            ),
            (
                "302e310a3008060355040a0c01783120300a06035504030c0374776f3012060a0992268993f22c6401010c0475696432",
                "CN=two+UID=uid2,O=x",
            ),
            (
                "3048310e300c060355040513053132333435310a300806035504030c016e310b3009060355040c0c024472310c300a060355042a\
                 0c034d6178310f300d06035504040c064d7573746572",
                "2.5.4.4=#0c064d7573746572,2.5.4.42=#0c034d6178,2.5.4.12=#0c024472,CN=n,2.5.4.5=#13053132333435",
            ),
            ("301d311b301906035504030c12c3bc6ec3af63c3b664c3a920e5908de5898d", "CN=ünïcödé 名前"),
            ("3011310f300d06035504030c06613d62202063", "CN=a\\=b  c"),
            ("3000", ""),
        ];
        for (hex, expected) in table {
            let hex = hex.replace(char::is_whitespace, "");
            let der = bytes(&hex);
            let names = Der(&der).expect(SEQUENCE).expect(expected);
            assert_eq!(rfc2253(names).as_deref(), Some(expected));
        }
    }

    /// Two subjects must never be written the same: bytes that are no text stay bytes, and NUL is seen.
    #[test]
    fn what_is_no_text_is_written_in_hex() {
        let table = [
            ("310d300b06035504030c0461ff6262", "CN=#0c0461ff6262"),
            ("310d300b06035504031e0400610062", "CN=#1e0400610062"),
            ("310c300a06035504030c03610062", "CN=a\\00b"),
        ];
        for (hex, expected) in table {
            assert_eq!(rfc2253(&bytes(hex)).as_deref(), Some(expected));
        }
        for hex in ["3100", "30020000", "310430020603", "3106300406008055", "310a300806035504030c05aa"] {
            assert_eq!(rfc2253(&bytes(hex)), None, "{hex}");
        }
    }
}
