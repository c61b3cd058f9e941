//! From the subject of a client certificate to a user with groups (rows K03, K04).

use std::collections::HashMap;

use super::{Admission, AuthPolicy, Decides, Down, Login, Principal};

/// A list changes with the configuration only.
const CACHE_MS: u64 = 600_000;

/// Lets in whose certificate has a subject of the list.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    users: HashMap<String, Principal>,
}

impl Certificates {
    /// The name in a configuration.
    pub const NAME: &'static str = "certificate";
    /// One line for people.
    pub const DESCRIPTION: &'static str = "user and groups from the subject of a verified client certificate";

    /// Subjects with who they stand for. Spaces around the parts of a subject mean nothing; all else must be the same,
    /// the order of the parts too.
    pub fn new(users: impl IntoIterator<Item = (String, Principal)>) -> Certificates {
        Certificates { users: users.into_iter().map(|(subject, who)| (plain(&subject), who)).collect() }
    }
}

/// The subject without spaces around its parts. A comma behind a backslash belongs to its part.
fn plain(subject: &str) -> String {
    let mut parts: Vec<String> = vec![String::new()];
    let mut escaped = false;
    for letter in subject.chars() {
        match (letter, escaped, parts.last_mut()) {
            (',', false, _) => parts.push(String::new()),
            (_, _, Some(part)) => part.push(letter),
            (_, _, None) => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    parts.iter().map(|part| part.trim()).collect::<Vec<_>>().join(",")
}

impl AuthPolicy for Certificates {
    fn name(&self) -> &str {
        Certificates::NAME
    }

    fn decides(&self) -> Decides {
        Decides { logins: true, rights: false, messages: false }
    }

    fn authenticate(&self, login: &Login<'_>, _now_ms: i64) -> Result<Admission, Down> {
        let who = login.proofs.certificate_subject.and_then(|subject| self.users.get(&plain(subject)));
        Ok(match who {
            Some(who) => Admission::Admit { principal: who.clone(), cache_ms: CACHE_MS, until_ms: i64::MAX },
            None => Admission::NoOpinion,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proofs;

    #[test]
    fn a_subject_stands_for_its_user_and_for_no_other() {
        let orders = Principal { name: "orders".into(), groups: vec!["users".into()] };
        let policy = Certificates::new([
            ("CN=orders, OU=desk, O=Example".to_owned(), orders.clone()),
            ("CN=a\\,b,O=Example".to_owned(), orders),
        ]);
        let table = [
            (Some("CN=orders,OU=desk,O=Example"), true),
            (Some("CN=orders , OU=desk,  O=Example"), true),
            (Some("CN=orders,O=Example"), false),
            (Some("CN=orders,OU=desk,O=Example,C=XX"), false),
            (Some("OU=desk,CN=orders,O=Example"), false),
            (Some("cn=orders,ou=desk,o=example"), false),
            (Some("CN=a\\,b, O=Example"), true),
            (Some("CN=a,b,O=Example"), false),
            (Some(""), false),
            (None, false),
        ];
        for (certificate_subject, expected) in table {
            let proofs = Proofs { certificate_subject, ..Proofs::default() };
            // A name that the client gives itself changes nothing.
            let login = Login { user: Some("admin"), proofs, ..Login::default() };
            let found = match policy.authenticate(&login, 0).expect("native code answers") {
                Admission::Admit { principal, .. } => Some(principal.name),
                _ => None,
            };
            assert_eq!(found.as_deref(), expected.then_some("orders"), "{certificate_subject:?}");
        }
    }
}
