//! How another generation takes over from one that guards: for all three questions or for none.
//!
//! Whoever deploys does the exchange himself, with the three instances in his hands: who asks meanwhile waits, and hears the
//! one that decides then. Where one of the three does not take the generation, the others go back too; where that is not to
//! be had either, the policy is torn and answers nobody until a generation comes that all three take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use plugin::auth::Decides;
use plugin::{Columns, PolicyError};

use super::{AuthFunctions, WasmAuth, hold};
use crate::incumbent::Incumbent;
use crate::program::Program;

const LOGINS: u8 = 1;
const RIGHTS: u8 = 2;
const MESSAGES: u8 = 4;
/// The three instances are not of one generation.
const TORN: u8 = 8;

/// What the generation that decides has a say in.
#[derive(Debug)]
pub(crate) struct Wishes(AtomicU8);

impl Wishes {
    pub(crate) fn new(code: u8) -> Wishes {
        Wishes(AtomicU8::new(code))
    }

    fn has(&self, bit: u8) -> bool {
        self.0.load(Ordering::Acquire) & bit != 0
    }

    /// A torn policy has a say in everything: it is asked, and refuses.
    pub(crate) fn decides(&self) -> Decides {
        let torn = self.is_torn();
        let has = |bit| torn || self.has(bit);
        Decides { logins: has(LOGINS), rights: has(RIGHTS), messages: has(MESSAGES) }
    }

    pub(super) fn is_torn(&self) -> bool {
        self.has(TORN)
    }
}

/// What a compiled program wishes, in a number for [`Wishes`], or why it cannot guard.
pub(crate) fn wishes(program: &Program) -> Result<u8, PolicyError> {
    let refused = |reason: &str| PolicyError::Refused { policy: program.name.to_string(), reason: reason.to_owned() };
    let wishes = match program.get() {
        Some(Ok(ready)) => ready.columns,
        Some(Err(error)) => return Err(error.clone()),
        None => return Err(refused("it is not compiled")),
    };
    let asked = [(Columns::LOGINS, LOGINS), (Columns::RIGHTS, RIGHTS), (Columns::MESSAGES, MESSAGES)];
    let code: u8 = asked.into_iter().filter(|(wish, _)| wishes.contains(*wish)).map(|(_, bit)| bit).sum();
    if code == 0 {
        return Err(refused(
            "it asks for nothing: have its describe name 910 (logins), 912 (rights) or 913 (messages)",
        ));
    }
    match (wishes.contains(Columns::PASSWORDS), program.sees_passwords()) {
        (false, _) | (true, true) => Ok(code),
        (true, false) if program.generation == 0 => {
            Err(refused("it asks for passwords, which were not granted; name it in security.show_passwords"))
        }
        (true, false) => {
            Err(refused("it asks for passwords, which were not granted; deploy it with --grant passwords"))
        }
    }
}

impl WasmAuth {
    /// Has a generation that was offered take over; says whether it did.
    pub(crate) fn turn(&self, program: &Arc<Program>, now_ms: u64) -> bool {
        self.together(|all| {
            for one in all.iter_mut() {
                one.boundary(now_ms);
            }
            let is_taken = all.iter().all(|one| Arc::ptr_eq(one.program(), program));
            if !is_taken {
                leave(all, program, "another of its instances did not take it");
            }
            is_taken
        })
    }

    /// A generation failed on one question, and that instance went back: so do the others.
    pub(super) fn go_back(&self, failed: &Arc<Program>, place: &str) {
        self.together(|all| leave(all, failed, &format!("its instance for {place} went back")));
    }

    /// Does something with all three, then says who decides. Another term begins.
    fn together<T>(&self, change: impl FnOnce(&mut [&mut Incumbent<AuthFunctions>; 3]) -> T) -> T {
        let (mut logins, mut rights) = (hold(&self.logins), hold(&self.rights));
        let mut messages = hold(&self.messages);
        let mut all = [&mut *logins, &mut *rights, &mut messages.0];
        let outcome = change(&mut all);
        let program = all[0].program();
        let is_one = all.iter().all(|one| Arc::ptr_eq(one.program(), program));
        let wishes = wishes(program).ok().filter(|_| is_one);
        if wishes.is_none() {
            let generations = all.map(|one| one.program().generation);
            tracing::error!(
                policy = self.name,
                ?generations,
                "auth policy is torn and refuses everybody; deploy it anew"
            );
        }
        self.wishes.0.store(wishes.unwrap_or(TORN), Ordering::Release);
        self.terms.begin();
        outcome
    }
}

/// Whichever has this generation goes back to the one before.
fn leave(all: &mut [&mut Incumbent<AuthFunctions>; 3], program: &Arc<Program>, reason: &str) {
    for one in all.iter_mut().filter(|one| Arc::ptr_eq(one.program(), program)) {
        one.go_back(reason);
    }
}
