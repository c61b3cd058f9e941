//! The types of `auth.wit` as the host lowers and lifts them, and what of an answer makes sense.

use plugin::auth::{self, Login, Password};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{GROUPS_MAX, NAME_BYTES_MAX};
use crate::instance::{Fault, FaultKind};

/// `auth.claim`
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct Claim {
    name: String,
    texts: Vec<String>,
}

/// `auth.credentials`. Not `Debug`: it may hold a password.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct Credentials {
    user: Option<String>,
    password: Option<String>,
    #[component(name = "has-password")]
    has_password: bool,
    #[component(name = "client-id")]
    client_id: Option<String>,
    protocol: String,
    connector: String,
    remote: String,
    #[component(name = "certificate-subject")]
    certificate_subject: Option<String>,
    #[component(name = "password-proven")]
    password_proven: bool,
    claims: Vec<Claim>,
}

impl Credentials {
    /// The password is in it only for a policy that `sees_passwords`; a token never is, whose claims were checked.
    pub(super) fn new(login: &Login<'_>, sees_passwords: bool) -> Credentials {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let proofs = &login.proofs;
        let password = login.password.filter(|_| sees_passwords && proofs.claims.is_none());
        let claim = |(name, texts): &(String, Vec<String>)| Claim { name: name.clone(), texts: texts.clone() };
        Credentials {
            user: own(login.user),
            password: password.map(|Password(text)| text.to_owned()),
            has_password: login.has_password,
            client_id: own(login.client_id),
            protocol: login.protocol.to_owned(),
            connector: login.connector.to_owned(),
            remote: login.remote.to_owned(),
            certificate_subject: own(proofs.certificate_subject),
            password_proven: proofs.password,
            claims: proofs.claims.unwrap_or_default().iter().map(claim).collect(),
        }
    }
}

/// `auth.principal`
#[derive(Debug, Clone, ComponentType, Lower, Lift)]
#[component(record)]
pub(super) struct Principal {
    name: String,
    groups: Vec<String>,
}

impl From<&auth::Principal> for Principal {
    fn from(principal: &auth::Principal) -> Principal {
        Principal { name: principal.name.clone(), groups: principal.groups.clone() }
    }
}

impl Principal {
    /// Whether it is somebody.
    fn check(&self) -> Result<(), String> {
        let good = |text: &String| !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control);
        if !good(&self.name) {
            return Err(format!("a name is empty, has a control character or more than {NAME_BYTES_MAX} bytes"));
        }
        if self.groups.len() > GROUPS_MAX {
            return Err(format!("{} groups are more than {GROUPS_MAX}", self.groups.len()));
        }
        match self.groups.iter().all(good) {
            true => Ok(()),
            false => Err(format!("a group is empty, has a control character or more than {NAME_BYTES_MAX} bytes")),
        }
    }
}

/// `auth.admitted`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(super) struct Admitted {
    who: Principal,
    #[component(name = "remember-ms")]
    remember_ms: u32,
    #[component(name = "until-ms")]
    until_ms: Option<u64>,
}

/// `auth.admission`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(super) enum Admission {
    #[component(name = "no-opinion")]
    NoOpinion,
    #[component(name = "deny")]
    Deny(String),
    #[component(name = "expired")]
    Expired(String),
    #[component(name = "admit")]
    Admit(Admitted),
}

impl Admission {
    /// What the host makes of it. Somebody who is nobody is a fault of the policy.
    pub(super) fn lift(self) -> Result<auth::Admission, Fault> {
        Ok(match self {
            Admission::NoOpinion => auth::Admission::NoOpinion,
            Admission::Deny(reason) => auth::Admission::Deny(plain(&reason)),
            Admission::Expired(reason) => auth::Admission::Expired(plain(&reason)),
            Admission::Admit(Admitted { who, remember_ms, until_ms }) => {
                who.check()
                    .map_err(|reason| Fault { kind: FaultKind::Trap, reason: format!("it admits: {reason}") })?;
                let mut groups: Vec<String> = Vec::with_capacity(who.groups.len());
                for group in who.groups {
                    if !groups.contains(&group) {
                        groups.push(group);
                    }
                }
                auth::Admission::Admit {
                    principal: auth::Principal { name: who.name, groups },
                    cache_ms: remember_ms.into(),
                    until_ms: until_ms.map_or(i64::MAX, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
                }
            }
        })
    }
}

/// A reason for the log, in which a guest must not be able to forge lines.
fn plain(reason: &str) -> String {
    let end = reason.floor_char_boundary(NAME_BYTES_MAX);
    reason[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// `auth.action`
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Action {
    #[component(name = "read")]
    Read,
    #[component(name = "write")]
    Write,
    #[component(name = "admin")]
    Admin,
    #[component(name = "create")]
    Create,
}

/// `auth.kind`
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Kind {
    #[component(name = "queue")]
    Queue,
    #[component(name = "topic")]
    Topic,
    #[component(name = "temp-queue")]
    TempQueue,
    #[component(name = "temp-topic")]
    TempTopic,
}

/// `auth.request`
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct Request {
    action: Action,
    kind: Kind,
    name: String,
}

impl From<&auth::Request<'_>> for Request {
    fn from(request: &auth::Request<'_>) -> Request {
        let action = match request.action {
            auth::Action::Read => Action::Read,
            auth::Action::Write => Action::Write,
            auth::Action::Admin => Action::Admin,
            auth::Action::Create => Action::Create,
        };
        let kind = match request.kind {
            auth::Kind::Queue => Kind::Queue,
            auth::Kind::Topic => Kind::Topic,
            auth::Kind::TempQueue => Kind::TempQueue,
            auth::Kind::TempTopic => Kind::TempTopic,
        };
        Request { action, kind, name: request.name.to_owned() }
    }
}

/// `auth.opinion`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(variant)]
pub(super) enum Opinion {
    #[component(name = "no-opinion")]
    Next(u32),
    #[component(name = "deny")]
    Deny(u32),
    #[component(name = "allow")]
    Allow(u32),
}

/// `auth.judgement`
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(super) enum Judgement {
    #[component(name = "refuse")]
    Refuse(String),
    #[component(name = "pass")]
    Pass,
}
