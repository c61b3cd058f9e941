//! The tree of a selector and what each of its nodes answers.
//!
//! Everything here is total: a missing value, an unfit kind or a string grown too long is `None`, which is unknown as
//! a condition and null as a value. Recursion is as deep as the tree, which the parser has bounded.

use std::cmp::Ordering;
use std::fmt::Write;

use bytestring::ByteString;

use crate::like::Pattern;
use crate::{Properties, Value};

/// A part of a selector. Conditions answer `truth`; all others only `value`.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(ByteString),
    Property(ByteString),
    Negate(Box<Node>),
    /// First operand, then operators of one precedence from left to right; at least one.
    Arithmetic(Box<Node>, Vec<(Arithmetic, Node)>),
    /// A property where a condition is needed.
    Cast(Box<Node>),
    Not(Box<Node>),
    /// `AND` of two or more.
    All(Vec<Node>),
    /// `OR` of two or more.
    Any(Vec<Node>),
    Equal(Box<(Node, Node)>),
    Ordered(Order, Box<(Node, Node)>),
    /// Value, low, high.
    Between(Box<[Node; 3]>),
    NotBetween(Box<[Node; 3]>),
    Like(Box<Node>, Box<Pattern>),
    /// `list` is sorted.
    In {
        name: ByteString,
        list: Vec<ByteString>,
        negated: bool,
    },
    IsNull(Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// What holds for a whole selector.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) convert_strings: bool,
    pub(crate) concat_bytes_max: usize,
}

impl Node {
    /// Whether the node answers `truth`.
    pub(crate) fn is_condition(&self) -> bool {
        match self {
            Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::Property(_) => false,
            Node::Negate(_) | Node::Arithmetic(..) => false,
            Node::Null | Node::Bool(_) | Node::Cast(_) | Node::Not(_) | Node::All(_) | Node::Any(_) => true,
            Node::Equal(_) | Node::Ordered(..) | Node::Between(_) | Node::NotBetween(_) => true,
            Node::Like(..) | Node::In { .. } | Node::IsNull(_) => true,
        }
    }

    /// The answer of a condition; `None` is unknown.
    pub(crate) fn truth<P: Properties + ?Sized>(&self, properties: &P, ctx: &Context) -> Option<bool> {
        match self {
            Node::Bool(b) => Some(*b),
            Node::Cast(node) => match node.value(properties, ctx)? {
                Value::Bool(b) => Some(b),
                _ => Some(false),
            },
            Node::Not(node) => node.truth(properties, ctx).map(|b| !b),
            Node::All(nodes) => {
                let mut answer = Some(true);
                for node in nodes {
                    match node.truth(properties, ctx) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => answer = None,
                    }
                }
                answer
            }
            Node::Any(nodes) => {
                let mut answer = Some(false);
                for node in nodes {
                    match node.truth(properties, ctx) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => answer = None,
                    }
                }
                answer
            }
            Node::Equal(pair) => match (pair.0.value(properties, ctx), pair.1.value(properties, ctx)) {
                (None, None) => Some(true),
                (None, Some(_)) => None,
                (Some(_), None) => Some(false),
                (Some(left), Some(right)) => Some(equal(&left, &right, ctx)),
            },
            Node::Ordered(order, pair) => {
                let left = pair.0.value(properties, ctx)?;
                let right = pair.1.value(properties, ctx)?;
                Some(order.holds(&left, &right, ctx))
            }
            Node::Between(operands) => {
                let (value, low, high) = (&operands[0], &operands[1], &operands[2]);
                // An unknown value makes both halves unknown. An unknown bound leaves the other half to decide.
                let value = value.value(properties, ctx)?;
                let above = low.value(properties, ctx).map(|low| Order::GreaterEqual.holds(&value, &low, ctx));
                if above == Some(false) {
                    return above;
                }
                let below = high.value(properties, ctx).map(|high| Order::LessEqual.holds(&value, &high, ctx));
                if below == Some(false) { below } else { above.and(below) }
            }
            Node::NotBetween(operands) => {
                let (value, low, high) = (&operands[0], &operands[1], &operands[2]);
                let value = value.value(properties, ctx)?;
                let below = low.value(properties, ctx).map(|low| Order::Less.holds(&value, &low, ctx));
                if below == Some(true) {
                    return below;
                }
                let above = high.value(properties, ctx).map(|high| Order::Greater.holds(&value, &high, ctx));
                if above == Some(true) { above } else { below.and(above) }
            }
            Node::Like(node, pattern) => {
                let value = node.value(properties, ctx)?;
                Some(value.as_str().is_some_and(|text| pattern.matches(text)))
            }
            Node::In { name, list, negated } => {
                let value = properties.get(name)?;
                let text = value.as_str()?;
                let found = list.binary_search_by(|element| (**element).cmp(text)).is_ok();
                Some(found != *negated)
            }
            Node::IsNull(node) => Some(node.value(properties, ctx).is_none()),
            Node::Null | Node::Int(_) | Node::Float(_) | Node::Text(_) | Node::Property(_) => None,
            Node::Negate(_) | Node::Arithmetic(..) => None,
        }
    }

    /// The value of any node; `None` is null.
    fn value<'a, P: Properties + ?Sized>(&'a self, properties: &'a P, ctx: &Context) -> Option<Value<'a>> {
        match self {
            Node::Null => None,
            Node::Int(n) => Some(Value::Int(*n)),
            Node::Float(n) => Some(Value::Float(*n)),
            Node::Text(text) => Some(Value::Str(text)),
            Node::Property(name) => properties.get(name),
            Node::Negate(node) => match node.value(properties, ctx)? {
                Value::Int(n) => Some(Value::Int(n.wrapping_neg())),
                Value::Float(n) => Some(Value::Float(-n)),
                _ => None,
            },
            Node::Arithmetic(first, rest) => {
                let first = first.value(properties, ctx)?;
                if first.as_str().is_some() {
                    return concatenated(&first, rest, properties, ctx);
                }
                rest.iter().try_fold(first, |left, (operator, node)| {
                    let right = node.value(properties, ctx)?;
                    operator.of_numbers(left, right)
                })
            }
            _ => self.truth(properties, ctx).map(Value::Bool),
        }
    }
}

/// `first + …` with a string in front: each operand is spelt out behind it. No other operator takes a string.
fn concatenated<'a, P: Properties + ?Sized>(
    first: &Value<'_>,
    rest: &'a [(Arithmetic, Node)],
    properties: &'a P,
    ctx: &Context,
) -> Option<Value<'a>> {
    let mut text = String::new();
    push(&mut text, first, ctx)?;
    for (operator, node) in rest {
        if *operator != Arithmetic::Add {
            return None;
        }
        push(&mut text, &node.value(properties, ctx)?, ctx)?;
    }
    Some(Value::Owned(text.into()))
}

/// Spells `value` as Java does, unless the text would grow beyond its limit.
fn push(text: &mut String, value: &Value<'_>, ctx: &Context) -> Option<()> {
    match value {
        Value::Bool(b) => text.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => write!(text, "{n}").ok()?,
        Value::Float(n) => push_float(text, *n)?,
        Value::Str(_) | Value::Owned(_) => {
            let piece = value.as_str()?;
            if piece.len() > ctx.concat_bytes_max.saturating_sub(text.len()) {
                return None;
            }
            text.push_str(piece);
        }
    }
    (text.len() <= ctx.concat_bytes_max).then_some(())
}

fn push_float(text: &mut String, n: f64) -> Option<()> {
    let size = n.abs();
    if n.is_nan() {
        text.push_str("NaN");
    } else if n.is_infinite() {
        text.push_str(if n > 0.0 { "Infinity" } else { "-Infinity" });
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        write!(text, "{n:?}").ok()?;
    } else {
        let spelt = format!("{n:e}");
        let (mantissa, exponent) = spelt.split_once('e')?;
        let point = if mantissa.contains('.') { "" } else { ".0" };
        write!(text, "{mantissa}{point}E{exponent}").ok()?;
    }
    Some(())
}

impl Arithmetic {
    fn of_numbers<'a>(self, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
        if let (Value::Int(left), Value::Int(right)) = (&left, &right) {
            match self {
                Arithmetic::Add => return Some(Value::Int(left.wrapping_add(*right))),
                Arithmetic::Subtract => return Some(Value::Int(left.wrapping_sub(*right))),
                Arithmetic::Multiply => return Some(Value::Int(left.wrapping_mul(*right))),
                Arithmetic::Divide | Arithmetic::Modulo => {}
            }
        }
        let (left, right) = (as_float(&left)?, as_float(&right)?);
        Some(Value::Float(match self {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
            Arithmetic::Modulo => left % right,
        }))
    }
}

impl Order {
    /// False also when the two have no order between them.
    fn holds(self, left: &Value<'_>, right: &Value<'_>, ctx: &Context) -> bool {
        compare(left, right, ctx).is_some_and(|ordering| match self {
            Order::Less => ordering.is_lt(),
            Order::LessEqual => ordering.is_le(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterEqual => ordering.is_ge(),
        })
    }
}

fn equal(left: &Value<'_>, right: &Value<'_>, ctx: &Context) -> bool {
    match (left.as_str(), right.as_str()) {
        (Some(left), Some(right)) => left == right,
        _ => compare(left, right, ctx) == Some(Ordering::Equal),
    }
}

/// How two values stand to each other; `None` when they are of kinds that do not compare.
fn compare(left: &Value<'_>, right: &Value<'_>, ctx: &Context) -> Option<Ordering> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        _ => match (left.as_str(), right.as_str()) {
            // Java orders strings by their UTF-16 units.
            (Some(left), Some(right)) => Some(left.encode_utf16().cmp(right.encode_utf16())),
            (Some(text), None) if ctx.convert_strings => compare_spelt(text, right).map(Ordering::reverse),
            (None, Some(text)) if ctx.convert_strings => compare_spelt(text, left),
            (None, None) => Some(compare_floats(as_float(left)?, as_float(right)?)),
            _ => None,
        },
    }
}

/// How `other` stands to what `text` spells in the kind of `other`; `None` when it spells nothing of that kind.
fn compare_spelt(text: &str, other: &Value<'_>) -> Option<Ordering> {
    match other {
        Value::Bool(other) => Some(other.cmp(&text.eq_ignore_ascii_case("true"))),
        Value::Int(other) => Some(other.cmp(&text.parse().ok()?)),
        Value::Float(other) => Some(compare_floats(*other, spelt_float(text)?)),
        Value::Str(_) | Value::Owned(_) => None,
    }
}

/// A float as Java spells it: blanks around it and a type letter behind it do not matter.
fn spelt_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !matches!(unsigned, "NaN" | "Infinity") && !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text).parse().ok()
}

fn as_float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Float(n) => Some(*n),
        _ => None,
    }
}

/// Java's total order: minus zero lies below zero, NaN equals itself and lies above all.
fn compare_floats(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => left.total_cmp(&right),
        (left, right) => left.cmp(&right),
    }
}
