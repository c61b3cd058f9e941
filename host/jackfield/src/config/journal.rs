//! `[journal]`: where the journal is, if it is in a database.

use journal_sql::{Address, AddressError};

use super::Config;
use super::keys::{Key, Shown, plain, text};
use super::problem::Fault;
use super::raw::Raw;

/// Where the journal is wished to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalWish {
    /// The database; `None` for RocksDB in the data directory.
    pub(crate) url: Option<Address>,
    /// What the names of its tables begin with.
    pub(crate) table_prefix: String,
    /// Missing tables are made.
    pub(crate) create_tables_on_startup: bool,
    /// How long the database may be away.
    pub(crate) outage_ms_max: i64,
}

impl Default for JournalWish {
    fn default() -> JournalWish {
        JournalWish {
            url: None,
            table_prefix: "jackfield_".into(),
            create_tables_on_startup: true,
            outage_ms_max: 600_000,
        }
    }
}

/// Keys of `[journal]`.
pub(super) const JOURNAL: &[Key<Config>] = &[
    Key {
        name: "url",
        doc: "postgres://USER:PASSWORD@HOST/DATABASE, mysql:// or mariadb:// alike, or sqlite:FILE. Several servers with\n\
              commas between them, as in mysql://u:p@a:3306,b:3306/db, are tried in turn. Options behind a question mark:\n\
              sslmode=require, sslmode=verify-full&sslrootcert=FILE (PostgreSQL), ssl-mode=VERIFY_IDENTITY&ssl-ca=FILE\n\
              (MySQL). Left out: RocksDB in the data directory (jdbcPersistenceAdapter dataSource).",
        read: |c, raw| address(raw).map(|url| c.journal.url = Some(url)),
        show: |c| shown(c.journal.url.as_ref(), "\"postgres://broker:secret@db1/activemq\""),
    },
    Key {
        name: "table_prefix",
        doc: "What the names of the tables begin with, the lock's too; brokers with the same one are master and slaves.",
        read: |c, raw| {
            let prefix = raw.name()?;
            let remedy = "write at most 40 small letters, digits and _, such as jackfield_";
            journal_sql::check_prefix(prefix).map_err(|what| Fault::new(what, remedy))?;
            c.journal.table_prefix = prefix.to_owned();
            Ok(())
        },
        show: |c| text(&c.journal.table_prefix),
    },
    Key {
        name: "create_tables_on_startup",
        doc: "Make the tables that are missing (createTablesOnStartup).",
        read: |c, raw| raw.flag().map(|on| c.journal.create_tables_on_startup = on),
        show: |c| plain(c.journal.create_tables_on_startup),
    },
    Key {
        name: "outage_ms_max",
        doc: "How long a database that is away is waited for: receipts wait, nothing is lost or doubled. Then the broker\n\
              ends with exit code 74 (ignoreSQLExceptions, there without end).",
        read: |c, raw| raw.integer(1_000..=86_400_000).map(|ms| c.journal.outage_ms_max = ms),
        show: |c| plain(c.journal.outage_ms_max),
    },
];

/// The URL of a database.
pub(super) fn address(raw: Raw<'_>) -> Result<Address, Fault> {
    Address::parse(raw.name()?).map_err(|error| {
        let remedy = match error {
            AddressError::Scheme => "write postgres://, mysql:// or mariadb:// with host and database, or sqlite:FILE",
            AddressError::NoDatabase => "write it behind the host, as in postgres://user@host/activemq",
            AddressError::Hosts => "name fewer",
            AddressError::Syntax(_) => {
                "write it as postgres://user:password@host:5432/activemq, with %XX for signs such as / and # in a password"
            }
        };
        Fault::new(error.to_string(), remedy)
    })
}

/// A URL without its password.
pub(super) fn shown(address: Option<&Address>, example: &'static str) -> Shown {
    match address {
        Some(address) => text(&address.to_string()),
        None => Shown::Unset(example),
    }
}
