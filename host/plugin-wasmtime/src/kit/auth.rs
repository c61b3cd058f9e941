//! Auth, judged: answers that make sense, and passwords that are told nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use plugin::auth::{
    Action, Admission, Answer, AuthPolicy, Decides, Down, Kind, Login, Opinion, Password, Principal, Proofs, Request,
};
use plugin::{Messages, PolicyError, PolicyStats};

use crate::WasmHost;
use crate::kit::contract::{Finding, Outcome, Subject};
use crate::kit::questions::{Ground, PLACE, Questions, Size};
use crate::kit::rows::{Rows, place, word};
use crate::kit::traffic::Random;

/// Longest time that an answer may be remembered: what is taken away ends by then.
const REMEMBER_MS_MAX: u64 = 86_400_000;
/// Requests of the largest question.
const REQUESTS_MAX: usize = 256;
/// Claims of a token in the largest question.
const CLAIMS_MAX: usize = 64;
/// What all passwords here begin with; it stands nowhere else.
const SECRET: &str = "Pw:kit-4711-";
/// Users beside the words of the settings.
const USERS: [&str; 5] = ["ann", "bob", "admin", "größer", "no body"];
/// Groups likewise.
const GROUPS: [&str; 4] = ["users", "admins", "traders", "a group"];
/// Questions to find out what is told, and who is let in.
const LOOKS: usize = 400;
/// The policy while that is found out; it has a generation, so what it remembers is collected.
const GUARD: &str = "guard";

/// Who logs in, what somebody wants to do, and what somebody sends.
pub(super) struct AuthQuestions {
    random: Random,
    words: Arc<[String]>,
    client: Client,
    principal: Principal,
    requests: Vec<(Action, Kind, String)>,
    messages: Rows,
    rows_max: usize,
    /// What was answered so far: the policy is not asked twice.
    said: Said,
}

/// A client that logs in.
#[derive(Debug, Default)]
struct Client {
    user: Option<String>,
    password: Option<String>,
    client_id: Option<String>,
    is_proven: bool,
    claims: Option<Vec<(String, Vec<String>)>>,
    subject: Option<String>,
}

/// The answers to one question.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Said {
    login: Option<Admission>,
    rights: Option<Vec<Answer>>,
    messages: Option<Vec<Option<String>>>,
}

impl Client {
    fn login(&self) -> Login<'_> {
        Login {
            user: self.user.as_deref(),
            password: self.password.as_deref().map(Password),
            has_password: self.password.is_some() || self.claims.is_some(),
            client_id: self.client_id.as_deref(),
            protocol: "openwire",
            connector: "tcp",
            remote: "tcp://10.1.2.3:45678",
            proofs: Proofs {
                password: self.is_proven,
                claims: self.claims.as_deref(),
                certificate_subject: self.subject.as_deref(),
            },
        }
    }

    fn proves_nothing(&self) -> bool {
        !self.is_proven && self.claims.is_none() && self.subject.is_none()
    }
}

impl AuthQuestions {
    fn word(&mut self, others: &[&str]) -> String {
        word(&mut self.random, &self.words, others)
    }

    fn words(&mut self, most: u64, others: &[&str]) -> Vec<String> {
        let count = self.random.below(most + 1);
        (0..count).map(|_| self.word(others)).collect()
    }

    fn client(&mut self, size: Size) -> Client {
        let mut client = Client::default();
        if size == Size::Empty {
            return client;
        }
        if self.random.below(5) > 0 {
            client.user = Some(self.word(&USERS));
        }
        match self.random.below(4) {
            0 => {}
            1 => {
                let claims = if size == Size::Largest { CLAIMS_MAX } else { 3 };
                let names = ["sub", "groups", "realm_access.roles"];
                let claim = |at: usize| {
                    let name = names.get(at).map_or_else(|| format!("claim-{at}"), |name| (*name).to_owned());
                    (name, self.words(5, &GROUPS))
                };
                client.claims = Some((0..claims).map(claim).collect());
            }
            _ => {
                client.is_proven = client.user.is_some() && self.random.below(2) == 0;
                client.password = Some(format!("{SECRET}{}", self.random.below(1_000_000)));
            }
        }
        if self.random.below(3) == 0 {
            client.client_id = Some(self.word(&USERS));
        }
        if self.random.below(6) == 0 {
            client.subject = Some(format!("CN={},O=Jackfield", self.word(&USERS)));
        }
        client
    }

    fn request(&mut self) -> (Action, Kind, String) {
        let action = self.random.pick(&[Action::Read, Action::Write, Action::Create, Action::Admin]);
        let kind = self.random.pick(&[Kind::Queue, Kind::Queue, Kind::Topic, Kind::Topic, Kind::TempQueue]);
        let mut name = place(&mut self.random, &self.words);
        if action == Action::Read && self.random.below(5) == 0 {
            name += ".>";
        }
        (action, kind, name)
    }
}

impl Questions for AuthQuestions {
    type Policy = Arc<dyn AuthPolicy>;
    type Answer = Said;
    const RIGHT: &'static str = "logins, rights and messages have answers that make sense";
    const READS: bool = true;

    fn new(seed: u64, ground: &Ground) -> AuthQuestions {
        AuthQuestions {
            random: Random(seed),
            words: ground.words.clone(),
            client: Client::default(),
            principal: Principal::default(),
            requests: Vec::new(),
            messages: Rows::new(seed, ground),
            rows_max: ground.rows_max,
            said: Said::default(),
        }
    }

    fn policy(host: &WasmHost, name: &str, _place: &str) -> Result<Arc<dyn AuthPolicy>, PolicyError> {
        host.auth(name, true)
    }

    fn draw(&mut self, size: Size, _policy: &mut Arc<dyn AuthPolicy>) {
        self.messages.draw(&mut self.random, size, self.rows_max);
        self.client = self.client(size);
        let name = self.word(&USERS);
        self.principal = Principal { name, groups: self.words(if size == Size::Largest { 200 } else { 4 }, &GROUPS) };
        let requests = match size {
            Size::Random => self.random.pick(&[0, 1, 1, 1, 5]),
            Size::Empty => 0,
            Size::Largest => REQUESTS_MAX,
        };
        self.requests = (0..requests).map(|_| self.request()).collect();
        self.said = Said::default();
    }

    fn ask(&mut self, policy: &mut Arc<dyn AuthPolicy>) -> Result<Said, String> {
        let Decides { logins, rights, messages } = policy.decides();
        let now_ms = self.messages.now_ms as i64;
        let down = |Down { reason, .. }: Down| format!("was not answered: {reason}");
        if logins && self.said.login.is_none() {
            self.said.login = Some(policy.authenticate(&self.client.login(), now_ms).map_err(down)?);
        }
        if rights && self.said.rights.is_none() {
            let asked = self.requests.iter().map(|(action, kind, name)| Request { action: *action, kind: *kind, name });
            let asked: Vec<_> = asked.collect();
            let mut answers = Vec::new();
            policy.authorize(&self.principal, &asked, now_ms, &mut answers).map_err(down)?;
            self.said.rights = Some(answers);
        }
        if messages && self.said.messages.is_none() {
            let mut judgements = Vec::new();
            policy.check_messages(&self.principal, &self.messages, now_ms, &mut judgements).map_err(down)?;
            self.said.messages = Some(judgements);
        }
        Ok(std::mem::take(&mut self.said))
    }

    fn judge(&mut self, said: &Said) -> Result<(), String> {
        if let Some(admission) = &said.login {
            admitted(admission, self.messages.now_ms)?;
        }
        let too_long = |answer: &&Answer| answer.opinion != Opinion::NoOpinion && answer.cache_ms > REMEMBER_MS_MAX;
        if let Some(answer) = said.rights.iter().flatten().find(too_long) {
            return Err(format!("has a right that {}", remembered(answer.cache_ms)));
        }
        if said.messages.iter().flatten().any(|judgement| judgement.as_deref() == Some("")) {
            return Err("refuses a message without a sentence for its sender".to_owned());
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        self.messages.rows()
    }

    fn wanted(&self, _policy: &Arc<dyn AuthPolicy>) -> BTreeSet<String> {
        self.messages.asked()
    }

    fn stats(policy: &Arc<dyn AuthPolicy>) -> PolicyStats {
        policy.stats().iter().fold(PolicyStats::default(), |mut sum, (_, stats)| {
            sum.add(stats);
            sum
        })
    }

    fn own(subject: &Subject<'_>, host: &WasmHost, ground: &Ground) -> Result<Vec<Finding>, PolicyError> {
        let look = Look::new(subject, host, ground)?;
        Ok(vec![
            Finding { check: "passwords are in no log line, reason, snapshot and store".into(), outcome: look.told() },
            Finding { check: "who proves nothing does not come in".into(), outcome: look.open() },
        ])
    }
}

/// Whether a login that comes in does so for a time that makes sense. What is no name was refused by the host.
fn admitted(admission: &Admission, now_ms: u64) -> Result<(), String> {
    match admission {
        Admission::Admit { cache_ms, .. } if *cache_ms > REMEMBER_MS_MAX => {
            Err(format!("has a login that {}", remembered(*cache_ms)))
        }
        Admission::Admit { until_ms, .. } if *until_ms <= now_ms as i64 => {
            Err(format!("lets in a login that ended before, at {until_ms} where it is {now_ms}; answer expired"))
        }
        _ => Ok(()),
    }
}

fn remembered(ms: u64) -> String {
    format!("is remembered for {ms} ms: what is taken away would last as long; answer {REMEMBER_MS_MAX} at most")
}

/// What many logins came to.
struct Look {
    sees_passwords: bool,
    /// Where a password was found.
    leak: Option<&'static str>,
    /// A user who proved nothing and came in.
    let_in: Option<String>,
    asked: usize,
    decides: Decides,
}

impl Look {
    fn new(subject: &Subject<'_>, host: &WasmHost, ground: &Ground) -> Result<Look, PolicyError> {
        let generation = host.prepare_generation(GUARD, 1, subject.bytes.to_vec(), subject.settings)?;
        generation.grant_passwords();
        host.install(&generation);
        let mut policy = AuthQuestions::policy(host, GUARD, PLACE)?;
        let (mut leak, mut let_in, mut asked) = (None, None, 0);
        let mut questions = AuthQuestions::new(u64::MAX, ground);
        for _ in 0..LOOKS {
            questions.draw(Size::Random, &mut policy);
            // One that fails was told of before.
            let Ok(said) = questions.ask(&mut policy) else { break };
            let client = &questions.client;
            match &said.login {
                Some(Admission::Deny(reason) | Admission::Expired(reason)) if reason.contains(SECRET) => {
                    leak = leak.or(Some("the reason of a refusal"));
                }
                Some(Admission::Admit { principal, .. }) => {
                    if principal.groups.iter().chain([&principal.name]).any(|name| name.contains(SECRET)) {
                        leak = leak.or(Some("the name or the groups of a principal"));
                    }
                    if client.proves_nothing() {
                        let_in.get_or_insert_with(|| client.user.clone().unwrap_or_else(|| "nobody".to_owned()));
                    }
                }
                _ => {}
            }
            asked += usize::from(client.proves_nothing());
        }
        let is_told = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        if host.log_lines(GUARD).iter().any(|line| line.text.contains(SECRET)) {
            leak = leak.or(Some("a log line"));
        }
        // The first call asks for states, the second one gets those of instances that are idle.
        let states = host.collect_states().into_iter().chain(host.collect_states());
        if states.into_iter().any(|state| is_told(&state.bytes)) {
            leak = leak.or(Some("a snapshot"));
        }
        if host.stored(GUARD).iter().any(|(key, value)| key.contains(SECRET) || is_told(value)) {
            leak = leak.or(Some("the state-store"));
        }
        let sees_passwords = generation.wants_passwords();
        Ok(Look { sees_passwords, leak, let_in, asked, decides: policy.decides() })
    }

    fn told(&self) -> Outcome {
        match self.leak {
            Some(place) => Outcome::Broken(format!("{place} has one; others read that")),
            None if !self.sees_passwords => Outcome::NotAsked("it sees none".to_owned()),
            None => Outcome::Kept(format!("{LOOKS} logins")),
        }
    }

    /// No breach: a policy for guests is one too. Whoever did not mean that ought to hear of it.
    fn open(&self) -> Outcome {
        match &self.let_in {
            _ if !self.decides.logins => Outcome::NotAsked("it has no say in logins".to_owned()),
            Some(user) => Outcome::NotAsked(format!("{user} came in and had proven nothing; is that meant?")),
            None => Outcome::Kept(format!("{} tries", self.asked)),
        }
    }
}
