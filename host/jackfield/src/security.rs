//! Who may log in and what they may do, as the configuration says: from its values to a gate.

use std::io::BufRead;
use std::sync::Arc;

use anyhow::Context;
use auth::{Gate, Passwords, Settings, Tokens};
use plugin::PolicyError;
use plugin::auth::{Anonymous, AuthPolicy, AuthorizationMap, Certificates, Principal, SimpleUsers, Terms, TokenUsers};
use session::{Admitted, Authenticator, Credentials, Denied, UserId};

use crate::config::{NATIVE_AUTH, Security};

/// Lets everybody in by the name they give, as long as the configuration names nobody.
#[derive(Debug)]
pub(crate) struct Everybody;

impl Authenticator for Everybody {
    fn at_once(&self, credentials: &Credentials, now_ms: i64) -> Option<Result<Admitted, Denied>> {
        Some(self.authenticate(credentials, now_ms))
    }

    fn authenticate(&self, credentials: &Credentials, _now_ms: i64) -> Result<Admitted, Denied> {
        let name = credentials.user.as_deref().unwrap_or_default().to_owned();
        Ok(Admitted::forever(Principal { name, groups: Vec::new() }))
    }
}

/// The component of this name as a policy, which may see passwords if that is true.
pub(crate) type FindComponent<'a> = &'a dyn Fn(&str, bool) -> Result<Arc<dyn AuthPolicy>, PolicyError>;

/// The gate that the configuration asks for; `None` if everybody may come in. Reads the files of keys and compiles the
/// components; all that is wrong with them comes at once. What it remembers lasts for a term at most.
pub(crate) fn gate(
    security: &Security,
    component: FindComponent<'_>,
    terms: Arc<Terms>,
) -> Result<Option<Arc<Gate>>, Vec<anyhow::Error>> {
    if !security.is_on() {
        return Ok(None);
    }
    let mut errors = Vec::new();
    let mut keys = Vec::new();
    for (at, token) in security.tokens.iter().enumerate() {
        let pem = token.file.as_ref().map(|file| (file, std::fs::read(file)));
        let key = match pem {
            None => token.key(&[]).map_err(anyhow::Error::from),
            Some((_, Ok(pem))) => token.key(&pem).map_err(anyhow::Error::from),
            Some((_, Err(error))) => Err(error.into()),
        };
        let file = token.file.as_deref().map_or("".into(), |file| format!(", file {}", file.display()));
        match key.with_context(|| format!("security.jwt[{}]{file}", at + 1)) {
            Ok(key) => keys.push(key),
            Err(error) => errors.push(error),
        }
    }
    let mut policies = Vec::new();
    for name in &security.policies {
        if name == NATIVE_AUTH {
            policies.append(&mut native(security));
            continue;
        }
        match component(name, security.show_passwords.contains(name)) {
            Ok(policy) => policies.push(policy),
            Err(error) => errors.push(anyhow::Error::from(error).context(format!("security.policies, {name}"))),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let users = &security.users;
    let settings = Settings {
        policies,
        passwords: Passwords::new(users.iter().map(|user| (user.name.clone(), user.secret.clone()))),
        tokens: Tokens::new(keys),
        last_known_good_ms: security.last_known_good_ms,
        terms,
    };
    match Gate::new(settings) {
        Some(gate) if !gate.decides_logins() => {
            let names = security.policies.join(", ");
            Err(vec![anyhow::anyhow!(
                "security.policies = {names}: none of them decides who logs in; name \"native\" too"
            )])
        }
        Some(gate) => Ok(Some(Arc::new(gate))),
        None => Err(vec![anyhow::anyhow!("the system has no random numbers to keep logins apart with")]),
    }
}

/// The broker's own policies, in order: what was proven by a certificate or a token goes before names and passwords.
fn native(security: &Security) -> Vec<Arc<dyn AuthPolicy>> {
    let mut policies: Vec<Arc<dyn AuthPolicy>> = Vec::new();
    if !security.certificates.is_empty() {
        let users = security.certificates.iter().map(|certificate| {
            let who = Principal { name: certificate.user.clone(), groups: certificate.groups.clone() };
            (certificate.subject.clone(), who)
        });
        policies.push(Arc::new(Certificates::new(users)));
    }
    if !security.tokens.is_empty() {
        policies.push(Arc::new(TokenUsers::new(security.claims.clone())));
    }
    let anonymous = security
        .anonymous_access
        .then(|| Anonymous { user: security.anonymous_user.clone(), groups: security.anonymous_groups.clone() });
    let users = security.users.iter().map(|user| (user.name.clone(), user.groups.clone()));
    policies.push(Arc::new(SimpleUsers::new(users, anonymous)));
    if !security.authorization.is_empty() {
        policies.push(Arc::new(AuthorizationMap::new(security.authorization.clone())));
    }
    policies
}

/// Where JMSXUserID of a message comes from.
pub(crate) fn user_id(security: &Security) -> UserId {
    match (security.populate_user_id, security.user_id_of_principal) {
        (false, _) => UserId::Client,
        (true, false) => UserId::LoginName,
        (true, true) => UserId::Principal,
    }
}

/// `jackfield password`: the hash of what is typed or piped in, for `password_hash`.
#[allow(clippy::print_stdout, reason = "what is asked for goes to standard output")]
pub(crate) fn print_hash() -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    if std::io::IsTerminal::is_terminal(&stdin) {
        eprintln!("Type the password and press Enter; it is shown. To keep it from the screen, pipe it in.");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).context("the password cannot be read from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(
        !password.is_empty(),
        "no password came on standard input; try: echo 'secret' | jackfield password"
    );
    println!("{}", auth::hash_password(password)?.text());
    Ok(())
}

#[cfg(test)]
#[path = "../../plugin-wasmtime/tests/auth_guest/mod.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod auth_guest;

#[cfg(test)]
mod tests {
    use plugin::auth::Action;
    use plugin_wasmtime::{Limits, WasmHost};
    use session::{Authorizer, Verdict};

    use super::auth_guest::{ADMIT, ALLOW, AuthGuest, LOGINS, RIGHTS, once};
    use super::*;
    use crate::config;

    fn security(source: &str) -> Security {
        config::read(source, &["round-robin".to_owned()]).expect("a correct file").security
    }

    fn no_component(name: &str, _: bool) -> Result<Arc<dyn AuthPolicy>, PolicyError> {
        Err(PolicyError::Unknown { policy: name.to_owned(), known: vec![] })
    }

    fn login(source: &str, user: Option<&str>, password: Option<&str>) -> Result<String, Denied> {
        let gate = gate(&security(source), &no_component, Arc::default()).expect("no files");
        let gate: Arc<dyn Authenticator> = match gate {
            Some(gate) => gate,
            None => Arc::new(Everybody),
        };
        let credentials = Credentials {
            user: user.map(Into::into),
            password: password.map(Into::into),
            remote: "tcp://127.0.0.1:1".into(),
            ..Credentials::default()
        };
        gate.authenticate(&credentials, 0)
            .map(|admitted| format!("{} {}", admitted.principal.name, admitted.principal.groups.join(",")))
    }

    #[test]
    fn without_users_everybody_comes_in() {
        assert_eq!(login("", None, None).as_deref(), Ok(" "));
        assert_eq!(login("", Some("a"), Some("anything")).as_deref(), Ok("a "));
    }

    #[test]
    fn with_users_only_they_come_in() {
        let hash = auth::hash_password("other").expect("a hash");
        let users = format!(
            "[security]\nusers = [{{ name = \"orders\", password = \"secret\", groups = [\"a\", \"b\"] }}, \
             {{ name = \"desk\", password_hash = \"{}\" }}]\n",
            hash.text()
        );
        let table = [
            (Some("orders"), Some("secret"), Some("orders a,b")),
            (Some("desk"), Some("other"), Some("desk ")),
            (Some("orders"), Some("other"), None),
            (Some("orders"), Some(""), None),
            (Some("orders"), None, None),
            (Some("nobody"), Some("secret"), None),
            (None, Some("secret"), None),
            (None, None, None),
        ];
        for (user, password, expected) in table {
            let found = login(&users, user, password);
            assert_eq!(found.as_deref().ok(), expected, "{user:?} {password:?}");
        }
        let open = format!("{users}anonymous_access = true\nanonymous_groups = [\"guests\"]\n");
        assert_eq!(login(&open, None, None).as_deref(), Ok("anonymous guests"));
        assert!(login(&open, Some("orders"), None).is_err());
    }

    /// Before a port opens, and of all keys at once.
    #[test]
    fn keys_that_cannot_be_used_are_named() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("key.pem");
        std::fs::write(&file, "no key").expect("a file");
        let source = format!(
            "[[security.jwt]]\nalgorithm = \"RS256\"\nfile = \"{}\"\n[[security.jwt]]\nalgorithm = \"ES256\"\nfile = \"none.pem\"\n",
            file.display()
        );
        let errors: Vec<String> = match gate(&security(&source), &no_component, Arc::default()) {
            Ok(_) => panic!("two errors"),
            Err(errors) => errors.iter().map(|error| format!("{error:#}")).collect(),
        };
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].contains("security.jwt[1]") && errors[0].contains("cannot be read for RS256"), "{errors:?}");
        assert!(errors[1].contains("security.jwt[2], file none.pem: No such file"), "{errors:?}");
    }

    /// A gate behind these components, with a memory of so many milliseconds.
    fn guarded(guests: &[AuthGuest<'_>], last_known_good_ms: i64) -> Gate {
        let host = WasmHost::new(Limits::default()).expect("the engine starts");
        let policies = guests.iter().enumerate().map(|(at, guest)| {
            let name = format!("guard-{at}");
            host.add(&name, guest.component(), &[]).expect("a component");
            host.auth(&name, false).expect("a policy")
        });
        let policies = policies.collect();
        let (passwords, tokens) = (Passwords::default(), Tokens::default());
        Gate::new(Settings { policies, passwords, tokens, last_known_good_ms, terms: Arc::default() })
            .expect("random numbers")
    }

    /// What a component said while it was well is honoured for its time and ends then; of somebody else nothing is known.
    #[test]
    fn what_a_component_decided_is_honoured_for_its_time() {
        let (login, right) = (once(ADMIT), once(ALLOW));
        for grace_ms in [0, 60_000] {
            let guest =
                AuthGuest { wants: &[LOGINS, RIGHTS], authenticate: &login, authorize: &right, ..AuthGuest::default() };
            let gate = guarded(&[guest], grace_ms);
            let says = |password: &str| Credentials { password: Some(password.into()), ..Credentials::default() };
            let write = |name: &str, now| {
                let to = message::Destination::queue(name.to_owned());
                gate.authorize(&Principal::default(), Action::Write, &[to], now)
            };
            assert!(gate.at_once(&says("one"), 1000).is_none(), "on a thread of its own");
            assert!(gate.authenticate(&says("one"), 1000).is_ok());
            assert_eq!(write("A", 1000), Verdict::Allowed { until_ms: 1000 });
            for (now, is_known) in [(1001, true), (60_999, true), (61_000, false), (900_000, false)] {
                let is_known = is_known && grace_ms > 0;
                assert_eq!(gate.authenticate(&says("one"), now).is_ok(), is_known, "{grace_ms} {now}");
                let verdict = write("A", now);
                assert_eq!(matches!(verdict, Verdict::Allowed { .. }), is_known, "{grace_ms} {now} {verdict:?}");
                assert_eq!(gate.authenticate(&says("two"), now).err(), Some(Denied::Unavailable));
                assert_eq!(write("B", now), Verdict::Unanswered);
            }
            let stats = gate.stats();
            let known = if grace_ms > 0 { 4 } else { 0 };
            assert_eq!((stats.honoured, stats.failed_closed), (known, 16 - known), "{grace_ms}");
            assert_eq!((stats.logins, stats.rights), (9, 9));
        }
    }

    /// The second of two is asked where the first has no opinion, and not where the first is down.
    #[test]
    fn components_are_asked_in_their_order() {
        let none = "(i32.const 64)";
        for (first, lets_in) in [(none, true), (ADMIT, true), ("(unreachable)", false)] {
            let first = AuthGuest { wants: &[LOGINS], authenticate: first, ..AuthGuest::default() };
            let gate = guarded(&[first, AuthGuest { wants: &[LOGINS], ..AuthGuest::default() }], 0);
            assert_eq!(gate.authenticate(&Credentials::default(), 0).is_ok(), lets_in);
            assert!(!gate.limits_rights() && !gate.looks_at_messages());
        }
    }
}
