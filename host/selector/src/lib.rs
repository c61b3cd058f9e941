//! JMS selectors: text -> tree -> true, false or unknown.
//!
//! This room parses the SQL-92 subset that ActiveMQ Classic understands and answers whether one message satisfies it.
//! It is pure and total: no input makes it panic, recurse without bound or loop without bound. It must never know what
//! a message, a destination or a subscription is; whoever asks hands over a [`Properties`] that looks names up.
//!
//! Start reading at [`Selector`], then `parser` (the grammar) and `tree` (what each operator answers).
//!
//! # Where ActiveMQ differs from the JMS text, and this room follows ActiveMQ
//! - `NOT` binds as tightly as a sign: `NOT a = 1` is `(NOT a) = 1`. Write `NOT (a = 1)`.
//! - `=` of two missing values is true; `present = missing` is false, `missing = present` is unknown.
//! - Values of different kinds are never equal and never ordered: the answer is false, not unknown.
//! - `/` and `%` always compute in floating point, so `7 / 2` is `3.5` and `1 / 0` is infinity.
//! - `+` with a string on its left concatenates.
//! - `<`, `>`, `BETWEEN` refuse string literals, but order two string properties.
//! - `IN` asks a property of kind string; any other kind is unknown.
//! - There are no quoted identifiers, and a `--` comment ends only at a line end.
//!
//! # Where this room differs from ActiveMQ
//! - Integers are 64 bits wide throughout and wrap there; ActiveMQ wraps `int + int` at 32 bits.
//! - A decimal literal beyond 64 bits becomes a float; ActiveMQ makes it a value that compares with nothing.
//! - Identifiers may use letters beyond ASCII, as Java identifiers do.
//! - Where ActiveMQ throws while evaluating (`TRUE + 1`, `1 - 'a'`), the answer is unknown.
//! - `XPATH`, `XQUERY` and function calls such as `REGEX(…)` are refused by name.

mod error;
mod lexer;
mod like;
mod parser;
mod tree;

use std::sync::Arc;

use bytestring::ByteString;

pub use error::SelectorError;

use tree::{Context, Node};

/// The prefix that makes numeric and boolean strings compare as what they spell; STOMP subscriptions get it by
/// themselves in ActiveMQ. It is case-sensitive and stands at the very start of the text.
pub const CONVERT_STRING_EXPRESSIONS_PREFIX: &str = "convert_string_expressions:";

/// A parsed selector. Cloning shares the tree; evaluation takes `&self` and keeps no state.
#[derive(Debug, Clone)]
pub struct Selector {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    text: ByteString,
    root: Node,
    identifiers: Vec<ByteString>,
    context: Context,
}

impl Selector {
    /// Parses `text`, which may begin with [`CONVERT_STRING_EXPRESSIONS_PREFIX`].
    ///
    /// An empty text is an error here; a caller that reads "no selector" from it asks before.
    pub fn parse(text: &str, limits: &Limits) -> Result<Selector, SelectorError> {
        if text.len() > limits.text_bytes_max {
            return Err(SelectorError::TooLong { have: text.len(), limit: limits.text_bytes_max });
        }
        let text = ByteString::from(text);
        let convert_strings = text.starts_with(CONVERT_STRING_EXPRESSIONS_PREFIX);
        let start = if convert_strings { CONVERT_STRING_EXPRESSIONS_PREFIX.len() } else { 0 };
        let (root, identifiers) = parser::parse(&text, start, limits)?;
        let context = Context { convert_strings, concat_bytes_max: limits.concat_bytes_max };
        Ok(Selector { inner: Arc::new(Inner { text, root, identifiers, context }) })
    }

    /// Whether the message behind `properties` is selected: only [`Truth::True`] selects, unknown does not.
    pub fn matches<P: Properties + ?Sized>(&self, properties: &P) -> bool {
        self.evaluate(properties) == Truth::True
    }

    /// The three-valued answer for the message behind `properties`.
    pub fn evaluate<P: Properties + ?Sized>(&self, properties: &P) -> Truth {
        match self.inner.root.truth(properties, &self.inner.context) {
            Some(true) => Truth::True,
            Some(false) => Truth::False,
            None => Truth::Unknown,
        }
    }

    /// The text as it was given, prefix included.
    pub fn text(&self) -> &ByteString {
        &self.inner.text
    }

    /// Every name the selector asks for, once each, in order of first appearance. A caller that finds only header
    /// names here need not decode the message's properties.
    pub fn identifiers(&self) -> &[ByteString] {
        &self.inner.identifiers
    }

    /// Whether strings compare as the numbers or booleans they spell, see [`CONVERT_STRING_EXPRESSIONS_PREFIX`].
    pub fn converts_strings(&self) -> bool {
        self.inner.context.convert_strings
    }
}

/// What a selector may cost. All bounds are checked while parsing, except `concat_bytes_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text in bytes, checked before anything is read. Default 64 KiB.
    pub text_bytes_max: usize,
    /// Deepest nesting of parentheses, signs and `NOT`, and of the tree they make. Default 128; values above
    /// [`Limits::DEPTH_CEILING`] count as that, since depth is paid in stack.
    pub depth_max: usize,
    /// Most nodes in the tree, list elements of `IN` included. Default 4096.
    pub nodes_max: usize,
    /// Longest `LIKE` pattern in bytes; matching costs at most this times the length of the text. Default 4096.
    pub like_bytes_max: usize,
    /// Longest string that `+` may build while evaluating; beyond it the answer is unknown. Default 64 KiB.
    pub concat_bytes_max: usize,
}

impl Limits {
    /// The deepest nesting that any [`Limits::depth_max`] can allow.
    pub const DEPTH_CEILING: usize = 512;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            text_bytes_max: 64 * 1024,
            depth_max: 128,
            nodes_max: 4096,
            like_bytes_max: 4096,
            concat_bytes_max: 64 * 1024,
        }
    }
}

/// The three answers of SQL's logic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// A value it needs is missing or unfit.
    Unknown,
}

/// Where a selector finds the headers and properties of one message.
///
/// Headers go by their JMS names (`JMSPriority`, `JMSXGroupID`, `JMSDeliveryMode` as `'PERSISTENT'` or
/// `'NON_PERSISTENT'`, …); names are case-sensitive. The answer for a name must not change during one evaluation.
pub trait Properties {
    /// The value under `name`, or `None` when the message has none or it is null.
    fn get(&self, name: &str) -> Option<Value<'_>>;
}

/// A value that a selector can reason about. Narrower numbers widen: byte, short and int to [`Value::Int`], float to
/// [`Value::Float`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A boolean.
    Bool(bool),
    /// An integer of any width up to 64 bits.
    Int(i64),
    /// A floating point number.
    Float(f64),
    /// A string that lives in the message.
    Str(&'a str),
    /// A string made for the answer, such as a destination's qualified name.
    Owned(ByteString),
}

impl Value<'_> {
    /// The string, when it is one of either kind.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            Value::Owned(text) => Some(text),
            _ => None,
        }
    }
}
