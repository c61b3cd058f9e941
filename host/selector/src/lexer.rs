//! Text -> tokens, one at a time. Every byte is looked at a bounded number of times.

use crate::error::SelectorError;

/// How much of a token an error message shows.
const SHOWN_CHARS_MAX: usize = 32;

/// A piece of text and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Identifier,
    /// Quotes included, doubled quotes still doubled.
    Text,
    /// Digits without a leading zero, perhaps with an `L` behind.
    Decimal,
    Hex,
    Octal,
    Float,
    Not,
    And,
    Or,
    Between,
    Like,
    Escape,
    In,
    Is,
    True,
    False,
    Null,
    Xpath,
    Xquery,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Open,
    Close,
    Comma,
    /// A character no token begins with; always an error one level up.
    Stray,
    End,
}

const KEYWORDS: [(&str, Kind); 13] = [
    ("AND", Kind::And),
    ("OR", Kind::Or),
    ("NOT", Kind::Not),
    ("IN", Kind::In),
    ("IS", Kind::Is),
    ("NULL", Kind::Null),
    ("LIKE", Kind::Like),
    ("ESCAPE", Kind::Escape),
    ("BETWEEN", Kind::Between),
    ("TRUE", Kind::True),
    ("FALSE", Kind::False),
    ("XPATH", Kind::Xpath),
    ("XQUERY", Kind::Xquery),
];

pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Where the last line end stands: a `--` behind it is two signs, since a line comment needs its line end.
    last_line_end: Option<usize>,
}

impl<'t> Lexer<'t> {
    /// Reads `text` from the byte offset `start`, which must be a character boundary.
    pub(crate) fn new(text: &'t str, start: usize) -> Lexer<'t> {
        Lexer { text, at: start, last_line_end: text.rfind(['\n', '\r']) }
    }

    /// The next token; at the end of the text it is `End` for ever.
    pub(crate) fn next(&mut self) -> Result<Token, SelectorError> {
        self.skip_blanks()?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let Some(&first) = rest.first() else {
            return Ok(Token { kind: Kind::End, start, end: start });
        };
        let second = rest.get(1).copied();
        let (kind, len) = match (first, second) {
            (b'\'', _) => (Kind::Text, self.text_len()?),
            (b'0'..=b'9', _) | (b'.', Some(b'0'..=b'9')) => number(rest),
            (b'<', Some(b'>')) => (Kind::NotEqual, 2),
            (b'<', Some(b'=')) => (Kind::LessEqual, 2),
            (b'>', Some(b'=')) => (Kind::GreaterEqual, 2),
            (b'<', _) => (Kind::Less, 1),
            (b'>', _) => (Kind::Greater, 1),
            (b'=', _) => (Kind::Equal, 1),
            (b'+', _) => (Kind::Plus, 1),
            (b'-', _) => (Kind::Minus, 1),
            (b'*', _) => (Kind::Star, 1),
            (b'/', _) => (Kind::Slash, 1),
            (b'%', _) => (Kind::Percent, 1),
            (b'(', _) => (Kind::Open, 1),
            (b')', _) => (Kind::Close, 1),
            (b',', _) => (Kind::Comma, 1),
            _ => self.word(),
        };
        self.at = start + len;
        Ok(Token { kind, start, end: self.at })
    }

    /// What an error message shows for `token`.
    pub(crate) fn shown(&self, token: Token) -> String {
        if token.kind == Kind::End {
            return "the end".to_owned();
        }
        let piece = &self.text[token.start..token.end];
        let mut shown: String = piece.chars().take(SHOWN_CHARS_MAX).collect();
        if shown.len() < piece.len() {
            shown.push('…');
        }
        shown
    }

    fn skip_blanks(&mut self) -> Result<(), SelectorError> {
        let bytes = self.text.as_bytes();
        loop {
            match (bytes.get(self.at), bytes.get(self.at + 1)) {
                (Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c), _) => self.at += 1,
                (Some(b'-'), Some(b'-')) if self.last_line_end.is_some_and(|end| end > self.at) => {
                    // A line end stands ahead, so this finds one; the search moves `at` and is never repeated.
                    let len = bytes[self.at..].iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(0);
                    self.at += len + 1;
                }
                (Some(b'/'), Some(b'*')) => match self.text[self.at + 2..].find("*/") {
                    Some(len) => self.at += 2 + len + 2,
                    None => return Err(SelectorError::Unterminated { position: self.at, what: "comment" }),
                },
                _ => return Ok(()),
            }
        }
    }

    /// Length of the string literal at `at`, both quotes included.
    fn text_len(&self) -> Result<usize, SelectorError> {
        let rest = &self.text.as_bytes()[self.at..];
        let mut at = 1;
        while let Some(quote) = rest[at..].iter().position(|b| *b == b'\'') {
            at += quote + 1;
            if rest.get(at) != Some(&b'\'') {
                return Ok(at);
            }
            at += 1;
        }
        Err(SelectorError::Unterminated { position: self.at, what: "string" })
    }

    fn word(&self) -> (Kind, usize) {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().map_or(0, char::len_utf8);
        if !rest.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$') {
            return (Kind::Stray, first);
        }
        let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
        let word = &rest[..len];
        let keyword = KEYWORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        (keyword.map_or(Kind::Identifier, |(_, kind)| *kind), len)
    }
}

/// The longest number at the start of `rest`, which begins with a digit or with a point and a digit.
fn number(rest: &[u8]) -> (Kind, usize) {
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    if rest[0] == b'0' && matches!(rest.get(1), Some(b'x' | b'X')) {
        let hex = rest[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if hex > 0 {
            return (Kind::Hex, 2 + hex);
        }
    }
    let whole = digits(0);
    let mut len = whole;
    if rest.get(len) == Some(&b'.') {
        len += 1 + digits(len + 1);
    }
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
        let exponent = rest.get(len + 1 + sign..).map_or(0, |_| digits(len + 1 + sign));
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    if len > whole {
        return (Kind::Float, len);
    }
    if rest[0] == b'0' {
        return (Kind::Octal, rest.iter().take_while(|b| matches!(b, b'0'..=b'7')).count());
    }
    let suffix = usize::from(matches!(rest.get(len), Some(b'l' | b'L')));
    (Kind::Decimal, len + suffix)
}
