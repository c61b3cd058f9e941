//! Who is there, and what an instance was not told of it yet.

use plugin::{Member, MemberChange};

use crate::bindings::Change;
use crate::dispatch::{change, note};
use crate::incumbent::Turn;

/// The consumers that a policy is told of.
#[derive(Default)]
pub(crate) struct Members {
    /// Who is there now; a new instance is told of them.
    members: Vec<Member>,
    /// What the instance was not told yet. A consumer that came and went untold leaves no trace, so it is never longer
    /// than the members then and now.
    untold: Vec<MemberChange>,
    /// What the generation before was not told yet, by the same rule; set while that is kept.
    untold_warm: Option<Vec<MemberChange>>,
}

impl Members {
    /// These are there, and nobody was told of them.
    pub(crate) fn of(members: Vec<Member>) -> Members {
        Members { members, ..Members::default() }
    }

    /// Who is there now.
    pub(crate) fn all(&self) -> &[Member] {
        &self.members
    }

    /// Consumers came or went.
    pub(crate) fn changed(&mut self, changes: &[MemberChange]) {
        for change in changes {
            match change {
                MemberChange::Joined(member) => self.members.push(member.clone()),
                MemberChange::Left(slot) => self.members.retain(|member| member.slot != *slot),
            }
            note(&mut self.untold, change);
            if let Some(untold) = &mut self.untold_warm {
                note(untold, change);
            }
        }
    }

    /// What an instance is to be told: what it was not told yet, or everything if it was told nothing before.
    pub(crate) fn tell(&mut self, told: &mut bool) -> Vec<Change> {
        let changes = match *told {
            true => self.untold.drain(..).map(change).collect(),
            false => self.members.iter().cloned().map(|member| change(MemberChange::Joined(member))).collect(),
        };
        self.untold.clear();
        *told = true;
        changes
    }

    /// Another generation is to be told from now on.
    pub(crate) fn turned(&mut self, turn: Turn) {
        match turn {
            Turn::TookOver { kept } => {
                let untold = std::mem::take(&mut self.untold);
                self.untold_warm = kept.then_some(untold);
            }
            Turn::WentBack { was_live } => {
                let untold = self.untold_warm.take().filter(|_| was_live);
                self.untold = untold.unwrap_or_default();
            }
        }
    }
}
