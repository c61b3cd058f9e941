//! What the client of one connection may do: asked once per destination, remembered as long as the answer says.

use std::sync::Arc;

use message::{Destination, Refusal, RefusalKind, Text};
use plugin::auth::{Action, Principal};
use rustc_hash::FxHashMap;

use crate::{Admitted, Authorizer, Config, Credentials, Protocol, Stats, UserId, Verdict};

/// Names up to this many bytes are remembered; longer ones are asked about each time.
const NAME_BYTES_REMEMBERED_MAX: usize = 256;

/// A connection's rights. With nobody to ask, everything is allowed and nothing is kept.
pub(crate) struct Rights {
    authorizer: Option<Arc<dyn Authorizer>>,
    principal: Arc<Principal>,
    /// When the login ends.
    until_ms: i64,
    /// The term of the authorizer in which everything below was said.
    term: u64,
    /// What was asked, whether it is allowed, and until when.
    verdicts: FxHashMap<(Action, Destination), (bool, i64)>,
    verdicts_max: usize,
    /// The destination last sent to: most producers never change it.
    last_write: Option<(Destination, i64)>,
    /// What JMSXUserID becomes; `None` leaves it to the client.
    user_id: Option<Option<Text>>,
}

impl Rights {
    /// Before login: nobody is there who may do anything, and nothing asks.
    pub(crate) fn new(config: &Config) -> Rights {
        Rights {
            authorizer: config.authorizer.clone(),
            principal: Arc::default(),
            until_ms: i64::MAX,
            term: 0,
            verdicts: FxHashMap::default(),
            verdicts_max: config.verdicts_max,
            last_write: None,
            user_id: None,
        }
    }

    /// The login was accepted. `login_name` is what the client called itself.
    pub(crate) fn admit(&mut self, admitted: Admitted, login_name: Option<&Text>, from: UserId) {
        let name = || (!admitted.principal.name.is_empty()).then(|| Text::from(&*admitted.principal.name));
        self.user_id = match from {
            UserId::Client => None,
            UserId::LoginName => Some(login_name.map(|name| Text::from(&name[..]))),
            UserId::Principal => Some(name()),
        };
        self.until_ms = admitted.until_ms;
        self.principal = admitted.principal;
    }

    /// When the login ends, ms since 1970.
    pub(crate) fn until_ms(&self) -> i64 {
        self.until_ms
    }

    /// Who the client is; `None` for somebody without a name.
    pub(crate) fn user(&self) -> Option<Text> {
        let name = &self.principal.name;
        (!name.is_empty()).then(|| Text::from(&**name))
    }

    /// The client's groups.
    pub(crate) fn groups(&self) -> Vec<Text> {
        self.principal.groups.iter().map(|group| Text::from(&**group)).collect()
    }

    /// Puts the sender's name into a message, where that is the broker's to do.
    pub(crate) fn stamp(&self, user_id: &mut Option<Text>) {
        if let Some(own) = &self.user_id {
            user_id.clone_from(own);
        }
    }

    /// Whether the client may send to the destination. Costs a comparison for the destination sent to before.
    pub(crate) fn check_write(&mut self, to: &Destination, now_ms: i64, stats: &mut Stats) -> Result<(), Refusal> {
        if !self.are_limited() {
            return Ok(());
        }
        if let Some((last, until_ms)) = &self.last_write
            && *last == *to
            && now_ms < *until_ms
        {
            return Ok(());
        }
        let until_ms = self.check(Action::Write, to, now_ms, stats)?;
        if to.name.len() <= NAME_BYTES_REMEMBERED_MAX {
            self.last_write = Some((detached(to), until_ms));
        }
        Ok(())
    }

    /// Whether the client may consume from the destination.
    pub(crate) fn check_read(&mut self, from: &Destination, now_ms: i64, stats: &mut Stats) -> Result<(), Refusal> {
        self.check(Action::Read, from, now_ms, stats).map(drop)
    }

    /// Whether the client may do away with a durable subscription: only with its own client id's.
    pub(crate) fn check_owner(&self, of: &Text, own: Option<&Text>) -> Result<(), Refusal> {
        if self.term_now().is_none() || Some(of) == own {
            return Ok(());
        }
        let user = &self.principal.name;
        let text = format!("User {user} is not authorized to remove durable subscriptions of client id {of}");
        Err(Refusal::new(RefusalKind::Security, text))
    }

    /// The term of who limits rights; `None` where nobody does.
    fn term_now(&self) -> Option<u64> {
        self.authorizer.as_ref()?.term()
    }

    /// Whether somebody limits rights. What was said in another term is forgotten.
    fn are_limited(&mut self) -> bool {
        let Some(term) = self.term_now() else { return false };
        if term != self.term {
            self.term = term;
            self.verdicts.clear();
            self.last_write = None;
        }
        true
    }

    fn check(
        &mut self,
        action: Action,
        destination: &Destination,
        now_ms: i64,
        stats: &mut Stats,
    ) -> Result<i64, Refusal> {
        if !self.are_limited() {
            return Ok(i64::MAX);
        }
        let Some(authorizer) = &self.authorizer else { return Ok(i64::MAX) };
        let key = (action, detached(destination));
        if let Some((allowed, until_ms)) = self.verdicts.get(&key)
            && now_ms < *until_ms
        {
            return if *allowed { Ok(*until_ms) } else { Err(self.refusal(action, destination)) };
        }
        stats.verdicts_asked += 1;
        let verdict = authorizer.authorize(&self.principal, action, &destination.components(), now_ms);
        let (allowed, until_ms) = match verdict {
            Verdict::Allowed { until_ms } => (true, until_ms),
            Verdict::Refused { until_ms } => (false, until_ms),
            Verdict::Unanswered => {
                stats.verdicts_refused += 1;
                let user = &self.principal.name;
                let text = format!("whether user {user} may use {destination} cannot be decided now; try again later");
                return Err(Refusal::new(RefusalKind::Security, text));
            }
        };
        if destination.name.len() <= NAME_BYTES_REMEMBERED_MAX {
            if self.verdicts.len() >= self.verdicts_max {
                // Whoever uses this many destinations is asked about them again; what is kept must end somewhere.
                stats.limit_hit = Some("verdicts_max");
                self.verdicts.clear();
            }
            self.verdicts.insert(key, (allowed, until_ms));
        }
        if allowed {
            return Ok(until_ms);
        }
        stats.verdicts_refused += 1;
        Err(self.refusal(action, destination))
    }

    fn refusal(&self, action: Action, destination: &Destination) -> Refusal {
        let wish = match action {
            Action::Read => "read from",
            Action::Write => "write to",
            Action::Admin | Action::Create => "administer",
        };
        let user = &self.principal.name;
        Refusal::new(RefusalKind::Security, format!("User {user} is not authorized to {wish}: {destination}"))
    }
}

impl Credentials {
    /// What a client of this connection says.
    pub(crate) fn of(
        config: &Config,
        protocol: Protocol,
        user: Option<&str>,
        password: Option<&str>,
        client_id: Option<&str>,
    ) -> Credentials {
        Credentials {
            user: user.map(Text::from),
            password: password.map(Text::from),
            client_id: client_id.map(Text::from),
            protocol,
            connector: config.connector.clone(),
            remote: config.remote.clone(),
            certificate_subject: config.certificate_subject.clone(),
        }
    }
}

/// A copy that holds no read buffer alive.
fn detached(destination: &Destination) -> Destination {
    Destination { kind: destination.kind, name: Text::from(&destination.name[..]) }
}
