//! What a database's error means for us.

use journal::JournalError;
use sqlx::mysql::MySqlDatabaseError;

use crate::Address;
use crate::address::Kind;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The database or its driver said so.
    #[error("{}", told(.0))]
    Database(#[from] sqlx::Error),
    /// No answer came in time.
    #[error("no answer came for {seconds} s")]
    Late {
        /// How long.
        seconds: u64,
    },
}

/// Why a piece of work ended, where more than the database may be the reason.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The database: it may be tried again, as its verdict says.
    Fault(Fault),
    /// What was found there.
    Error(JournalError),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Broken {
        Broken::Fault(fault)
    }
}

impl From<JournalError> for Broken {
    fn from(error: JournalError) -> Broken {
        Broken::Error(error)
    }
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The database is away, busy with somebody else's transaction or being restarted: it may work later.
    Again,
    /// It has no space.
    Full,
    /// It will not work later either.
    Never,
}

impl Fault {
    pub(crate) fn verdict(&self) -> Verdict {
        let error = match self {
            Fault::Late { .. } => return Verdict::Again,
            Fault::Database(error) => error,
        };
        let sqlx::Error::Database(said) = error else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Verdict::Again,
                _ => Verdict::Never,
            };
        };
        if let Some(said) = said.try_downcast_ref::<MySqlDatabaseError>() {
            return mysql(said.number());
        }
        let code = said.code().unwrap_or_default();
        match code.parse::<u32>() {
            // SQLite's codes are short and have their kind in the lowest byte.
            Ok(code) if code < 100_000 && said.code().is_some_and(|text| text.len() != 5) => sqlite(code & 0xff),
            _ => postgres(&code),
        }
    }

    /// Whether the server is there and says that it may serve later.
    pub(crate) fn is_not_yet(&self) -> bool {
        matches!(self, Fault::Database(sqlx::Error::Database(_))) && self.verdict() == Verdict::Again
    }

    /// What whoever looks after the broker may do about it.
    pub(crate) fn remedy(&self, kind: Kind) -> &'static str {
        let code = match self {
            Fault::Database(sqlx::Error::Database(said)) => said
                .try_downcast_ref::<MySqlDatabaseError>()
                .map_or_else(|| said.code().unwrap_or_default().into_owned(), |said| said.number().to_string()),
            Fault::Database(sqlx::Error::Tls(_)) => {
                return "check the certificate of the server and sslmode in the URL";
            }
            Fault::Database(sqlx::Error::Configuration(_)) => return "correct the URL",
            _ => String::new(),
        };
        match (kind, &*code) {
            (Kind::Postgres, "28P01" | "28000") | (Kind::MySql, "1045") => "check user and password in the URL",
            (Kind::Postgres, "3D000") | (Kind::MySql, "1049") => "create the database, or name another one in the URL",
            (Kind::Postgres, "42501") | (Kind::MySql, "1142" | "1044" | "1143") => {
                "grant the user of the URL the right to create, read and write its tables"
            }
            (Kind::MySql, "1153") => "set max_allowed_packet of the server to 16M or more",
            (Kind::Sqlite, "14") => "check that the directory is there and may be written",
            (Kind::Sqlite, _) => "check the file and who else uses it",
            _ if self.verdict() == Verdict::Full => "make room for the database",
            _ => "check that the server runs, that host and port in the URL are right, and what its log says",
        }
    }

    /// As an error of the journal that this database holds.
    pub(crate) fn to_error(&self, attempt: &'static str, address: &Address) -> JournalError {
        if self.verdict() == Verdict::Full {
            return JournalError::Full { free_bytes: 0, reserve_bytes: 0 };
        }
        JournalError::Io {
            attempt,
            place: format!("database {address}"),
            cause: format!("{self}; {}", self.remedy(address.kind())),
        }
    }
}

fn mysql(number: u16) -> Verdict {
    match number {
        // Too many connections; being shut down; killed; no right to go on at this node of a cluster; waited too long for
        // a lock; deadlock or lost against another node; read only for the moment; a transaction that idled.
        1040 | 1053 | 1317 | 1927 | 1047 | 1205 | 1213 | 1290 | 1836 | 1792 | 4031 => Verdict::Again,
        // Disk full; table full.
        1021 | 1114 => Verdict::Full,
        _ => Verdict::Never,
    }
}

fn sqlite(code: u32) -> Verdict {
    match code {
        // Busy; locked; interrupted.
        5 | 6 | 9 => Verdict::Again,
        13 => Verdict::Full,
        _ => Verdict::Never,
    }
}

fn postgres(code: &str) -> Verdict {
    match code {
        "53100" => Verdict::Full,
        // Serialisation and deadlock; waited too long for a lock; being stopped or started; too many connections; idled in
        // a transaction; a standby of the server that is not yet its master.
        "40001" | "40003" | "40P01" | "55P03" | "57P01" | "57P02" | "57P03" | "53300" | "25P03" | "25006" => {
            Verdict::Again
        }
        _ if code.starts_with("08") => Verdict::Again,
        _ => Verdict::Never,
    }
}

/// The driver's words without what it puts in front.
fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(said) => said.to_string(),
        sqlx::Error::Io(said) => said.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_what_they_mean() {
        for (number, verdict) in
            [(1213, Verdict::Again), (1205, Verdict::Again), (1114, Verdict::Full), (1146, Verdict::Never)]
        {
            assert_eq!(mysql(number), verdict, "{number}");
        }
        let table = [
            ("40001", Verdict::Again),
            ("57P01", Verdict::Again),
            ("08006", Verdict::Again),
            ("53100", Verdict::Full),
            ("42P01", Verdict::Never),
            ("23505", Verdict::Never),
        ];
        for (code, verdict) in table {
            assert_eq!(postgres(code), verdict, "{code}");
        }
        for (code, verdict) in [(5, Verdict::Again), (13, Verdict::Full), (1, Verdict::Never)] {
            assert_eq!(sqlite(code), verdict, "{code}");
        }
        let lost = Fault::Database(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(lost.verdict(), Verdict::Again);
        assert!(lost.remedy(Kind::Postgres).contains("the server runs"));
    }
}
