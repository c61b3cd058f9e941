//! What is refused, and where the refusal points.

mod properties;

use properties::{Message, message};
use selector::{Limits, Selector, SelectorError, Value};

fn check(table: &[(&str, Option<usize>, &str)]) {
    for (text, position, expected) in table {
        let error = Selector::parse(text, &Limits::default()).expect_err(text);
        assert_eq!(error.position(), *position, "{text}: {error}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn grammar() {
    check(&[
        ("", Some(0), "expected a property, a literal, NOT or ( at position 0, found the end"),
        ("  ", Some(2), "found the end"),
        ("=TEST 'test'", Some(0), "found ="),
        ("a =", Some(3), "found the end"),
        ("a = 1 AMD b = 2", Some(6), "expected an operator or the end at position 6, found AMD"),
        ("prop1 = prop2 foo AND string = 'Test'", Some(14), "found foo"),
        ("(a = 1", Some(6), "expected an operator or )"),
        ("a = 1)", Some(5), "found )"),
        ("()", Some(1), "found )"),
        ("a == 1", Some(3), "found ="),
        ("a != 1", Some(2), "found !"),
        ("a = \"x\"", Some(4), "found \""),
        ("a.b = 1", Some(1), "found ."),
        ("a-b = 'é' é é", Some(11), "found é"),
        ("a = 1\u{a0}", Some(5), "found \u{a0}"),
        ("a IS 1", Some(5), "expected NULL or NOT NULL"),
        ("a IS NOT 1", Some(9), "expected NULL at"),
        ("a NOT = 1", Some(6), "expected LIKE, BETWEEN or IN"),
        ("a LIKE b", Some(7), "expected a pattern in quotes"),
        ("a LIKE 'b' ESCAPE c", Some(18), "expected an escape character in quotes"),
        ("a BETWEEN 1 OR 2", Some(12), "expected AND of BETWEEN"),
        ("a IN 'x'", Some(5), "expected ( of IN"),
        ("a IN ()", Some(6), "expected a string in quotes"),
        ("a IN (1)", Some(6), "found 1"),
        ("a IN ('x' 'y')", Some(10), "expected , or )"),
        ("a IN ('x',)", Some(10), "expected a string in quotes"),
        ("a = 'x", Some(4), "string that begins at position 4 has no end"),
        ("a = 'x''", Some(4), "has no end"),
        ("a = /* x", Some(4), "comment that begins at position 4 has no end"),
        ("a = 1 -- a comment", Some(11), "found comment"),
        ("and = 1", Some(0), "found and"),
        ("convert_string_expressions:a = ", Some(31), "found the end"),
        ("convert_string_expressions:convert_string_expressions:a = 1", Some(53), "found :"),
        ("no_convert_string_expressions:a = 1", Some(29), "found :"),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("a = 09", Some(5), "found 9"),
        ("a = 1.5f", Some(7), "found f"),
        ("a = 0L", Some(5), "found L"),
        ("a = 0x", Some(5), "found x"),
        ("a = 1E", Some(5), "found E"),
        ("a = 1E+", Some(5), "found E"),
        ("a = .", Some(4), "found ."),
        ("a = 1..2", Some(6), "found .2"),
        ("a = 0xFFFFFFFFFFFFFFFF", Some(4), "does not fit 64 bits: 0xFFFFFFFFFFFFFFFF"),
        ("a = 07777777777777777777777", Some(4), "does not fit 64 bits"),
    ]);
}

#[test]
fn kinds() {
    check(&[
        ("3+5", Some(0), "expected a condition"),
        ("True AND 3+5", Some(9), "expected a condition"),
        ("'a' OR a", Some(0), "expected a condition"),
        ("NOT 1", Some(4), "expected a condition"),
        ("-a", Some(0), "expected a condition"),
        ("a > 'x'", Some(4), "expected a number or a property"),
        ("TRUE < a", Some(0), "expected a number or a property"),
        ("(a = 1) < 2", Some(0), "expected a number or a property"),
        ("a BETWEEN 'x' AND 'y'", Some(10), "expected a number or a property"),
        ("a = NULL", Some(4), "IS NULL instead"),
        ("NULL <> a", Some(0), "IS NULL instead"),
        ("TRUE = 1", Some(7), "expected a boolean"),
        ("1 IN ('x')", Some(0), "IN needs a property"),
        ("NOT a IN ('x')", Some(0), "IN needs a property"),
        ("a LIKE 'x' ESCAPE ''", Some(18), "ESCAPE needs a string of one character"),
        ("a LIKE 'x' ESCAPE '!!'", Some(18), "ESCAPE needs a string of one character"),
        ("a LIKE 'x' ESCAPE '\u{10000}'", Some(18), "ESCAPE needs a string of one character"),
    ]);
}

#[test]
fn left_out() {
    check(&[
        ("XPATH '//a'", Some(0), "XPATH is not supported in selectors, at position 0"),
        ("a = 1 AND xquery 'x'", Some(10), "XQUERY is not supported"),
        ("REGEX('a', b)", Some(0), "function REGEX is not supported"),
        ("INLIST(MAKELIST('a'), b)", Some(0), "function INLIST is not supported"),
    ]);
}

/// Each limit is exact: what just fits passes, one more is refused by its own error.
#[test]
fn limits() {
    let limits = Limits { text_bytes_max: 200, depth_max: 4, nodes_max: 8, like_bytes_max: 3, concat_bytes_max: 10 };
    let parse = |text: &str| Selector::parse(text, &limits);
    assert_eq!(parse(&" ".repeat(201)).unwrap_err(), SelectorError::TooLong { have: 201, limit: 200 });
    parse("(((a)))").unwrap();
    assert_eq!(parse("((((a))))").unwrap_err(), SelectorError::TooDeep { position: 4, limit: 4 });
    parse("NOT NOT NOT a").unwrap();
    assert_eq!(parse("NOT NOT NOT NOT a").unwrap_err(), SelectorError::TooDeep { position: 16, limit: 4 });
    parse("a=b=c=d=e").unwrap_err();
    assert!(matches!(parse("a IS NULL IS NULL IS NULL IS NULL IS NULL"), Err(SelectorError::TooDeep { .. })));
    parse("a + 1 + 1 + 1 + 1 = 1").unwrap();
    assert!(matches!(parse("a + 1 + 1 + 1 + 1 + 1 = 1"), Err(SelectorError::TooManyNodes { limit: 8, .. })));
    assert!(matches!(parse("a IN ('','','','','','','','')"), Err(SelectorError::TooManyNodes { .. })));
    let error = SelectorError::LikeTooLong { position: 7, have: 4, limit: 3 };
    assert_eq!(parse("a LIKE 'abcd'").unwrap_err(), error);
}

/// Nothing a client writes costs more than its limits say, in stack or in time.
#[test]
fn hostile_texts() {
    let wide = Limits { text_bytes_max: usize::MAX, nodes_max: usize::MAX, ..Limits::default() };
    let deepest = Limits { depth_max: usize::MAX, ..wide };
    let many = 100_000;
    assert!(matches!(
        Selector::parse(&"a".repeat(1 << 20), &Limits::default()),
        Err(SelectorError::TooLong { have: 1_048_576, limit: 65_536 })
    ));
    for text in [
        "(".repeat(many),
        "NOT ".repeat(many) + "a",
        "-".repeat(many) + "1 = 1",
        "+".repeat(many) + "1 = 1",
        "- ".repeat(many) + "1 = 1",
        "a=(".repeat(many),
        "a IN ('x') IS NULL".to_owned() + &" IS NULL".repeat(many),
        "a".to_owned() + &" LIKE 'x'".repeat(many),
        "a".to_owned() + &" = a".repeat(many),
    ] {
        for limits in [&wide, &deepest] {
            let error = Selector::parse(&text, limits).expect_err("too deep");
            assert!(matches!(error, SelectorError::TooDeep { .. }), "{error}");
        }
        Selector::parse(&text, &Limits::default()).expect_err("too long or too deep");
    }
    for text in ["/*".repeat(many), "'".repeat(many + 1), "'a".repeat(many + 1), "--".repeat(many), ".".repeat(many)] {
        Selector::parse(&text, &wide).expect_err("not a selector");
    }
    for text in [
        "a".to_owned() + &" OR a".repeat(many),
        "1".to_owned() + &"+1".repeat(many) + " = 100001",
        "a = ".to_owned() + &"9".repeat(many),
        "a = 0.".to_owned() + &"9".repeat(many),
        "--\n".repeat(many) + "a",
    ] {
        let selector = Selector::parse(&text, &wide).expect("wide, not deep");
        selector.evaluate(&message());
    }
    assert!(matches!(
        Selector::parse(&("a".to_owned() + &" OR a".repeat(5_000)), &Limits::default()),
        Err(SelectorError::TooManyNodes { limit: 4096, .. })
    ));
}

/// Patterns that make a backtracking matcher run for ever answer at once.
#[test]
fn hostile_patterns() {
    let message = Message(vec![("a", Value::Owned("a".repeat(200_000).into()))]);
    for (pattern, expected) in [
        ("%a".repeat(1_000) + "%", true),
        ("%a".repeat(1_000) + "%b", false),
        ("%a_".repeat(1_000) + "%b%", false),
        ("%_".repeat(2_000), true),
        ("%".to_owned() + &"a".repeat(2_000) + "b%", false),
        ("%".to_owned() + &"_".repeat(1_000) + "b%", false),
        ("%".repeat(4_096), true),
    ] {
        let selector = Selector::parse(&format!("a LIKE '{pattern}'"), &Limits::default()).unwrap();
        assert_eq!(selector.matches(&message), expected, "{pattern}");
    }
}
