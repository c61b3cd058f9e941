//! Strings that repeat (destination, group, `JMSType`), each with a number that fits a column.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The symbol of no text at all.
pub const SYMBOL_ABSENT: u32 = 0;

/// Upper bounds of a [`SymbolTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolLimits {
    /// Most texts kept. Beyond it a new text is [`SYMBOL_ABSENT`] and counted. Default 65 536.
    pub symbols_max: usize,
    /// Longest text kept. A longer one is [`SYMBOL_ABSENT`] and counted. Default 512 bytes.
    pub text_bytes_max: usize,
}

impl Default for SymbolLimits {
    fn default() -> SymbolLimits {
        SymbolLimits { symbols_max: 65_536, text_bytes_max: 512 }
    }
}

/// What a [`SymbolTable`] holds and what it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SymbolStats {
    /// Texts kept.
    pub symbols: u64,
    /// Texts not kept because the table was full.
    pub refused_full: u64,
    /// Texts not kept because they were too long.
    pub refused_long: u64,
}

/// Texts and their numbers. A number means the same text as long as the table lives, so policies may remember it.
#[derive(Debug, Default)]
pub struct SymbolTable {
    limits: SymbolLimits,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    refused_full: u64,
    refused_long: u64,
}

impl SymbolTable {
    /// An empty table.
    pub fn new(limits: SymbolLimits) -> SymbolTable {
        SymbolTable { limits, inner: RwLock::default() }
    }

    /// A table in which these texts have these numbers, as in the one that they come from. Numbers in between have no text.
    /// What is beyond the limits is left out.
    pub fn of(limits: SymbolLimits, texts: impl IntoIterator<Item = (u32, Arc<str>)>) -> SymbolTable {
        let mut inner = Inner::default();
        for (number, text) in texts {
            let Some(index) = (number as usize).checked_sub(1).filter(|index| *index < limits.symbols_max) else {
                continue;
            };
            if inner.texts.len() <= index {
                inner.texts.resize_with(index + 1, || Arc::from(""));
            }
            inner.texts[index] = text.clone();
            inner.numbers.insert(text, number);
        }
        SymbolTable { limits, inner: RwLock::new(inner) }
    }

    /// The number of `text`; [`SYMBOL_ABSENT`] for the empty text and for what the limits refuse.
    pub fn intern(&self, text: &str) -> u32 {
        if text.is_empty() {
            return SYMBOL_ABSENT;
        }
        if let Some(number) = self.inner.read().unwrap_or_else(PoisonError::into_inner).numbers.get(text) {
            return *number;
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if text.len() > self.limits.text_bytes_max {
            inner.refused_long += 1;
            return SYMBOL_ABSENT;
        }
        if let Some(number) = inner.numbers.get(text) {
            return *number;
        }
        if inner.texts.len() >= self.limits.symbols_max {
            inner.refused_full += 1;
            return SYMBOL_ABSENT;
        }
        let text: Arc<str> = text.into();
        inner.texts.push(text.clone());
        let number = inner.texts.len() as u32;
        inner.numbers.insert(text, number);
        number
    }

    /// The text of a number that [`intern`](Self::intern) gave.
    pub fn text(&self, symbol: u32) -> Option<Arc<str>> {
        let index = (symbol as usize).checked_sub(1)?;
        self.inner.read().unwrap_or_else(PoisonError::into_inner).texts.get(index).cloned()
    }

    /// What it holds and what it refused.
    pub fn stats(&self) -> SymbolStats {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        SymbolStats {
            symbols: inner.texts.len() as u64,
            refused_full: inner.refused_full,
            refused_long: inner.refused_long,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policies may go by the order of numbers: a table that is made again has the same ones.
    #[test]
    fn a_table_is_made_again_with_the_same_numbers() {
        let limits = SymbolLimits { symbols_max: 5, text_bytes_max: 9 };
        let table = SymbolTable::of(limits, [(4, "d".into()), (2, "b".into()), (0, "none".into()), (9, "far".into())]);
        assert_eq!((table.intern("b"), table.intern("d"), table.intern("e")), (2, 4, 5));
        assert_eq!((table.text(4).as_deref(), table.text(3).as_deref(), table.text(9)), (Some("d"), Some(""), None));
        assert_eq!(table.intern("far"), SYMBOL_ABSENT);
    }

    #[test]
    fn a_text_keeps_its_number_and_the_bounds_hold() {
        let table = SymbolTable::new(SymbolLimits { symbols_max: 2, text_bytes_max: 4 });
        assert_eq!(table.intern(""), SYMBOL_ABSENT);
        assert_eq!(table.intern("a"), 1);
        assert_eq!(table.intern("bb"), 2);
        assert_eq!(table.intern("a"), 1);
        assert_eq!(table.intern("ccc"), SYMBOL_ABSENT);
        assert_eq!(table.intern("ddddd"), SYMBOL_ABSENT);
        assert_eq!(table.text(2).as_deref(), Some("bb"));
        assert_eq!(table.text(0), None);
        assert_eq!(table.text(3), None);
        assert_eq!(table.stats(), SymbolStats { symbols: 2, refused_full: 1, refused_long: 1 });
    }
}
