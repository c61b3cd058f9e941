//! `[security]`: who may log in, and what they may do.

use std::path::PathBuf;

use auth::{ALGORITHMS, KeyMaterial, PasswordHash, Secret, TokenKey};
use plugin::auth::{Place, Rule, TokensSettings};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Shown, list, plain, text};
use super::problem::{Fault, unknown};
use super::raw::Raw;
use super::read::{Entry, Reader};

/// Who may log in, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Security {
    /// Users with their passwords.
    pub(crate) users: Vec<User>,
    /// Clients that give neither name nor password come in.
    pub(crate) anonymous_access: bool,
    /// Who those are.
    pub(crate) anonymous_user: String,
    /// Their groups.
    pub(crate) anonymous_groups: Vec<String>,
    /// The broker says who sent a message.
    pub(crate) populate_user_id: bool,
    /// By the name that the login was decided for, not the one that the client gave.
    pub(crate) user_id_of_principal: bool,
    /// Claims of tokens.
    pub(crate) claims: TokensSettings,
    /// Keys of tokens.
    pub(crate) tokens: Vec<Token>,
    /// Users by the subject of their certificates.
    pub(crate) certificates: Vec<Certificate>,
    /// Rights of groups.
    pub(crate) authorization: Vec<Rule>,
    /// Who is asked, in order: [`NATIVE`] stands for all of the above, other names for components.
    pub(crate) policies: Vec<String>,
    /// Those of them that see passwords.
    pub(crate) show_passwords: Vec<String>,
    /// How long after its time a decision holds while its policy does not answer.
    pub(crate) last_known_good_ms: i64,
}

/// In `policies`: what the broker itself decides by users, tokens, certificates and rights.
pub(crate) const NATIVE: &str = "native";

impl Default for Security {
    fn default() -> Security {
        Security {
            users: Vec::new(),
            anonymous_access: false,
            anonymous_user: "anonymous".to_owned(),
            anonymous_groups: vec!["anonymous".to_owned()],
            populate_user_id: false,
            user_id_of_principal: false,
            claims: TokensSettings::default(),
            tokens: Vec::new(),
            certificates: Vec::new(),
            authorization: Vec::new(),
            policies: vec![NATIVE.to_owned()],
            show_passwords: Vec::new(),
            last_known_good_ms: 0,
        }
    }
}

impl Security {
    /// Whether anybody has to say who they are. If nobody does, everybody comes in and may do everything.
    pub(crate) fn is_on(&self) -> bool {
        let Security { users, anonymous_access, tokens, certificates, .. } = self;
        let is_named = !users.is_empty() || !tokens.is_empty() || !certificates.is_empty();
        *anonymous_access || is_named || self.components().next().is_some()
    }

    /// The components that have a say.
    pub(crate) fn components(&self) -> impl Iterator<Item = &String> {
        self.policies.iter().filter(|name| *name != NATIVE)
    }

    /// Whether a password stands in the file as it is.
    pub(crate) fn has_plain_passwords(&self) -> bool {
        self.users.iter().any(|user| matches!(user.secret, Secret::Plain(_)))
    }
}

/// Somebody who may log in with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: String,
    /// What the password is compared with.
    pub(crate) secret: Secret,
    /// The groups that rights are given to.
    pub(crate) groups: Vec<String>,
}

/// A key that tokens are checked with.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Token {
    /// The algorithm.
    pub(crate) algorithm: String,
    /// The shared secret, for HS….
    pub(crate) secret: Option<String>,
    /// The file with the public key, for the others.
    pub(crate) file: Option<PathBuf>,
    /// Who must have issued the token.
    pub(crate) issuer: Option<String>,
    /// Whom the token must be for.
    pub(crate) audience: Option<String>,
    /// How far clocks may be apart.
    pub(crate) leeway_s: u64,
}

/// Shows no secret: a configuration may reach a log.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Token { algorithm, file, issuer, audience, .. } = self;
        write!(f, "Token {{ {algorithm}, {file:?}, {issuer:?}, {audience:?} }}")
    }
}

impl Token {
    /// The key itself; `pem` is what the file holds.
    pub(crate) fn key(&self, pem: &[u8]) -> Result<TokenKey, auth::AuthError> {
        let material = match &self.secret {
            Some(secret) => KeyMaterial::Secret(secret.as_bytes()),
            None => KeyMaterial::Pem(pem),
        };
        TokenKey::new(&self.algorithm, material, self.issuer.as_deref(), self.audience.as_deref(), self.leeway_s)
    }
}

/// Somebody who may log in with a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Certificate {
    /// Subject of the certificate.
    pub(crate) subject: String,
    /// Who that is.
    pub(crate) user: String,
    /// With which groups.
    pub(crate) groups: Vec<String>,
}

/// Keys of `[security]` beside the lists.
pub(super) const KEYS: &[Key<Security>] = &[
    Key {
        name: "anonymous_access",
        doc: "Lets clients in that give neither name nor password (anonymousAccessAllowed).",
        read: |s, raw| raw.flag().map(|on| s.anonymous_access = on),
        show: |s| plain(s.anonymous_access),
    },
    Key {
        name: "anonymous_user",
        doc: "Who those are (anonymousUser).",
        read: |s, raw| raw.name().map(|name| s.anonymous_user = name.to_owned()),
        show: |s| text(&s.anonymous_user),
    },
    Key {
        name: "anonymous_groups",
        doc: "And their groups (anonymousGroup).",
        read: |s, raw| raw.names().map(|names| s.anonymous_groups = names),
        show: |s| list(&s.anonymous_groups),
    },
    Key {
        name: "populate_jmsx_user_id",
        doc: "The broker writes the sender's user name into each message; what the client wrote there is dropped\n\
              (populateJMSXUserID).",
        read: |s, raw| raw.flag().map(|on| s.populate_user_id = on),
        show: |s| plain(s.populate_user_id),
    },
    Key {
        name: "use_authenticated_principal_for_jmsx_user_id",
        doc: "Takes the name that the login was decided for: a token's or certificate's user, or anonymous_user\n\
              (useAuthenticatedPrincipalForJMSXUserID).",
        read: |s, raw| raw.flag().map(|on| s.user_id_of_principal = on),
        show: |s| plain(s.user_id_of_principal),
    },
    Key {
        name: "policies",
        doc: "Who is asked, in order: \"native\" is the users, tokens, certificates and rights below, any other name is a\n\
              component of the world auth-policy, a [[policy.component]]. The first that has an opinion on a login or a right\n\
              decides; a message must please all that look at messages. The rights below have an opinion on everything.\n\
              `jackfield plugin bind NAME before.1 --point auth` has further ones asked before them on the running broker,\n\
              behind.1 behind them; those that are named here no command removes.",
        read: |s, raw| raw.names().map(|names| s.policies = names),
        show: |s| list(&s.policies),
    },
    Key {
        name: "show_passwords",
        doc: "Those of the components that are given passwords; one that asks for them without is refused. A plug-in that is\n\
              deployed gets them by --grant passwords.",
        read: |s, raw| raw.names().map(|names| s.show_passwords = names),
        show: |s| list(&s.show_passwords),
    },
    Key {
        name: "last_known_good_ms",
        doc: "A component that fails refuses everybody (0). With a time here, what it decided before holds on for so long\n\
              beyond its time: for the same credentials, or the same user, wish and destination.",
        read: |s, raw| raw.integer(0..=86_400_000).map(|ms| s.last_known_good_ms = ms),
        show: |s| plain(s.last_known_good_ms),
    },
    Key {
        name: "jwt_user_claim",
        doc: "Claim of a token that names the user; a claim within another one by its path: \"a.b\".",
        read: |s, raw| raw.name().map(|name| s.claims.user_claim = name.to_owned()),
        show: |s| text(&s.claims.user_claim),
    },
    Key {
        name: "jwt_groups_claim",
        doc: "Claim of a token that lists the user's groups.",
        read: |s, raw| raw.name().map(|name| s.claims.groups_claim = name.to_owned()),
        show: |s| text(&s.claims.groups_claim),
    },
    Key {
        name: "jwt_groups_prefix",
        doc: "Put in front of each of those groups.",
        read: |s, raw| raw.text().map(|prefix| s.claims.groups_prefix = prefix.to_owned()),
        show: |s| text(&s.claims.groups_prefix),
    },
];

/// The lists.
pub(super) const LISTS: [&str; 4] = ["users", "jwt", "certificate", "authorization"];

/// One of `users` while it is read.
#[derive(Default)]
struct Draft {
    name: String,
    password: Option<String>,
    hash: Option<PasswordHash>,
    groups: Vec<String>,
}

const USER: &[Key<Draft>] = &[
    Key {
        name: "name",
        doc: "",
        read: |u, raw| raw.name().map(|name| u.name = name.to_owned()),
        show: |_| Shown::Unset(""),
    },
    Key {
        name: "password",
        doc: "",
        read: |u, raw| raw.name().map(|password| u.password = Some(password.to_owned())),
        show: |_| Shown::Unset(""),
    },
    Key {
        name: "password_hash",
        doc: "",
        read: |u, raw| {
            let remedy = "make one with `jackfield password`";
            let hash = PasswordHash::parse(raw.name()?).map_err(|error| Fault::new(error.to_string(), remedy))?;
            u.hash = Some(hash);
            Ok(())
        },
        show: |_| Shown::Unset(""),
    },
    Key {
        name: "groups",
        doc: "",
        read: |u, raw| raw.names().map(|names| u.groups = names),
        show: |_| Shown::Unset(""),
    },
];

/// Keys of each `[[security.jwt]]`. `secret` is never shown.
pub(super) const TOKEN: &[Key<Token>] = &[
    Key {
        name: "algorithm",
        doc: "How tokens of this key are signed: HS256, RS256, PS256, ES256 (256, 384, 512; ES no 512), EdDSA.",
        read: |t, raw| {
            let name = raw.name()?;
            if !ALGORITHMS.contains(&name) {
                return Err(unknown("algorithm", name, &ALGORITHMS));
            }
            t.algorithm = name.to_owned();
            Ok(())
        },
        show: |t| text(&t.algorithm),
    },
    Key {
        name: "secret",
        doc: "HS…: the secret shared with whoever signs, at least 32 bytes.",
        read: |t, raw| raw.name().map(|secret| t.secret = Some(secret.to_owned())),
        show: |t| match t.secret {
            Some(_) => text("(not shown, but at least 32 bytes long)"),
            None => Shown::Unset("\"…\""),
        },
    },
    Key {
        name: "file",
        doc: "The others: file with the public key in PEM.",
        read: |t, raw| raw.name().map(|file| t.file = Some(PathBuf::from(file))),
        show: |t| match &t.file {
            Some(file) => text(&file.to_string_lossy()),
            None => Shown::Unset("\"…\""),
        },
    },
    Key {
        name: "issuer",
        doc: "Who must have issued the token (claim iss).",
        read: |t, raw| raw.name().map(|issuer| t.issuer = Some(issuer.to_owned())),
        show: |t| t.issuer.as_deref().map_or(Shown::Unset("\"…\""), text),
    },
    Key {
        name: "audience",
        doc: "Whom the token must be for (claim aud).",
        read: |t, raw| raw.name().map(|audience| t.audience = Some(audience.to_owned())),
        show: |t| t.audience.as_deref().map_or(Shown::Unset("\"…\""), text),
    },
    Key {
        name: "leeway_seconds",
        doc: "How far the clocks may be apart (0).",
        read: |t, raw| raw.integer(0..=3600).map(|seconds| t.leeway_s = seconds.unsigned_abs()),
        show: |t| plain(t.leeway_s),
    },
];

/// Keys of each `[[security.certificate]]`.
pub(super) const CERTIFICATE: &[Key<Certificate>] = &[
    Key {
        name: "subject",
        doc: "Subject of a client certificate that the connector has verified.",
        read: |c, raw| raw.name().map(|subject| c.subject = subject.to_owned()),
        show: |c| text(&c.subject),
    },
    Key {
        name: "user",
        doc: "Who that is.",
        read: |c, raw| raw.name().map(|user| c.user = user.to_owned()),
        show: |c| text(&c.user),
    },
    Key {
        name: "groups",
        doc: "With which groups.",
        read: |c, raw| raw.names().map(|names| c.groups = names),
        show: |c| list(&c.groups),
    },
];

/// Keys of each `[[security.authorization]]` beside its place.
pub(super) const RULE: &[Key<Rule>] = &[
    Key {
        name: "read",
        doc: "Groups that may consume and browse; \"*\" for everybody who has logged in.",
        read: |r, raw| raw.names().map(|names| r.read = names),
        show: |r| list(&r.read),
    },
    Key {
        name: "write",
        doc: "Groups that may send.",
        read: |r, raw| raw.names().map(|names| r.write = names),
        show: |r| list(&r.write),
    },
    Key {
        name: "admin",
        doc: "Groups that may make and remove it, by first use too.",
        read: |r, raw| raw.names().map(|names| r.admin = names),
        show: |r| list(&r.admin),
    },
];

/// What a rule may be about.
const PLACES: [&str; 4] = ["queue", "topic", "temporary", "default"];
const PLACE_REMEDY: &str =
    "write one of queue = \"ORDERS.>\", topic = \"PRICES.>\", temporary = true and default = true";

impl Reader<'_> {
    pub(super) fn security(&mut self, (_, value): Entry<'_>) -> Security {
        let mut security = Security::default();
        let table = match Raw(value.get_ref()).table() {
            Ok(table) => table,
            Err(fault) => {
                self.report(value.span(), "security".to_owned(), true, fault);
                return security;
            }
        };
        self.keys("security.", table, KEYS, &LISTS, &mut security);
        if let Some(users) = table.get("users") {
            security.users = self.users(users);
        }
        if let Some(entry) = table.get_key_value("jwt") {
            security.tokens = self.tokens(entry);
        }
        if let Some(entry) = table.get_key_value("certificate") {
            security.certificates = self.certificates(entry);
        }
        if let Some(entry) = table.get_key_value("authorization") {
            security.authorization = self.authorization(entry);
            let is_alone = security.components().next().is_none();
            if !security.authorization.is_empty()
                && is_alone
                && !LISTS[..3].iter().any(|list| table.contains_key(*list))
            {
                let fault = Fault::new(
                    "gives rights, but nobody has to log in, so nobody is asked",
                    "name users, or set anonymous_access = true",
                );
                if !security.anonymous_access {
                    self.report(entry.0.span(), "security.authorization".to_owned(), false, fault);
                }
            }
        }
        self.auth_policies(table, &security);
        security
    }

    /// The names in `policies` and `show_passwords` are those of components that there are, and what only the native
    /// policies read has them among them.
    fn auth_policies(&mut self, table: &DeTable<'_>, security: &Security) {
        let mut faults: Vec<(&str, Fault)> = Vec::new();
        let known: Vec<&str> = self.components.iter().map(String::as_str).collect();
        for (at, name) in security.policies.iter().enumerate() {
            if name != NATIVE && !known.contains(&name.as_str()) {
                let known: Vec<&str> = [NATIVE].into_iter().chain(known.iter().copied()).collect();
                faults.push(("policies", unknown("policy", name, &known)));
            }
            if security.policies[..at].contains(name) {
                faults.push(("policies", Fault::new(format!("names {name} twice"), "name each once")));
            }
        }
        if security.policies.is_empty() {
            faults
                .push(("policies", Fault::new("names nobody", "write policies = [\"native\"] or a component's name")));
        }
        for name in &security.show_passwords {
            if !known.contains(&name.as_str()) {
                let fault = Fault::new(
                    format!("{name} is no [[policy.component]]"),
                    "leave it out; a plug-in that is deployed gets them by --grant passwords",
                );
                faults.push(("show_passwords", fault));
            }
        }
        if !security.policies.iter().any(|name| name == NATIVE) {
            for key in ["authorization", "certificate", "anonymous_access"] {
                let fault =
                    Fault::new("is read by the native policies, which policies leaves out", "name \"native\" there");
                if table.contains_key(key) {
                    faults.push((key, fault));
                }
            }
        }
        for (key, fault) in faults {
            let span = table.get(key).map_or(0..0, Spanned::span);
            self.report(span, format!("security.{key}"), false, fault);
        }
    }

    /// Values are kept out of all messages: they may be passwords.
    fn users(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<User> {
        let remedy = "write users = [{ name = \"orders\", password_hash = \"…\", groups = [\"users\"] }]";
        let mut users: Vec<User> = Vec::new();
        let Some(array) = value.get_ref().as_array() else {
            self.report(value.span(), "security.users".to_owned(), false, Fault::new("is no list", remedy));
            return users;
        };
        for (index, entry) in array.iter().enumerate() {
            let path = format!("security.users[{}]", index + 1);
            let Some(table) = entry.get_ref().as_table() else {
                self.report(entry.span(), path, false, Fault::new("is no user", remedy));
                continue;
            };
            let problems_before = self.problem_count();
            let mut draft = Draft::default();
            self.keys_hidden(&format!("{path}."), table, USER, &mut draft);
            if self.problem_count() > problems_before {
                continue;
            }
            let Draft { name, password, hash, groups } = draft;
            let secret = match (password, hash) {
                (Some(password), None) => Secret::Plain(password),
                (None, Some(hash)) => Secret::Hash(hash),
                (Some(_), Some(_)) => {
                    let fault = Fault::new("has a password and a password_hash", "keep the hash");
                    self.report(entry.span(), path, false, fault);
                    continue;
                }
                (None, None) => {
                    self.report(entry.span(), path, false, Fault::new("lacks a name or a password", remedy));
                    continue;
                }
            };
            if name.is_empty() {
                self.report(entry.span(), path, false, Fault::new("lacks a name or a password", remedy));
            } else if users.iter().any(|other| other.name == name) {
                let what = format!("user {name} is there twice");
                self.report(entry.span(), path, false, Fault::new(what, "keep one of them"));
            } else {
                users.push(User { name, secret, groups });
            }
        }
        users
    }

    fn tokens(&mut self, entry: Entry<'_>) -> Vec<Token> {
        let mut tokens = Vec::new();
        for (path, entry) in self.entries(entry, "security.jwt", "[[security.jwt]]") {
            let Some((table, before)) = self.table_of(entry, &path, "[[security.jwt]]") else { continue };
            let mut token = Token::default();
            self.keys_hidden(&path, table, TOKEN, &mut token);
            if self.problem_count() > before {
                continue;
            }
            let remedy = "write algorithm and secret for HS256 to HS512, algorithm and file for the others";
            let fault = match (&token.secret, &token.file) {
                _ if token.algorithm.is_empty() => Some(Fault::new("has no algorithm", remedy)),
                (Some(_), Some(_)) => Some(Fault::new("has both secret and file", remedy)),
                (None, None) => Some(Fault::new("has neither secret nor file", remedy)),
                (Some(_), None) => token.key(&[]).err().map(|error| Fault::new(error.to_string(), remedy)),
                (None, Some(_)) if token.algorithm.starts_with("HS") => {
                    Some(Fault::new(format!("algorithm {} needs a secret", token.algorithm), remedy))
                }
                (None, Some(_)) => None,
            };
            match fault {
                Some(fault) => self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault),
                None => tokens.push(token),
            }
        }
        tokens
    }

    fn certificates(&mut self, entry: Entry<'_>) -> Vec<Certificate> {
        let mut certificates: Vec<Certificate> = Vec::new();
        for (path, entry) in self.entries(entry, "security.certificate", "[[security.certificate]]") {
            let Some((table, before)) = self.table_of(entry, &path, "[[security.certificate]]") else { continue };
            let mut certificate = Certificate::default();
            self.keys(&path, table, CERTIFICATE, &[], &mut certificate);
            if self.problem_count() > before {
                continue;
            }
            let fault = match () {
                () if certificate.subject.is_empty() || certificate.user.is_empty() => {
                    Some(Fault::new("lacks a subject or a user", "write both"))
                }
                () if certificates.iter().any(|other| other.subject == certificate.subject) => {
                    Some(Fault::new("another entry has this subject", "keep one of them"))
                }
                () => None,
            };
            match fault {
                Some(fault) => self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault),
                None => certificates.push(certificate),
            }
        }
        certificates
    }

    fn authorization(&mut self, entry: Entry<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (path, entry) in self.entries(entry, "security.authorization", "[[security.authorization]]") {
            let Some((table, before)) = self.table_of(entry, &path, "[[security.authorization]]") else { continue };
            let mut rule = Rule { place: Place::Default, read: vec![], write: vec![], admin: vec![] };
            self.keys(&path, table, RULE, &PLACES, &mut rule);
            let said: Vec<_> = PLACES.iter().filter_map(|place| Some((*place, table.get(*place)?))).collect();
            match said[..] {
                [(place, value)] => match rule_place(place, Raw(value.get_ref())) {
                    Ok(place) => rule.place = place,
                    Err(fault) => self.report(value.span(), format!("{path}{place}"), true, fault),
                },
                _ => {
                    let what = if said.is_empty() { "says not what it is about" } else { "is about several things" };
                    let fault = Fault::new(what, PLACE_REMEDY);
                    self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
                }
            }
            if self.problem_count() == before {
                rules.push(rule);
            }
        }
        rules
    }

    fn table_of<'a>(
        &mut self,
        entry: &'a Spanned<DeValue<'a>>,
        path: &str,
        header: &str,
    ) -> Option<(&'a DeTable<'a>, usize)> {
        let before = self.problem_count();
        if entry.get_ref().as_table().is_none() {
            let fault = Fault::new("is no section", format!("write it as {header}"));
            self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
        }
        Some((entry.get_ref().as_table()?, before))
    }
}

fn rule_place(place: &str, raw: Raw<'_>) -> Result<Place, Fault> {
    if let "temporary" | "default" = place {
        return match raw.flag()? {
            true if place == "temporary" => Ok(Place::Temporary),
            true => Ok(Place::Default),
            false => Err(Fault::new("is no place", PLACE_REMEDY)),
        };
    }
    let name = raw.name()?;
    message::Destination::queue(name.to_owned())
        .check()
        .map_err(|error| Fault::new(error.to_string(), PLACE_REMEDY))?;
    if name.contains("://") || name.contains(',') {
        return Err(Fault::new("is no pattern", "write a name such as ORDERS.>, without queue:// and commas"));
    }
    Ok(if place == "queue" { Place::Queue(name.to_owned()) } else { Place::Topic(name.to_owned()) })
}
