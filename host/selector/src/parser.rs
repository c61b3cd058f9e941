//! Tokens -> tree, by recursive descent over ActiveMQ's grammar.
//!
//! ```text
//! or         = and { OR and }
//! and        = equality { AND equality }
//! equality   = comparison { ( = | <> ) comparison | IS [NOT] NULL }
//! comparison = sum { ( < | <= | > | >= ) sum | [NOT] LIKE text [ESCAPE text]
//!                  | [NOT] BETWEEN sum AND sum | [NOT] IN ( text { , text } ) }
//! sum        = product { ( + | - ) product }
//! product    = unary { ( * | / | % ) unary }
//! unary      = ( + | - | NOT ) unary | literal | identifier | ( or )
//! ```
//!
//! Only `unary` recurses, and it counts. A tree is as deep as its own depth says, which chains such as `a = b = c`
//! grow without recursion here; since evaluation does recurse, that depth has the same limit. Chains of `AND`, `OR`
//! and arithmetic are one node with many children and cost no depth.

use std::collections::HashSet;

use bytestring::ByteString;

use crate::Limits;
use crate::error::SelectorError;
use crate::lexer::{Kind, Lexer, Token};
use crate::like::Pattern;
use crate::tree::{Arithmetic, Node, Order};

/// Parses `text` from the byte offset `start`; returns the tree and the names it asks for.
pub(crate) fn parse(
    text: &ByteString,
    start: usize,
    limits: &Limits,
) -> Result<(Node, Vec<ByteString>), SelectorError> {
    let mut lexer = Lexer::new(text, start);
    let token = lexer.next()?;
    let depth_max = limits.depth_max.min(Limits::DEPTH_CEILING);
    let mut parser = Parser {
        text,
        lexer,
        token,
        depth_max,
        limits,
        nesting: 0,
        nodes: 0,
        identifiers: Vec::new(),
        seen: HashSet::new(),
    };
    let root = parser.or()?;
    if parser.token.kind != Kind::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok((parser.condition(root)?.node, parser.identifiers))
}

struct Parser<'t> {
    text: &'t ByteString,
    lexer: Lexer<'t>,
    /// The token under the cursor, not yet taken.
    token: Token,
    depth_max: usize,
    limits: &'t Limits,
    /// How many calls of `unary` are open.
    nesting: usize,
    nodes: usize,
    identifiers: Vec<ByteString>,
    seen: HashSet<ByteString>,
}

/// A subtree, how deep it is and where its text begins.
struct Part {
    node: Node,
    depth: usize,
    start: usize,
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Part, SelectorError> {
        let first = self.and()?;
        self.chain(first, Kind::Or, Self::and, Node::Any)
    }

    fn and(&mut self) -> Result<Part, SelectorError> {
        let first = self.equality()?;
        self.chain(first, Kind::And, Self::equality, Node::All)
    }

    /// `first { word operand }` as one node, or `first` as it is when no `word` follows.
    fn chain(
        &mut self,
        first: Part,
        word: Kind,
        operand: fn(&mut Self) -> Result<Part, SelectorError>,
        make: fn(Vec<Node>) -> Node,
    ) -> Result<Part, SelectorError> {
        if self.token.kind != word {
            return Ok(first);
        }
        let start = first.start;
        let first = self.condition(first)?;
        let mut depth = first.depth;
        let mut children = vec![first.node];
        while self.take(word)? {
            let part = operand(self)?;
            let part = self.condition(part)?;
            depth = depth.max(part.depth);
            children.push(part.node);
        }
        self.part(make(children), depth, start)
    }

    fn equality(&mut self) -> Result<Part, SelectorError> {
        let mut left = self.comparison()?;
        loop {
            let start = left.start;
            match self.token.kind {
                Kind::Equal | Kind::NotEqual => {
                    let negated = self.token.kind == Kind::NotEqual;
                    self.advance()?;
                    let right = self.comparison()?;
                    check_equal_operands(&left, &right)?;
                    let depth = left.depth.max(right.depth);
                    left = self.part(Node::Equal(Box::new((left.node, right.node))), depth, start)?;
                    left = self.negate_if(negated, left)?;
                }
                Kind::Is => {
                    self.advance()?;
                    let negated = self.take(Kind::Not)?;
                    self.expect(Kind::Null, if negated { "NULL" } else { "NULL or NOT NULL" })?;
                    left = self.part(Node::IsNull(Box::new(left.node)), left.depth, start)?;
                    left = self.negate_if(negated, left)?;
                }
                _ => return Ok(left),
            }
        }
    }

    fn comparison(&mut self) -> Result<Part, SelectorError> {
        let mut left = self.sum()?;
        loop {
            left = match self.token.kind {
                Kind::Less => self.order(left, Order::Less)?,
                Kind::LessEqual => self.order(left, Order::LessEqual)?,
                Kind::Greater => self.order(left, Order::Greater)?,
                Kind::GreaterEqual => self.order(left, Order::GreaterEqual)?,
                Kind::Like => self.like(left, false)?,
                Kind::Between => self.between(left, false)?,
                Kind::In => self.in_list(left, false)?,
                Kind::Not => {
                    self.advance()?;
                    match self.token.kind {
                        Kind::Like => self.like(left, true)?,
                        Kind::Between => self.between(left, true)?,
                        Kind::In => self.in_list(left, true)?,
                        _ => return Err(self.unexpected("LIKE, BETWEEN or IN")),
                    }
                }
                _ => return Ok(left),
            };
        }
    }

    fn order(&mut self, left: Part, order: Order) -> Result<Part, SelectorError> {
        self.advance()?;
        let right = self.sum()?;
        check_ordered_operand(&left)?;
        check_ordered_operand(&right)?;
        let depth = left.depth.max(right.depth);
        self.part(Node::Ordered(order, Box::new((left.node, right.node))), depth, left.start)
    }

    fn like(&mut self, left: Part, negated: bool) -> Result<Part, SelectorError> {
        self.advance()?;
        let position = self.token.start;
        let pattern = self.text_literal("a pattern in quotes")?;
        if pattern.len() > self.limits.like_bytes_max {
            let (have, limit) = (pattern.len(), self.limits.like_bytes_max);
            return Err(SelectorError::LikeTooLong { position, have, limit });
        }
        let mut escape = None;
        if self.take(Kind::Escape)? {
            let position = self.token.start;
            let text = self.text_literal("an escape character in quotes")?;
            let mut chars = text.chars();
            escape = chars.next().filter(|c| u32::from(*c) <= 0xffff);
            if escape.is_none() || chars.next().is_some() {
                return Err(SelectorError::BadEscape { position });
            }
        }
        let node = Node::Like(Box::new(left.node), Box::new(Pattern::new(&pattern, escape)));
        let part = self.part(node, left.depth, left.start)?;
        self.negate_if(negated, part)
    }

    fn between(&mut self, left: Part, negated: bool) -> Result<Part, SelectorError> {
        self.advance()?;
        let low = self.sum()?;
        self.expect(Kind::And, "AND of BETWEEN")?;
        let high = self.sum()?;
        for operand in [&left, &low, &high] {
            check_ordered_operand(operand)?;
        }
        let depth = left.depth.max(low.depth).max(high.depth);
        let operands = Box::new([left.node, low.node, high.node]);
        let node = if negated { Node::NotBetween(operands) } else { Node::Between(operands) };
        self.part(node, depth, left.start)
    }

    fn in_list(&mut self, left: Part, negated: bool) -> Result<Part, SelectorError> {
        let Node::Property(name) = left.node else {
            return Err(SelectorError::NotAProperty { position: left.start });
        };
        self.advance()?;
        self.expect(Kind::Open, "( of IN")?;
        let mut list = Vec::new();
        loop {
            self.count()?;
            list.push(self.text_literal("a string in quotes")?);
            if !self.take(Kind::Comma)? {
                break;
            }
        }
        self.expect(Kind::Close, ", or )")?;
        list.sort_unstable();
        list.dedup();
        self.part(Node::In { name, list, negated }, left.depth, left.start)
    }

    fn sum(&mut self) -> Result<Part, SelectorError> {
        let operator = |kind| match kind {
            Kind::Plus => Some(Arithmetic::Add),
            Kind::Minus => Some(Arithmetic::Subtract),
            _ => None,
        };
        self.arithmetic(operator, Self::product)
    }

    fn product(&mut self) -> Result<Part, SelectorError> {
        let operator = |kind| match kind {
            Kind::Star => Some(Arithmetic::Multiply),
            Kind::Slash => Some(Arithmetic::Divide),
            Kind::Percent => Some(Arithmetic::Modulo),
            _ => None,
        };
        self.arithmetic(operator, Self::unary)
    }

    fn arithmetic(
        &mut self,
        operator: fn(Kind) -> Option<Arithmetic>,
        operand: fn(&mut Self) -> Result<Part, SelectorError>,
    ) -> Result<Part, SelectorError> {
        let first = operand(self)?;
        if operator(self.token.kind).is_none() {
            return Ok(first);
        }
        let mut depth = first.depth;
        let mut rest = Vec::new();
        while let Some(operator) = operator(self.token.kind) {
            self.advance()?;
            let part = operand(self)?;
            depth = depth.max(part.depth);
            rest.push((operator, part.node));
        }
        self.part(Node::Arithmetic(Box::new(first.node), rest), depth, first.start)
    }

    fn unary(&mut self) -> Result<Part, SelectorError> {
        if self.nesting >= self.depth_max {
            return Err(SelectorError::TooDeep { position: self.token.start, limit: self.depth_max });
        }
        self.nesting += 1;
        let part = self.unary_counted()?;
        self.nesting -= 1;
        Ok(part)
    }

    fn unary_counted(&mut self) -> Result<Part, SelectorError> {
        let token = self.token;
        let start = token.start;
        match token.kind {
            Kind::Plus => {
                self.advance()?;
                self.unary()
            }
            Kind::Minus => {
                self.advance()?;
                self.minus(start)
            }
            Kind::Not => {
                self.advance()?;
                let operand = self.unary()?;
                let operand = self.condition(operand)?;
                self.part(Node::Not(Box::new(operand.node)), operand.depth, start)
            }
            Kind::Open => {
                self.advance()?;
                let inside = self.or()?;
                self.expect(Kind::Close, "an operator or )")?;
                Ok(Part { start, ..inside })
            }
            Kind::Xpath | Kind::Xquery => {
                let what = self.text[token.start..token.end].to_ascii_uppercase();
                Err(SelectorError::NotSupported { position: start, what })
            }
            Kind::Identifier => self.identifier(),
            _ => self.literal(),
        }
    }

    /// What follows a minus sign. The smallest integer can only be written with its sign.
    fn minus(&mut self, start: usize) -> Result<Part, SelectorError> {
        if self.token.kind == Kind::Decimal && self.digits(self.token).parse() == Ok(i64::MIN.unsigned_abs()) {
            self.advance()?;
            return self.part(Node::Int(i64::MIN), 0, start);
        }
        let operand = self.unary()?;
        match operand.node {
            Node::Int(n) => Ok(Part { node: Node::Int(n.wrapping_neg()), depth: operand.depth, start }),
            Node::Float(n) => Ok(Part { node: Node::Float(-n), depth: operand.depth, start }),
            node => self.part(Node::Negate(Box::new(node)), operand.depth, start),
        }
    }

    fn identifier(&mut self) -> Result<Part, SelectorError> {
        let token = self.token;
        let name = self.text.slice_ref(&self.text[token.start..token.end]);
        self.advance()?;
        if self.token.kind == Kind::Open {
            let what = format!("function {}", self.lexer.shown(token));
            return Err(SelectorError::NotSupported { position: token.start, what });
        }
        if self.seen.insert(name.clone()) {
            self.identifiers.push(name.clone());
        }
        self.part(Node::Property(name), 0, token.start)
    }

    fn literal(&mut self) -> Result<Part, SelectorError> {
        let token = self.token;
        let piece = &self.text[token.start..token.end];
        let node = match token.kind {
            Kind::Text => Node::Text(self.unquoted(token)),
            Kind::Decimal => {
                let digits = self.digits(token);
                match digits.parse::<i64>() {
                    Ok(n) => Node::Int(n),
                    Err(_) => Node::Float(digits.parse().unwrap_or(f64::INFINITY)),
                }
            }
            Kind::Hex => self.radix(token, &piece[2..], 16)?,
            Kind::Octal => self.radix(token, piece, 8)?,
            Kind::Float => Node::Float(piece.parse().unwrap_or(f64::NAN)),
            Kind::True => Node::Bool(true),
            Kind::False => Node::Bool(false),
            Kind::Null => Node::Null,
            _ => return Err(self.unexpected("a property, a literal, NOT or (")),
        };
        self.advance()?;
        self.part(node, 0, token.start)
    }

    fn digits(&self, token: Token) -> &str {
        self.text[token.start..token.end].trim_end_matches(['l', 'L'])
    }

    fn radix(&self, token: Token, digits: &str, radix: u32) -> Result<Node, SelectorError> {
        i64::from_str_radix(digits, radix)
            .map(Node::Int)
            .map_err(|_| SelectorError::NumberTooLarge { position: token.start, text: self.lexer.shown(token) })
    }

    fn text_literal(&mut self, expected: &'static str) -> Result<ByteString, SelectorError> {
        let token = self.token;
        self.expect(Kind::Text, expected)?;
        Ok(self.unquoted(token))
    }

    /// A string literal without its quotes; shares the selector's text unless it holds a doubled quote.
    fn unquoted(&self, token: Token) -> ByteString {
        let inside = &self.text[token.start + 1..token.end - 1];
        if inside.contains('\'') { inside.replace("''", "'").into() } else { self.text.slice_ref(inside) }
    }

    /// `part` as a condition: a property is asked for its boolean, a number or a string is refused.
    fn condition(&mut self, part: Part) -> Result<Part, SelectorError> {
        match part.node {
            Node::Property(_) => self.part(Node::Cast(Box::new(part.node)), part.depth, part.start),
            ref node if node.is_condition() => Ok(part),
            _ => Err(SelectorError::NotBoolean { position: part.start }),
        }
    }

    fn negate_if(&mut self, negated: bool, part: Part) -> Result<Part, SelectorError> {
        if negated { self.part(Node::Not(Box::new(part.node)), part.depth, part.start) } else { Ok(part) }
    }

    /// A new node above children of at most `depth`; the one place where nodes and depth are counted.
    fn part(&mut self, node: Node, depth: usize, start: usize) -> Result<Part, SelectorError> {
        self.count()?;
        // One node more than the nesting may hold: the boolean cast of a property, which the text does not show.
        if depth > self.depth_max {
            return Err(SelectorError::TooDeep { position: self.token.start, limit: self.depth_max });
        }
        Ok(Part { node, depth: depth + 1, start })
    }

    fn count(&mut self) -> Result<(), SelectorError> {
        if self.nodes >= self.limits.nodes_max {
            return Err(SelectorError::TooManyNodes { position: self.token.start, limit: self.limits.nodes_max });
        }
        self.nodes += 1;
        Ok(())
    }

    fn advance(&mut self) -> Result<(), SelectorError> {
        self.token = self.lexer.next()?;
        Ok(())
    }

    fn take(&mut self, kind: Kind) -> Result<bool, SelectorError> {
        let found = self.token.kind == kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, kind: Kind, expected: &'static str) -> Result<(), SelectorError> {
        if self.take(kind)? { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &'static str) -> SelectorError {
        SelectorError::Unexpected { position: self.token.start, expected, found: self.lexer.shown(self.token) }
    }
}

/// `NULL` has its own operator, and a boolean literal never equals a literal of another kind.
fn check_equal_operands(left: &Part, right: &Part) -> Result<(), SelectorError> {
    for operand in [left, right] {
        if matches!(operand.node, Node::Null) {
            return Err(SelectorError::NotComparable { position: operand.start, expected: "IS NULL instead" });
        }
    }
    let other_literal = matches!(right.node, Node::Int(_) | Node::Float(_) | Node::Text(_));
    if matches!(left.node, Node::Bool(_)) && other_literal {
        return Err(SelectorError::NotComparable { position: right.start, expected: "a boolean" });
    }
    Ok(())
}

/// Literals that are ordered are numbers, and a condition has no order.
fn check_ordered_operand(operand: &Part) -> Result<(), SelectorError> {
    if operand.node.is_condition() || matches!(operand.node, Node::Text(_)) {
        return Err(SelectorError::NotComparable { position: operand.start, expected: "a number or a property" });
    }
    Ok(())
}
