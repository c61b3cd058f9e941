use std::sync::atomic::{AtomicBool, AtomicI64};

use plugin::auth::{AuthorizationMap, Decides, Place, Rule, SimpleUsers};

use super::*;
use crate::{Secret, hash_password};

/// Lets "ann" in for a second and allows her all that begins with A for a second; may be taken down.
struct Switch {
    down: AtomicBool,
    asked: AtomicU64,
    slow: AtomicBool,
    until_ms: AtomicI64,
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
        Decides { logins: true, rights: true, messages: true }
    }

    fn authenticate(&self, login: &Login<'_>, _: i64) -> Result<Admission, Down> {
        self.check()?;
        Ok(match login.user {
            Some("ann") => Admission::Admit {
                principal: Principal { name: "ann".into(), groups: vec![] },
                cache_ms: 1000,
                until_ms: self.0.until_ms.load(Ordering::Relaxed),
            },
            Some("eve") => Admission::Deny("banned".into()),
            _ => Admission::NoOpinion,
        })
    }

    fn is_slow(&self) -> bool {
        self.0.slow.load(Ordering::Relaxed)
    }

    fn check_messages(
        &self,
        _: &Principal,
        messages: &dyn Messages,
        _: i64,
        judgements: &mut Vec<Option<String>>,
    ) -> Result<(), Down> {
        self.check()?;
        judgements.clear();
        judgements.extend((0..messages.rows()).map(|row| (row == 1).then(|| "the second".to_owned())));
        Ok(())
    }

    fn authorize(
        &self,
        _: &Principal,
        requests: &[Request<'_>],
        _: i64,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Down> {
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

fn gate(last_known_good_ms: i64, more: Vec<Arc<dyn AuthPolicy>>) -> (Gate, Arc<Switch>) {
    let switch = Arc::new(Switch {
        down: AtomicBool::new(false),
        asked: AtomicU64::new(0),
        slow: AtomicBool::new(false),
        until_ms: AtomicI64::new(i64::MAX),
    });
    let mut policies: Vec<Arc<dyn AuthPolicy>> = vec![Arc::new(Shared(switch.clone()))];
    policies.extend(more);
    let (passwords, tokens) = (Passwords::default(), Tokens::default());
    let gate = Gate::new(Settings { policies, passwords, tokens, last_known_good_ms, terms: Arc::default() })
        .expect("random numbers");
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
    let (gate, _) = gate(0, vec![Arc::new(map)]);
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

/// What a healthy policy said last is what memory knows: who was refused since is not let in when it goes down. A login
/// that ran out is not honoured either.
#[test]
fn memory_knows_the_last_decision_and_no_other() {
    let (gate, switch) = gate(5000, vec![]);
    assert!(gate.authenticate(&says("ann", None), 0).is_ok());
    switch.until_ms.store(10, Ordering::Relaxed);
    assert_eq!(gate.authenticate(&says("ann", None), 10).err(), Some(Denied::Expired));
    switch.down.store(true, Ordering::Relaxed);
    assert_eq!(gate.authenticate(&says("ann", None), 20).err(), Some(Denied::Unavailable));
    switch.down.store(false, Ordering::Relaxed);
    switch.until_ms.store(2000, Ordering::Relaxed);
    assert!(gate.authenticate(&says("ann", None), 30).is_ok());
    switch.down.store(true, Ordering::Relaxed);
    assert!(gate.authenticate(&says("ann", None), 1999).is_ok());
    assert_eq!(gate.authenticate(&says("ann", None), 2000).err(), Some(Denied::Unavailable));
    let stats = gate.stats();
    assert_eq!((stats.logins, stats.logins_refused, stats.failed_closed, stats.honoured), (6, 3, 2, 1));
}

/// A policy that takes its time is asked about logins elsewhere, and about a right once for its time.
#[test]
fn a_slow_policy_is_asked_once_for_its_time() {
    let (gate, switch) = gate(0, vec![]);
    switch.slow.store(true, Ordering::Relaxed);
    let policies: Vec<Arc<dyn AuthPolicy>> = vec![Arc::new(Shared(switch.clone()))];
    let (passwords, tokens) = (Passwords::default(), Tokens::default());
    drop(gate);
    let gate = Gate::new(Settings { policies, passwords, tokens, last_known_good_ms: 0, terms: Arc::default() })
        .expect("random numbers");
    assert!(gate.at_once(&says("ann", None), 0).is_none());
    assert!(gate.authenticate(&says("ann", None), 0).is_ok());
    assert!(gate.at_once(&says("ann", None), 1).is_some_and(|outcome| outcome.is_ok()));
    let asked = || switch.asked.load(Ordering::Relaxed);
    let before = asked();
    for now in [0, 10, 999] {
        assert_eq!(write(&gate, &["A"], now), Verdict::Allowed { until_ms: 1000 });
        assert_eq!(write(&gate, &["D"], now), Verdict::Refused { until_ms: 1000 });
    }
    assert_eq!(asked() - before, 2);
    assert_eq!(write(&gate, &["A"], 1000), Verdict::Allowed { until_ms: 2000 });
    assert_eq!(asked() - before, 3);
}

/// Whatever was remembered, of logins and of rights, ends with the term; also what memory would honour for a policy that
/// is down.
#[test]
fn nothing_outlives_its_term() {
    for grace_ms in [0, 60_000] {
        let (gate, switch) = gate(grace_ms, vec![]);
        switch.slow.store(true, Ordering::Relaxed);
        gate.settings.terms.begin();
        let asked = || switch.asked.load(Ordering::Relaxed);
        let round = || {
            assert!(gate.authenticate(&says("ann", None), 0).is_ok());
            assert_eq!(write(&gate, &["A"], 0), Verdict::Allowed { until_ms: 1000 });
            let before = asked();
            assert!(gate.at_once(&says("ann", None), 1).is_some_and(|outcome| outcome.is_ok()));
            assert_eq!(write(&gate, &["A"], 1), Verdict::Allowed { until_ms: 1000 });
            assert_eq!(asked(), before, "both are remembered");
            before
        };
        let first = round();
        let term = Guard::term(&gate).expect("rights are limited");
        gate.settings.terms.begin();
        assert!(Guard::term(&gate) > Some(term));
        assert!(gate.at_once(&says("ann", None), 1).is_none());
        assert_eq!(round(), first + 2, "both are asked again");
        gate.settings.terms.begin();
        switch.down.store(true, Ordering::Relaxed);
        assert_eq!(gate.authenticate(&says("ann", None), 1).err(), Some(Denied::Unavailable), "{grace_ms}");
        assert_eq!(write(&gate, &["A"], 1), Verdict::Unanswered, "{grace_ms}");
    }
}

/// Policies that come and go are asked in their places, from the next question on.
#[test]
fn policies_are_seated_before_and_behind() {
    let users = SimpleUsers::new([], Some(plugin::auth::Anonymous { user: "anybody".into(), groups: vec![] }));
    let gate = Gate::new(Settings {
        policies: vec![Arc::new(users)],
        passwords: Passwords::default(),
        tokens: Tokens::default(),
        last_known_good_ms: 0,
        terms: Arc::default(),
    })
    .expect("random numbers");
    let nobody = Credentials { remote: "tcp://10.0.0.1:5".into(), ..Credentials::default() };
    assert!(!gate.limits_rights() && !gate.looks_at_messages() && Guard::term(&gate).is_none());
    assert_eq!(write(&gate, &["D"], 0), Verdict::Allowed { until_ms: i64::MAX });
    assert!(gate.authenticate(&nobody, 0).is_ok() && gate.authenticate(&says("ann", None), 0).is_err());

    let (_, switch) = self::gate(0, vec![]);
    let names = || gate.asked().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    gate.seat(vec![Arc::new(Shared(switch.clone()))], vec![]);
    assert_eq!(names(), ["switch", "simple-users"]);
    assert!(gate.limits_rights() && gate.looks_at_messages() && Inspector::looks(&gate));
    assert_eq!(write(&gate, &["D"], 0), Verdict::Refused { until_ms: 1000 });
    assert!(gate.authenticate(&nobody, 0).is_ok() && gate.authenticate(&says("ann", None), 0).is_ok());
    switch.down.store(true, Ordering::Relaxed);
    assert_eq!(gate.authenticate(&says("new", None), 0).err(), Some(Denied::Unavailable), "the first is down");

    gate.seat(vec![], vec![Arc::new(Shared(switch))]);
    assert_eq!(names(), ["simple-users", "switch"]);
    assert!(gate.authenticate(&nobody, 0).is_ok(), "who is known to the first needs no second");
    gate.seat(vec![], vec![]);
    assert_eq!((names(), Guard::term(&gate)), (vec!["simple-users".to_owned()], None));
    assert_eq!(gate.authenticate(&says("ann", None), 0).err(), Some(Denied::Invalid));
}

struct Rows(usize);

impl Messages for Rows {
    fn rows(&self) -> usize {
        self.0
    }

    fn number(&self, _: usize, _: plugin::Columns) -> i64 {
        0
    }

    fn property(&self, _: usize, _: &str) -> plugin::Scalar<'_> {
        plugin::Scalar::Absent
    }
}

#[test]
fn messages_that_nobody_can_look_at_are_refused() {
    let (gate, switch) = gate(5000, vec![]);
    let mut judgements = vec![Some("of another time".to_owned())];
    gate.inspect(&Principal::default(), &Rows(3), 0, &mut judgements);
    assert_eq!(judgements, [None, Some("the second".to_owned()), None]);
    switch.down.store(true, Ordering::Relaxed);
    gate.inspect(&Principal::default(), &Rows(2), 0, &mut judgements);
    assert!(judgements.len() == 2 && judgements.iter().all(Option::is_some), "{judgements:?}");
    let stats = gate.stats();
    assert_eq!((stats.messages, stats.messages_refused, stats.failed_closed), (5, 3, 2));
}

/// What takes a hash is not answered at once, the first time; a wrong password never is.
#[test]
fn hashing_is_for_another_thread() {
    let hash = hash_password("secret").expect("a hash");
    let users = SimpleUsers::new([("ann".to_owned(), vec!["users".to_owned()])], None);
    let gate = Gate::new(Settings {
        policies: vec![Arc::new(users)],
        passwords: Passwords::new([("ann".to_owned(), Secret::Hash(hash))]),
        tokens: Tokens::default(),
        last_known_good_ms: 0,
        terms: Arc::default(),
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
