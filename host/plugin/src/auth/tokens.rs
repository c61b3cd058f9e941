//! From the claims of a token to a user with groups.

use super::{Admission, AuthPolicy, Decides, Down, Login, Principal};

/// Most groups that one token may bring.
const GROUPS_MAX: usize = 1000;

/// Which claims mean what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensSettings {
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim that lists the groups; a single text may list them with spaces or commas between.
    pub groups_claim: String,
    /// Put in front of each group, so that what a token says cannot be mistaken for a group of the configuration.
    pub groups_prefix: String,
}

impl Default for TokensSettings {
    fn default() -> TokensSettings {
        TokensSettings { user_claim: "sub".to_owned(), groups_claim: "groups".to_owned(), groups_prefix: String::new() }
    }
}

/// Lets in who brings a token that the host has verified.
#[derive(Debug, Clone, Default)]
pub struct TokenUsers {
    settings: TokensSettings,
}

impl TokenUsers {
    /// The name in a configuration.
    pub const NAME: &'static str = "jwt";
    /// One line for people.
    pub const DESCRIPTION: &'static str = "user and groups from the claims of a verified token";

    /// A policy with these settings.
    pub fn new(settings: TokensSettings) -> TokenUsers {
        TokenUsers { settings }
    }
}

impl AuthPolicy for TokenUsers {
    fn name(&self) -> &str {
        TokenUsers::NAME
    }

    fn decides(&self) -> Decides {
        Decides { logins: true, rights: false, messages: false }
    }

    fn authenticate(&self, login: &Login<'_>, _now_ms: i64) -> Result<Admission, Down> {
        let Some(claims) = login.proofs.claims else { return Ok(Admission::NoOpinion) };
        let texts = |name: &str| {
            claims.iter().find(|(claim, _)| claim == name).map(|(_, texts)| &texts[..]).unwrap_or_default()
        };
        let TokensSettings { user_claim, groups_claim, groups_prefix } = &self.settings;
        let [name] = texts(user_claim) else {
            return Ok(Admission::Deny(format!("the token has no claim {user_claim} of one text")));
        };
        if name.is_empty() {
            return Ok(Admission::Deny(format!("claim {user_claim} of the token is empty")));
        }
        let split = |text: &String| -> Vec<String> {
            text.split([' ', ',']).filter(|group| !group.is_empty()).map(str::to_owned).collect()
        };
        let listed = match texts(groups_claim) {
            [one] => split(one),
            several => several.to_vec(),
        };
        let mut groups: Vec<String> = Vec::new();
        for group in listed.into_iter().filter(|group| !group.is_empty()) {
            let group = format!("{groups_prefix}{group}");
            if !groups.contains(&group) {
                groups.push(group);
            }
            if groups.len() > GROUPS_MAX {
                return Ok(Admission::Deny(format!("claim {groups_claim} lists more than {GROUPS_MAX} groups")));
            }
        }
        let principal = Principal { name: name.clone(), groups };
        // The host cuts it at the token's expiry.
        Ok(Admission::Admit { principal, cache_ms: u64::MAX, until_ms: i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proofs;

    fn ask(settings: TokensSettings, claims: Option<&[(&str, &[&str])]>) -> Admission {
        let claims: Option<Vec<(String, Vec<String>)>> = claims.map(|claims| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            claims.iter().map(|(name, texts)| ((*name).to_owned(), owned(texts))).collect()
        });
        let proofs = Proofs { claims: claims.as_deref(), ..Proofs::default() };
        TokenUsers::new(settings).authenticate(&Login { proofs, ..Login::default() }, 0).expect("native code answers")
    }

    fn who(settings: TokensSettings, claims: &[(&str, &[&str])]) -> Option<String> {
        match ask(settings, Some(claims)) {
            Admission::Admit { principal, .. } => Some(format!("{} {}", principal.name, principal.groups.join("|"))),
            _ => None,
        }
    }

    #[test]
    fn claims_become_user_and_groups() {
        let by_habit = TokensSettings::default;
        assert_eq!(who(by_habit(), &[("sub", &["ann"])]).as_deref(), Some("ann "));
        assert_eq!(who(by_habit(), &[("sub", &["ann"]), ("groups", &["a", "b c", "a"])]).as_deref(), Some("ann a|b c"));
        assert_eq!(who(by_habit(), &[("sub", &["ann"]), ("groups", &["a b,c"])]).as_deref(), Some("ann a|b|c"));
        assert_eq!(who(by_habit(), &[("groups", &["a"])]), None, "no user");
        assert_eq!(who(by_habit(), &[("sub", &[""])]), None);
        assert_eq!(who(by_habit(), &[("sub", &["ann", "bob"])]), None);
        let nested = TokensSettings {
            user_claim: "preferred_username".into(),
            groups_claim: "realm_access.roles".into(),
            groups_prefix: "idp:".into(),
        };
        let claims: &[(&str, &[&str])] =
            &[("sub", &["4711"]), ("preferred_username", &["ann"]), ("realm_access.roles", &["x", "y"])];
        assert_eq!(who(nested, claims).as_deref(), Some("ann idp:x|idp:y"));
        assert_eq!(ask(by_habit(), None), Admission::NoOpinion);
    }
}
