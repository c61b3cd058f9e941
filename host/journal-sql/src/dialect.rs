//! The statements, in the words of each database.

use std::fmt::Write as _;

use crate::address::Kind;
use crate::keys::ID_BYTES;
use crate::plan::Plan;
use crate::script::Proof;

/// A table with its columns, the first of which make its key.
pub(crate) struct Table {
    /// Name without the prefix.
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Column)],
    key_columns: usize,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Number,
    /// Bytes that are part of a key.
    Id,
    Bytes,
    Text,
}

pub(crate) const JOURNAL: Table = Table {
    name: "journal",
    columns: &[
        ("id", Column::Number),
        ("format", Column::Number),
        ("epoch", Column::Number),
        ("appends", Column::Number),
        ("next_sequence", Column::Number),
        ("next_log", Column::Number),
        ("clean_stop", Column::Number),
    ],
    key_columns: 1,
};
pub(crate) const APPENDS: Table = Table {
    name: "appends",
    columns: &[("number", Column::Number), ("epoch", Column::Number), ("value", Column::Bytes)],
    key_columns: 1,
};
pub(crate) const BODIES: Table = Table {
    name: "bodies",
    columns: &[("sequence", Column::Number), ("part", Column::Number), ("value", Column::Bytes)],
    key_columns: 2,
};
pub(crate) const ENTRIES: Table = Table {
    name: "entries",
    columns: &[("log", Column::Number), ("sequence", Column::Number), ("value", Column::Bytes)],
    key_columns: 2,
};
pub(crate) const FACTS: Table = Table {
    name: "facts",
    columns: &[("id", Column::Id), ("part", Column::Number), ("name", Column::Bytes), ("value", Column::Bytes)],
    key_columns: 2,
};
pub(crate) const LOCK: Table = Table {
    name: "lock",
    columns: &[
        ("id", Column::Number),
        ("holder", Column::Text),
        ("until_ms", Column::Number),
        ("proofs", Column::Number),
        ("info", Column::Bytes),
    ],
    key_columns: 1,
};

/// Writes statements for one kind of database and one prefix of table names.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub(crate) kind: Kind,
    pub(crate) prefix: String,
}

impl Dialect {
    pub(crate) fn table(&self, table: &Table) -> String {
        format!("{}{}", self.prefix, table.name)
    }

    pub(crate) fn create(&self, table: &Table) -> String {
        let mut columns = String::new();
        for (name, column) in table.columns {
            let _ = write!(columns, "{name} {} NOT NULL, ", self.column(*column));
        }
        let key: Vec<&str> = table.columns[..table.key_columns].iter().map(|(name, _)| *name).collect();
        let end = match self.kind {
            Kind::MySql => " ENGINE=InnoDB",
            // Rows without large values are kept in the order of their key, and only there.
            Kind::Sqlite if table.name == ENTRIES.name => " WITHOUT ROWID",
            Kind::Postgres | Kind::Sqlite => "",
        };
        format!("CREATE TABLE IF NOT EXISTS {} ({columns}PRIMARY KEY ({})){end}", self.table(table), key.join(", "))
    }

    fn column(&self, column: Column) -> String {
        match (self.kind, column) {
            (_, Column::Number) => "BIGINT".into(),
            (Kind::Postgres, Column::Id | Column::Bytes) => "BYTEA".into(),
            (Kind::Sqlite, Column::Id | Column::Bytes) => "BLOB".into(),
            (Kind::MySql, Column::Id) => format!("VARBINARY({ID_BYTES})"),
            (Kind::MySql, Column::Bytes) => "LONGBLOB".into(),
            (_, Column::Text) => "VARCHAR(255)".into(),
        }
    }

    /// Tables and columns that are there, of those whose names begin as ours do.
    pub(crate) fn columns(&self) -> String {
        let like = format!("'{}%'", self.prefix.replace('_', "!_"));
        match self.kind {
            Kind::Postgres => format!(
                "SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT) FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
                 WHERE n.nspname = current_schema() AND c.relkind <> 'i' AND a.attnum > 0 AND NOT a.attisdropped \
                 AND c.relname LIKE {like} ESCAPE '!'"
            ),
            Kind::MySql => format!(
                "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name LIKE {like} ESCAPE '!'"
            ),
            Kind::Sqlite => format!(
                "SELECT m.name, p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p \
                 WHERE m.type IN ('table', 'view') AND m.name LIKE {like} ESCAPE '!'"
            ),
        }
    }

    /// Bytes that our tables take.
    pub(crate) fn size(&self) -> String {
        let tables =
            [JOURNAL, APPENDS, BODIES, ENTRIES, FACTS].map(|table| format!("'{}'", self.table(&table))).join(", ");
        match self.kind {
            Kind::Postgres => format!(
                "SELECT CAST(COALESCE(SUM(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = current_schema() AND c.relname IN ({tables})"
            ),
            Kind::MySql => format!(
                "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name IN ({tables})"
            ),
            Kind::Sqlite => "SELECT c.page_count * s.page_size FROM pragma_page_count() c, pragma_page_size() s".into(),
        }
    }

    /// The database's own time, ms since 1970, as an expression.
    pub(crate) fn now_ms(&self) -> &'static str {
        match self.kind {
            Kind::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
            Kind::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            Kind::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
        }
    }

    /// What begins a transaction that writes.
    pub(crate) fn begin(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "BEGIN IMMEDIATE",
            Kind::Postgres => "BEGIN",
            Kind::MySql => "START TRANSACTION",
        }
    }

    /// What a new connection is told first. Those that may fail are for some servers of a kind only.
    pub(crate) fn welcome(&self) -> &'static [(&'static str, bool)] {
        match self.kind {
            // A process that is stopped in the middle of a transaction must not hold up others for long.
            Kind::Postgres => {
                &[("SET lock_timeout = '10s'", true), ("SET idle_in_transaction_session_timeout = '2s'", true)]
            }
            Kind::MySql => &[
                ("SET SESSION innodb_lock_wait_timeout = 10", true),
                ("SET SESSION idle_transaction_timeout = 2", true),
                // In a Galera cluster reads see what was committed at other nodes.
                ("SET SESSION wsrep_sync_wait = 1", true),
            ],
            Kind::Sqlite => &[
                ("PRAGMA busy_timeout = 5000", false),
                ("PRAGMA journal_mode = WAL", false),
                ("PRAGMA synchronous = FULL", false),
            ],
        }
    }

    /// `?` or `$1`.
    pub(crate) fn place(&self, number: usize) -> String {
        if self.kind == Kind::Postgres { format!("${number}") } else { "?".into() }
    }

    fn places(&self, from: usize, count: usize) -> String {
        (from..from + count).map(|number| self.place(number)).collect::<Vec<_>>().join(", ")
    }

    /// Bytes, written out.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        let digits = hex::encode(bytes);
        match self.kind {
            // Means the same whatever `standard_conforming_strings` is.
            Kind::Postgres => format!("E'\\\\x{digits}'"),
            Kind::MySql | Kind::Sqlite => format!("X'{digits}'"),
        }
    }

    /// A text, written out; whatever is in it.
    fn text(&self, text: &str) -> String {
        let bytes = self.bytes(text.as_bytes());
        match self.kind {
            Kind::Postgres => format!("convert_from({bytes}, 'UTF8')"),
            Kind::MySql => bytes,
            Kind::Sqlite => format!("CAST({bytes} AS TEXT)"),
        }
    }

    /// Begins a statement that puts rows into a table.
    pub(crate) fn insert(&self, table: &Table) -> String {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        format!("INSERT INTO {} ({}) VALUES ", self.table(table), names.join(", "))
    }

    /// A whole one for one row.
    pub(crate) fn insert_one(&self, table: &Table) -> String {
        format!("{}({})", self.insert(table), self.places(1, table.columns.len()))
    }

    /// Ends one that puts facts, whose values take the place of what was there.
    pub(crate) fn replacing(&self) -> &'static str {
        match self.kind {
            Kind::MySql => " ON DUPLICATE KEY UPDATE value = VALUES(value)",
            Kind::Postgres | Kind::Sqlite => " ON CONFLICT (id, part) DO UPDATE SET value = excluded.value",
        }
    }

    /// What a new table is told after it was made. It may fail: not all servers of a kind know it.
    pub(crate) fn tune(&self, table: &Table) -> Option<String> {
        // To compress what is read once at most is time lost.
        let is_for = self.kind == Kind::Postgres && table.name == APPENDS.name;
        is_for.then(|| format!("ALTER TABLE {} ALTER COLUMN value SET STORAGE EXTERNAL", self.table(table)))
    }

    /// Keeps an append, if its number is not taken yet, and with the lease of this holder.
    pub(crate) fn keep_append(&self, with_lease: bool) -> String {
        if !with_lease {
            return self.insert_one(&APPENDS);
        }
        format!(
            "INSERT INTO {} (number, epoch, value) SELECT {} FROM {} WHERE id = 1 AND holder = {}",
            self.table(&APPENDS),
            self.places(1, 3),
            self.table(&LOCK),
            self.place(4)
        )
    }

    /// Counts appends as settled, if this is still the journal of who settled those before.
    pub(crate) fn count_settled(&self, plan: &Plan, proof: &Proof<'_>) -> String {
        format!(
            "UPDATE {} SET appends = {}, next_sequence = {}, next_log = {}, clean_stop = {} \
             WHERE id = 1 AND epoch = {} AND appends = {}",
            self.table(&JOURNAL),
            proof.to,
            plan.next_sequence,
            plan.next_log,
            u64::from(plan.clean_stop),
            proof.epoch,
            proof.from,
        )
    }

    /// Proves the lease within a transaction.
    pub(crate) fn prove_lease(&self, holder: &str) -> String {
        let (table, holder) = (self.table(&LOCK), self.text(holder));
        format!("UPDATE {table} SET proofs = proofs + 1 WHERE id = 1 AND holder = {holder}")
    }

    pub(crate) fn journal_row(&self) -> String {
        format!(
            "SELECT format, epoch, appends, next_sequence, next_log, clean_stop FROM {} WHERE id = 1",
            self.table(&JOURNAL)
        )
    }

    /// Epoch and settled appends; and epoch and value of an append, -1 and nothing if it is not there.
    pub(crate) fn journal_with_append(&self) -> String {
        format!(
            "SELECT j.epoch, j.appends, COALESCE(a.epoch, -1), a.value FROM {} j LEFT JOIN {} a ON a.number = {} \
             WHERE j.id = 1",
            self.table(&JOURNAL),
            self.table(&APPENDS),
            self.place(1)
        )
    }

    /// Epoch, settled appends, and the last one that is a row.
    pub(crate) fn last_append(&self) -> String {
        format!(
            "SELECT epoch, appends, (SELECT COALESCE(MAX(number), 0) FROM {}) FROM {} WHERE id = 1",
            self.table(&APPENDS),
            self.table(&JOURNAL)
        )
    }

    /// Appends behind a number and before another one.
    pub(crate) fn appends_between(&self) -> String {
        let (table, behind, before) = (self.table(&APPENDS), self.place(1), self.place(2));
        format!("SELECT number, value FROM {table} WHERE number > {behind} AND number < {before} ORDER BY number")
    }

    pub(crate) fn bodies(&self, rows: usize) -> String {
        format!(
            "SELECT sequence, part, value FROM {} WHERE sequence IN ({}) ORDER BY sequence, part",
            self.table(&BODIES),
            self.places(1, rows)
        )
    }

    /// The next entries behind log and sequence and before a log, at most so many.
    pub(crate) fn entries(&self, rows: usize) -> String {
        let behind = match self.kind {
            // Its planner makes no use of the key when rows are compared.
            Kind::MySql => "(log > ? OR (log = ? AND sequence > ?)) AND log < ?".to_owned(),
            Kind::Postgres | Kind::Sqlite => {
                format!("(log, sequence) > ({}, {}) AND log < {}", self.place(1), self.place(2), self.place(3))
            }
        };
        format!(
            "SELECT log, sequence, value FROM {} WHERE {behind} ORDER BY log, sequence LIMIT {rows}",
            self.table(&ENTRIES)
        )
    }

    /// The first entry of a log from a sequence on; -1 for none.
    pub(crate) fn first_entry(&self) -> String {
        let table = self.table(&ENTRIES);
        let (log, from) = (self.place(1), self.place(2));
        format!("SELECT COALESCE(MIN(sequence), -1) FROM {table} WHERE log = {log} AND sequence >= {from}")
    }

    /// All parts of facts from one id to before another.
    pub(crate) fn facts_between(&self, what: &str) -> String {
        format!(
            "SELECT {what} FROM {} WHERE id >= {} AND id < {} ORDER BY id, part",
            self.table(&FACTS),
            self.place(1),
            self.place(2)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(kind: Kind) -> Dialect {
        Dialect { kind, prefix: "jf_".into() }
    }

    #[test]
    fn statements_in_the_words_of_each() {
        let table = [
            (Kind::Postgres, "INSERT INTO jf_bodies (sequence, part, value) VALUES ($1, $2, $3)", "E'\\\\x00ff'"),
            (Kind::MySql, "INSERT INTO jf_bodies (sequence, part, value) VALUES (?, ?, ?)", "X'00ff'"),
            (Kind::Sqlite, "INSERT INTO jf_bodies (sequence, part, value) VALUES (?, ?, ?)", "X'00ff'"),
        ];
        for (kind, insert, bytes) in table {
            assert_eq!((&*dialect(kind).insert_one(&BODIES), &*dialect(kind).bytes(&[0, 255])), (insert, bytes));
        }
        assert_eq!(
            dialect(Kind::MySql).create(&FACTS),
            "CREATE TABLE IF NOT EXISTS jf_facts (id VARBINARY(200) NOT NULL, part BIGINT NOT NULL, name LONGBLOB NOT \
             NULL, value LONGBLOB NOT NULL, PRIMARY KEY (id, part)) ENGINE=InnoDB"
        );
    }
}
