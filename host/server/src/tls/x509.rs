//! The two fields of a certificate that rustls does not tell: its subject and its end.
//!
//! ```text
//! Certificate    SEQUENCE { TBSCertificate, algorithm, signature }
//! TBSCertificate SEQUENCE { [0] version?, serial, algorithm, issuer, SEQUENCE { notBefore, notAfter }, subject, … }
//! ```
//!
//! Only what these fields need of DER is here; whatever does not fit is no certificate.

/// What is read of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    /// The names of the subject: what is within its SEQUENCE.
    pub(super) subject: &'a [u8],
    /// End of validity, seconds since 1970.
    pub(super) not_after: i64,
}

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// Reads a certificate; `None` if it is none.
pub(super) fn read(certificate: &[u8]) -> Option<Fields<'_>> {
    let mut outer = Der(certificate);
    let mut whole = Der(outer.expect(SEQUENCE)?);
    let mut fields = Der(whole.expect(SEQUENCE)?);
    if fields.tag() == Some(VERSION) {
        fields.next()?;
    }
    fields.expect(INTEGER)?;
    fields.expect(SEQUENCE)?;
    fields.expect(SEQUENCE)?;
    let mut validity = Der(fields.expect(SEQUENCE)?);
    validity.next()?;
    let (tag, text, _) = validity.next()?;
    let subject = fields.expect(SEQUENCE)?;
    Some(Fields { subject, not_after: time(tag, text)? })
}

/// Reads values one after the other.
pub(super) struct Der<'a>(pub(super) &'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value: its tag, its contents, and all of it.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, first) = (*self.0.first()?, *self.0.get(1)?);
        let (head, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            // Four bytes of length are more than any certificate has.
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let bytes = self.0.get(2..2 + count)?;
                (2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
            }
            _ => return None,
        };
        let end = head.checked_add(length)?;
        let whole = self.0.get(..end)?;
        self.0 = &self.0[end..];
        Some((tag, &whole[head..], whole))
    }

    /// The contents of the next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, ..)| *found == tag).map(|(_, contents, _)| contents)
    }
}

/// Seconds since 1970 of `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let (year_digits, text) = match tag {
        UTC_TIME => (2, text),
        GENERALIZED_TIME => (4, text),
        _ => return None,
    };
    let digits = text.strip_suffix(b"Z")?;
    if digits.len() != year_digits + 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        |range: std::ops::Range<usize>| digits[range].iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
    let year = match number(0..year_digits) {
        short if year_digits == 2 => short + if short < 50 { 2000 } else { 1900 },
        year => year,
    };
    let at = |index: usize| number(year_digits + 2 * index..year_digits + 2 * index + 2);
    let days = days_since_1970(year, at(0), at(1))?;
    Some(days * 86_400 + at(2) * 3600 + at(3) * 60 + at(4))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by counting years from March on.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year;
    // 1970-01-01 counted the same way.
    Some(days - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let table: &[(u8, &[u8], Option<i64>)] = &[
            (UTC_TIME, b"700101000000Z", Some(0)),
            (UTC_TIME, b"491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, b"500101000000Z", Some(-631_152_000)),
            (GENERALIZED_TIME, b"20240229120000Z", Some(1_709_208_000)),
            (GENERALIZED_TIME, b"20000301000000Z", Some(951_868_800)),
            (GENERALIZED_TIME, b"99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, b"701301000000Z", None),
            (UTC_TIME, b"700100000000Z", None),
            (UTC_TIME, b"700101000000+0100", None),
            (UTC_TIME, b"7001010000Z", None),
            (0x0c, b"700101000000Z", None),
        ];
        for (tag, text, expected) in table {
            assert_eq!(time(*tag, text), *expected, "{}", String::from_utf8_lossy(text));
        }
    }

    /// Lengths that lie end the reading.
    #[test]
    fn what_is_no_certificate_is_refused() {
        let table: [&[u8]; 8] = [
            &[],
            &[SEQUENCE],
            &[SEQUENCE, 5],
            &[SEQUENCE, 0x80],
            &[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[SEQUENCE, 0x85, 0, 0, 0, 0, 0],
            &[SEQUENCE, 2, SEQUENCE, 0],
            &[SEQUENCE, 4, SEQUENCE, 2, INTEGER, 0],
        ];
        for bytes in table {
            assert_eq!(read(bytes), None, "{bytes:02x?}");
        }
    }
}
