//! The gate: proofs are checked, policies are asked in order, a policy that is down closes it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use message::{Destination, DestinationKind};
use plugin::Messages;
use plugin::auth::{
    Action, Admission, Answer, AuthPolicy, Decides, Down, Guard, Kind, Login, Opinion, Password, Permit, Principal,
    Proofs, Request, Terms,
};
use session::{Admitted, Authenticator, Authorizer, Credentials, Denied, Inspector, Verdict};

use crate::memory::{Memory, protocol};
use crate::offices::{Offices, OfficesInTerm};
use crate::stats::{Counters, GateStats, count};
use crate::tokens::Flaw;
use crate::{Passwords, Tokens};

/// How long a verdict holds that was given in place of a policy that is down, ms.
const STALE_MS: i64 = 1000;

/// What a gate is made of.
pub struct Settings {
    /// Asked in this order; the first that has an opinion decides.
    pub policies: Vec<Arc<dyn AuthPolicy>>,
    /// Passwords of the users.
    pub passwords: Passwords,
    /// Keys of tokens.
    pub tokens: Tokens,
    /// How long after it ran out a decision still holds while the policy is down, ms; 0 refuses at once.
    pub last_known_good_ms: i64,
    /// The terms that end when a policy changes its generation; the gate ends them when the list of policies changes.
    pub terms: Arc<Terms>,
}

/// The policies that are asked, in their order.
type Bench = Arc<[Arc<dyn AuthPolicy>]>;

/// Decides logins and rights by the proofs that it checks and the policies that it asks. Closed: who is not let in by
/// somebody stays out, and what is not allowed by somebody is refused.
///
/// Policies may be seated before and behind those of its settings while it works. What was decided before that, or by another
/// generation of a policy, is asked anew: decisions hold in their term only.
pub struct Gate {
    settings: Settings,
    bench: RwLock<Bench>,
    memory: Memory,
    /// What the policies of the bench have a say in, in the term that lasts.
    offices: OfficesInTerm,
    counters: Counters,
    down: AtomicU64,
}

impl Gate {
    /// A gate that has let nobody in yet. `None` where the system has no random numbers.
    pub fn new(settings: Settings) -> Option<Gate> {
        Some(Gate {
            bench: RwLock::new(settings.policies.clone().into()),
            memory: Memory::new(settings.last_known_good_ms)?,
            settings,
            offices: OfficesInTerm::default(),
            counters: Counters::default(),
            down: AtomicU64::new(0),
        })
    }

    /// Seats these policies before and behind those of the settings, in place of all that were seated so. Another term begins.
    pub fn seat(&self, before: Vec<Arc<dyn AuthPolicy>>, behind: Vec<Arc<dyn AuthPolicy>>) {
        let bench: Bench = before.into_iter().chain(self.settings.policies.iter().cloned()).chain(behind).collect();
        *self.bench.write().unwrap_or_else(PoisonError::into_inner) = bench;
        self.settings.terms.begin();
    }

    fn bench(&self) -> Bench {
        self.bench.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn offices(&self) -> (u64, Offices) {
        self.offices.get(&self.settings.terms, || Offices::of(&self.bench()))
    }

    /// Whether any policy has a say in what may be done; if not, everybody who is in may do everything.
    pub fn limits_rights(&self) -> bool {
        self.offices().1.rights
    }

    /// Whether any policy has a say in who comes in; if not, nobody does.
    pub fn decides_logins(&self) -> bool {
        self.offices().1.logins
    }

    /// Whether any policy looks at messages.
    pub fn looks_at_messages(&self) -> bool {
        self.offices().1.messages
    }

    /// The policies that are asked, in their order: names, and what each has a say in.
    pub fn asked(&self) -> Vec<(String, Decides)> {
        self.bench().iter().map(|policy| (policy.name().to_owned(), policy.decides())).collect()
    }

    /// What it was asked and what became of it.
    pub fn stats(&self) -> GateStats {
        let mut places = Vec::new();
        for policy in self.bench().iter() {
            places.extend(policy.stats().into_iter().map(|(what, stats)| (policy.name().to_owned(), what, stats)));
        }
        self.counters.get(places)
    }

    fn decide(&self, credentials: &Credentials, now_ms: i64) -> Result<(Admitted, i64), Refused> {
        let Credentials { user, password, client_id, remote, certificate_subject, connector, .. } = credentials;
        let mut token = None;
        let mut proofs = Proofs { certificate_subject: certificate_subject.as_deref(), ..Proofs::default() };
        match (user, password) {
            (_, Some(password)) if self.settings.tokens.claim(password) => {
                // In the second of its end the library still takes it; from that moment on it must not be (RFC 7519, 4.1.4).
                let checked = self.settings.tokens.check(password);
                let checked =
                    checked.and_then(|claims| if claims.until_ms > now_ms { Ok(claims) } else { Err(Flaw::Expired) });
                token = Some(checked.map_err(|flaw| match flaw {
                    Flaw::Expired => Refused::No(Denied::Expired, "the token has expired".to_owned()),
                    Flaw::Bad => Refused::No(Denied::Invalid, "the token is not good".to_owned()),
                })?);
            }
            (Some(user), Some(password)) => proofs.password = self.settings.passwords.are_of(user, password),
            _ => {}
        }
        proofs.claims = token.as_ref().map(|token| &token.texts[..]);
        let login = Login {
            user: user.as_deref(),
            password: password.as_deref().map(Password),
            has_password: password.is_some(),
            client_id: client_id.as_deref(),
            protocol: protocol(credentials.protocol),
            connector,
            remote,
            proofs,
        };
        for policy in self.bench().iter().filter(|policy| policy.decides().logins) {
            match policy.authenticate(&login, now_ms).map_err(Refused::Down)? {
                Admission::Admit { until_ms, .. } if until_ms <= now_ms => {
                    return Err(Refused::No(Denied::Expired, format!("policy {}: its time is over", policy.name())));
                }
                Admission::Expired(reason) => {
                    return Err(Refused::No(Denied::Expired, format!("policy {}: {reason}", policy.name())));
                }
                Admission::Admit { principal, cache_ms, until_ms } => {
                    let until_ms = token.as_ref().map_or(i64::MAX, |token| token.until_ms).min(until_ms);
                    let remembered_ms = after(now_ms, cache_ms).min(until_ms);
                    return Ok((Admitted { principal: Arc::new(principal), until_ms }, remembered_ms));
                }
                Admission::Deny(reason) => {
                    return Err(Refused::No(Denied::Invalid, format!("policy {}: {reason}", policy.name())));
                }
                Admission::NoOpinion => {}
            }
        }
        Err(Refused::No(Denied::Invalid, "nobody knows this client, or its password is wrong".to_owned()))
    }

    /// Allowed or not, and until when.
    fn ask(&self, principal: &Principal, requests: &[Request<'_>], now_ms: i64) -> Result<(bool, i64), Down> {
        let mut open: Vec<Request<'_>> = requests.to_vec();
        let mut until_ms = i64::MAX;
        let mut answers = Vec::new();
        for policy in self.bench().iter().filter(|policy| policy.decides().rights) {
            policy.authorize(principal, &open, now_ms, &mut answers)?;
            if answers.len() != open.len() {
                let reason = format!("it gave {} answers to {} requests", answers.len(), open.len());
                return Err(Down { policy: policy.name().to_owned(), reason });
            }
            let mut undecided = Vec::new();
            for (request, Answer { opinion, cache_ms }) in open.iter().zip(&answers) {
                until_ms = until_ms.min(after(now_ms, *cache_ms));
                match opinion {
                    Opinion::Allow => {}
                    Opinion::Deny => return Ok((false, until_ms)),
                    Opinion::NoOpinion => undecided.push(*request),
                }
            }
            open = undecided;
            if open.is_empty() {
                return Ok((true, until_ms));
            }
        }
        Ok((false, until_ms))
    }

    fn verdict(&self, principal: &Principal, requests: &[Request<'_>], now_ms: i64) -> Verdict {
        // The term before the question: what comes of it is of that term at the latest.
        let (term, offices) = self.offices();
        if !offices.rights {
            return Verdict::Allowed { until_ms: i64::MAX };
        }
        let verdict = match self.remembered(principal, requests, (term, offices), now_ms) {
            Some(verdict) => verdict,
            None => self.decide_rights(principal, requests, (term, offices), now_ms),
        };
        count(&self.counters.rights, 1);
        if !matches!(verdict, Verdict::Allowed { .. }) {
            count(&self.counters.rights_refused, 1);
        }
        verdict
    }

    /// What was said before and still holds, where asking again takes longer than looking.
    fn remembered(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        (term, offices): (u64, Offices),
        now_ms: i64,
    ) -> Option<Verdict> {
        let ([request], true) = (requests, offices.slow_rights) else { return None };
        let (allowed, until_ms) = self.memory.verdict(principal, request, term, now_ms)?;
        Some(if allowed { Verdict::Allowed { until_ms } } else { Verdict::Refused { until_ms } })
    }

    fn decide_rights(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        (term, offices): (u64, Offices),
        now_ms: i64,
    ) -> Verdict {
        match self.ask(principal, requests, now_ms) {
            Ok((allowed, until_ms)) => {
                if self.memory.has_grace() || offices.slow_rights {
                    self.memory.keep_verdicts(principal, requests, (allowed, until_ms), term, now_ms);
                }
                if allowed { Verdict::Allowed { until_ms } } else { Verdict::Refused { until_ms } }
            }
            Err(down) => {
                self.note_down(&down);
                let known = self.memory.last_verdict(principal, requests, term, now_ms);
                count(if known.is_some() { &self.counters.honoured } else { &self.counters.failed_closed }, 1);
                match known {
                    Some(true) => Verdict::Allowed { until_ms: now_ms.saturating_add(STALE_MS) },
                    Some(false) => Verdict::Refused { until_ms: now_ms.saturating_add(STALE_MS) },
                    None => Verdict::Unanswered,
                }
            }
        }
    }

    fn note_down(&self, down: &Down) {
        let count = self.down.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::error!(count, "{down}");
        }
    }

    fn note_denied(&self, credentials: &Credentials, reason: &str) {
        let count = count(&self.counters.logins_refused, 1);
        // Escaped: a name is the client's choice and may hold what moves a terminal's cursor.
        let (user, remote) = (credentials.user.as_deref().unwrap_or_default(), &*credentials.remote);
        if count.is_power_of_two() {
            tracing::warn!(?user, remote, reason, count, "a login was refused");
        } else {
            tracing::debug!(?user, remote, reason, count, "a login was refused");
        }
    }
}

/// Why somebody is not let in.
enum Refused {
    No(Denied, String),
    Down(Down),
}

impl Authenticator for Gate {
    fn at_once(&self, credentials: &Credentials, now_ms: i64) -> Option<Result<Admitted, Denied>> {
        let (term, offices) = self.offices();
        if let Some(admitted) = self.memory.login(&self.memory.name_of(credentials), term, now_ms) {
            count(&self.counters.logins, 1);
            return Some(Ok(admitted));
        }
        if offices.slow_logins {
            return None;
        }
        let hashed = match (&credentials.user, &credentials.password) {
            (Some(_), Some(password)) => !self.settings.tokens.claim(password) && self.settings.passwords.are_slow(),
            _ => false,
        };
        (!hashed).then(|| self.authenticate(credentials, now_ms))
    }

    fn authenticate(&self, credentials: &Credentials, now_ms: i64) -> Result<Admitted, Denied> {
        count(&self.counters.logins, 1);
        let term = self.settings.terms.now();
        match self.decide(credentials, now_ms) {
            Ok((admitted, remembered_ms)) => {
                let name = self.memory.name_of(credentials);
                self.memory.keep_login(name, admitted.clone(), remembered_ms, term, now_ms);
                Ok(admitted)
            }
            Err(Refused::No(denied, reason)) => {
                self.memory.forget_login(&self.memory.name_of(credentials));
                self.note_denied(credentials, &reason);
                Err(denied)
            }
            Err(Refused::Down(down)) => {
                self.note_down(&down);
                match self.memory.last_login(&self.memory.name_of(credentials), term, now_ms) {
                    Some(admitted) => {
                        count(&self.counters.honoured, 1);
                        Ok(admitted)
                    }
                    None => {
                        count(&self.counters.failed_closed, 1);
                        self.note_denied(credentials, "a policy does not answer");
                        Err(Denied::Unavailable)
                    }
                }
            }
        }
    }
}

impl Inspector for Gate {
    fn inspect(
        &self,
        principal: &Principal,
        messages: &dyn Messages,
        now_ms: i64,
        judgements: &mut Vec<Option<String>>,
    ) {
        judgements.clear();
        judgements.resize(messages.rows(), None);
        count(&self.counters.messages, messages.rows());
        let mut said = Vec::new();
        for policy in self.bench().iter().filter(|policy| policy.decides().messages) {
            let mut outcome = policy.check_messages(principal, messages, now_ms, &mut said);
            if outcome.is_ok() && said.len() != messages.rows() {
                let reason = format!("it gave {} judgements on {} messages", said.len(), messages.rows());
                outcome = Err(Down { policy: policy.name().to_owned(), reason });
            }
            if let Err(down) = outcome {
                self.note_down(&down);
                count(&self.counters.failed_closed, messages.rows());
                judgements.fill(Some("it cannot be looked at now; try again later".to_owned()));
                break;
            }
            for (judgement, said) in judgements.iter_mut().zip(said.drain(..)) {
                *judgement = judgement.take().or(said);
            }
        }
        count(&self.counters.messages_refused, judgements.iter().flatten().count());
    }

    fn looks(&self) -> bool {
        self.looks_at_messages()
    }
}

impl Authorizer for Gate {
    fn authorize(&self, principal: &Principal, action: Action, destinations: &[Destination], now_ms: i64) -> Verdict {
        let request =
            |destination: &'_ Destination| -> (Kind, String) { (kind(destination.kind), destination.name.to_string()) };
        let named: Vec<(Kind, String)> = destinations.iter().map(request).collect();
        let requests: Vec<Request<'_>> =
            named.iter().map(|(kind, name)| Request { action, kind: *kind, name }).collect();
        self.verdict(principal, &requests, now_ms)
    }

    fn term(&self) -> Option<u64> {
        let (term, offices) = self.offices();
        offices.rights.then_some(term)
    }
}

impl Guard for Gate {
    fn allows(&self, principal: &Principal, request: Request<'_>, now_ms: i64) -> Permit {
        match self.verdict(principal, &[request], now_ms) {
            Verdict::Allowed { until_ms } => Permit { allowed: true, until_ms },
            Verdict::Refused { until_ms } => Permit { allowed: false, until_ms },
            Verdict::Unanswered => Permit { allowed: false, until_ms: now_ms.saturating_add(STALE_MS) },
        }
    }

    fn term(&self) -> Option<u64> {
        Authorizer::term(self)
    }
}

fn kind(kind: DestinationKind) -> Kind {
    match kind {
        DestinationKind::Queue => Kind::Queue,
        DestinationKind::Topic => Kind::Topic,
        DestinationKind::TempQueue => Kind::TempQueue,
        DestinationKind::TempTopic => Kind::TempTopic,
    }
}

fn after(now_ms: i64, ms: u64) -> i64 {
    now_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
