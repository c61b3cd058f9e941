//! The gate: proofs are checked, policies are asked in order, a policy that is down closes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{hmac, rand};
use message::{Destination, DestinationKind};
use plugin::auth::{
    Action, Admission, Answer, AuthPolicy, Down, Guard, Kind, Login, Opinion, Permit, Principal, Proofs, Request,
};
use session::{Admitted, Authenticator, Authorizer, Credentials, Denied, Verdict};

use crate::known::Known;
use crate::tokens::Flaw;
use crate::{Passwords, Tokens};

/// Logins that are remembered.
const LOGINS_REMEMBERED_MAX: usize = 10_000;
/// Verdicts that are remembered for the time that a policy is down.
const VERDICTS_REMEMBERED_MAX: usize = 100_000;
/// How long a verdict holds that was given in place of a policy that is down, ms.
const STALE_MS: i64 = 1000;

/// What a gate is made of.
pub struct Settings {
    /// Asked in this order; the first that has an opinion decides.
    pub policies: Vec<Box<dyn AuthPolicy>>,
    /// Passwords of the users.
    pub passwords: Passwords,
    /// Keys of tokens.
    pub tokens: Tokens,
    /// How long after it ran out a decision still holds while the policy is down, ms; 0 refuses at once.
    pub last_known_good_ms: i64,
}

/// A destination, and what somebody wants of it.
type Question = (Principal, Action, Kind, String);

/// Decides logins and rights by the proofs that it checks and the policies that it asks. Closed: who is not let in by
/// somebody stays out, and what is not allowed by somebody is refused.
pub struct Gate {
    settings: Settings,
    /// Of this run alone: names what logged in before without keeping its password.
    memory_key: hmac::Key,
    logins: Known<[u8; 32], Admitted>,
    verdicts: Known<Question, bool>,
    denied: AtomicU64,
    down: AtomicU64,
}

impl Gate {
    /// A gate that has let nobody in yet. `None` where the system has no random numbers.
    pub fn new(settings: Settings) -> Option<Gate> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).ok()?;
        Some(Gate {
            settings,
            memory_key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            logins: Known::new(LOGINS_REMEMBERED_MAX),
            verdicts: Known::new(VERDICTS_REMEMBERED_MAX),
            denied: AtomicU64::new(0),
            down: AtomicU64::new(0),
        })
    }

    /// Whether any policy has a say in what may be done; if not, everybody who is in may do everything.
    pub fn limits_rights(&self) -> bool {
        self.settings.policies.iter().any(|policy| policy.decides().rights)
    }

    /// Names credentials by what a policy can see of them, and the password.
    fn name_of(&self, credentials: &Credentials) -> [u8; 32] {
        let host = credentials.remote.rsplit_once(':').map_or(&*credentials.remote, |(host, _)| host);
        let parts = [
            credentials.user.as_deref(),
            credentials.password.as_deref(),
            credentials.client_id.as_deref(),
            credentials.certificate_subject.as_deref(),
            Some(host),
        ];
        let mut context = hmac::Context::with_key(&self.memory_key);
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

    fn decide(&self, credentials: &Credentials, now_ms: i64) -> Result<(Admitted, i64), Refused> {
        let Credentials { user, password, client_id, remote, certificate_subject } = credentials;
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
            has_password: password.is_some(),
            client_id: client_id.as_deref(),
            remote,
            proofs,
        };
        for policy in self.settings.policies.iter().filter(|policy| policy.decides().logins) {
            match policy.authenticate(&login).map_err(Refused::Down)? {
                Admission::Admit { principal, cache_ms } => {
                    let until_ms = token.as_ref().map_or(i64::MAX, |token| token.until_ms);
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
        for policy in self.settings.policies.iter().filter(|policy| policy.decides().rights) {
            policy.authorize(principal, &open, &mut answers)?;
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

    /// What was known last of all of these; nothing if it is not known of one.
    fn last_known(&self, principal: &Principal, requests: &[Request<'_>], now_ms: i64) -> Option<bool> {
        let grace_ms = self.settings.last_known_good_ms;
        if grace_ms == 0 {
            return None;
        }
        let mut all = true;
        for request in requests {
            all &= self.verdicts.get(&question(principal, request), now_ms, grace_ms)?;
        }
        Some(all)
    }

    fn verdict(&self, principal: &Principal, requests: &[Request<'_>], now_ms: i64) -> Verdict {
        match self.ask(principal, requests, now_ms) {
            Ok((allowed, until_ms)) => {
                let grace_ms = self.settings.last_known_good_ms;
                // A refusal of several says nothing of each.
                if grace_ms > 0 && (allowed || requests.len() == 1) {
                    for request in requests {
                        self.verdicts.put(question(principal, request), allowed, until_ms, now_ms, grace_ms);
                    }
                }
                if allowed { Verdict::Allowed { until_ms } } else { Verdict::Refused { until_ms } }
            }
            Err(down) => {
                self.note_down(&down);
                match self.last_known(principal, requests, now_ms) {
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
        let count = self.denied.fetch_add(1, Ordering::Relaxed) + 1;
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
        if let Some(admitted) = self.logins.get(&self.name_of(credentials), now_ms, 0) {
            return Some(Ok(admitted));
        }
        let hashed = match (&credentials.user, &credentials.password) {
            (Some(_), Some(password)) => !self.settings.tokens.claim(password) && self.settings.passwords.are_slow(),
            _ => false,
        };
        (!hashed).then(|| self.authenticate(credentials, now_ms))
    }

    fn authenticate(&self, credentials: &Credentials, now_ms: i64) -> Result<Admitted, Denied> {
        let grace_ms = self.settings.last_known_good_ms;
        match self.decide(credentials, now_ms) {
            Ok((admitted, remembered_ms)) => {
                if now_ms < remembered_ms {
                    let name = self.name_of(credentials);
                    self.logins.put(name, admitted.clone(), remembered_ms, now_ms, grace_ms);
                }
                Ok(admitted)
            }
            Err(Refused::No(denied, reason)) => {
                self.note_denied(credentials, &reason);
                Err(denied)
            }
            Err(Refused::Down(down)) => {
                self.note_down(&down);
                let known = self.logins.get(&self.name_of(credentials), now_ms, grace_ms);
                known.filter(|admitted| now_ms < admitted.until_ms).ok_or(Denied::Unavailable)
            }
        }
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
}

impl Guard for Gate {
    fn allows(&self, principal: &Principal, request: Request<'_>, now_ms: i64) -> Permit {
        match self.verdict(principal, &[request], now_ms) {
            Verdict::Allowed { until_ms } => Permit { allowed: true, until_ms },
            Verdict::Refused { until_ms } => Permit { allowed: false, until_ms },
            Verdict::Unanswered => Permit { allowed: false, until_ms: now_ms.saturating_add(STALE_MS) },
        }
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

fn question(principal: &Principal, request: &Request<'_>) -> Question {
    (principal.clone(), request.action, request.kind, request.name.to_owned())
}

fn after(now_ms: i64, ms: u64) -> i64 {
    now_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use plugin::auth::{AuthorizationMap, Decides, Place, Rule, SimpleUsers};

    use super::*;
    use crate::{Secret, hash_password};

    /// Lets "ann" in for a second and allows her all that begins with A for a second; may be taken down.
    #[derive(Default)]
    struct Switch {
        down: AtomicBool,
        asked: AtomicU64,
    }

    struct Shared(Arc<Switch>);

    impl Shared {
        fn check(&self) -> Result<(), Down> {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            match self.0.down.load(Ordering::Relaxed) {
                true => Err(Down { policy: "switch".into(), reason: "it is off".into() }),
                false => Ok(()),
            }
        }
    }

    impl AuthPolicy for Shared {
        fn name(&self) -> &str {
            "switch"
        }

        fn decides(&self) -> Decides {
            Decides { logins: true, rights: true }
        }

        fn authenticate(&self, login: &Login<'_>) -> Result<Admission, Down> {
            self.check()?;
            Ok(match login.user {
                Some("ann") => {
                    Admission::Admit { principal: Principal { name: "ann".into(), groups: vec![] }, cache_ms: 1000 }
                }
                Some("eve") => Admission::Deny("banned".into()),
                _ => Admission::NoOpinion,
            })
        }

        fn authorize(&self, _: &Principal, requests: &[Request<'_>], answers: &mut Vec<Answer>) -> Result<(), Down> {
            self.check()?;
            answers.clear();
            answers.extend(requests.iter().map(|request| Answer {
                opinion: match request.name.as_bytes().first() {
                    Some(b'A') => Opinion::Allow,
                    Some(b'D') => Opinion::Deny,
                    _ => Opinion::NoOpinion,
                },
                cache_ms: 1000,
            }));
            Ok(())
        }
    }

    fn gate(last_known_good_ms: i64, more: Vec<Box<dyn AuthPolicy>>) -> (Gate, Arc<Switch>) {
        let switch = Arc::new(Switch::default());
        let mut policies: Vec<Box<dyn AuthPolicy>> = vec![Box::new(Shared(switch.clone()))];
        policies.extend(more);
        let (passwords, tokens) = (Passwords::default(), Tokens::default());
        let gate = Gate::new(Settings { policies, passwords, tokens, last_known_good_ms }).expect("random numbers");
        (gate, switch)
    }

    fn says(user: &str, password: Option<&str>) -> Credentials {
        Credentials {
            user: Some(user.into()),
            password: password.map(Into::into),
            remote: "tcp://10.0.0.1:5".into(),
            ..Credentials::default()
        }
    }

    fn write(gate: &Gate, names: &[&str], now_ms: i64) -> Verdict {
        let destinations: Vec<_> = names.iter().map(|name| Destination::queue((*name).to_owned())).collect();
        gate.authorize(&Principal::default(), Action::Write, &destinations, now_ms)
    }

    /// A policy that is down lets nobody in and allows nothing; what was known holds on as long as was said.
    #[test]
    fn a_policy_that_is_down_closes_the_gate() {
        for (grace_ms, at_1500, at_6500) in [(0, false, false), (5000, true, false)] {
            let (gate, switch) = gate(grace_ms, vec![]);
            assert!(gate.authenticate(&says("ann", None), 0).is_ok());
            assert_eq!(write(&gate, &["A"], 0), Verdict::Allowed { until_ms: 1000 });
            assert_eq!(write(&gate, &["D"], 0), Verdict::Refused { until_ms: 1000 });
            switch.down.store(true, Ordering::Relaxed);
            for (now, expected) in [(1500, at_1500), (6500, at_6500)] {
                assert_eq!(gate.authenticate(&says("ann", None), now).is_ok(), expected, "{grace_ms} {now}");
                let verdict = write(&gate, &["A"], now);
                let stale = Verdict::Allowed { until_ms: now + STALE_MS };
                assert_eq!(verdict, if expected { stale } else { Verdict::Unanswered }, "{grace_ms} {now}");
            }
            assert!(!matches!(write(&gate, &["D"], 1500), Verdict::Allowed { .. }));
            assert_eq!(write(&gate, &["A.new"], 1500), Verdict::Unanswered, "never asked before");
            assert_eq!(write(&gate, &["A", "A.new"], 1500), Verdict::Unanswered, "one of them never asked before");
            assert_eq!(gate.authenticate(&says("new", None), 1500).err(), Some(Denied::Unavailable));
            switch.down.store(false, Ordering::Relaxed);
            assert_eq!(write(&gate, &["A.new"], 1600), Verdict::Allowed { until_ms: 2600 });
        }
    }

    #[test]
    fn the_first_opinion_decides_and_none_is_a_refusal() {
        let rule = |pattern: &str| Rule {
            place: Place::Queue(pattern.into()),
            read: vec![],
            write: vec!["*".into()],
            admin: vec![],
        };
        let map = AuthorizationMap::new(vec![rule("D.>"), rule("M")]);
        let (gate, _) = gate(0, vec![Box::new(map)]);
        for (names, expected) in [
            (&["A"][..], true),
            (&["M"], true),
            (&["A", "M"], true),
            (&["D.x"], false),
            (&["other"], false),
            (&["A", "other"], false),
            (&["M", "D.x"], false),
        ] {
            assert_eq!(matches!(write(&gate, names, 0), Verdict::Allowed { .. }), expected, "{names:?}");
        }
        assert_eq!(gate.authenticate(&says("eve", None), 0).err(), Some(Denied::Invalid));
        assert_eq!(gate.authenticate(&says("other", None), 0).err(), Some(Denied::Invalid));
    }

    /// The same credentials are let in at once while they are remembered, and no others are.
    #[test]
    fn a_login_is_remembered_for_its_time() {
        let (gate, switch) = gate(0, vec![]);
        let first = says("ann", Some("a"));
        assert!(gate.at_once(&first, 0).is_some_and(|outcome| outcome.is_ok()));
        assert_eq!(switch.asked.load(Ordering::Relaxed), 1);
        assert!(gate.at_once(&first, 999).is_some_and(|outcome| outcome.is_ok()));
        assert_eq!(switch.asked.load(Ordering::Relaxed), 1);
        let others = [
            says("ann", Some("b")),
            says("ann", None),
            says("anna", Some("")),
            Credentials { client_id: Some("c".into()), ..first.clone() },
            Credentials { certificate_subject: Some("CN=x".into()), ..first.clone() },
            Credentials { remote: "tcp://10.0.0.2:5".into(), ..first.clone() },
        ];
        for (at, other) in others.iter().enumerate() {
            let _ = gate.at_once(other, 0);
            assert_eq!(switch.asked.load(Ordering::Relaxed), 2 + at as u64, "{other:?}");
        }
        let again = Credentials { remote: "tcp://10.0.0.1:6".into(), ..first.clone() };
        let _ = gate.at_once(&again, 999);
        assert_eq!(switch.asked.load(Ordering::Relaxed), 7, "another port is no other client");
        let _ = gate.at_once(&first, 1000);
        assert_eq!(switch.asked.load(Ordering::Relaxed), 8, "its time is over");
    }

    /// What takes a hash is not answered at once, the first time; a wrong password never is.
    #[test]
    fn hashing_is_for_another_thread() {
        let hash = hash_password("secret").expect("a hash");
        let users = SimpleUsers::new([("ann".to_owned(), vec!["users".to_owned()])], None);
        let gate = Gate::new(Settings {
            policies: vec![Box::new(users)],
            passwords: Passwords::new([("ann".to_owned(), Secret::Hash(hash))]),
            tokens: Tokens::default(),
            last_known_good_ms: 0,
        })
        .expect("random numbers");
        assert!(!gate.limits_rights());
        assert!(gate.at_once(&says("ann", Some("secret")), 0).is_none());
        assert!(gate.at_once(&says("nobody", Some("secret")), 0).is_none(), "as for a user that there is");
        assert!(gate.at_once(&says("ann", None), 0).is_some_and(|outcome| outcome.is_err()));
        let admitted = gate.authenticate(&says("ann", Some("secret")), 0).expect("the right password");
        assert_eq!(admitted.principal.groups, ["users"]);
        assert!(gate.at_once(&says("ann", Some("secret")), 1).is_some_and(|outcome| outcome.is_ok()));
        assert_eq!(gate.authenticate(&says("ann", Some("wrong")), 0).err(), Some(Denied::Invalid));
        assert!(gate.at_once(&says("ann", Some("wrong")), 1).is_none());
    }
}
