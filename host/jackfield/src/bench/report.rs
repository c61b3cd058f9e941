//! Figures of runs: minimum, median and maximum, as a table and as JSON.

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use hdrhistogram::Histogram;
use serde::Serialize;

/// The figures of one run in the order in which they are to be shown.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures(pub(crate) Vec<(String, f64)>);

impl Figures {
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }

    /// Percentiles of a histogram of nanoseconds, in milliseconds.
    pub(crate) fn add_latency(&mut self, prefix: &str, histogram: &Histogram<u64>) {
        if histogram.is_empty() {
            return;
        }
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            self.add(format!("{prefix}{name}_ms"), histogram.value_at_quantile(quantile) as f64 / 1e6);
        }
        self.add(format!("{prefix}max_ms"), histogram.max() as f64 / 1e6);
    }
}

/// A histogram of nanoseconds up to 10 minutes with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 600_000_000_000, 3).expect("the bounds are in order")
}

/// All runs of one scenario.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    pub(crate) label: String,
    pub(crate) broker: String,
    pub(crate) runs: Vec<Figures>,
}

impl Report {
    /// A row for each figure: minimum, median and maximum over the runs.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header([format!("{} {}", self.scenario, self.label).trim(), "min", "median", "max"]);
        for (name, [min, median, max]) in self.summary() {
            table.add_row([name, number(min), number(median), number(max)]);
        }
        table
    }

    /// Name, minimum, median and maximum of each figure of the first run.
    pub(crate) fn summary(&self) -> Vec<(String, [f64; 3])> {
        let Some(first) = self.runs.first() else { return Vec::new() };
        let row = |name: &String| {
            let values = self.runs.iter().flat_map(|run| &run.0).filter(|(other, _)| other == name);
            (name.clone(), spread(values.map(|(_, value)| *value).collect()))
        };
        first.0.iter().map(|(name, _)| row(name)).collect()
    }

    /// The runs and their summary.
    pub(crate) fn json(&self) -> serde_json::Value {
        let map = |figures: &Figures| figures.0.iter().cloned().collect::<std::collections::BTreeMap<_, _>>();
        let summary = self
            .summary()
            .into_iter()
            .map(|(name, [min, median, max])| (name, serde_json::json!({ "min": min, "median": median, "max": max })));
        serde_json::json!({
            "scenario": self.scenario,
            "label": self.label,
            "broker": self.broker,
            "runs": self.runs.iter().map(map).collect::<Vec<_>>(),
            "summary": summary.collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Minimum, median (the lower of two) and maximum.
pub(crate) fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => [f64::NAN; 3],
        len => [values[0], values[(len - 1) / 2], values[len - 1]],
    }
}

/// A figure with about four digits and thousands in groups.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    let size = value.abs();
    if size >= 100.0 || value == value.trunc() {
        let digits = format!("{size:.0}");
        let mut out = String::from(if value < 0.0 { "-" } else { "" });
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Percentiles are in milliseconds and within the histogram's three digits.
    #[test]
    fn latency_in_milliseconds() {
        let mut histogram = histogram();
        (1..=1000u64).for_each(|value| histogram.record(value * 1_000_000).unwrap());
        let mut figures = Figures::default();
        figures.add_latency("", &histogram);
        let want = [("p50_ms", 500.0), ("p99_ms", 990.0), ("p999_ms", 999.0), ("max_ms", 1000.0)];
        for ((name, value), (want_name, want)) in figures.0.iter().zip(want) {
            assert_eq!(name, want_name);
            assert!((value - want).abs() / want < 0.002, "{name} {value}");
        }
    }

    /// The median of an even number of runs is the lower one: no figure is shown that no run had.
    #[test]
    fn spreads_and_numbers() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), [1.0, 2.0, 3.0]);
        assert_eq!(spread(vec![4.0, 1.0]), [1.0, 1.0, 4.0]);
        assert!(spread(vec![])[0].is_nan());
        let shown = [1234567.0, 999.6, 12.34, 1.234, 0.1234, 0.0, -1500.0, f64::NAN].map(number);
        assert_eq!(shown, ["1,234,567", "1,000", "12.3", "1.23", "0.123", "0", "-1,500", "-"]);
    }
}
