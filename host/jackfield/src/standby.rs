//! What a broker tells of itself while it waits to become master: its health, and who it waits for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use admin::words::{Ask, Memory, Status, Survey};
use admin::{AdminError, Answer, Control, Room};

use crate::config::Config;
use crate::control::resident_bytes;
use crate::wiring;

/// A broker that waits, with the address at which it says so, if the configuration names one; it closes with this.
pub(crate) struct Standby {
    told: Arc<Told>,
    _room: Option<Room>,
}

struct Told {
    broker: String,
    since: Instant,
    waits_for: Mutex<String>,
}

impl Standby {
    /// From now on it waits for whoever this is.
    pub(crate) fn begin(config: &Config, waits_for: &str) -> Result<Standby, AdminError> {
        let (broker, since) = (config.broker.broker_name.to_string(), Instant::now());
        let told = Arc::new(Told { broker, since, waits_for: Mutex::new(waits_for.to_owned()) });
        let room = wiring::standby(config).map(|admin| Room::open(admin, told.clone(), None)).transpose()?;
        let address = room.as_ref().and_then(Room::health);
        if let Some(address) = address {
            tracing::info!("standby listens on {address}");
        }
        let listening = address.map(|address| format!("listening standby {address}\n")).unwrap_or_default();
        crate::serve::say(&format!("{listening}standby\n"));
        Ok(Standby { told, _room: room })
    }

    /// Somebody else has what it waits for.
    pub(crate) fn waits_for(&self, whom: &str) {
        whom.clone_into(&mut self.told.waits_for.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Control for Told {
    fn status(&self) -> Answer<'_, Status> {
        let status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            broker: self.broker.clone(),
            role: "standby".into(),
            waits_for: self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            uptime_s: self.since.elapsed().as_secs(),
            pid: std::process::id(),
            memory: Memory { resident: resident_bytes(), ..Memory::default() },
            ..Status::default()
        };
        Box::pin(async { Ok(status) })
    }

    fn survey(&self, _ask: Ask) -> Answer<'_, Survey> {
        Box::pin(async { Ok(Survey::default()) })
    }
}
