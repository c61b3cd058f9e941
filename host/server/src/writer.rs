//! The journal's threads: one gathers all groups that wait into one append, one reads bodies.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use broker::{JournalRoom, LoadId};
use journal::{Journal, JournalError, Room};
use message::Sequence;

use crate::core::Core;
use crate::inbox::Input;
use crate::queue::Queue;

/// Between two tries of an append that found the disk full.
const FULL_RETRY: Duration = Duration::from_millis(50);
/// Between two rounds of the journal's upkeep.
const UPKEEP: Duration = Duration::from_millis(250);

/// Writes until the queue is closed, or until the journal fails: then nothing more may be claimed durable.
pub(crate) fn write(journal: &dyn Journal, queue: &Queue, core: &Core) -> Result<(), JournalError> {
    let mut keeper = Keeper { room: Room::Plenty, next: Instant::now() };
    while let Some(load) = queue.take(UPKEEP)? {
        keeper.look(journal, core);
        if load.groups.is_empty() {
            continue;
        }
        let begun = Instant::now();
        while let Err(error) = journal.append(&load.groups) {
            let JournalError::Full { .. } = error else { return Err(error) };
            keeper.note(Room::Full, core);
            std::thread::sleep(FULL_RETRY);
            keeper.look(journal, core);
        }
        core.put(Input::Persisted(load.last));
        match queue.ended(&load, begun.elapsed()) {
            0 => core.work(),
            _ => core.wake(),
        }
    }
    Ok(())
}

/// Watches the room in the journal and gives it time for its upkeep.
struct Keeper {
    room: Room,
    next: Instant,
}

impl Keeper {
    fn look(&mut self, journal: &dyn Journal, core: &Core) {
        if Instant::now() >= self.next {
            self.next = Instant::now() + UPKEEP;
            journal.maintain();
            self.note(journal.room(), core);
        }
    }

    fn note(&mut self, room: Room, core: &Core) {
        if room == self.room {
            return;
        }
        match room {
            Room::Plenty => tracing::info!("the journal has room again; producers of persistent messages go on"),
            Room::ProducersWait => {
                tracing::warn!("the journal runs out of room; producers of persistent messages wait, consumers go on");
            }
            Room::Full => tracing::warn!("the journal takes nothing until there is space; all that needs it waits"),
        }
        self.room = room;
        core.push(Input::Room(match room {
            Room::Plenty => JournalRoom::Plenty,
            Room::ProducersWait | Room::Full => JournalRoom::ProducersWait,
        }));
    }
}

/// Answers requests for bodies until no more can come.
pub(crate) fn read(
    journal: &Arc<dyn Journal>,
    requests: &Receiver<(LoadId, Vec<Sequence>)>,
    core: &Core,
) -> Result<(), JournalError> {
    while let Ok((id, sequences)) = requests.recv() {
        let bodies = journal.load(&sequences)?;
        core.push(Input::Loaded(id, bodies));
    }
    Ok(())
}
