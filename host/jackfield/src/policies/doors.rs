//! Auth policies that are bound on the running broker: their places at the gate, and who stands there while one cannot be had.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use auth::Gate;
use plugin::Messages;
use plugin::auth::{Admission, Answer, AuthPolicy, Decides, Down, Login, Principal, Request};
use plugin_wasmtime::WasmHost;
use registry::Place;

use crate::config::Security;

/// The gate with what is bound there. Those that the configuration names have their places between the others, and leave
/// with the configuration only.
pub(super) struct Doors {
    gate: Arc<Gate>,
    /// `policies` of the configuration, in their order.
    configured: Vec<String>,
    /// Components of the configuration that may see passwords.
    show_passwords: Vec<String>,
    /// Those that are bound and answer. Kept from change to change, because their instances are.
    seated: Mutex<BTreeMap<String, Arc<dyn AuthPolicy>>>,
}

impl Doors {
    pub(super) fn new(gate: Arc<Gate>, security: &Security) -> Doors {
        Doors {
            gate,
            configured: security.policies.clone(),
            show_passwords: security.show_passwords.clone(),
            seated: Mutex::default(),
        }
    }

    /// The policies that the configuration has asked, in their order.
    pub(super) fn configured(&self) -> &[String] {
        &self.configured
    }

    /// Whether a component of the configuration may see passwords.
    pub(super) fn shows_passwords(&self, policy: &str) -> bool {
        self.show_passwords.iter().any(|name| name == policy)
    }

    /// Has these asked from now on, and no others beside those of the configuration. One that cannot be had refuses everybody
    /// until it can.
    pub(super) fn seat(&self, host: &WasmHost, guards: &[(Place, &str)]) {
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        seated.retain(|name, _| guards.iter().any(|(_, policy)| policy == name));
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for (place, name) in guards {
            let known = seated.get(*name).cloned();
            let policy = known.map_or_else(|| host.auth(name, self.shows_passwords(name)), Ok);
            let policy: Arc<dyn AuthPolicy> = match policy {
                Ok(policy) => {
                    seated.insert((*name).to_owned(), policy.clone());
                    policy
                }
                Err(error) => {
                    let place = place.to_string();
                    tracing::error!(policy = name, place, %error, "auth policy cannot be had; everybody is refused");
                    Arc::new(Shut { name: (*name).to_owned(), reason: error.to_string() })
                }
            };
            if place.is_behind { behind.push(policy) } else { before.push(policy) }
        }
        self.gate.seat(before, behind);
    }
}

/// Stands where a policy cannot be had: it has a say in everything, and answers nothing.
struct Shut {
    name: String,
    reason: String,
}

impl Shut {
    fn down<T>(&self) -> Result<T, Down> {
        Err(Down { policy: self.name.clone(), reason: self.reason.clone() })
    }
}

impl AuthPolicy for Shut {
    fn name(&self) -> &str {
        &self.name
    }

    fn decides(&self) -> Decides {
        Decides { logins: true, rights: true, messages: true }
    }

    fn authenticate(&self, _login: &Login<'_>, _now_ms: i64) -> Result<Admission, Down> {
        self.down()
    }

    fn authorize(&self, _: &Principal, _: &[Request<'_>], _: i64, _: &mut Vec<Answer>) -> Result<(), Down> {
        self.down()
    }

    fn check_messages(&self, _: &Principal, _: &dyn Messages, _: i64, _: &mut Vec<Option<String>>) -> Result<(), Down> {
        self.down()
    }
}
