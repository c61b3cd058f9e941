//! Own area: who proves a name has an area of queues and topics alone, and one with all the others.
//!
//! Settings: the area of `ann` is `HOMES.ann`, where `homes` (HOMES) is the first part; `shared` (SHARED) is the area that
//! everybody reads and writes; `admins` (admins) the group that may do everything; `remember-s` (60) how many seconds answers
//! hold. A name is proven by the password of the broker's own users, or by the claim `sub` of a token, whose claim `groups`
//! has the groups.

use jackfield_auth_policy::plugin::auth::{Action, Admission, Answer, Kind, Login, Opinion, Principal, Request};
use jackfield_auth_policy::{AuthLogic, Wishes, admit, export_auth_policy};

/// Topics that JMS clients read by themselves.
const ADVISORIES: [&str; 2] = ["ActiveMQ.Advisory.TempQueue", "ActiveMQ.Advisory.TempTopic"];

#[derive(Default)]
struct OwnArea {
    homes: String,
    shared: String,
    admins: String,
    remember_ms: u64,
}

impl AuthLogic for OwnArea {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), String> {
        let (homes, shared, admins) = ("HOMES".into(), "SHARED".into(), "admins".into());
        let mut fresh = OwnArea { homes, shared, admins, remember_ms: 60_000 };
        for (key, value) in settings {
            match key.as_str() {
                "homes" | "shared" | "admins" if !is_name(value) => {
                    return Err(format!("setting {key} = {value} is no name; write letters, digits, - and _"));
                }
                "homes" => fresh.homes.clone_from(value),
                "shared" => fresh.shared.clone_from(value),
                "admins" => fresh.admins.clone_from(value),
                "remember-s" => match value.parse() {
                    Ok(seconds @ 0..=86_400) => fresh.remember_ms = seconds * 1000_u64,
                    _ => return Err(format!("setting {key} = {value} is no number from 0 to 86400")),
                },
                _ => {
                    let known = "homes, shared, admins, remember-s";
                    return Err(format!("setting {key} = {value} is unknown; known are {known}"));
                }
            }
        }
        *self = fresh;
        Ok(())
    }

    fn wishes(&self) -> Wishes {
        Wishes { logins: true, rights: true, ..Wishes::default() }
    }

    fn authenticate(&mut self, _now_ms: u64, login: &Login<'_>) -> Admission {
        let claim = |wanted: &str| {
            let claims = login.proofs.claims.unwrap_or_default();
            claims.iter().find(|(name, _)| name == wanted).map_or(&[][..], |(_, texts)| &texts[..])
        };
        let (name, groups) = match (login.user, claim("sub").first()) {
            (_, Some(subject)) => (subject.as_str(), claim("groups")),
            (Some(user), None) if login.proofs.password => (user, &[][..]),
            _ => return Admission::NoOpinion,
        };
        // The name becomes part of destinations: one with dots or wildcards would be somebody else's area.
        if !is_name(name) {
            return Admission::Deny("the name has other signs than letters, digits, - and _".to_owned());
        }
        let groups: Vec<String> = groups.iter().filter(|group| is_name(group)).cloned().collect();
        admit(name, &groups, self.remember_ms, None)
    }

    fn authorize(&mut self, _now_ms: u64, who: &Principal, request: &Request<'_>) -> Answer {
        let is_below =
            |area: &str| request.name.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let is_advisory =
            request.kind == Kind::Topic && request.action == Action::Read && ADVISORIES.contains(&request.name);
        let may = request.kind.is_temporary()
            || is_advisory
            || who.groups.contains(&self.admins)
            || request.action != Action::Admin && is_below(&self.shared)
            || is_name(&who.name) && is_below(&format!("{}.{}", self.homes, who.name));
        Answer { opinion: if may { Opinion::Allow } else { Opinion::Deny }, cache_ms: self.remember_ms }
    }
}

fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=100).contains(&text.len()) && text.bytes().all(good)
}

export_auth_policy!(OwnArea);
