//! Sizes as ActiveMQ writes them: a number and a unit, `32mb`, `100 gb`, `1g`, `4096`. A kilobyte has 1024 bytes.

use super::problem::Fault;

const UNITS: [(&str, u64); 9] = [
    ("tb", 1 << 40),
    ("t", 1 << 40),
    ("gb", 1 << 30),
    ("g", 1 << 30),
    ("mb", 1 << 20),
    ("m", 1 << 20),
    ("kb", 1 << 10),
    ("k", 1 << 10),
    ("b", 1),
];

/// Reads a size.
pub(crate) fn parse(text: &str) -> Result<u64, Fault> {
    let lower = text.trim().to_ascii_lowercase();
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| lower.strip_suffix(unit).map(|number| (number.trim_end(), *factor)))
        .unwrap_or((&lower, 1));
    let remedy = "write a whole number and a unit, such as \"32mb\", \"1gb\" or \"100 gb\"";
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new("is no size", remedy));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| Fault::new("is a size beyond all disks", remedy))
}

/// Writes a size in the largest unit that shows it exactly.
pub(crate) fn show(bytes: u64) -> String {
    for (unit, factor) in UNITS {
        if unit.len() == 2 && bytes != 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_activemq_reads_them() {
        let table = [
            ("0", 0),
            ("4096", 4096),
            ("12 b", 12),
            ("32mb", 32 << 20),
            ("32 MB", 32 << 20),
            (" 100 gb ", 100 << 30),
            ("1g", 1 << 30),
            ("7K", 7 << 10),
            ("2tb", 2 << 40),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "mb", "1.5gb", "-1", "1 gigabyte", "99999999999999999999", "99999999999tb", "1gbb", "٣mb"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for (bytes, expected) in [(0, "0"), (1 << 30, "1gb"), (1536 << 20, "1536mb"), (1000, "1000"), (1 << 40, "1tb")]
        {
            assert_eq!(show(bytes), expected);
            assert_eq!(parse(&show(bytes)), Ok(bytes));
        }
    }
}
