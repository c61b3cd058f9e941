//! Where a database is: its URL, taken apart and shown without its password.

use std::fmt;

use url::Url;

/// Servers that one URL may name.
const HOSTS_MAX: usize = 16;

/// The language of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL, and what speaks as it does.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// A file of SQLite.
    Sqlite,
}

/// The URL of a database. It never shows its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    kind: Kind,
    /// One for each server, in the order in which they are tried.
    urls: Vec<Url>,
    shown: String,
}

/// What is wrong with a URL, without the URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("names a database of a kind that is not known here")]
    Scheme,
    /// No URL at all.
    #[error("is no URL: {0}")]
    Syntax(String),
    /// No database in it.
    #[error("names no database")]
    NoDatabase,
    /// Too many servers.
    #[error("names more than {HOSTS_MAX} servers")]
    Hosts,
}

impl Address {
    /// Reads `postgres://user:password@host:5432/database`, the same with `postgresql`, `mysql` or `mariadb`, or
    /// `sqlite:file`. A server's URL may name several, with commas between them: `mysql://user@a:3306,b:3306/database`.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let kind = match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("postgres" | "postgresql") => Kind::Postgres,
            Some("mysql" | "mariadb") => Kind::MySql,
            Some("sqlite") => Kind::Sqlite,
            _ => return Err(AddressError::Scheme),
        };
        let syntax = |error: url::ParseError| AddressError::Syntax(error.to_string());
        if kind == Kind::Sqlite {
            let url = Url::parse(text).map_err(syntax)?;
            if url.path().trim_matches('/').is_empty() && url.host_str().is_none() {
                return Err(AddressError::NoDatabase);
            }
            return Ok(Address { kind, shown: text.to_owned(), urls: vec![url] });
        }
        let mut urls = Vec::new();
        for one in each_host(text)? {
            let url = Url::parse(&one).map_err(syntax)?;
            if url.path().trim_matches('/').is_empty() {
                return Err(AddressError::NoDatabase);
            }
            urls.push(url);
        }
        Ok(Address { kind, shown: without_password(text), urls })
    }

    /// Which language it speaks.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// One URL for each server.
    pub(crate) fn urls(&self) -> &[Url] {
        &self.urls
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Start and end of the host part, user and password not included.
fn hosts_of(text: &str) -> Option<(usize, usize)> {
    let start = text.find("://")? + 3;
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    let hosts = text[start..end].rfind('@').map_or(start, |at| start + at + 1);
    Some((hosts, end))
}

fn each_host(text: &str) -> Result<Vec<String>, AddressError> {
    let Some((start, end)) = hosts_of(text) else {
        return Err(AddressError::Syntax("there is no // behind the scheme".into()));
    };
    let hosts: Vec<&str> = text[start..end].split(',').collect();
    if hosts.len() > HOSTS_MAX {
        return Err(AddressError::Hosts);
    }
    Ok(hosts.into_iter().map(|host| format!("{}{host}{}", &text[..start], &text[end..])).collect())
}

/// Takes the password out, and what follows a question mark, where a password may stand too.
fn without_password(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let Some((hosts, _)) = hosts_of(text) else { return String::new() };
    let start = text.find("://").map_or(0, |at| at + 3);
    let user = text[start..hosts].trim_end_matches('@').split(':').next().unwrap_or_default();
    let at = if hosts > start { "@" } else { "" };
    format!("{}{user}{at}{}", &text[..start], &text[hosts..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown_without_their_password() {
        let table = [
            ("postgres://u:secret@h:5432/db?sslmode=require", Kind::Postgres, 1, "postgres://u@h:5432/db"),
            ("postgresql://h/db", Kind::Postgres, 1, "postgresql://h/db"),
            ("mysql://u:sec@ret@a:1,b:2/db", Kind::MySql, 2, "mysql://u@a:1,b:2/db"),
            ("mariadb://u@h/db?password=secret", Kind::MySql, 1, "mariadb://u@h/db"),
            ("sqlite:data/journal.db", Kind::Sqlite, 1, "sqlite:data/journal.db"),
            ("sqlite:///var/lib/j.db?mode=rwc", Kind::Sqlite, 1, "sqlite:///var/lib/j.db?mode=rwc"),
        ];
        for (text, kind, hosts, shown) in table {
            let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((address.kind(), address.urls().len(), address.to_string().as_str()), (kind, hosts, shown));
            assert!(!format!("{address:?}").contains("sec"));
        }
        let several = Address::parse("mysql://u:p@a:1,b:2/db").expect("two servers");
        assert_eq!(several.urls()[1].as_str(), "mysql://u:p@b:2/db");
    }

    #[test]
    fn what_is_no_url_of_a_database_is_told() {
        let table = [
            ("oracle:thin:@h:1521:DB", AddressError::Scheme),
            ("nonsense", AddressError::Scheme),
            ("postgres://h", AddressError::NoDatabase),
            ("mysql://h/", AddressError::NoDatabase),
            ("sqlite:", AddressError::NoDatabase),
        ];
        for (text, error) in table {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
        assert!(matches!(Address::parse("postgres:h/db"), Err(AddressError::Syntax(_))));
        assert!(matches!(Address::parse("postgres://h:port/db"), Err(AddressError::Syntax(_))));
        let many = format!("mysql://{}/db", ["h"; 17].join(","));
        assert_eq!(Address::parse(&many), Err(AddressError::Hosts));
    }
}
