//! The contract as authors hold their policies to it.

#[allow(dead_code, reason = "the other tests use the rest")]
mod guest;

use plugin_wasmtime::kit::{Outcome, contract};
use plugin_wasmtime::{Limits, stock};

/// What is broken of a component, as checks and sentences.
fn broken(bytes: &[u8]) -> Vec<(String, String)> {
    let findings = contract(bytes, &[], &Limits::default(), None).expect("the engine starts");
    let broken = findings.into_iter().filter_map(|finding| match finding.outcome {
        Outcome::Broken(what) => Some((finding.check.into_owned(), what)),
        _ => None,
    });
    broken.collect()
}

#[test]
fn stock_policies_keep_the_contract() {
    for stock in stock() {
        let findings = contract(stock.bytes, &[], &Limits::default(), None).expect("the engine starts");
        assert_eq!(findings.len(), 7, "{}", stock.name);
        for finding in findings {
            assert!(matches!(finding.outcome, Outcome::Kept(_)), "{}: {finding:?}", stock.name);
        }
    }
}

/// What breaks the contract is told by the check that found it, and what it is.
#[test]
fn what_breaks_the_contract_is_told() {
    let leave = "(call $answer (i32.load offset=12 (local.get $question)))";
    let all_left = "(memory.fill (i32.const 256) (i32.const 255) (i32.const 7936))";
    let cases = [
        ("no component", b"nonsense".to_vec(), "a broker takes it with these settings", "not a WebAssembly component"),
        ("a trap", guest::component("(unreachable)"), "each row has an answer", "Trap"),
        ("another length", guest::component("(call $answer (i32.const 3))"), "each row has an answer", "WrongLength"),
        ("nothing given", guest::component(&format!("{all_left} {leave}")), "is given something", "stands still"),
    ];
    for (case, bytes, check, what) in cases {
        let broken = broken(&bytes);
        let told = broken.iter().find(|(name, _)| name.contains(check));
        assert!(told.is_some_and(|(_, text)| text.contains(what)), "{case}: {broken:?}");
    }
    // The guests of these tests agree to any setting.
    let careless = broken(&guest::component(&format!("{all_left} {leave}")));
    assert!(careless.iter().any(|(check, _)| check.contains("refuses settings")), "{careless:?}");
}
