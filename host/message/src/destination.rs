//! Where messages go: names with `.` between their parts, the four kinds, composites and wildcards.

use std::fmt;

use crate::Text;

/// The four kinds of destination (row P01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DestinationKind {
    /// Each message goes to one consumer.
    Queue,
    /// Each message goes to all subscribers.
    Topic,
    /// A queue that lives and dies with the connection that made it.
    TempQueue,
    /// A topic that lives and dies with the connection that made it.
    TempTopic,
}

impl DestinationKind {
    /// True for both queue kinds.
    pub fn is_queue(self) -> bool {
        matches!(self, DestinationKind::Queue | DestinationKind::TempQueue)
    }

    /// True for both temporary kinds.
    pub fn is_temporary(self) -> bool {
        matches!(self, DestinationKind::TempQueue | DestinationKind::TempTopic)
    }

    /// The scheme in front of a qualified name.
    pub fn scheme(self) -> &'static str {
        match self {
            DestinationKind::Queue => "queue://",
            DestinationKind::Topic => "topic://",
            DestinationKind::TempQueue => "temp-queue://",
            DestinationKind::TempTopic => "temp-topic://",
        }
    }
}

/// A destination as clients name it. Names are case-sensitive (row P01). The name may be a composite (`A,B`) or hold
/// wildcards (`A.*`, `A.>`); [`Destination::components`] and [`Pattern`] take those apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Which of the four kinds.
    pub kind: DestinationKind,
    /// The name without scheme and without options.
    pub name: Text,
}

/// Why a name was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DestinationError {
    /// Nothing is left once scheme and options are taken away.
    #[error("destination name is empty; give a name such as queue://orders")]
    Empty,
    /// Longer than [`Destination::NAME_BYTES_MAX`].
    #[error("destination name has {have} bytes, at most {limit} are allowed; shorten the name")]
    TooLong {
        /// Bytes in the name.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// More parts than [`Destination::PARTS_MAX`].
    #[error("destination name has {have} parts, at most {limit} are allowed; use fewer dots")]
    TooDeep {
        /// Parts between dots.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// A composite of more than [`Destination::COMPONENTS_MAX`] names.
    #[error("composite destination names {have} destinations, at most {limit} are allowed")]
    TooMany {
        /// Names between commas.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// A control character in the name.
    #[error("destination name holds the control character {0:#04x}; remove it")]
    Control(u32),
}

impl Destination {
    /// Bytes in a name, composites included.
    pub const NAME_BYTES_MAX: usize = 4096;
    /// Parts between dots in one name.
    pub const PARTS_MAX: usize = 128;
    /// Names in one composite.
    pub const COMPONENTS_MAX: usize = 256;

    /// A queue of this name.
    pub fn queue(name: impl Into<Text>) -> Destination {
        Destination { kind: DestinationKind::Queue, name: name.into() }
    }

    /// A topic of this name.
    pub fn topic(name: impl Into<Text>) -> Destination {
        Destination { kind: DestinationKind::Topic, name: name.into() }
    }

    /// Reads a qualified name (`queue://A`, `topic://B`, …); a bare name gets `default`.
    pub fn parse(text: &str, default: DestinationKind) -> Destination {
        for kind in
            [DestinationKind::Queue, DestinationKind::Topic, DestinationKind::TempQueue, DestinationKind::TempTopic]
        {
            if let Some(name) = text.strip_prefix(kind.scheme()) {
                return Destination { kind, name: name.into() };
            }
        }
        Destination { kind: default, name: text.into() }
    }

    /// Says why the name cannot be used, if it cannot. Checks every component of a composite.
    pub fn check(&self) -> Result<(), DestinationError> {
        let have = self.name.len();
        if have > Self::NAME_BYTES_MAX {
            return Err(DestinationError::TooLong { have, limit: Self::NAME_BYTES_MAX });
        }
        if let Some(bad) = self.name.chars().find(|c| c.is_control()) {
            return Err(DestinationError::Control(bad as u32));
        }
        let mut count = 0;
        for name in self.name.split(',') {
            count += 1;
            let name = strip_scheme(name.trim()).1;
            if name.is_empty() {
                return Err(DestinationError::Empty);
            }
            let have = name.split('.').count();
            if have > Self::PARTS_MAX {
                return Err(DestinationError::TooDeep { have, limit: Self::PARTS_MAX });
            }
        }
        if count > Self::COMPONENTS_MAX {
            return Err(DestinationError::TooMany { have: count, limit: Self::COMPONENTS_MAX });
        }
        Ok(())
    }

    /// True when the name lists several destinations.
    pub fn is_composite(&self) -> bool {
        self.name.contains(',')
    }

    /// The destinations that a composite lists, each once; itself when it is no composite. A part may carry its own
    /// scheme (`A,topic://B`); parts without one have the kind of the whole.
    pub fn components(&self) -> Vec<Destination> {
        if !self.is_composite() {
            return vec![self.clone()];
        }
        let mut all: Vec<Destination> = Vec::new();
        for part in self.name.split(',') {
            let (kind, name) = strip_scheme(part.trim());
            let one = Destination { kind: kind.unwrap_or(self.kind), name: name.into() };
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }

    /// True when the name is a pattern (row P04).
    pub fn is_wildcard(&self) -> bool {
        self.name.split('.').any(|part| part == "*" || part == ">")
    }

    /// Whether `other` is this destination or one that its wildcards stand for; both are of one kind.
    pub fn covers(&self, other: &Destination) -> bool {
        self.kind == other.kind && self.covers_name(&other.name)
    }

    /// Whether a destination of this name and the same kind is one that this one stands for.
    pub fn covers_name(&self, name: &str) -> bool {
        stands_for(&self.name, name)
    }

    /// True for advisory topics (row E01).
    pub fn is_advisory(&self) -> bool {
        self.kind == DestinationKind::Topic && self.name.starts_with("ActiveMQ.Advisory.")
    }
}

fn strip_scheme(text: &str) -> (Option<DestinationKind>, &str) {
    for kind in [DestinationKind::Queue, DestinationKind::Topic, DestinationKind::TempQueue, DestinationKind::TempTopic]
    {
        if let Some(name) = text.strip_prefix(kind.scheme()) {
            return (Some(kind), name);
        }
    }
    (None, text)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.scheme(), self.name)
    }
}

/// A wildcard name (row P04): `*` stands for one part, `>` for all that follow, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Text);

impl Pattern {
    /// A pattern from a name; a name without wildcards matches itself alone.
    pub fn new(name: Text) -> Pattern {
        Pattern(name)
    }

    /// Orders patterns that match the same name: more parts before the first wildcard rank higher, `*` above `>`, a
    /// full name above all.
    pub fn specificity(&self) -> (usize, u8) {
        let parts = self.0.split('.').take_while(|part| *part != "*" && *part != ">").count();
        let kind = match self.0.split('.').nth(parts) {
            None => 2,
            Some("*") => 1,
            Some(_) => 0,
        };
        (parts, kind)
    }

    /// The text of the pattern.
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// Whether `name` is one of those that the pattern stands for.
    pub fn matches(&self, name: &str) -> bool {
        stands_for(&self.0, name)
    }
}

fn stands_for(pattern: &str, name: &str) -> bool {
    let mut parts = name.split('.');
    for wanted in pattern.split('.') {
        if wanted == ">" {
            return true;
        }
        match parts.next() {
            Some(part) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_manual_says() {
        let table = [
            ("PRICE.>", "PRICE.STOCK.NASDAQ.IBM", true),
            ("PRICE.>", "PRICE", true),
            ("PRICE.STOCK.*.IBM", "PRICE.STOCK.NASDAQ.IBM", true),
            ("PRICE.STOCK.*", "PRICE.STOCK.NASDAQ.IBM", false),
            ("PRICE.*", "PRICE", false),
            ("*", "A", true),
            ("*", "A.B", false),
            (">", "A.B", true),
            ("A.>.Z", "A.B", true),
            ("A.B", "a.b", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(Pattern::new(pattern.into()).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn composites_fall_apart_and_keep_their_kinds() {
        let all = Destination::queue("A,topic://B, C,A").components();
        assert_eq!(all, [Destination::queue("A"), Destination::topic("B"), Destination::queue("C")]);
    }

    #[test]
    fn bad_names_are_refused_with_a_reason() {
        assert_eq!(Destination::queue("").check(), Err(DestinationError::Empty));
        assert_eq!(Destination::queue("A,,B").check(), Err(DestinationError::Empty));
        assert_eq!(Destination::queue("A\u{7}").check(), Err(DestinationError::Control(7)));
        assert!(matches!(Destination::queue("x".repeat(5000)).check(), Err(DestinationError::TooLong { .. })));
        assert!(matches!(Destination::queue("a.".repeat(200)).check(), Err(DestinationError::TooDeep { .. })));
        assert!(matches!(Destination::queue("a,".repeat(300) + "b").check(), Err(DestinationError::TooMany { .. })));
        assert_eq!(Destination::queue("A.B,topic://C").check(), Ok(()));
    }
}
