//! `LIKE` patterns, prepared once. `%` is any run of characters, `_` any one character.
//!
//! A pattern is cut at its `%` into pieces. The first piece must stand at the start, the last at the end, and each
//! piece between is taken at the leftmost place it fits: whatever fits further right leaves less for the rest. So
//! there is no backtracking, and matching costs at most the text's length times the pattern's.

#[derive(Debug)]
pub(crate) struct Pattern {
    /// At least one piece; with exactly one there is no `%` and it must be the whole text.
    pieces: Vec<Piece>,
}

/// What stands between two `%`.
#[derive(Debug)]
enum Piece {
    Literal(String),
    /// `None` is any one character.
    Mixed(Vec<Option<char>>),
}

impl Pattern {
    /// As in ActiveMQ, `escape` takes away the meaning of `%`, `_` or itself only; before any other character it is
    /// an ordinary part of the pattern, and means `%` or `_` if it is that.
    pub(crate) fn new(pattern: &str, escape: Option<char>) -> Pattern {
        let mut pieces = Vec::new();
        let mut piece = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let escaped = chars.next_if(|next| Some(c) == escape && (matches!(next, '%' | '_') || *next == c));
            match (escaped, c) {
                (Some(literal), _) => piece.push(Some(literal)),
                (None, '%') => pieces.push(Piece::new(std::mem::take(&mut piece))),
                (None, '_') => piece.push(None),
                (None, literal) => piece.push(Some(literal)),
            }
        }
        pieces.push(Piece::new(piece));
        Pattern { pieces }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let (Some((first, rest)), Some(last)) = (self.pieces.split_first(), self.pieces.last()) else {
            return false;
        };
        let Some(text) = first.strip_from_start(text) else {
            return false;
        };
        let Some((_, between)) = rest.split_last() else {
            return text.is_empty();
        };
        let Some(mut text) = last.strip_from_end(text) else {
            return false;
        };
        for piece in between {
            match piece.strip_through_leftmost(text) {
                Some(rest) => text = rest,
                None => return false,
            }
        }
        true
    }
}

impl Piece {
    fn new(chars: Vec<Option<char>>) -> Piece {
        match chars.iter().copied().collect::<Option<String>>() {
            Some(literal) => Piece::Literal(literal),
            None => Piece::Mixed(chars),
        }
    }

    fn strip_from_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => text.strip_prefix(literal.as_str()),
            Piece::Mixed(chars) => {
                let mut rest = text.chars();
                for want in chars {
                    let have = rest.next()?;
                    if want.is_some_and(|want| want != have) {
                        return None;
                    }
                }
                Some(rest.as_str())
            }
        }
    }

    fn strip_from_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => text.strip_suffix(literal.as_str()),
            Piece::Mixed(chars) => {
                let mut rest = text.chars();
                for want in chars.iter().rev() {
                    let have = rest.next_back()?;
                    if want.is_some_and(|want| want != have) {
                        return None;
                    }
                }
                Some(rest.as_str())
            }
        }
    }

    fn strip_through_leftmost<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Piece::Literal(literal) => text.find(literal.as_str()).map(|at| &text[at + literal.len()..]),
            Piece::Mixed(_) => text.char_indices().find_map(|(at, _)| self.strip_from_start(&text[at..])),
        }
    }
}
