//! Who may log in, as the configuration says.

use std::fmt;

use message::Text;
use session::{Authenticator, Credentials, Denied};

use crate::config::User;

/// Lets the users of the configuration in; everybody if there are none.
pub(crate) struct Users(Vec<User>);

impl Users {
    /// The users of `[security]`.
    pub(crate) fn new(users: Vec<User>) -> Users {
        Users(users)
    }
}

impl Authenticator for Users {
    fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Option<Text>, Denied> {
        if self.0.is_empty() {
            return Ok(credentials.user.map(Text::from));
        }
        let (Some(name), Some(password)) = (credentials.user, credentials.password) else { return Err(Denied) };
        // All users are compared, whole, so that the time it takes tells nothing about names or passwords.
        let mut known = false;
        for user in &self.0 {
            known |= same(&user.name, name) & same(&user.password, password);
        }
        if known { Ok(Some(name.into())) } else { Err(Denied) }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}

/// Compares without stopping at the first difference.
fn same(secret: &str, given: &str) -> bool {
    let (secret, given) = (secret.as_bytes(), given.as_bytes());
    let mut difference = secret.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ secret.get(index).copied().unwrap_or(0));
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(users: &[(&str, &str)], user: Option<&str>, password: Option<&str>) -> Result<Option<Text>, Denied> {
        let users = users.iter().map(|(name, password)| User { name: (*name).into(), password: (*password).into() });
        let credentials = Credentials { user, password, client_id: None, remote: "127.0.0.1:1" };
        Users::new(users.collect()).authenticate(&credentials)
    }

    #[test]
    fn without_users_everybody_comes_in() {
        assert_eq!(login(&[], None, None), Ok(None));
        assert_eq!(login(&[], Some("a"), Some("anything")), Ok(Some("a".into())));
    }

    #[test]
    fn with_users_only_they_come_in() {
        let users = [("orders", "secret"), ("desk", "other")];
        let table = [
            (Some("orders"), Some("secret"), true),
            (Some("desk"), Some("other"), true),
            (Some("orders"), Some("other"), false),
            (Some("orders"), Some("secre"), false),
            (Some("orders"), Some("secrets"), false),
            (Some("orders"), Some(""), false),
            (Some("orders"), None, false),
            (Some("nobody"), Some("secret"), false),
            (None, Some("secret"), false),
            (None, None, false),
        ];
        for (user, password, expected) in table {
            assert_eq!(login(&users, user, password).is_ok(), expected, "{user:?} {password:?}");
        }
    }
}
