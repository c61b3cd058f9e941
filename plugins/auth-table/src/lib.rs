//! Auth table: users with roles, keys for machines, roles with rights, and messages that stay within their tenant.
//!
//! Settings, each as often as it is needed unless the word says otherwise:
//! - `user NAME` = roles, with spaces between. Who proved the password that `users` of the broker has for this name. The
//!   broker checks the password, and this policy does not see it.
//! - `key HASH` = a name and its roles, and perhaps `until=SECONDS` since 1970. Who brings a password whose SHA-256 is HASH, in
//!   64 digits from 0 to f; whatever user name comes with it. For long random keys: a hash of a word is soon guessed. Needs
//!   to be named in `show_passwords`.
//! - `role NAME` = rights with commas between, each an action and patterns: `read ORDERS.> topic://PRICES.*, write ORDERS.IN`.
//!   Actions are `read`, `write`, `create`, `admin`; the role `*` is everybody's. What no role allows is refused. Temporary
//!   destinations and the advisories that every JMS client reads are everybody's.
//! - `tenant` = a property, once. A message that has it must name one of its sender's roles there.
//! - `max-bytes` = a number, once. Larger messages are refused.
//! - `remember-s` = seconds, once (60): how long logins and rights hold without asking again.

use std::collections::BTreeMap;
use std::fmt::Write;

use jackfield_auth_policy::plugin::auth::{Action, Admission, Answer, Kind, Login, Opinion, Principal, Request};
use jackfield_auth_policy::plugin::{Columns, Messages};
use jackfield_auth_policy::{AuthLogic, Wishes, admit, export_auth_policy};
use sha2::{Digest, Sha256};

/// Everybody's role.
const ANYBODY: &str = "*";
/// Topics that JMS clients read by themselves.
const ADVISORIES: [&str; 2] = ["ActiveMQ.Advisory.TempQueue", "ActiveMQ.Advisory.TempTopic"];
const REMEMBER_S: u64 = 60;
const REMEMBER_S_MAX: u64 = 86_400;

/// The policy.
#[derive(Default)]
struct AuthTable {
    /// Roles by user.
    users: BTreeMap<String, Vec<String>>,
    /// Who brings the key of this hash.
    keys: BTreeMap<String, Holder>,
    /// Rights by role.
    roles: BTreeMap<String, Vec<Right>>,
    tenant: Option<String>,
    bytes_max: Option<i64>,
    remember_ms: u64,
}

struct Holder {
    name: String,
    roles: Vec<String>,
    until_ms: Option<u64>,
}

struct Right {
    action: Action,
    is_topic: bool,
    pattern: String,
}

impl AuthLogic for AuthTable {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        *self = AuthTable { remember_ms: REMEMBER_S * 1000, ..AuthTable::default() };
        let mut faults = Vec::new();
        for (key, value) in settings {
            // A key's hash may stand in a log, its holder too; neither opens a door.
            if let Err(fault) = self.set(key, value) {
                faults.push(format!("setting {key} = {value} {fault}"));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join(". ")) }
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            logins: true,
            passwords: !self.keys.is_empty(),
            rights: true,
            messages: self.tenant.is_some() || self.bytes_max.is_some(),
            columns: if self.bytes_max.is_some() { Columns::SIZE } else { Columns::NONE },
        }
    }

    fn authenticate(&mut self, now_ms: u64, login: &Login<'_>) -> Admission {
        if let Some(holder) = login.password.and_then(|password| self.keys.get(&hash(password.0))) {
            return match holder.until_ms {
                Some(until_ms) if until_ms <= now_ms => Admission::Expired(format!("the key of {}", holder.name)),
                until_ms => admit(&holder.name, &holder.roles, self.remember_ms, until_ms),
            };
        }
        match login.user.and_then(|user| Some((user, self.users.get(user)?))) {
            Some((user, roles)) if login.proofs.password => admit(user, roles, self.remember_ms, None),
            Some(_) => Admission::Deny("the password was not proven".to_owned()),
            None => Admission::NoOpinion,
        }
    }

    fn authorize(&mut self, _now_ms: u64, who: &Principal, request: &Request<'_>) -> Answer {
        let is_topic = request.kind == Kind::Topic;
        let is_open = request.kind.is_temporary()
            || is_topic && request.action == Action::Read && ADVISORIES.contains(&request.name);
        let roles = who.groups.iter().map(String::as_str).chain([ANYBODY]);
        let mut rights = roles.filter_map(|role| self.roles.get(role)).flatten();
        let allows = |right: &Right| {
            right.action == request.action && right.is_topic == is_topic && covers(&right.pattern, request.name)
        };
        let opinion = if is_open || rights.any(allows) { Opinion::Allow } else { Opinion::Deny };
        Answer { opinion, cache_ms: self.remember_ms }
    }

    fn reads(&self) -> Vec<String> {
        self.tenant.iter().cloned().collect()
    }

    fn check(&mut self, who: &Principal, messages: &dyn Messages, row: usize) -> Option<String> {
        if let Some(most) = self.bytes_max.filter(|most| messages.number(row, Columns::SIZE) > *most) {
            return Some(format!("it has more than {most} bytes"));
        }
        let property = self.tenant.as_deref()?;
        let value = messages.property(row, property);
        let tenant = value.to_text()?;
        match who.groups.iter().any(|role| *role == *tenant) {
            true => None,
            false => Some(format!("{property} {tenant} is another's")),
        }
    }
}

impl AuthTable {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let words = || value.split_whitespace().map(str::to_owned);
        match key.split_once(' ').map_or((key, ""), |(word, name)| (word, name.trim())) {
            ("user", name) if !name.is_empty() => {
                self.users.insert(name.to_owned(), words().collect());
            }
            ("key", hash) if !hash.is_empty() => {
                let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                if hash.len() != 64 || !hash.bytes().all(is_digit) {
                    return Err("has no SHA-256; write its 64 digits from 0 to f".to_owned());
                }
                self.keys.insert(hash.to_owned(), holder(words())?);
            }
            ("role", name) if !name.is_empty() => {
                let rights = rights(value)?;
                self.roles.entry(name.to_owned()).or_default().extend(rights);
            }
            ("tenant", "") if !value.trim().is_empty() => self.tenant = Some(value.trim().to_owned()),
            ("max-bytes", "") => self.bytes_max = Some(number(value, i64::MAX as u64)? as i64),
            ("remember-s", "") => self.remember_ms = number(value, REMEMBER_S_MAX)? * 1000,
            _ => {
                let known = "user NAME, key HASH, role NAME, tenant, max-bytes, remember-s";
                return Err(format!("is unknown; known are {known}"));
            }
        }
        Ok(())
    }
}

fn holder(words: impl Iterator<Item = String>) -> Result<Holder, String> {
    let (mut names, mut until_ms) = (Vec::new(), None);
    for word in words {
        match word.strip_prefix("until=") {
            Some(seconds) => until_ms = Some(number(seconds, u64::MAX / 1000)? * 1000),
            None => names.push(word),
        }
    }
    if names.is_empty() {
        return Err("has no name; write the name and then its roles".to_owned());
    }
    let name = names.remove(0);
    Ok(Holder { name, roles: names, until_ms })
}

fn rights(value: &str) -> Result<Vec<Right>, String> {
    let mut rights = Vec::new();
    for part in value.split(',') {
        let mut words = part.split_whitespace();
        let action = match words.next() {
            Some("read") => Action::Read,
            Some("write") => Action::Write,
            Some("create") => Action::Create,
            Some("admin") => Action::Admin,
            _ => return Err("begins no right; write read, write, create or admin and patterns behind it".to_owned()),
        };
        let before = rights.len();
        rights.extend(words.map(|word| match word.strip_prefix("topic://") {
            Some(pattern) => Right { action, is_topic: true, pattern: pattern.to_owned() },
            None => {
                let pattern = word.strip_prefix("queue://").unwrap_or(word).to_owned();
                Right { action, is_topic: false, pattern }
            }
        }));
        if rights.len() == before {
            return Err("has a right without a pattern; write one such as ORDERS.> or topic://PRICES.*".to_owned());
        }
    }
    Ok(rights)
}

fn number(text: &str, most: u64) -> Result<u64, String> {
    text.trim().parse().ok().filter(|number| *number <= most).ok_or_else(|| format!("is no number up to {most}"))
}

/// Whether a pattern has all that a name stands for, which may hold wildcards itself.
fn covers(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.split('.'), name.split('.'));
    loop {
        match (pattern.next(), name.next()) {
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(part)) if part != ">" => {}
            (Some(wanted), Some(part)) if wanted == part => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// SHA-256 in digits.
fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut digits, byte| {
        // A String takes all text.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

export_auth_policy!(AuthTable);
