//! Auth: a component asked who comes in, what they may do, and which messages they may send.
//!
//! Other than elsewhere nobody decides in its place: whatever goes wrong is [`Down`], and the host refuses. And other than
//! elsewhere it is asked by several threads. Each of the three questions has an instance of its own, whose callers wait
//! for one another; a call lasts no longer than its deadline, and one that failed is not called again before its pause is
//! over, so the wait is short and the answer to it known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin::auth::{Admission, Answer, AuthPolicy, Decides, Down, Login, Opinion, Principal, Request};
use plugin::{Columns, Fallback, Messages, Point, PolicyError, PolicyStats};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{AUTH, Batch, Scalar};
use crate::incumbent::Incumbent;
use crate::instance::{Fault, Live};
use crate::messages::{Question, Reading, Reads, names};
use crate::program::{Program, Ready};
use crate::runtime::Runtime;
use crate::world::{Finder, Functions, World};

mod lower;

/// Bytes of a name or of a group.
const NAME_BYTES_MAX: usize = 1024;
/// Groups of one principal.
const GROUPS_MAX: usize = 1000;

/// `world auth-policy`
pub(crate) static WORLD: World = World {
    point: Point::Auth,
    name: "auth-policy",
    interface: AUTH,
    functions: &["authenticate", "authorize", "reads", "check-messages"],
    column_ids: &[1, 2, 4, 5, 7, 8, 910, 911, 912, 913],
    properties: false,
    rehearse: Program::rehearse::<AuthFunctions>,
};

type Authenticate = TypedFunc<(u64, lower::Credentials), (lower::Admission,)>;
type Authorize = TypedFunc<(u64, lower::Principal, Vec<lower::Request>), (Vec<lower::Opinion>,)>;
type CheckMessages = TypedFunc<(lower::Principal, Arc<Batch>, Arc<Vec<Vec<Scalar>>>), (Vec<lower::Judgement>,)>;

/// The functions of `auth` in one instance.
pub(crate) struct AuthFunctions {
    authenticate: Authenticate,
    authorize: Authorize,
    reads: Reads,
    check_messages: CheckMessages,
}

impl Functions for AuthFunctions {
    const WORLD: &'static World = &WORLD;

    fn bind(finder: &mut Finder<'_>, exports: &[ComponentExportIndex]) -> Result<AuthFunctions, Fault> {
        Ok(AuthFunctions {
            authenticate: finder.typed(&exports[0])?,
            authorize: finder.typed(&exports[1])?,
            reads: Reads::new(finder.typed(&exports[2])?),
            check_messages: finder.typed(&exports[3])?,
        })
    }
}

impl Reading for AuthFunctions {
    fn reads(&mut self) -> &mut Reads {
        &mut self.reads
    }
}

/// What an instance is asked about; also the name of its place in logs and metrics.
const PLACES: [&str; 3] = ["logins", "rights", "messages"];

/// A component that decides who comes in and what they may do.
pub(crate) struct WasmAuth {
    name: String,
    decides: Decides,
    /// It asked for passwords, and the operator granted them.
    sees_passwords: bool,
    logins: Mutex<Incumbent<AuthFunctions>>,
    rights: Mutex<Incumbent<AuthFunctions>>,
    messages: Mutex<(Incumbent<AuthFunctions>, Question)>,
}

impl WasmAuth {
    /// The policy `name`, which must be compiled; `make` gives it its place. Its wish for passwords must have been
    /// granted.
    pub(crate) fn new(
        name: &str,
        program: &Program,
        passwords_granted: bool,
        make: impl Fn(&'static str) -> Result<Incumbent<AuthFunctions>, PolicyError>,
    ) -> Result<WasmAuth, PolicyError> {
        let refused = |reason: &str| PolicyError::Refused { policy: name.to_owned(), reason: reason.to_owned() };
        let wishes = match program.get() {
            Some(Ok(ready)) => ready.columns,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(refused("it is not compiled")),
        };
        let decides = Decides {
            logins: wishes.contains(Columns::LOGINS),
            rights: wishes.contains(Columns::RIGHTS),
            messages: wishes.contains(Columns::MESSAGES),
        };
        if decides == Decides::default() {
            return Err(refused(
                "it asks for nothing: have its describe name 910 (logins), 912 (rights) or 913 (messages)",
            ));
        }
        let sees_passwords = wishes.contains(Columns::PASSWORDS);
        if sees_passwords && !passwords_granted {
            return Err(refused("it asks for passwords, which were not granted; name it in security.show_passwords"));
        }
        let [logins, rights, messages] = PLACES;
        let messages = make(messages)?;
        let question = Question::new(messages.runtime(), "");
        Ok(WasmAuth {
            name: name.to_owned(),
            decides,
            sees_passwords,
            logins: Mutex::new(make(logins)?),
            rights: Mutex::new(make(rights)?),
            messages: Mutex::new((messages, question)),
        })
    }

    fn down(&self, place: &str, fallback: Fallback) -> Down {
        let reason = match fallback {
            Fallback::Warming => "it is not compiled yet",
            Fallback::Trap => "it trapped, or its answer made no sense",
            Fallback::Deadline => "it overran its deadline",
            Fallback::WrongLength => "it gave another number of answers than there were questions",
            Fallback::BackingOff => "it failed and is given a pause",
            Fallback::Busy => "it is busy",
            Fallback::Full => "too many instances are alive",
            Fallback::Refused => "it refuses its settings",
        };
        Down { policy: self.name.clone(), reason: format!("{place}: {reason}") }
    }
}

/// A panic while it is held would have to be one of this room; the next caller finds an instance that was left whole or
/// dropped.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask<A>(
    incumbent: &mut Incumbent<AuthFunctions>,
    now_ms: i64,
    rows: usize,
    call: impl FnOnce(&Runtime, &Ready, &mut Live<AuthFunctions>) -> Result<Option<A>, Fault>,
) -> Result<A, Fallback> {
    let now_ms = time(now_ms);
    incumbent.boundary(now_ms);
    incumbent.ask(now_ms, rows, call).0
}

fn time(now_ms: i64) -> u64 {
    u64::try_from(now_ms).unwrap_or(0)
}

impl AuthPolicy for WasmAuth {
    fn name(&self) -> &str {
        &self.name
    }

    fn decides(&self) -> Decides {
        self.decides
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn authenticate(&self, login: &Login<'_>, now_ms: i64) -> Result<Admission, Down> {
        let shown = lower::Credentials::new(login, self.sees_passwords);
        let answer = ask(&mut hold(&self.logins), now_ms, 1, |runtime, _, live| {
            let func = live.functions.authenticate;
            let (admission,) = live.call(&runtime.ticker, &func, (time(now_ms), shown))?;
            // One that makes no sense costs the instance: what gave it cannot be trusted with the next login.
            admission.lift().map(Some)
        });
        answer.map_err(|fallback| self.down(PLACES[0], fallback))
    }

    fn authorize(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        now_ms: i64,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Down> {
        answers.clear();
        let rows = requests.len();
        let found = ask(&mut hold(&self.rights), now_ms, rows, |runtime, _, live| {
            let func = live.functions.authorize;
            let what = requests.iter().map(lower::Request::from).collect();
            let params = (time(now_ms), lower::Principal::from(principal), what);
            let (opinions,) = live.call(&runtime.ticker, &func, params)?;
            Ok(Some(opinions).filter(|opinions| opinions.len() == rows))
        });
        let opinions = found.map_err(|fallback| self.down(PLACES[1], fallback))?;
        answers.extend(opinions.into_iter().map(|opinion| {
            let (opinion, cache_ms) = match opinion {
                lower::Opinion::Next(ms) => (Opinion::NoOpinion, ms),
                lower::Opinion::Deny(ms) => (Opinion::Deny, ms),
                lower::Opinion::Allow(ms) => (Opinion::Allow, ms),
            };
            Answer { opinion, cache_ms: cache_ms.into() }
        }));
        Ok(())
    }

    fn check_messages(
        &self,
        principal: &Principal,
        messages: &dyn Messages,
        now_ms: i64,
        judgements: &mut Vec<Option<String>>,
    ) -> Result<(), Down> {
        judgements.clear();
        let mut held = hold(&self.messages);
        let (incumbent, question) = &mut *held;
        let most = incumbent.rows_max().max(1);
        for from in (0..messages.rows()).step_by(most) {
            let part = Part { messages, from, rows: most.min(messages.rows() - from) };
            let found = ask(incumbent, now_ms, part.rows, |runtime, ready, live| {
                let names = names(live, &runtime.ticker, &runtime.limits)?;
                question.fill(runtime, ready, &names, time(now_ms), &part);
                let func = live.functions.check_messages;
                let params = (lower::Principal::from(principal), question.batch.clone(), question.properties.clone());
                let (found,) = live.call(&runtime.ticker, &func, params)?;
                Ok(Some(found).filter(|found| found.len() == part.rows))
            });
            let found = found.map_err(|fallback| self.down(PLACES[2], fallback))?;
            judgements.extend(found.into_iter().map(|judgement| match judgement {
                lower::Judgement::Refuse(reason) => Some(reason),
                lower::Judgement::Pass => None,
            }));
        }
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, PolicyStats)> {
        let Decides { logins, rights, messages } = self.decides;
        let [login, right, message] = PLACES;
        let mut all = Vec::new();
        if logins {
            all.push((login, hold(&self.logins).stats()));
        }
        if rights {
            all.push((right, hold(&self.rights).stats()));
        }
        if messages {
            all.push((message, hold(&self.messages).0.stats()));
        }
        all
    }
}

/// Some of the messages.
struct Part<'a> {
    messages: &'a dyn Messages,
    from: usize,
    rows: usize,
}

impl Messages for Part<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn number(&self, row: usize, column: Columns) -> i64 {
        self.messages.number(self.from + row, column)
    }

    fn property(&self, row: usize, name: &str) -> plugin::Scalar<'_> {
        self.messages.property(self.from + row, name)
    }
}
