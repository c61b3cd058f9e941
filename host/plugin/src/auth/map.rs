//! Rights by destination, as `authorizationMap` of ActiveMQ gives them (rows K05 to K08).

use super::{Action, Admission, Answer, AuthPolicy, Decides, Down, Kind, Login, Opinion, Principal, Request};

/// Stands for everybody who has logged in.
const ANYBODY: &str = "*";
/// Rules change with the configuration only, so a verdict holds as long as the connection.
const CACHE_MS: u64 = u64::MAX;

/// Which destinations a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Queues whose names match (`authorizationEntry queue=`).
    Queue(String),
    /// Topics whose names match (`authorizationEntry topic=`).
    Topic(String),
    /// All temporary destinations (`tempDestinationAuthorizationEntry`).
    Temporary,
    /// All queues and topics, beside the rules that match (`defaultEntry`).
    Default,
}

/// The groups that may do something with some destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which destinations.
    pub place: Place,
    /// Groups that may consume and browse; `*` for everybody.
    pub read: Vec<String>,
    /// Groups that may send.
    pub write: Vec<String>,
    /// Groups that may make and remove.
    pub admin: Vec<String>,
}

impl Rule {
    fn groups(&self, action: Action) -> &[String] {
        match action {
            Action::Read => &self.read,
            Action::Write => &self.write,
            Action::Admin | Action::Create => &self.admin,
        }
    }

    fn is_about(&self, request: &Request<'_>) -> bool {
        match (&self.place, request.kind) {
            (Place::Queue(pattern), Kind::Queue) | (Place::Topic(pattern), Kind::Topic) => {
                let (pattern, name): (Vec<_>, Vec<_>) =
                    (pattern.split('.').collect(), request.name.split('.').collect());
                meets(&pattern, &name, false)
            }
            (Place::Default, Kind::Queue | Kind::Topic) => true,
            (Place::Temporary, kind) => kind.is_temporary(),
            _ => false,
        }
    }
}

/// The rules together. All that match are united: who is in a group of one of them may do it. No rule that matches means
/// nobody; no rule for temporary destinations means everybody.
#[derive(Debug, Clone, Default)]
pub struct AuthorizationMap {
    rules: Vec<Rule>,
}

impl AuthorizationMap {
    /// The name in a configuration.
    pub const NAME: &'static str = "authorization-map";
    /// One line for people.
    pub const DESCRIPTION: &'static str = "rights of groups by destination, as authorizationMap of ActiveMQ";

    /// A map of these rules; their order means nothing.
    pub fn new(rules: Vec<Rule>) -> AuthorizationMap {
        AuthorizationMap { rules }
    }

    fn allows(&self, principal: &Principal, request: &Request<'_>) -> bool {
        if request.kind.is_temporary() && !self.rules.iter().any(|rule| rule.place == Place::Temporary) {
            return true;
        }
        self.rules.iter().filter(|rule| rule.is_about(request)).any(|rule| {
            rule.groups(request.action).iter().any(|group| group == ANYBODY || principal.groups.contains(group))
        })
    }
}

impl AuthPolicy for AuthorizationMap {
    fn name(&self) -> &str {
        AuthorizationMap::NAME
    }

    fn decides(&self) -> Decides {
        Decides { logins: false, rights: true, messages: false }
    }

    fn authenticate(&self, _login: &Login<'_>, _now_ms: i64) -> Result<Admission, Down> {
        Ok(Admission::NoOpinion)
    }

    fn authorize(
        &self,
        principal: &Principal,
        requests: &[Request<'_>],
        _now_ms: i64,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Down> {
        answers.clear();
        answers.extend(requests.iter().map(|request| Answer {
            opinion: if self.allows(principal, request) { Opinion::Allow } else { Opinion::Deny },
            cache_ms: CACHE_MS,
        }));
        Ok(())
    }
}

/// Whether a rule's pattern and a name, which may hold wildcards itself, have a part in common, as ActiveMQ's map of
/// destinations answers it. `*` on either side stands for one part of the other; `>` of the pattern for all that
/// follow, none included. `>` of the name stands for what follows only below a `*` of the pattern (`deep`); elsewhere
/// it is a part like others, so that a rule for `A.B` lets nobody subscribe to `A.>`.
fn meets(pattern: &[&str], name: &[&str], deep: bool) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((&">", rest)), None) => rest.is_empty(),
        (Some((&">", _)), Some(_)) => true,
        (_, Some((&">", _))) if deep => true,
        (None, Some(_)) | (Some(_), None) => false,
        (Some((&"*", pattern)), Some((_, name))) => meets(pattern, name, true),
        (Some((part, pattern)), Some((other, name))) => (*other == "*" || part == other) && meets(pattern, name, deep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &str) -> Vec<String> {
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn rule(place: Place, read: &str, write: &str, admin: &str) -> Rule {
        Rule { place, read: list(read), write: list(write), admin: list(admin) }
    }

    fn queue(pattern: &str, read: &str, write: &str, admin: &str) -> Rule {
        rule(Place::Queue(pattern.into()), read, write, admin)
    }

    fn allows(rules: &[Rule], groups: &str, action: Action, kind: Kind, name: &str) -> bool {
        let principal = Principal { name: "u".into(), groups: list(groups) };
        let map = AuthorizationMap::new(rules.to_vec());
        let mut answers = vec![Answer { opinion: Opinion::NoOpinion, cache_ms: 0 }; 3];
        map.authorize(&principal, &[Request { action, kind, name }], 0, &mut answers).expect("native code answers");
        let [answer] = answers[..] else { panic!("one answer") };
        answer.opinion == Opinion::Allow
    }

    /// The rules of ActiveMQ's own example, with a rule below a rule.
    #[test]
    fn all_rules_that_match_are_united() {
        let rules = [
            queue(">", "admins", "admins", "admins"),
            queue("USERS.>", "users", "users", "users"),
            queue("GUEST.>", "guests", "guests,users", "guests,users"),
            queue("USERS.AUDIT", "auditors", "", ""),
            rule(Place::Topic("ActiveMQ.Advisory.>".into()), "*", "*", "*"),
        ];
        use Action::{Admin, Read, Write};
        let table = [
            ("admins", Read, "USERS.A", true),
            ("users", Read, "USERS.A", true),
            ("users", Write, "USERS.A.B", true),
            ("users", Read, "USERS", true),
            ("users", Read, "OTHER", false),
            ("guests", Read, "USERS.A", false),
            ("guests", Read, "GUEST.A", true),
            ("users", Read, "GUEST.A", false),
            ("users", Write, "GUEST.A", true),
            ("users,guests", Read, "GUEST.A", true),
            ("auditors", Read, "USERS.AUDIT", true),
            ("auditors", Write, "USERS.AUDIT", false),
            ("users", Read, "USERS.AUDIT", true),
            ("auditors", Read, "USERS.AUDIT.2026", false),
            ("users", Admin, "users.a", false),
            ("", Read, "USERS.A", false),
        ];
        for (groups, action, name, expected) in table {
            assert_eq!(allows(&rules, groups, action, Kind::Queue, name), expected, "{groups} {action:?} {name}");
        }
        assert!(allows(&rules, "", Read, Kind::Topic, "ActiveMQ.Advisory.TempQueue"));
        assert!(!allows(&rules, "users", Read, Kind::Topic, "USERS.A"), "a rule for queues says nothing of topics");
    }

    #[test]
    fn without_a_rule_nobody_may_unless_there_is_a_default() {
        let none: &[Rule] = &[];
        assert!(!allows(none, "users", Action::Read, Kind::Queue, "A"));
        let rules = [queue("A", "a", "a", "a"), rule(Place::Default, "d", "", "")];
        assert!(allows(&rules, "d", Action::Read, Kind::Topic, "B"));
        assert!(allows(&rules, "d", Action::Read, Kind::Queue, "A"), "the default is united with what matches");
        assert!(!allows(&rules, "d", Action::Write, Kind::Queue, "A"));
        assert!(!allows(&rules, "a", Action::Read, Kind::Queue, "B"));
    }

    #[test]
    fn temporary_destinations_are_everybodys_until_a_rule_says_otherwise() {
        let rules = [queue(">", "a", "a", "a")];
        assert!(allows(&rules, "", Action::Admin, Kind::TempQueue, "ID:x:1"));
        let rules = [rule(Place::Temporary, "r", "*", ""), rule(Place::Default, "x", "x", "x")];
        assert!(allows(&rules, "r", Action::Read, Kind::TempQueue, "ID:x:1"));
        assert!(allows(&rules, "", Action::Write, Kind::TempTopic, "ID:x:1"));
        assert!(!allows(&rules, "r", Action::Admin, Kind::TempQueue, "ID:x:1"));
        assert!(!allows(&rules, "x", Action::Read, Kind::TempQueue, "ID:x:1"), "the default is for what lasts");
    }

    /// What ActiveMQ 6.3's own map answers for names with wildcards, entry by entry.
    #[test]
    fn names_with_wildcards_need_a_rule_that_meets_them() {
        let table = [
            ("A.>", "A.>", true),
            (">", "A.>", true),
            ("A.*", "A.>", true),
            ("A.B", "A.>", false),
            ("A.B", ">", false),
            ("A.B", "A.*", true),
            ("A.B", "*.B", true),
            ("A.B", "*.C", false),
            ("A.B", "*", false),
            ("*.B", "A.>", true),
            ("A.*.C", "A.*.C", true),
            ("A.>", "A", true),
            ("A.*", "A", false),
            ("*", ">", true),
        ];
        for (pattern, name, expected) in table {
            let rules = [queue(pattern, "g", "", "")];
            assert_eq!(allows(&rules, "g", Action::Read, Kind::Queue, name), expected, "{pattern} {name}");
        }
    }
}
