//! What each operator answers, as tables over one message.

mod properties;

use properties::{Message, message};
use selector::{Limits, Selector, Truth, Value};

const T: Truth = Truth::True;
const F: Truth = Truth::False;
const U: Truth = Truth::Unknown;

fn check_with(message: &Message, table: &[(&str, Truth)]) {
    for (text, expected) in table {
        let selector = Selector::parse(text, &Limits::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(selector.evaluate(message), *expected, "{text}");
        assert_eq!(selector.matches(message), *expected == T, "{text}");
        assert_eq!(selector.text(), text);
    }
}

fn check(table: &[(&str, Truth)]) {
    check_with(&message(), table);
}

#[test]
fn names_and_literals() {
    check(&[
        ("JMSType = 'selector-test'", T),
        ("JMSMessageID = 'id:test:1:1:1:1'", T),
        ("JMSXGroupID = 'group-1'", T),
        ("JMSDeliveryMode = 'PERSISTENT' AND JMSPriority > 3", T),
        ("jmstype = 'selector-test'", U),
        ("$_a1 = 1", T),
        ("größe = 5", T),
        ("rank = 123", T),
        ("rank = 123L", T),
        ("rank = 123l", T),
        ("rank = 0x7B", T),
        ("rank = 0X7b", T),
        ("rank = 0173", T),
        ("0 = 00", T),
        ("half = .5", T),
        ("half = 5e-1", T),
        ("half = 0.5E+0", T),
        ("5. = 5", T),
        ("5.E1 = 50", T),
        ("00.5 = half", T),
        ("4E10 < 5E+10", T),
        ("large = 9223372036854775807", T),
        ("small = -9223372036854775808", T),
        ("small = - 9223372036854775808L", T),
        ("large < 99999999999999999999", T),
        ("1E999 > large", T),
        ("quote = '''In God We Trust'''", T),
        ("empty = ''", T),
        ("umlaut = 'äöü'", T),
        ("TRUE", T),
        ("true", T),
        ("False", F),
        ("NULL", U),
        ("\t\n\r\x0cTRUE ", T),
        ("/* a * b ** / */ rank /**/ = -- behind\n 123", T),
        ("rank = 123 -- behind\r", T),
        ("rank--1\n= 123", T),
        ("rank = 124 --1", F),
        ("rank = 122 --1", T),
    ]);
}

#[test]
fn logic_has_three_values() {
    let values = [("yes", T), ("no", F), ("missing", U)];
    for (left, l) in values {
        let not = match l {
            T => F,
            F => T,
            U => U,
        };
        check(&[(&format!("NOT {left}"), not), (&format!("not (({left}))"), not)]);
        for (right, r) in values {
            let and = if l == F || r == F { F } else { [l, r].into_iter().find(|t| *t == U).unwrap_or(T) };
            let or = if l == T || r == T { T } else { [l, r].into_iter().find(|t| *t == U).unwrap_or(F) };
            check(&[(&format!("{left} AND {right}"), and), (&format!("{left} or {right}"), or)]);
        }
    }
    check(&[
        ("no AND no OR yes", T),
        ("no AND (no OR yes)", F),
        ("yes OR no AND no", T),
        ("no OR no OR missing OR yes", T),
        ("yes AND missing AND yes AND no", F),
        ("NOT NOT yes", T),
        ("name", F),
        ("NOT name", T),
        ("rank OR missing", U),
        ("yes AND NULL", U),
    ]);
}

#[test]
fn equality() {
    check(&[
        ("name = 'James'", T),
        ("name = 'james'", F),
        ("name <> 'Bob'", T),
        ("name <> 'James'", F),
        ("'James' = name", T),
        ("missing = 'x'", U),
        ("missing <> 'x'", U),
        ("'x' = missing", F),
        ("'x' <> missing", T),
        ("missing = missing2", T),
        ("missing <> missing2", F),
        ("yes = TRUE", T),
        ("yes = FALSE", F),
        ("no <> TRUE", T),
        ("TRUE = yes", T),
        ("1 = TRUE", F),
        ("yes = 1", F),
        ("yes = 'true'", F),
        ("name = 1", F),
        ("name <> 1", T),
        ("digits = 12", F),
        ("rank = 123.0", T),
        ("123.0 = rank", T),
        ("rank = 123.5", F),
        ("nan = nan", T),
        ("0.0 = -0.0", F),
        ("(rank = 123) = TRUE", T),
        ("rank = 123 = yes", T),
        ("NOT rank = 123", F),
        ("NOT (rank = 124)", T),
    ]);
}

#[test]
fn order() {
    check(&[
        ("rank > 100", T),
        ("rank >= 123", T),
        ("rank >= 124", F),
        ("rank < 123", F),
        ("rank <= 123", T),
        ("rank <= 123.5", T),
        ("-1.1E1 < 1.0E1", T),
        ("missing > 1", U),
        ("1 > missing", U),
        ("name > 1", F),
        ("name < 1", F),
        ("yes > no", T),
        ("yes > 0", F),
        ("name > location", F),
        ("name < location", T),
        ("astral < high", T),
        ("nan > 1E308", T),
        ("-0.0 < 0.0", T),
        ("small < large", T),
        ("rank BETWEEN 100 AND 150", T),
        ("rank between 123 and 123", T),
        ("rank between 10 and 120", F),
        ("rank not between 10 and 120", T),
        ("rank NOT BETWEEN 100 AND 150", F),
        ("missing BETWEEN 1 AND 2", U),
        ("missing NOT BETWEEN 1 AND 2", U),
        ("rank BETWEEN missing AND 2", F),
        ("rank BETWEEN missing AND 200", U),
        ("rank BETWEEN 200 AND missing", F),
        ("rank NOT BETWEEN missing AND 2", T),
        ("rank NOT BETWEEN missing AND 200", U),
        ("name BETWEEN 1 AND 2", F),
        ("name NOT BETWEEN 1 AND 2", F),
        ("rank BETWEEN 1 AND 200 AND yes", T),
        ("rank + 1 BETWEEN 120 + 4 AND 62 * 2", T),
    ]);
}

#[test]
fn arithmetic() {
    check(&[
        ("rank + 2 = 125", T),
        ("125 = (rank + version)", T),
        ("rank - 2 = 121", T),
        ("rank * 2 = 246", T),
        ("rank / version = 61.5", T),
        ("version / 2 = 1", T),
        ("rank % 10 = 3", T),
        ("-rank % 10 = -3", T),
        ("rank % 0.0 = nan", T),
        ("1 / 0 > large", T),
        ("1 % 0 = nan", T),
        ("small / -1 > 0", T),
        ("large + 1 = small", T),
        ("small - 1 = large", T),
        ("large * 2 = -2", T),
        ("-small = small", T),
        ("2 + 3 * 4 = 14", T),
        ("(2 + 3) * 4 = 20", T),
        ("10 - 3 - 2 = 5", T),
        ("100 / 10 / 5 = 2", T),
        ("-(-5) = 5", T),
        ("+rank = 123", T),
        ("- - rank = + + 123", T),
        ("1-1 = 0", T),
        ("half + half = 1", T),
        ("missing + 1 = 1", U),
        ("1 + missing = missing", T),
        ("1 = 1 + missing", F),
        ("yes + 1 = 2", U),
        ("-name = 1", U),
        ("name - 1 = 1", U),
        ("1 + name = 1", U),
        ("name + '!' = 'James!'", T),
        ("name + 1 + 2 = 'James12'", T),
        ("name + (1 + 2) = 'James3'", T),
        ("name + yes = 'Jamestrue'", T),
        ("name + half + 1E10 + 1.5E-4 = 'James0.51.0E101.5E-4'", T),
        ("'' + 1E6 + nan + 1/0 = '1000000.0NaNInfinity'", T),
        ("name + 1 - 1 = 'James'", U),
        ("name + missing = 'James'", U),
    ]);
}

#[test]
fn like() {
    check(&[
        ("foo LIKE '%oo'", T),
        ("foo LIKE '%ar'", F),
        ("foo not like '%ar'", T),
        ("foo LIKE '_foo'", T),
        ("foo LIKE '____'", T),
        ("foo LIKE '_____'", F),
        ("foo LIKE 'foo'", F),
        ("foo LIKE '%'", T),
        ("empty LIKE '%'", T),
        ("empty LIKE ''", T),
        ("empty LIKE '_'", F),
        ("foo LIKE '%%%o%%%o%%'", T),
        ("foo LIKE '%o%o%o%'", F),
        ("foo LIKE '%o_%'", T),
        ("foo LIKE '%o__%'", F),
        ("foo LIKE '_f%_o'", T),
        ("foo LIKE '_fo%_oo'", F),
        ("quote LIKE '''In G_d We Trust'''", T),
        ("quote NOT LIKE '''In Gd_ We Trust'''", T),
        ("lines LIKE 'one%two'", T),
        ("lines LIKE 'one_two'", T),
        ("umlaut LIKE '_ö_'", T),
        ("astral LIKE '_'", T),
        ("punctuation LIKE '!#$&()*+,-./:;<=>?@[\\]^`{|}~'", T),
        ("foo LIKE '!_%' ESCAPE '!'", T),
        ("quote LIKE '!_%' ESCAPE '!'", F),
        ("quote NOT LIKE '!_%' ESCAPE '!'", T),
        ("foo LIKE '%_%' ESCAPE '%'", T),
        ("ending LIKE '_D7xlJIQn$_' ESCAPE '$'", T),
        ("ending LIKE '_D7xlJIQn__' ESCAPE '_'", T),
        ("ending LIKE '%D7xlJIQn%_' ESCAPE '%'", T),
        ("ending LIKE '%D7xlJIQn%' ESCAPE '%'", T),
        ("ending LIKE '%D7xlJIQn%%' ESCAPE '%'", F),
        ("ending LIKE '_D7xlJIQn\\_' ESCAPE '\\'", T),
        ("ending LIKE '_\\D%' ESCAPE '\\'", F),
        ("ending LIKE 'XD7xlJIQn_!' ESCAPE '!'", F),
        ("missing LIKE '%'", U),
        ("missing NOT LIKE '%'", U),
        ("rank LIKE '123'", F),
        ("rank NOT LIKE '123'", T),
        ("'abc' LIKE 'a%'", T),
        ("name + '!' LIKE 'J%!'", T),
    ]);
}

#[test]
fn lists_and_null() {
    check(&[
        ("name IN ('Bob', 'James')", T),
        ("name in ('Gromit')", F),
        ("name NOT IN ('Gromit', 'Bob', 'Bob')", T),
        ("name NOT IN ('James')", F),
        ("(name) IN ('James')", T),
        ("missing IN ('x')", U),
        ("missing NOT IN ('x')", U),
        ("rank IN ('123')", U),
        ("rank NOT IN ('x')", U),
        ("missing IS NULL", T),
        ("missing is not null", F),
        ("name IS NULL", F),
        ("name IS NOT NULL", T),
        ("NULL IS NULL", T),
        ("missing + 1 IS NULL", T),
        ("(missing > 1) IS NULL", T),
        ("missing IS NULL IS NULL", F),
        ("missing IS NULL = TRUE", T),
    ]);
}

/// Without the prefix a string never equals a number; with it, the string counts as what it spells.
#[test]
fn strings_convert_on_request() {
    check(&[
        ("convert_string_expressions:digits = 12", T),
        ("convert_string_expressions:12 = digits", T),
        ("convert_string_expressions:digits > 11", T),
        ("convert_string_expressions: digits < 11", F),
        ("convert_string_expressions:13 > digits", T),
        ("convert_string_expressions:digits BETWEEN 12 AND 13", T),
        ("convert_string_expressions:digits = 12.0", T),
        ("convert_string_expressions:decimal = 1.5", T),
        ("convert_string_expressions:decimal = 1", F),
        ("convert_string_expressions:name = 1", F),
        ("convert_string_expressions:name < 1.0", F),
        ("convert_string_expressions:empty = 0.0", F),
        ("convert_string_expressions:'inf' = 1.0 / 0", F),
        ("convert_string_expressions:'-Infinity' = -1.0 / 0", T),
        ("convert_string_expressions:'NaN' = nan", T),
        ("convert_string_expressions:truth = TRUE", T),
        ("convert_string_expressions:yes = 'true'", T),
        ("convert_string_expressions:name = FALSE", T),
        ("convert_string_expressions:digits = '12'", T),
        ("convert_string_expressions:digits = '12.0'", F),
    ]);
    let prefixed = Selector::parse("convert_string_expressions:a = 1", &Limits::default()).unwrap();
    assert!(prefixed.converts_strings());
    assert!(!Selector::parse("a = 1", &Limits::default()).unwrap().converts_strings());
}

/// A caller learns which names it will be asked for, each once.
#[test]
fn identifiers_are_listed() {
    let text = "JMSType = 'a' AND (color = 'red' OR color IN ('x')) AND NOT JMSType LIKE '%' AND -w > 1 AND TRUE";
    let selector = Selector::parse(text, &Limits::default()).unwrap();
    assert_eq!(selector.identifiers(), ["JMSType", "color", "w"]);
    assert!(Selector::parse("1 = 1", &Limits::default()).unwrap().identifiers().is_empty());
}

#[test]
fn a_selector_can_be_shared() {
    fn shareable<T: Clone + Send + Sync + std::fmt::Debug>() {}
    shareable::<Selector>();
}

/// Concatenation stops at its limit instead of multiplying a large property.
#[test]
fn concatenation_is_bounded() {
    let message = Message(vec![("big", Value::Owned("x".repeat(40_000).into()))]);
    check_with(&message, &[("big + '' = big", T), ("big + big = big", U), ("big + big IS NULL", T)]);
}
