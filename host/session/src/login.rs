//! Who a client is: what it says, who decides, how it is refused.

use std::fmt;
use std::sync::Arc;

use message::{Destination, Text};
use plugin::Messages;
use plugin::auth::{Action, Principal};

use crate::Protocol;

/// What a client says to log in, and what its listener knows of it. Owned: the answer may take a while.
#[derive(Clone, Default)]
pub struct Credentials {
    /// User name.
    pub user: Option<Text>,
    /// Password, or a token in its place.
    pub password: Option<Text>,
    /// Client id.
    pub client_id: Option<Text>,
    /// The protocol that it speaks.
    pub protocol: Protocol,
    /// Name of its connector.
    pub connector: Text,
    /// Address of the peer.
    pub remote: Text,
    /// Subject of the client certificate, verified by the listener ([`crate::Config::certificate_subject`]).
    pub certificate_subject: Option<Text>,
}

/// Shows no password: a session's output may reach a log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("has_password", &self.password.is_some())
            .field("client_id", &self.client_id)
            .field("protocol", &self.protocol)
            .field("connector", &self.connector)
            .field("remote", &self.remote)
            .field("certificate_subject", &self.certificate_subject)
            .finish()
    }
}

/// A login that was accepted.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// When it ends, ms since 1970 (a token expires); the connection is closed then.
    pub until_ms: i64,
}

impl Admitted {
    /// Somebody who may stay as long as the connection lasts.
    pub fn forever(principal: Principal) -> Admitted {
        Admitted { principal: Arc::new(principal), until_ms: i64::MAX }
    }
}

/// A login that was refused. The client hears no more than [`Denied::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denied {
    /// User, password, token or certificate are not good.
    Invalid,
    /// The token was good, but has expired.
    Expired,
    /// Nobody could decide.
    Unavailable,
}

impl Denied {
    /// What the client is told, in ActiveMQ's words where it has them.
    pub fn text(self, user: Option<&str>) -> String {
        let user = user.unwrap_or_default();
        match self {
            Denied::Invalid => format!("User name [{user}] or password is invalid."),
            Denied::Expired => format!("User name [{user}] or password is invalid: the token has expired"),
            Denied::Unavailable => format!("User name [{user}] cannot be checked at present; try again later"),
        }
    }
}

/// Decides logins.
pub trait Authenticator: Send + Sync {
    /// The answer where it costs next to nothing; `None` where it takes [`authenticate`](Self::authenticate).
    fn at_once(&self, credentials: &Credentials, now_ms: i64) -> Option<Result<Admitted, Denied>>;

    /// The answer. May take tens of milliseconds of a processor: call it where nobody else waits.
    fn authenticate(&self, credentials: &Credentials, now_ms: i64) -> Result<Admitted, Denied>;
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may, until then (ms since 1970).
    Allowed {
        /// When to ask again.
        until_ms: i64,
    },
    /// It may not, until then.
    Refused {
        /// When to ask again.
        until_ms: i64,
    },
    /// Nobody could decide; it may not.
    Unanswered,
}

/// Decides what somebody may do. Called on the connection's own task; the answer comes at once.
pub trait Authorizer: Send + Sync {
    /// Whether `principal` may do `action` with each of `destinations`, none of them a composite.
    fn authorize(&self, principal: &Principal, action: Action, destinations: &[Destination], now_ms: i64) -> Verdict;

    /// The term that lasts: what was said in another one is to be asked again. `None` while nobody limits rights, and
    /// everything may be done. Costs next to nothing.
    fn term(&self) -> Option<u64> {
        Some(0)
    }
}

/// Looks at messages before the broker machine gets them. Called on the connection's own task; the answer comes at once.
pub trait Inspector: Send + Sync {
    /// Clears `judgements`, then puts one there for each row of `messages`, which `principal` sends: why it may not be sent,
    /// in words for the sender, or `None`.
    fn inspect(
        &self,
        principal: &Principal,
        messages: &dyn Messages,
        now_ms: i64,
        judgements: &mut Vec<Option<String>>,
    );

    /// Whether anybody looks at messages at present. Costs next to nothing.
    fn looks(&self) -> bool {
        true
    }
}

/// Where JMSXUserID of a message comes from (row K12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum UserId {
    /// From the client, which may say what it likes; as ActiveMQ does by default.
    #[default]
    Client,
    /// The user name that the client logged in with (`populateJMSXUserID`).
    LoginName,
    /// The name that the login was decided for (`useAuthenticatedPrincipalForJMSXUserID`).
    Principal,
}
