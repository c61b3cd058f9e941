//! Users and groups of a list, as `simpleAuthenticationPlugin` of ActiveMQ has them (row K01).

use std::collections::HashMap;

use super::{Admission, AuthPolicy, Decides, Down, Login, Principal};

/// A list changes with the configuration only; the host asks again once in a while all the same.
const CACHE_MS: u64 = 600_000;

/// Who somebody is that gives neither name nor password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anonymous {
    /// The name (`anonymousUser`).
    pub user: String,
    /// The groups (`anonymousGroup`).
    pub groups: Vec<String>,
}

/// Lets in who proved a password, with the groups that the list has for the name; and anonymous clients where allowed.
#[derive(Debug, Clone, Default)]
pub struct SimpleUsers {
    groups: HashMap<String, Vec<String>>,
    anonymous: Option<Anonymous>,
}

impl SimpleUsers {
    /// The name in a configuration.
    pub const NAME: &'static str = "simple-users";
    /// One line for people.
    pub const DESCRIPTION: &'static str = "users, passwords and groups of the configuration";

    /// Names with their groups. `anonymous` is `None` where everybody must say who they are.
    pub fn new(users: impl IntoIterator<Item = (String, Vec<String>)>, anonymous: Option<Anonymous>) -> SimpleUsers {
        SimpleUsers { groups: users.into_iter().collect(), anonymous }
    }
}

impl AuthPolicy for SimpleUsers {
    fn name(&self) -> &str {
        SimpleUsers::NAME
    }

    fn decides(&self) -> Decides {
        Decides { logins: true, rights: false, messages: false }
    }

    fn authenticate(&self, login: &Login<'_>, _now_ms: i64) -> Result<Admission, Down> {
        let admit = |name: &str, groups: &[String]| {
            let principal = Principal { name: name.to_owned(), groups: groups.to_vec() };
            Ok(Admission::Admit { principal, cache_ms: CACHE_MS, until_ms: i64::MAX })
        };
        match (login.user, &self.anonymous) {
            (Some(name), _) if login.proofs.password => match self.groups.get(name) {
                Some(groups) => admit(name, groups),
                None => Ok(Admission::NoOpinion),
            },
            (None, Some(anonymous)) if !login.has_password => admit(&anonymous.user, &anonymous.groups),
            _ => Ok(Admission::NoOpinion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proofs;

    #[test]
    fn a_proven_password_brings_the_groups_of_the_list() {
        let anonymous = Anonymous { user: "anonymous".into(), groups: vec!["guests".into()] };
        let users = [("orders".to_owned(), vec!["users".to_owned(), "desk".to_owned()])];
        let strict = SimpleUsers::new(users.clone(), None);
        let open = SimpleUsers::new(users, Some(anonymous));
        // User, gave a password, it is proven; who that is with and without anonymous access.
        let table = [
            (Some("orders"), true, true, Some("orders users,desk"), Some("orders users,desk")),
            (Some("orders"), true, false, None, None),
            (Some("orders"), false, false, None, None),
            (Some("nobody"), true, true, None, None),
            (None, false, false, None, Some("anonymous guests")),
            (None, true, false, None, None),
            (Some(""), false, false, None, None),
        ];
        for (user, has_password, password, expected_strict, expected_open) in table {
            let proofs = Proofs { password, ..Proofs::default() };
            let login = Login { user, has_password, proofs, ..Login::default() };
            for (policy, expected) in [(&strict, expected_strict), (&open, expected_open)] {
                let found = match policy.authenticate(&login, 0).expect("native code answers") {
                    Admission::Admit { principal, .. } => {
                        Some(format!("{} {}", principal.name, principal.groups.join(",")))
                    }
                    _ => None,
                };
                assert_eq!(found.as_deref(), expected, "{login:?}");
            }
        }
    }
}
