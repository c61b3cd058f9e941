//! Passwords: hashes by argon2, and plain ones for whoever still has them.

use std::collections::HashMap;
use std::fmt;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Argon2, Params};
use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::AuthError;

/// Memory that checking one hash may take, in KiB.
const HASH_MEMORY_KIB_MAX: u32 = 1024 * 1024;

/// A password's hash in its text form (`$argon2id$v=19$m=19456,t=2,p=1$salt$hash`), looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: String,
    /// Some 300 bytes, so that it lies apart.
    parsed: Box<phc::PasswordHash>,
    /// KiB of memory times rounds.
    cost: u64,
}

impl PasswordHash {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<PasswordHash, AuthError> {
        let wrong = |reason: String| AuthError::Hash { reason };
        let parsed = phc::PasswordHash::new(text).map_err(|error| wrong(error.to_string()))?;
        argon2::Algorithm::new(parsed.algorithm).map_err(|error| wrong(error.to_string()))?;
        let params = Params::try_from(&parsed).map_err(|error| wrong(error.to_string()))?;
        if parsed.hash.is_none() || parsed.salt.is_none() {
            return Err(wrong("the salt or the hash itself is missing".to_owned()));
        }
        if params.m_cost() > HASH_MEMORY_KIB_MAX {
            return Err(AuthError::HashMemory { have: params.m_cost(), limit: HASH_MEMORY_KIB_MAX });
        }
        let cost = u64::from(params.m_cost()) * u64::from(params.t_cost());
        Ok(PasswordHash { text: text.to_owned(), parsed: Box::new(parsed), cost })
    }

    /// The text form.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn is_of(&self, password: &str) -> bool {
        Argon2::default().verify_password(password.as_bytes(), &*self.parsed).is_ok()
    }
}

/// Shows nothing that could be guessed against.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// The hash of a password with a salt of its own, by the current recommendation for argon2id.
pub fn hash_password(password: &str) -> Result<PasswordHash, AuthError> {
    let hash: phc::PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| AuthError::Hashing { reason: error.to_string() })?;
    PasswordHash::parse(&hash.to_string())
}

/// What a user's password is compared with.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password as it is.
    Plain(String),
    /// Its hash.
    Hash(PasswordHash),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Plain(_) => "Plain",
            Secret::Hash(_) => "Hash",
        })
    }
}

/// The passwords of all users.
#[derive(Debug, Default)]
pub struct Passwords {
    secrets: HashMap<String, Secret>,
    /// The dearest of the hashes. One is paid for at each login, whoever logs in, so that the time tells nothing of
    /// names.
    dearest: Option<PasswordHash>,
}

impl Passwords {
    /// Names with their secrets.
    pub fn new(users: impl IntoIterator<Item = (String, Secret)>) -> Passwords {
        let secrets: HashMap<String, Secret> = users.into_iter().collect();
        let hashes = secrets.values().filter_map(|secret| match secret {
            Secret::Hash(hash) => Some(hash),
            Secret::Plain(_) => None,
        });
        let dearest = hashes.max_by_key(|hash| hash.cost).cloned();
        Passwords { secrets, dearest }
    }

    /// Whether [`are_of`](Self::are_of) takes tens of milliseconds.
    pub fn are_slow(&self) -> bool {
        self.dearest.is_some()
    }

    /// Whether the password is this user's. Takes as long for users that there are not.
    pub fn are_of(&self, user: &str, password: &str) -> bool {
        let is_of_paid = self.paid_for(user).is_some_and(|hash| std::hint::black_box(hash.is_of(password)));
        match self.secrets.get(user) {
            Some(Secret::Hash(_)) => is_of_paid,
            Some(Secret::Plain(plain)) => verify_slices_are_equal(plain.as_bytes(), password.as_bytes()).is_ok(),
            None => false,
        }
    }

    /// The hash that a login under this name costs.
    fn paid_for(&self, user: &str) -> Option<&PasswordHash> {
        match self.secrets.get(user) {
            Some(Secret::Hash(hash)) => Some(hash),
            Some(Secret::Plain(_)) | None => self.dearest.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest that argon2 takes: tests are not what it is meant to slow down.
    fn cheap(password: &str) -> PasswordHash {
        let params = Params::new(8, 1, 1, None).expect("allowed parameters");
        let hash: phc::PasswordHash = Argon2::from(params).hash_password(password.as_bytes()).expect("a hash");
        PasswordHash::parse(&hash.to_string()).expect("a hash of our own")
    }

    #[test]
    fn only_the_password_itself_is_accepted() {
        let long = "x".repeat(10_000);
        let users = [
            ("ann".to_owned(), Secret::Hash(cheap("secret"))),
            ("bob".to_owned(), Secret::Plain("other".into())),
            ("long".to_owned(), Secret::Hash(cheap(&long))),
            ("nul".to_owned(), Secret::Hash(cheap("a\0b"))),
        ];
        let passwords = Passwords::new(users);
        let table = [
            ("ann", "secret", true),
            ("ann", "Secret", false),
            ("ann", "secre", false),
            ("ann", "secrets", false),
            ("ann", "", false),
            ("ann", "other", false),
            ("bob", "other", true),
            ("bob", "othe", false),
            ("bob", "others", false),
            ("bob", "", false),
            ("long", &long, true),
            ("long", &long[1..], false),
            ("nul", "a\0b", true),
            ("nul", "a", false),
            ("Ann", "secret", false),
            ("ann ", "secret", false),
            ("*", "secret", false),
            ("", "", false),
            ("", "secret", false),
            ("nobody", "secret", false),
        ];
        for (user, password, expected) in table {
            assert_eq!(passwords.are_of(user, password), expected, "{user} {}", password.len());
        }
        assert!(passwords.are_slow());
        assert!(!Passwords::new([("bob".to_owned(), Secret::Plain("other".into()))]).are_slow());
    }

    /// The text form is what other tools write and read, and two hashes of one password are not the same.
    #[test]
    fn hashes_are_argon2id_with_a_salt_each() {
        let (one, two) = (hash_password("secret").expect("a hash"), hash_password("secret").expect("a hash"));
        assert!(one.text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.text());
        assert_ne!(one, two);
        assert!(one.is_of("secret") && two.is_of("secret") && !one.is_of("secreT"));
        // Of the reference implementation, by `argon2 somesalt -t 2 -m 16 -p 1 -l 24` (argon2i).
        let foreign = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA";
        assert!(PasswordHash::parse(foreign).expect("another tool's hash").is_of("password"));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let table = [
            ("secret", "is no argon2 hash"),
            ("", "is no argon2 hash"),
            ("$2b$12$abcdefghijklmnopqrstuv", "is no argon2 hash"),
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", "is missing"),
            (
                "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
                "at most 1048576",
            ),
        ];
        for (text, why) in table {
            let error = PasswordHash::parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(!format!("{:?}", Secret::Plain("s3cret".into())).contains("s3cret"));
        let hash = cheap("s3cret");
        assert!(!format!("{:?}", Secret::Hash(hash.clone())).contains(&hash.text()[20..]));
    }

    /// Where one kind of name cost no hash its answer would come a thousand times faster.
    #[test]
    fn users_that_there_are_not_cost_as_much() {
        let secret = Secret::Hash(hash_password("secret").expect("a hash"));
        let passwords = Passwords::new([("ann".to_owned(), secret), ("bob".to_owned(), Secret::Plain("other".into()))]);
        let cost = |user| passwords.paid_for(user).map(|hash| hash.cost);
        assert!(cost("ann").is_some_and(|cost| cost > 0));
        for user in ["nobody", "bob", ""] {
            assert_eq!(cost(user), cost("ann"), "{user} is told apart by its time");
        }
    }
}
