//! What the policies of a gate have a say in, looked up once a term.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plugin::auth::{AuthPolicy, Decides, Terms};

/// What at least one policy has a say in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offices {
    pub(crate) logins: bool,
    pub(crate) rights: bool,
    pub(crate) messages: bool,
    /// One takes long over a login.
    pub(crate) slow_logins: bool,
    /// One takes long over a right, so that what it said is looked up before it is asked.
    pub(crate) slow_rights: bool,
}

impl Offices {
    pub(crate) fn of(policies: &[Arc<dyn AuthPolicy>]) -> Offices {
        let mut all = Offices::default();
        for policy in policies {
            let Decides { logins, rights, messages } = policy.decides();
            let is_slow = policy.is_slow();
            all.logins |= logins;
            all.rights |= rights;
            all.messages |= messages;
            all.slow_logins |= logins && is_slow;
            all.slow_rights |= rights && is_slow;
        }
        all
    }

    fn code(self) -> u64 {
        let bits = [self.logins, self.rights, self.messages, self.slow_logins, self.slow_rights];
        bits.into_iter().enumerate().map(|(at, bit)| u64::from(bit) << at).sum()
    }

    fn decode(code: u64) -> Offices {
        let bit = |at: u64| code >> at & 1 == 1;
        Offices { logins: bit(0), rights: bit(1), messages: bit(2), slow_logins: bit(3), slow_rights: bit(4) }
    }
}

/// Bits of an [`Offices`] in a number, below those of its term.
const BITS: u32 = 5;

/// The offices of the term that lasts: asked for with each message, so they cost two loads.
#[derive(Debug, Default)]
pub(crate) struct OfficesInTerm(AtomicU64);

impl OfficesInTerm {
    /// The term and its offices; `look` says them the first time. What another term's policies have a say in is never said.
    pub(crate) fn get(&self, terms: &Terms, look: impl FnOnce() -> Offices) -> (u64, Offices) {
        let term = terms.now();
        let known = self.0.load(Ordering::Acquire);
        // One above the term, so that the zero it begins with stands for none.
        if known >> BITS == term + 1 {
            return (term, Offices::decode(known));
        }
        let offices = look();
        // Whoever looks in a later term writes again; one that was late here is not believed there.
        self.0.store((term + 1) << BITS | offices.code(), Ordering::Release);
        (term, offices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offices_are_looked_up_once_a_term() {
        let (terms, known) = (Terms::default(), OfficesInTerm::default());
        let all = (0..32).map(Offices::decode);
        for (at, offices) in all.enumerate() {
            assert_eq!(offices.code(), at as u64);
            let term = terms.now();
            assert_eq!(known.get(&terms, || offices), (term, offices));
            assert_eq!(known.get(&terms, || panic!("it is known")), (term, offices));
            terms.begin();
        }
    }
}
