//! Records under a right checksum against fields that descend from the corpus: the first byte chooses the kind.

use bytes::Bytes;
use journal::format::*;

#[path = "../../../tests/fuzzing.rs"]
mod fuzzing;

use fuzzing::{answer, fuzz, variant};

const KEY: &[u8] = b"k";
/// First bytes that stand for a fact and an append, and the kinds' own numbers.
const FACT: u8 = Kind::Fact as u8;
const APPEND: u8 = Kind::Append as u8;

/// What is read is written again and read as the same; everything else is an error.
#[test]
fn records() {
    fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus"), |input| {
        let (first, fields) = input.split_first().unwrap_or((&0, &[]));
        let kind = if [FACT, APPEND].contains(first) { *first } else { first % 7 };
        let value = sealed(kind, fields);
        let outcome = match kind {
            1 => decode_body(KEY, &value.clone().into()).map(|message| {
                assert_eq!(decode_body(KEY, &encode_body(KEY, &message).into()), Ok(message));
            }),
            2 => decode_entry(KEY, &value).map(|meta| {
                assert_eq!(decode_entry(KEY, &encode_entry(KEY, &meta)), Ok(meta));
            }),
            3 => decode_log(KEY, &value).map(|log| assert_eq!(decode_log(KEY, &encode_log(KEY, &log)), Ok(log))),
            4 => decode_producer(KEY, &value).map(|(sequence, at)| {
                assert_eq!(decode_producer(KEY, &encode_producer(KEY, sequence, at)), Ok((sequence, at)));
            }),
            5 => decode_number(KEY, &value).map(|number| {
                assert_eq!(decode_number(KEY, &encode_number(KEY, number)), Ok(number));
            }),
            6 => decode_group_owner(KEY, &value).map(|owner| {
                assert_eq!(decode_group_owner(KEY, &encode_group_owner(KEY, &owner)), Ok(owner));
            }),
            FACT => decode_fact(KEY, &value.clone().into()).map(|fact| {
                assert_eq!(decode_fact(KEY, &encode_fact(KEY, &fact).into()), Ok(fact));
            }),
            APPEND => decode_append(KEY, &value.clone().into()).map(|records| {
                assert_eq!(decode_append(KEY, &encode_append(KEY, std::slice::from_ref(&records)).into()), Ok(records));
            }),
            _ => decode_producer_id(fields).map(|id| {
                assert_eq!(decode_producer_id(&encode_producer_id(&id)), Ok(id));
            }),
        };
        // The same bytes without a checksum of ours.
        let _ = decode_body(KEY, &Bytes::copy_from_slice(input));
        answer((kind, outcome.map_err(|error| format!("{} {}", variant(&error), field(&error))), fields.len() / 16))
    });
}

fn field(error: &FormatError) -> &'static str {
    if let FormatError::Value { field, .. } = error { field } else { "" }
}

fn sealed(kind: u8, fields: &[u8]) -> Vec<u8> {
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[VERSION, kind]), KEY), fields);
    [&[VERSION, kind][..], &sum.to_le_bytes(), fields].concat()
}
