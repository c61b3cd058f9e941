//! Both codecs against inputs that descend from their corpus.

use bytes::{Bytes, BytesMut};
use wire::{openwire, stomp};

#[path = "../../../tests/fuzzing.rs"]
mod fuzzing;

use fuzzing::{answer, fuzz, variant};

/// Frames before the agreement and, in what the first byte chooses, after it.
#[test]
fn openwire_frames() {
    fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus/openwire"), |input| {
        openwire::fuzz(input);
        let stranger = openwire::Format::new(openwire::Limits::default()).decode(&mut BytesMut::from(input));
        let mut format = openwire::Format::new(openwire::Limits::default());
        let (first, rest) = input.split_first().unwrap_or((&0, &[]));
        format.agree(openwire::Agreement {
            version: first % 12 + 1,
            tight: first & 0x10 != 0,
            cache_size: (first & 0x20 != 0).then_some(150),
            stack_trace: first & 0x40 != 0,
            ..openwire::Agreement::default()
        });
        let mut buffer = BytesMut::from(rest);
        let mut types = Vec::new();
        let end = loop {
            match format.decode(&mut buffer) {
                Ok(Some(command)) => types.push(command.data_type()),
                Ok(None) => break String::new(),
                Err(error) => break variant(&error),
            }
        };
        types.sort_unstable();
        types.dedup();
        answer((types.last(), types.len() / 4, end, stranger.map_err(|error| variant(&error)).is_ok()))
    });
}

/// The same frames come out however the input is cut, and are read back from what is written.
#[test]
fn stomp_frames() {
    fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz-corpus/stomp"), |input| {
        let mut answers = Vec::new();
        for version in stomp::Version::ALL {
            let (frames, error) = read(version, &[input]);
            let (cut, other) = input.split_at(input.len() / 2);
            let (pieces, piece_error) = read(version, &[cut, other]);
            assert_eq!((&frames, error.is_some()), (&pieces, piece_error.is_some()), "{}", input.escape_ascii());
            for frame in &frames {
                let mut out = BytesMut::new();
                stomp::encode(frame, version, &mut out);
                let (again, error) = read(version, &[&out]);
                assert!(error.is_none() && again.len() == 1, "{error:?} from {}", out.escape_ascii());
                assert_eq!(again[0].body, frame.body, "{}", out.escape_ascii());
            }
            let headers = frames.iter().map(|frame| frame.headers.len()).sum::<usize>();
            answers.push((frames.len().min(8), headers.min(32), error.as_ref().map(variant)));
        }
        answer(answers)
    });
}

fn read(version: stomp::Version, pieces: &[&[u8]]) -> (Vec<stomp::Frame>, Option<stomp::Error>) {
    let mut decoder = stomp::Decoder::new(stomp::Limits { body_bytes_max: 4096, ..stomp::Limits::default() });
    decoder.set_version(version);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(stomp::Item::Frame(frame))) => {
                    frames.push(stomp::Frame { body: Bytes::copy_from_slice(&frame.body), ..frame })
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
