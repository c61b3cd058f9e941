//! Who comes in, and what they may do: the auth extension point.
//!
//! The host checks passwords, tokens and certificates and shows what they prove ([`Proofs`]); a policy says who that is
//! and what this one may do. No policy sees a token or a certificate, and a password only one that asked for it and was
//! granted it by the operator. Answers are kept for the time that the policy gives, so a policy is asked per login and per
//! (principal, action, destination), and per message only where it wants that.
//!
//! Start reading at [`AuthPolicy`]; the native policies are beside it.

use std::fmt;

use crate::{Messages, PolicyStats};

mod certificates;
mod map;
mod terms;
mod tokens;
mod users;

pub use self::certificates::Certificates;
pub use self::map::{AuthorizationMap, Place, Rule};
pub use self::terms::Terms;
pub use self::tokens::{TokenUsers, TokensSettings};
pub use self::users::{Anonymous, SimpleUsers};

/// Somebody who has logged in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Principal {
    /// The name; empty for somebody who gave none and needed none.
    pub name: String,
    /// The groups that rights are given to, each once.
    pub groups: Vec<String>,
}

/// What somebody wants to do with a destination (row K06).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Consume or browse.
    Read,
    /// Send, or announce a producer.
    Write,
    /// Remove.
    Admin,
    /// Make, by first use too. The native map knows no difference to [`Admin`](Self::Admin), as ActiveMQ's does not.
    Create,
}

/// The kind of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A queue that lasts.
    Queue,
    /// A topic that lasts.
    Topic,
    /// A queue that belongs to a connection.
    TempQueue,
    /// A topic that belongs to a connection.
    TempTopic,
}

impl Kind {
    /// True for both temporary kinds.
    pub fn is_temporary(self) -> bool {
        matches!(self, Kind::TempQueue | Kind::TempTopic)
    }
}

/// One question. Composites were taken apart: the host asks for each part, and all must be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request<'a> {
    /// What is wanted.
    pub action: Action,
    /// Kind of the destination.
    pub kind: Kind,
    /// Its name. A consumer's may hold wildcards; each queue or topic that they stand for is asked about as well.
    pub name: &'a str,
}

/// What a policy thinks of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// It may be done.
    Allow,
    /// It may not be done.
    Deny,
    /// The next policy decides; without one it may not be done.
    NoOpinion,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// What the policy thinks.
    pub opinion: Opinion,
    /// How long a connection may go by it without asking again, ms.
    pub cache_ms: u64,
}

/// What the host has verified of a client that logs in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proofs<'a> {
    /// The password belongs to the user name.
    pub password: bool,
    /// Claims of a token with a good signature that has not expired: name and texts. A claim within an object is named
    /// by its path (`realm_access.roles`).
    pub claims: Option<&'a [(String, Vec<String>)]>,
    /// Subject of a client certificate that the listener verified.
    pub certificate_subject: Option<&'a str>,
}

/// A password on its way to a policy that asked for it and was granted it. It shows itself to no log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a>(pub &'a str);

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// A client that logs in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// The user name that the client gave, unproven.
    pub user: Option<&'a str>,
    /// The password that it gave.
    pub password: Option<Password<'a>>,
    /// The client gave a password.
    pub has_password: bool,
    /// The client id that it gave, unproven.
    pub client_id: Option<&'a str>,
    /// The protocol that it speaks, `openwire` or `stomp`.
    pub protocol: &'a str,
    /// Name of the connector that it came in by.
    pub connector: &'a str,
    /// Its address.
    pub remote: &'a str,
    /// What the host has verified.
    pub proofs: Proofs<'a>,
}

/// What a policy says of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is this one.
    Admit {
        /// Who it is.
        principal: Principal,
        /// How long the same credentials may come in without asking again, ms.
        cache_ms: u64,
        /// When the login ends, ms since 1970; `i64::MAX` if it does not.
        until_ms: i64,
    },
    /// It may not come in. The reason is for the log, the client does not see it.
    Deny(String),
    /// It came too late, for this reason. The client hears that much.
    Expired(String),
    /// The next policy decides; without one it may not come in.
    NoOpinion,
}

/// A policy did not answer, for this reason. The host refuses, or goes by what it knew last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("auth policy {policy} does not answer: {reason}")]
pub struct Down {
    /// Its name.
    pub policy: String,
    /// What happened.
    pub reason: String,
}

/// What a policy has a say in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decides {
    /// Who comes in.
    pub logins: bool,
    /// What they may do.
    pub rights: bool,
    /// Which messages they may send.
    pub messages: bool,
}

/// Decides logins and rights. Called from many threads; an answer comes within the host's deadline.
pub trait AuthPolicy: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// What it has a say in. Changes with its generation, never within a term.
    fn decides(&self) -> Decides;

    /// Whether an answer takes long enough to be worth a thread of its own for a login, and a look into what is remembered
    /// for a right.
    fn is_slow(&self) -> bool {
        false
    }

    /// Who it is that logs in.
    fn authenticate(&self, login: &Login<'_>, now_ms: i64) -> Result<Admission, Down>;

    /// Clears `answers`, then puts one there for each of `requests`. A policy that has no say in rights has no opinion on
    /// any of them.
    fn authorize(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        now_ms: i64,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Down> {
        let _ = (principal, now_ms);
        answers.clear();
        answers.resize(requests.len(), Answer { opinion: Opinion::NoOpinion, cache_ms: u64::MAX });
        Ok(())
    }

    /// Clears `judgements`, then puts one there for each row of `messages`, which somebody sends: why it may not be sent, or
    /// `None`. A policy that has no say in messages lets all of them pass.
    fn check_messages(
        &self,
        principal: &Principal,
        messages: &dyn Messages,
        now_ms: i64,
        judgements: &mut Vec<Option<String>>,
    ) -> Result<(), Down> {
        let _ = (principal, now_ms);
        judgements.clear();
        judgements.resize(messages.rows(), None);
        Ok(())
    }

    /// How the instances behind it do, each with what it is asked about; nothing for a native policy.
    fn stats(&self) -> Vec<(&'static str, PolicyStats)> {
        Vec::new()
    }
}

/// Asked by the core where only it knows what a name stands for: whether a destination is new, which queues and topics
/// a wildcard covers.
pub trait Guard: Send + Sync {
    /// Whether it may be done. The answer comes at once.
    fn allows(&self, principal: &Principal, request: Request<'_>, now_ms: i64) -> Permit;

    /// The term that lasts: what was said in another one is to be asked again. `None` while nobody limits rights, and
    /// everything may be done. Costs next to nothing.
    fn term(&self) -> Option<u64> {
        Some(0)
    }
}

/// What a [`Guard`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// It may be done.
    pub allowed: bool,
    /// When to ask again, ms since 1970.
    pub until_ms: i64,
}
