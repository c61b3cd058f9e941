//! Why a selector was refused.

/// Why a text is not a selector. Positions are byte offsets into the whole text, prefix included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text is longer than `text_bytes_max`; nothing of it was read.
    #[error("selector has {have} bytes, the limit is {limit}")]
    TooLong {
        /// Length of the text.
        have: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// Parentheses, signs, `NOT` or comparisons nest deeper than `depth_max`.
    #[error("selector nests deeper than {limit} at position {position}")]
    TooDeep {
        /// Where one more level began.
        position: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// The tree would hold more than `nodes_max` nodes.
    #[error("selector has more than {limit} parts at position {position}")]
    TooManyNodes {
        /// Where the first part too many begins.
        position: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// A `LIKE` pattern is longer than `like_bytes_max`.
    #[error("LIKE pattern at position {position} has {have} bytes, the limit is {limit}")]
    LikeTooLong {
        /// Where the pattern begins.
        position: usize,
        /// Length of the pattern.
        have: usize,
        /// The limit it broke.
        limit: usize,
    },
    /// The grammar allows something else here.
    #[error("expected {expected} at position {position}, found {found}")]
    Unexpected {
        /// Where the misplaced piece begins.
        position: usize,
        /// What could stand there.
        expected: &'static str,
        /// What stands there, cut to a readable length.
        found: String,
    },
    /// A string or a comment has no end.
    #[error("{what} that begins at position {position} has no end")]
    Unterminated {
        /// Where it begins.
        position: usize,
        /// A string or a comment.
        what: &'static str,
    },
    /// A hexadecimal or octal literal does not fit 64 bits.
    #[error("number at position {position} does not fit 64 bits: {text}")]
    NumberTooLarge {
        /// Where the literal begins.
        position: usize,
        /// The literal, cut to a readable length.
        text: String,
    },
    /// A number or a string stands where a condition is needed.
    #[error("expected a condition or a boolean property at position {position}")]
    NotBoolean {
        /// Where the operand begins.
        position: usize,
    },
    /// An operand's kind can never satisfy the operator.
    #[error("operand at position {position} cannot be compared, expected {expected}")]
    NotComparable {
        /// Where the operand begins.
        position: usize,
        /// What the operator takes.
        expected: &'static str,
    },
    /// `IN` stands behind something else than a property.
    #[error("IN needs a property on its left, at position {position}")]
    NotAProperty {
        /// Where the left side begins.
        position: usize,
    },
    /// The string behind `ESCAPE` is not a single character.
    #[error("ESCAPE needs a string of one character at position {position}")]
    BadEscape {
        /// Where the string begins.
        position: usize,
    },
    /// A part of ActiveMQ's language that this broker leaves out.
    #[error("{what} is not supported in selectors, at position {position}")]
    NotSupported {
        /// Where it begins.
        position: usize,
        /// Its name.
        what: String,
    },
}

impl SelectorError {
    /// Where in the text the fault lies; `None` when the text was not read.
    pub fn position(&self) -> Option<usize> {
        match self {
            SelectorError::TooLong { .. } => None,
            SelectorError::TooDeep { position, .. }
            | SelectorError::TooManyNodes { position, .. }
            | SelectorError::LikeTooLong { position, .. }
            | SelectorError::Unexpected { position, .. }
            | SelectorError::Unterminated { position, .. }
            | SelectorError::NumberTooLarge { position, .. }
            | SelectorError::NotBoolean { position }
            | SelectorError::NotComparable { position, .. }
            | SelectorError::NotAProperty { position }
            | SelectorError::BadEscape { position }
            | SelectorError::NotSupported { position, .. } => Some(*position),
        }
    }
}
