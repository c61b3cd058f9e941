//! Tokens (JWT): signature and times are checked here, with keys of the configuration; policies see the claims.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::AuthError;

/// Algorithms that a key can be for. A token says which it uses; a key of another one is never tried.
pub const ALGORITHMS: [&str; 12] =
    ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
/// Bytes of a token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Claims of one token, those within objects counted one by one.
const CLAIMS_MAX: usize = 256;
/// Objects within objects.
const CLAIMS_DEPTH_MAX: usize = 8;
/// Bytes of a shared secret, as the standard asks for.
const SECRET_BYTES_MIN: usize = 32;

/// What a token is checked with.
#[derive(Clone, Copy)]
pub enum KeyMaterial<'a> {
    /// A secret shared with whoever signs (HS…).
    Secret(&'a [u8]),
    /// The public key of whoever signs, in PEM (RS…, PS…, ES…, EdDSA).
    Pem(&'a [u8]),
}

/// One key, and what tokens signed with it must say.
pub struct TokenKey {
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({:?})", self.algorithm)
    }
}

impl TokenKey {
    /// A key for one of [`ALGORITHMS`]. With an issuer or an audience a token must name it.
    pub fn new(
        algorithm: &str,
        material: KeyMaterial<'_>,
        issuer: Option<&str>,
        audience: Option<&str>,
        leeway_s: u64,
    ) -> Result<TokenKey, AuthError> {
        let name = || algorithm.to_owned();
        let parsed: Algorithm = match ALGORITHMS.contains(&algorithm) {
            true => algorithm.parse().map_err(|_| AuthError::Algorithm { algorithm: name() })?,
            false => return Err(AuthError::Algorithm { algorithm: name() }),
        };
        let unreadable =
            |error: jsonwebtoken::errors::Error| AuthError::Key { algorithm: name(), reason: error.to_string() };
        let key = match (&algorithm[..2], material) {
            ("HS", KeyMaterial::Secret(secret)) if secret.len() < SECRET_BYTES_MIN => {
                return Err(AuthError::ShortSecret { have: secret.len(), need: SECRET_BYTES_MIN });
            }
            ("HS", KeyMaterial::Secret(secret)) => DecodingKey::from_secret(secret),
            ("HS", KeyMaterial::Pem(_)) => {
                return Err(AuthError::WrongKey { algorithm: name(), needs: "a secret" });
            }
            (_, KeyMaterial::Secret(_)) => {
                return Err(AuthError::WrongKey { algorithm: name(), needs: "a public key in a file" });
            }
            ("RS" | "PS", KeyMaterial::Pem(pem)) => DecodingKey::from_rsa_pem(pem).map_err(unreadable)?,
            ("ES", KeyMaterial::Pem(pem)) => DecodingKey::from_ec_pem(pem).map_err(unreadable)?,
            (_, KeyMaterial::Pem(pem)) => DecodingKey::from_ed_pem(pem).map_err(unreadable)?,
        };
        let mut validation = Validation::new(parsed);
        validation.leeway = leeway_s;
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        Ok(TokenKey { algorithm: parsed, key, validation })
    }
}

/// What a good token says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Name and texts of each claim; see [`plugin::auth::Proofs::claims`].
    pub(crate) texts: Vec<(String, Vec<String>)>,
    /// When it ends, the leeway included, ms since 1970.
    pub(crate) until_ms: i64,
}

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It was good once.
    Expired,
    /// Signature, issuer, audience, time, form: never mind which.
    Bad,
}

/// The keys together.
#[derive(Debug, Default)]
pub struct Tokens(Vec<TokenKey>);

impl Tokens {
    /// Accepts tokens signed with one of these keys.
    pub fn new(keys: Vec<TokenKey>) -> Tokens {
        Tokens(keys)
    }

    /// Whether a password is a token, by its form. Without keys nothing is.
    pub(crate) fn claim(&self, password: &str) -> bool {
        !self.0.is_empty() && password.starts_with("eyJ") && password.split('.').count() == 3
    }

    /// What the token says, if one of the keys for its own algorithm signed it and it holds now.
    pub(crate) fn check(&self, token: &str) -> Result<Claims, Flaw> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Flaw::Bad);
        }
        let algorithm = decode_header(token).map_err(|_| Flaw::Bad)?.alg;
        let mut flaw = Flaw::Bad;
        for key in self.0.iter().filter(|key| key.algorithm == algorithm) {
            match decode::<Map<String, Value>>(token, &key.key, &key.validation) {
                Ok(token) => return claims(&token.claims, key.validation.leeway),
                // Times are looked at after the signature, so this is no news to a stranger.
                Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => flaw = Flaw::Expired,
                Err(_) => {}
            }
        }
        Err(flaw)
    }
}

fn claims(object: &Map<String, Value>, leeway_s: u64) -> Result<Claims, Flaw> {
    let mut texts = Vec::new();
    flatten("", object, 0, &mut texts)?;
    let expires_s = object.get("exp").and_then(Value::as_f64).ok_or(Flaw::Bad)?;
    let until_ms = ((expires_s + leeway_s as f64) * 1000.0) as i64;
    Ok(Claims { texts, until_ms })
}

fn flatten(
    path: &str,
    object: &Map<String, Value>,
    depth: usize,
    into: &mut Vec<(String, Vec<String>)>,
) -> Result<(), Flaw> {
    for (name, value) in object {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(_) if depth >= CLAIMS_DEPTH_MAX => return Err(Flaw::Bad),
            Value::Object(inner) => flatten(&path, inner, depth + 1, into)?,
            Value::Array(values) => into.push((path, values.iter().filter_map(text).collect())),
            value => into.push((path, text(value).into_iter().collect())),
        }
        if into.len() > CLAIMS_MAX {
            return Err(Flaw::Bad);
        }
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const OTHER: &[u8] = b"fedcba9876543210fedcba9876543210";
    /// Far from now on either side.
    const FUTURE: i64 = 4_000_000_000;
    const PAST: i64 = 1_000_000_000;

    fn signed(algorithm: Algorithm, secret: &[u8], claims: Value) -> String {
        encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(secret)).expect("a token")
    }

    fn tokens(issuer: Option<&str>, audience: Option<&str>) -> Tokens {
        let key = TokenKey::new("HS256", KeyMaterial::Secret(SECRET), issuer, audience, 0).expect("a key");
        Tokens::new(vec![key])
    }

    #[test]
    fn only_good_tokens_are_believed() {
        let good = json!({ "sub": "ann", "exp": FUTURE });
        let hs256 = |claims| signed(Algorithm::HS256, SECRET, claims);
        let plain = tokens(None, None);
        let strict = tokens(Some("idp"), Some("broker"));
        let named =
            |issuer: &str, audience: &str| json!({ "sub": "ann", "exp": FUTURE, "iss": issuer, "aud": audience });
        let table: Vec<(&str, &Tokens, String, Option<Flaw>)> = vec![
            ("good", &plain, hs256(good.clone()), None),
            ("another key", &plain, signed(Algorithm::HS256, OTHER, good.clone()), Some(Flaw::Bad)),
            ("another algorithm", &plain, signed(Algorithm::HS512, SECRET, good.clone()), Some(Flaw::Bad)),
            ("expired", &plain, hs256(json!({ "sub": "ann", "exp": PAST })), Some(Flaw::Expired)),
            (
                "expired and another key",
                &plain,
                signed(Algorithm::HS256, OTHER, json!({ "sub": "ann", "exp": PAST })),
                Some(Flaw::Bad),
            ),
            ("never expires", &plain, hs256(json!({ "sub": "ann" })), Some(Flaw::Bad)),
            ("not yet", &plain, hs256(json!({ "sub": "ann", "exp": FUTURE, "nbf": FUTURE - 1 })), Some(Flaw::Bad)),
            ("audience not asked for", &plain, hs256(named("idp", "broker")), None),
            ("issuer and audience", &strict, hs256(named("idp", "broker")), None),
            ("wrong issuer", &strict, hs256(named("other", "broker")), Some(Flaw::Bad)),
            ("wrong audience", &strict, hs256(named("idp", "other")), Some(Flaw::Bad)),
            ("no issuer", &strict, hs256(good.clone()), Some(Flaw::Bad)),
            ("no token", &plain, "eyJ.x.y".to_owned(), Some(Flaw::Bad)),
            ("too long", &plain, hs256(json!({ "exp": FUTURE, "x": "x".repeat(20_000) })), Some(Flaw::Bad)),
        ];
        for (what, tokens, token, expected) in table {
            assert_eq!(tokens.check(&token).err(), expected, "{what}");
        }
        // `{"alg":"none"}` and no signature.
        let (_, body) = hs256(good).split_once('.').map(|(h, b)| (h.to_owned(), b.to_owned())).expect("three parts");
        let body = body.split('.').next().unwrap_or_default();
        assert_eq!(plain.check(&format!("eyJhbGciOiJub25lIn0.{body}.")).err(), Some(Flaw::Bad));
    }

    #[test]
    fn claims_are_flat_and_bounded() {
        let token = signed(
            Algorithm::HS256,
            SECRET,
            json!({ "sub": "ann", "exp": FUTURE, "admin": true, "groups": ["a", 7, null],
                    "realm_access": { "roles": ["x"] } }),
        );
        let claims = tokens(None, None).check(&token).expect("a good token");
        let find = |name: &str| claims.texts.iter().find(|(claim, _)| claim == name).map(|(_, texts)| texts.join("|"));
        assert_eq!(find("sub").as_deref(), Some("ann"));
        assert_eq!(find("groups").as_deref(), Some("a|7"));
        assert_eq!(find("realm_access.roles").as_deref(), Some("x"));
        assert_eq!(find("admin").as_deref(), Some("true"));
        assert_eq!(claims.until_ms, FUTURE * 1000);
        let mut deep = json!("x");
        for _ in 0..20 {
            deep = json!({ "a": deep });
        }
        let mut wide = Map::new();
        for at in 0..300 {
            wide.insert(format!("c{at}"), json!(at));
        }
        wide.insert("exp".into(), json!(FUTURE));
        for claims in [json!({ "exp": FUTURE, "deep": deep }), Value::Object(wide)] {
            assert_eq!(tokens(None, None).check(&signed(Algorithm::HS256, SECRET, claims)).err(), Some(Flaw::Bad));
        }
    }

    #[test]
    fn keys_that_do_not_fit_are_refused() {
        let table = [
            ("none", KeyMaterial::Secret(SECRET), "unknown"),
            ("HS257", KeyMaterial::Secret(SECRET), "unknown"),
            ("HS256", KeyMaterial::Secret(b"short"), "at least 32"),
            ("HS256", KeyMaterial::Pem(SECRET), "needs a secret"),
            ("RS256", KeyMaterial::Secret(SECRET), "needs a public key"),
            ("RS256", KeyMaterial::Pem(b"no key"), "cannot be read"),
            ("ES256", KeyMaterial::Pem(b""), "cannot be read"),
        ];
        for (algorithm, material, why) in table {
            let error = TokenKey::new(algorithm, material, None, None, 0).expect_err(algorithm).to_string();
            assert!(error.contains(why), "{algorithm}: {error}");
        }
    }

    #[test]
    fn a_token_is_told_from_a_password_by_its_form() {
        let with = tokens(None, None);
        for (text, expected) in [("eyJa.b.c", true), ("eyJa.b", false), ("secret", false), ("a.b.c", false)] {
            assert_eq!(with.claim(text), expected, "{text}");
            assert!(!Tokens::default().claim(text));
        }
    }
}
