//! Least in flight: each row goes to the consumer with the highest priority, then the fewest messages in flight; what
//! the batch itself gives away counts. Equals are served in turn. Takes no settings.

use jackfield_policy::{Batch, Give, QueuePolicy, Turn, export_queue_policy};

#[derive(Default)]
struct LeastInFlight {
    turn: Turn,
}

impl QueuePolicy for LeastInFlight {
    const ROWS_MAX: u32 = 256;
    const STATE_VERSION: u8 = 1;

    fn plan(&mut self, batch: &Batch, give: &mut Give) {
        for row in 0..batch.rows() {
            self.turn.give_least_loaded(batch, give, row);
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        self.turn.to_state()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        self.turn.restore(state)
    }
}

export_queue_policy!(LeastInFlight);
