//! What the gate remembers: who came in lately, and what somebody may do.

use aws_lc_rs::{hmac, rand};
use plugin::auth::{Action, Kind, Principal, Request};
use session::{Admitted, Credentials, Protocol};

use crate::known::Known;

/// Logins that are remembered.
const LOGINS_REMEMBERED_MAX: usize = 10_000;
/// Verdicts that are remembered for the time that a policy is down.
const VERDICTS_REMEMBERED_MAX: usize = 100_000;

/// A destination, and what somebody wants of it.
type Question = (Principal, Action, Kind, String);

/// Credentials by what a policy can see of them, and the password; names nobody to who does not know the key.
pub(crate) type Name = [u8; 32];

/// Decisions of the policies, each for its time and for the term in which it was made ([`plugin::auth::Terms`]). Beyond their
/// time those of a policy that is down hold for the grace time that the configuration gives; beyond their term none does.
pub(crate) struct Memory {
    /// Of this run alone: names what logged in before without keeping its password.
    key: hmac::Key,
    logins: Known<Name, Admitted>,
    verdicts: Known<Question, bool>,
    /// How long after it ran out a decision still holds while the policy is down, ms; 0 refuses at once.
    grace_ms: i64,
}

impl Memory {
    /// One that remembers nothing. `None` where the system has no random numbers.
    pub(crate) fn new(grace_ms: i64) -> Option<Memory> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).ok()?;
        Some(Memory {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            logins: Known::new(LOGINS_REMEMBERED_MAX),
            verdicts: Known::new(VERDICTS_REMEMBERED_MAX),
            grace_ms,
        })
    }

    /// Whether a decision may outlive its time.
    pub(crate) fn has_grace(&self) -> bool {
        self.grace_ms > 0
    }

    /// Names credentials.
    pub(crate) fn name_of(&self, credentials: &Credentials) -> Name {
        let host = credentials.remote.rsplit_once(':').map_or(&*credentials.remote, |(host, _)| host);
        let parts = [
            credentials.user.as_deref(),
            credentials.password.as_deref(),
            credentials.client_id.as_deref(),
            credentials.certificate_subject.as_deref(),
            Some(host),
            Some(protocol(credentials.protocol)),
            Some(&*credentials.connector),
        ];
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            // The length goes first, so that no two lists of parts read the same.
            context.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            context.update(part.unwrap_or_default().as_bytes());
        }
        let tag = context.sign();
        let mut name = [0; 32];
        name.copy_from_slice(tag.as_ref());
        name
    }

    /// Who that is, if it was let in and may come in again without asking.
    pub(crate) fn login(&self, name: &Name, term: u64, now_ms: i64) -> Option<Admitted> {
        self.logins.get(name, term, now_ms, 0)
    }

    /// Who that is while nobody can be asked.
    pub(crate) fn last_login(&self, name: &Name, term: u64, now_ms: i64) -> Option<Admitted> {
        self.logins.get(name, term, now_ms, self.grace_ms).filter(|admitted| now_ms < admitted.until_ms)
    }

    /// It was let in, to be remembered until then.
    pub(crate) fn keep_login(&self, name: Name, admitted: Admitted, until_ms: i64, term: u64, now_ms: i64) {
        if now_ms < until_ms || self.has_grace() {
            self.logins.put(name, admitted, until_ms, term, now_ms, self.grace_ms);
        }
    }

    /// It was not let in: who was before is not let in by memory either.
    pub(crate) fn forget_login(&self, name: &Name) {
        self.logins.forget(name);
    }

    /// What was said of it and still holds, and until when.
    pub(crate) fn verdict(
        &self,
        principal: &Principal,
        request: &Request<'_>,
        term: u64,
        now_ms: i64,
    ) -> Option<(bool, i64)> {
        self.verdicts.get_until(&question(principal, request), term, now_ms)
    }

    /// What was known last of all of these while nobody can be asked; nothing if it is not known of one.
    pub(crate) fn last_verdict(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        term: u64,
        now_ms: i64,
    ) -> Option<bool> {
        if !self.has_grace() {
            return None;
        }
        let mut all = true;
        for request in requests {
            all &= self.verdicts.get(&question(principal, request), term, now_ms, self.grace_ms)?;
        }
        Some(all)
    }

    /// All of these are allowed, or one of them is not.
    pub(crate) fn keep_verdicts(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        (allowed, until_ms): (bool, i64),
        term: u64,
        now_ms: i64,
    ) {
        for request in requests {
            let question = question(principal, request);
            // A refusal of several says nothing of each; but what was allowed before may be what is refused.
            match allowed || requests.len() == 1 {
                true => self.verdicts.put(question, allowed, until_ms, term, now_ms, self.grace_ms),
                false => self.verdicts.forget(&question),
            }
        }
    }
}

/// The word for a protocol.
pub(crate) fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenWire => "openwire",
        Protocol::Stomp => "stomp",
    }
}

fn question(principal: &Principal, request: &Request<'_>) -> Question {
    (principal.clone(), request.action, request.kind, request.name.to_owned())
}
