//! The parser and the tree against texts that descend from the corpus.

mod properties;

#[path = "../../../tests/fuzzing.rs"]
mod fuzzing;

use fuzzing::{answer, fuzz, variant};
use properties::message;
use selector::{Limits, Selector, SelectorError};

#[test]
fn selectors() {
    fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus"), |input| {
        let text = String::from_utf8_lossy(input);
        let words = |known: [&str; 6]| known.map(|word| text.contains(word));
        let used = words(["LIKE", "IN", "BETWEEN", "NULL", "NOT", "("]);
        match Selector::parse(&text, &Limits::default()) {
            Ok(selector) => {
                let truth = selector.evaluate(&message());
                assert_eq!(&selector.text()[..], &*text);
                answer((format!("{truth:?}"), used))
            }
            Err(error) => {
                let place = error.position();
                assert!(place.is_none_or(|place| text.is_char_boundary(place)), "{text}: {error}");
                assert!(place.is_some() || matches!(error, SelectorError::TooLong { .. }), "{text}: {error}");
                answer((variant(&error), used))
            }
        }
    });
}
