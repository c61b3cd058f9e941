//! Property maps against bytes that descend from the corpus.

use bytes::Bytes;
use message::properties::{Builder, Limits, Properties, content_text, from_modified, to_modified};

#[path = "../../../tests/fuzzing.rs"]
mod fuzzing;

use fuzzing::{answer, fuzz, variant};

/// What is accepted can be walked over and written again with the same values; texts come back as they were.
#[test]
fn properties() {
    fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus"), |input| {
        let bytes = Bytes::copy_from_slice(input);
        let text = content_text(&bytes);
        if let Some(text) = from_modified(input) {
            assert_eq!(from_modified(&to_modified(&text)).as_deref(), Some(&*text));
        }
        match Properties::from_encoded(bytes, &Limits::default()) {
            Ok(properties) => {
                let mut builder = Builder::new();
                let mut kinds = Vec::new();
                for (name, value) in properties.iter() {
                    assert!(builder.push(&name, &value), "{name} was short enough to be read");
                    let _ = (value.to_text(), properties.get(&name));
                    kinds.push(std::mem::discriminant(&value));
                    let _ = value.into_selector();
                }
                let again = builder.finish();
                let read = again.encoded().map_or(Ok(Properties::default()), |encoded| {
                    Properties::from_encoded(encoded.clone(), &Limits::default())
                });
                assert_eq!(read.as_ref(), Ok(&again));
                assert_eq!(shown(&again), shown(&properties));
                kinds.truncate(6);
                answer((kinds, text.is_some()))
            }
            Err(error) => answer((variant(&error), text.is_some())),
        }
    });
}

/// Names and values; text shows numbers that are not equal to themselves too.
fn shown(properties: &Properties) -> String {
    format!("{:?}", properties.iter().collect::<Vec<_>>())
}
