//! Auth: a component asked who comes in, what they may do, and which messages they may send.
//!
//! Other than elsewhere nobody decides in its place: whatever goes wrong is [`Down`], and the host refuses. And other than
//! elsewhere it is asked by several threads. Each of the three questions has an instance of its own, whose callers wait
//! for one another; a call lasts no longer than its deadline, and one that failed is not called again before its pause is
//! over, so the wait is short and the answer to it known. How generations follow each other is in `auth/turn.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin::auth::{Admission, Answer, AuthPolicy, Decides, Down, Login, Opinion, Principal, Request, Terms};
use plugin::{Columns, Fallback, Messages, Point, PolicyError, PolicyStats};
use wasmtime::component::{ComponentExportIndex, TypedFunc};

use crate::bindings::{AUTH, Batch, Scalar};
use crate::incumbent::{Incumbent, Turn};
use crate::instance::{Fault, Live};
use crate::messages::{Question, Reading, Reads, names};
use crate::program::{Program, Ready};
use crate::runtime::Runtime;
use crate::world::{Finder, Functions, World};

mod lower;
mod turn;

pub(crate) use self::turn::{Wishes, wishes};

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
    /// Those of the gate: another one begins when another generation decides.
    terms: Arc<Terms>,
    wishes: Wishes,
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
        terms: &Arc<Terms>,
        make: impl Fn(&'static str) -> Result<Incumbent<AuthFunctions>, PolicyError>,
    ) -> Result<WasmAuth, PolicyError> {
        let wishes = Wishes::new(wishes(program)?);
        let [logins, rights, messages] = PLACES;
        let messages = make(messages)?;
        let question = Question::new(messages.runtime(), "");
        Ok(WasmAuth {
            name: name.to_owned(),
            terms: terms.clone(),
            wishes,
            logins: Mutex::new(make(logins)?),
            rights: Mutex::new(make(rights)?),
            messages: Mutex::new((messages, question)),
        })
    }

    /// Asks an instance that is held. One that goes back to the generation before takes the other two along, once it is let
    /// go of: whoever asks them until then hears the generation that failed, in a term that ends.
    fn ask<A>(
        &self,
        incumbent: &mut Incumbent<AuthFunctions>,
        now_ms: i64,
        rows: usize,
        call: impl FnOnce(&Runtime, &Ready, &mut Live<AuthFunctions>) -> Result<Option<A>, Fault>,
    ) -> (Result<A, Fallback>, Option<Arc<Program>>) {
        let now_ms = time(now_ms);
        incumbent.pause(now_ms);
        let asked = incumbent.program().clone();
        let (answer, turn) = incumbent.ask(now_ms, rows, call);
        (answer, matches!(turn, Some(Turn::WentBack { .. })).then_some(asked))
    }

    /// What came of a question, once its instance is let go of.
    fn settle<A>(
        &self,
        place: &'static str,
        (answer, failed): (Result<A, Fallback>, Option<Arc<Program>>),
    ) -> Result<A, Down> {
        if let Some(failed) = failed {
            self.go_back(&failed, place);
        }
        answer.map_err(|fallback| self.down(place, fallback))
    }

    /// Nobody answers while the instances are of different generations.
    fn check_whole(&self) -> Result<(), Down> {
        match self.wishes.is_torn() {
            false => Ok(()),
            true => Err(Down {
                policy: self.name.clone(),
                reason: "its instances are of different generations; deploy it anew".to_owned(),
            }),
        }
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

/// Whether the generation that decides is to be asked about this. One that is not may have taken over since somebody thought
/// of asking.
fn has_say(incumbent: &Incumbent<AuthFunctions>, wish: Columns) -> bool {
    incumbent.program().get().and_then(Result::ok).is_none_or(|ready| ready.columns.contains(wish))
}

fn time(now_ms: i64) -> u64 {
    u64::try_from(now_ms).unwrap_or(0)
}

impl AuthPolicy for WasmAuth {
    fn name(&self) -> &str {
        &self.name
    }

    fn decides(&self) -> Decides {
        self.wishes.decides()
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn authenticate(&self, login: &Login<'_>, now_ms: i64) -> Result<Admission, Down> {
        self.check_whole()?;
        let mut logins = hold(&self.logins);
        if !has_say(&logins, Columns::LOGINS) {
            return Ok(Admission::NoOpinion);
        }
        let is_granted = logins.program().sees_passwords();
        let outcome = self.ask(&mut logins, now_ms, 1, |runtime, ready, live| {
            let shown = lower::Credentials::new(login, is_granted && ready.columns.contains(Columns::PASSWORDS));
            let func = live.functions.authenticate;
            let (admission,) = live.call(&runtime.ticker, &func, (time(now_ms), shown))?;
            // One that makes no sense costs the instance: what gave it cannot be trusted with the next login.
            admission.lift().map(Some)
        });
        drop(logins);
        self.settle(PLACES[0], outcome)
    }

    fn authorize(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        now_ms: i64,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Down> {
        answers.clear();
        self.check_whole()?;
        let rows = requests.len();
        let mut rights = hold(&self.rights);
        if !has_say(&rights, Columns::RIGHTS) {
            answers.resize(rows, Answer { opinion: Opinion::NoOpinion, cache_ms: u64::MAX });
            return Ok(());
        }
        let outcome = self.ask(&mut rights, now_ms, rows, |runtime, _, live| {
            let func = live.functions.authorize;
            let what = requests.iter().map(lower::Request::from).collect();
            let params = (time(now_ms), lower::Principal::from(principal), what);
            let (opinions,) = live.call(&runtime.ticker, &func, params)?;
            Ok(Some(opinions).filter(|opinions| opinions.len() == rows))
        });
        drop(rights);
        let opinions = self.settle(PLACES[1], outcome)?;
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
        self.check_whole()?;
        let mut from = 0;
        while from < messages.rows() {
            let mut held = hold(&self.messages);
            let (incumbent, question) = &mut *held;
            if !has_say(incumbent, Columns::MESSAGES) {
                judgements.resize(messages.rows(), None);
                return Ok(());
            }
            let rows = incumbent.rows_max().max(1).min(messages.rows() - from);
            let part = Part { messages, from, rows };
            let outcome = self.ask(incumbent, now_ms, part.rows, |runtime, ready, live| {
                let names = names(live, &runtime.ticker, &runtime.limits)?;
                question.fill(runtime, ready, &names, time(now_ms), &part);
                let func = live.functions.check_messages;
                let params = (lower::Principal::from(principal), question.batch.clone(), question.properties.clone());
                let (found,) = live.call(&runtime.ticker, &func, params)?;
                Ok(Some(found).filter(|found| found.len() == part.rows))
            });
            drop(held);
            let found = self.settle(PLACES[2], outcome)?;
            from += rows;
            judgements.extend(found.into_iter().map(|judgement| match judgement {
                lower::Judgement::Refuse(reason) => Some(reason),
                lower::Judgement::Pass => None,
            }));
        }
        Ok(())
    }

    fn stats(&self) -> Vec<(&'static str, PolicyStats)> {
        let Decides { logins, rights, messages } = self.wishes.decides();
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
