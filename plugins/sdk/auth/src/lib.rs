//! Auth policies for the Jackfield message broker: implement [`AuthLogic`], export it with [`export_auth_policy!`], build for
//! `wasm32-unknown-unknown` and make a component of the module. The manual is `wit/policy.wit` and `wit/auth.wit`.
//!
//! ```ignore
//! use jackfield_auth_policy::plugin::auth::{Admission, Answer, Login, Opinion, Principal, Request};
//! use jackfield_auth_policy::{AuthLogic, Wishes, export_auth_policy};
//!
//! /// Whoever proved a password writes, and reads from the queue of the own name.
//! #[derive(Default)]
//! struct OwnQueue;
//!
//! impl AuthLogic for OwnQueue {
//!     fn wishes(&self) -> Wishes {
//!         Wishes { logins: true, rights: true, ..Wishes::default() }
//!     }
//!
//!     fn authenticate(&mut self, _now_ms: u64, login: &Login<'_>) -> Admission {
//!         match login.user {
//!             Some(user) if login.proofs.password => jackfield_auth_policy::admit(user, &[], 60_000, None),
//!             _ => Admission::NoOpinion,
//!         }
//!     }
//!
//!     fn authorize(&mut self, _now_ms: u64, who: &Principal, request: &Request<'_>) -> Answer {
//!         let may = request.action != jackfield_auth_policy::plugin::auth::Action::Read || request.name == who.name;
//!         Answer { opinion: if may { Opinion::Allow } else { Opinion::Deny }, cache_ms: 60_000 }
//!     }
//! }
//!
//! export_auth_policy!(OwnQueue);
//! ```
//!
//! Logins, rights and messages have an instance each, and each instance one policy value whose calls never overlap. A panic
//! ends the instance, and until there is another one everybody is refused: return what you can instead.

/// Generated from the WIT package. Authors need it only for what the trait does not cover.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "auth-policy",
        pub_export_macro: true,
        default_bindings_module: "jackfield_auth_policy::bindings",
        export_macro_name: "export_world",
    });
}

#[path = "../../shared/view.rs"]
mod view;

use std::marker::PhantomData;

pub use plugin;
#[doc(hidden)]
pub use view::Kept;

use plugin::auth::{Action, Admission, Answer, Kind, Login, Opinion, Password, Principal, Proofs, Request};
use plugin::{Columns, Messages};

use bindings::exports::jackfield::policy::auth as point;
use bindings::exports::jackfield::policy::lifecycle::{self, Refusal, Setting};
pub use bindings::jackfield::policy::telemetry::Level;
use bindings::jackfield::policy::types::{Batch, Requirements};
use bindings::jackfield::policy::values::Scalar;
use view::View;

/// What a policy has a say in, with the settings that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// [`AuthLogic::authenticate`] is asked.
    pub logins: bool,
    /// [`Login::password`] is filled in. The operator has to grant that.
    pub passwords: bool,
    /// [`AuthLogic::authorize`] is asked.
    pub rights: bool,
    /// [`AuthLogic::check`] is asked about each message that a client sends.
    pub messages: bool,
    /// Headers that `check` reads: [`Columns::PRIORITY`], `SIZE`, `TIMESTAMP`, `EXPIRATION`.
    pub columns: Columns,
}

impl Default for Wishes {
    fn default() -> Wishes {
        Wishes { logins: false, passwords: false, rights: false, messages: false, columns: Columns::NONE }
    }
}

impl Wishes {
    /// Their ids in the manual.
    fn ids(&self) -> Vec<u32> {
        let flags = [(self.logins, 910), (self.passwords, 911), (self.rights, 912), (self.messages, 913)];
        let headers = [(Columns::PRIORITY, 1), (Columns::SIZE, 2), (Columns::TIMESTAMP, 4), (Columns::EXPIRATION, 5)];
        let headers = headers.into_iter().filter(|(column, _)| self.columns.contains(*column)).map(|(_, id)| id);
        headers.chain(flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, id)| id)).collect()
    }
}

/// Decides who comes in, what they may do, and which messages they may send.
pub trait AuthLogic: Default + 'static {
    /// Version of the state that [`snapshot`](Self::snapshot) writes and [`restore`](Self::restore) reads; 0 = none. With
    /// the name of the package it is the format: a policy of another name does not read this state.
    const STATE_VERSION: u8 = 0;

    /// Takes all the settings, or says in a sentence with key, value and remedy what is wrong with them.
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String>;

    /// What it has a say in.
    fn wishes(&self) -> Wishes;

    /// Who it is that logs in. Reasons are for the broker's log; put no password there.
    fn authenticate(&mut self, now_ms: u64, login: &Login<'_>) -> Admission {
        let _ = (now_ms, login);
        Admission::NoOpinion
    }

    /// Whether it may be done, and for how long a connection goes by that (at most about 49 days).
    fn authorize(&mut self, now_ms: u64, who: &Principal, request: &Request<'_>) -> Answer {
        let _ = (now_ms, who, request);
        Answer { opinion: Opinion::NoOpinion, cache_ms: u64::MAX }
    }

    /// Names of the properties that [`check`](Self::check) reads.
    fn reads(&self) -> Vec<String> {
        Vec::new()
    }

    /// Why somebody may not send the message of this row, in words for the sender; `None` lets it pass.
    fn check(&mut self, who: &Principal, messages: &dyn Messages, row: usize) -> Option<String> {
        let _ = (who, messages, row);
        None
    }

    /// What to keep while the policy sleeps; never a password.
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what [`snapshot`](Self::snapshot) gave; false if it makes no sense of it.
    fn restore(&mut self, state: &[u8]) -> bool {
        state.is_empty()
    }
}

/// Lets somebody in: the name, the groups, how long the same credentials come in without asking again, and when the login
/// ends, in ms since 1970.
pub fn admit(name: &str, groups: &[String], cache_ms: u64, until_ms: Option<u64>) -> Admission {
    let until_ms = until_ms.map_or(i64::MAX, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
    Admission::Admit { principal: Principal { name: name.to_owned(), groups: groups.to_vec() }, cache_ms, until_ms }
}

/// A line in the broker's log. Never put a password there.
pub fn log(level: Level, text: &str) {
    bindings::jackfield::policy::telemetry::log(level, text);
}

/// Where the one value of an exported policy lives. Implemented by [`export_auth_policy!`].
#[doc(hidden)]
pub trait Exported {
    /// Name of the package that it is in.
    const PACKAGE: &'static str;

    /// What is exported.
    type Policy: AuthLogic;

    /// Calls `work` with the value.
    fn with<T>(work: impl FnOnce(&mut Kept<Self::Policy>) -> T) -> T;
}

/// Exports the policy as the world wants it.
#[doc(hidden)]
pub struct Glue<E>(PhantomData<E>);

impl<E: Exported> lifecycle::Guest for Glue<E> {
    fn describe() -> Requirements {
        let format = plugin::state_format(E::PACKAGE, E::Policy::STATE_VERSION);
        Requirements {
            columns: E::with(|kept| kept.policy.wishes().ids()),
            properties: Vec::new(),
            max_rows: 0,
            state_version: format,
            restores: if format == 0 { Vec::new() } else { vec![format] },
        }
    }

    fn configure(settings: Vec<Setting>) -> Result<(), String> {
        let settings: Vec<_> = settings.into_iter().map(|setting| (setting.key, setting.value)).collect();
        E::with(|kept| kept.policy.configure(&settings))
    }

    fn snapshot(limit: u32) -> Result<Vec<u8>, Refusal> {
        let state = E::with(|kept| kept.policy.snapshot());
        if state.len() > limit as usize { Err(Refusal::TooLarge(state.len() as u64)) } else { Ok(state) }
    }

    fn restore(format: u32, state: Vec<u8>) -> Result<(), Refusal> {
        if format != plugin::state_format(E::PACKAGE, E::Policy::STATE_VERSION) {
            return Err(Refusal::UnknownFormat);
        }
        match E::with(|kept| kept.policy.restore(&state)) {
            true => Ok(()),
            false => Err(Refusal::Other(String::from("the state makes no sense to this policy"))),
        }
    }
}

impl<E: Exported> point::Guest for Glue<E> {
    fn authenticate(now_ms: u64, who: point::Credentials) -> point::Admission {
        let claims: Vec<(String, Vec<String>)> =
            who.claims.into_iter().map(|claim| (claim.name, claim.texts)).collect();
        let login = Login {
            user: who.user.as_deref(),
            password: who.password.as_deref().map(Password),
            has_password: who.has_password,
            client_id: who.client_id.as_deref(),
            protocol: &who.protocol,
            connector: &who.connector,
            remote: &who.remote,
            proofs: Proofs {
                password: who.password_proven,
                claims: (!claims.is_empty()).then_some(&claims[..]),
                certificate_subject: who.certificate_subject.as_deref(),
            },
        };
        match E::with(|kept| kept.policy.authenticate(now_ms, &login)) {
            Admission::NoOpinion => point::Admission::NoOpinion,
            Admission::Deny(reason) => point::Admission::Deny(reason),
            Admission::Expired(reason) => point::Admission::Expired(reason),
            Admission::Admit { principal, cache_ms, until_ms } => point::Admission::Admit(point::Admitted {
                who: point::Principal { name: principal.name, groups: principal.groups },
                remember_ms: short(cache_ms),
                until_ms: (until_ms < i64::MAX).then(|| u64::try_from(until_ms).unwrap_or(0)),
            }),
        }
    }

    fn authorize(now_ms: u64, who: point::Principal, what: Vec<point::Request>) -> Vec<point::Opinion> {
        let who = principal(who);
        let answer = |request: point::Request| {
            let request = Request { action: action(request.action), kind: kind(request.kind), name: &request.name };
            let Answer { opinion, cache_ms } = E::with(|kept| kept.policy.authorize(now_ms, &who, &request));
            match opinion {
                Opinion::NoOpinion => point::Opinion::NoOpinion(short(cache_ms)),
                Opinion::Deny => point::Opinion::Deny(short(cache_ms)),
                Opinion::Allow => point::Opinion::Allow(short(cache_ms)),
            }
        };
        what.into_iter().map(answer).collect()
    }

    fn reads() -> Vec<String> {
        E::with(|kept| {
            kept.names = kept.policy.reads();
            kept.names.clone()
        })
    }

    fn check_messages(who: point::Principal, messages: Batch, properties: Vec<Vec<Scalar>>) -> Vec<point::Judgement> {
        let who = principal(who);
        E::with(|kept| {
            let view = View { batch: &messages, properties: &properties, names: &kept.names };
            let judge = |row| match kept.policy.check(&who, &view, row) {
                Some(reason) => point::Judgement::Refuse(reason),
                None => point::Judgement::Pass,
            };
            (0..messages.rows as usize).map(judge).collect()
        })
    }
}

fn short(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

fn principal(who: point::Principal) -> Principal {
    Principal { name: who.name, groups: who.groups }
}

fn action(action: point::Action) -> Action {
    match action {
        point::Action::Read => Action::Read,
        point::Action::Write => Action::Write,
        point::Action::Admin => Action::Admin,
        point::Action::Create => Action::Create,
    }
}

fn kind(kind: point::Kind) -> Kind {
    match kind {
        point::Kind::Queue => Kind::Queue,
        point::Kind::Topic => Kind::Topic,
        point::Kind::TempQueue => Kind::TempQueue,
        point::Kind::TempTopic => Kind::TempTopic,
    }
}

/// Makes `$policy` the policy that this component exports.
#[macro_export]
macro_rules! export_auth_policy {
    ($policy:ty) => {
        struct JackfieldPolicy;
        type JackfieldExported = $crate::Glue<JackfieldPolicy>;

        ::std::thread_local! {
            static POLICY: ::std::cell::RefCell<$crate::Kept<$policy>> = ::std::cell::RefCell::default();
        }

        impl $crate::Exported for JackfieldPolicy {
            const PACKAGE: &'static str = ::core::env!("CARGO_PKG_NAME");

            type Policy = $policy;

            fn with<T>(work: impl FnOnce(&mut $crate::Kept<$policy>) -> T) -> T {
                POLICY.with_borrow_mut(work)
            }
        }

        $crate::bindings::export_world!(JackfieldExported with_types_in $crate::bindings);
    };
}
