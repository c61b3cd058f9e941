//! The tables: are they ours, may they be made, which version made them.
//!
//! Nothing is touched before all tables that have our names were found to be ours. The journal's row is written last: tables
//! without it are ones whose making was cut short.

use std::collections::{BTreeMap, BTreeSet};

use journal::JournalError;

use crate::dialect::{APPENDS, BODIES, Dialect, ENTRIES, FACTS, JOURNAL, LOCK, Table};
use crate::fault::{Broken, Fault};
use crate::session::{Line, Session, Value, number, text, unsigned};

/// Version of tables and keys. The values in them have versions of their own.
pub(crate) const FORMAT: u64 = 2;
/// The same without a table for appends: all of them are settled.
const FORMAT_WITHOUT_APPENDS: u64 = 1;

/// Sees to it that the tables of the journal are there, and ours.
pub(crate) async fn journal(line: &Line, session: &mut Session, may_create: bool) -> Result<(), Broken> {
    let tables = [JOURNAL, APPENDS, BODIES, ENTRIES, FACTS];
    let missing = check(line, session, &tables, may_create).await?;
    let dialect = &line.dialect;
    if !missing.contains(&JOURNAL.name) {
        if let Some(row) = session.query(&dialect.journal_row(), Vec::new()).await?.first() {
            let found = unsigned(row, 0)?;
            return match found {
                FORMAT if missing.is_empty() => Ok(()),
                FORMAT_WITHOUT_APPENDS if missing.iter().all(|table| *table == APPENDS.name) => {
                    create(session, dialect, &APPENDS).await?;
                    let now = format!("UPDATE {} SET format = {FORMAT} WHERE id = 1", dialect.table(&JOURNAL));
                    session.raw(&now).await?;
                    tracing::info!(
                        "tables {}* in database {} are of format {FORMAT} now",
                        dialect.prefix,
                        line.address
                    );
                    Ok(())
                }
                FORMAT | FORMAT_WITHOUT_APPENDS => Err(Broken::Error(incomplete(line, &missing))),
                0 => Err(Broken::Error(foreign(line, "its version is 0"))),
                _ => {
                    let found = u32::try_from(found).unwrap_or(u32::MAX);
                    Err(Broken::Error(JournalError::Newer { found, known: FORMAT as u32 }))
                }
            };
        }
        for table in tables.iter().filter(|table| !missing.contains(&table.name)) {
            let any = format!("SELECT 1 FROM {} LIMIT 1", dialect.table(table));
            if !session.query(&any, Vec::new()).await?.is_empty() {
                let cause =
                    format!("{} has rows, and {} has no version", dialect.table(table), dialect.table(&JOURNAL));
                return Err(Broken::Error(foreign(line, &cause)));
            }
        }
    }
    for table in &tables {
        create(session, dialect, table).await?;
    }
    let first = [1, FORMAT, 0, 0, 1, 1, 1].map(Value::from).to_vec();
    session.execute(&dialect.insert_one(&JOURNAL), first).await?;
    tracing::info!("tables {}* were made in database {}", dialect.prefix, line.address);
    Ok(())
}

async fn create(session: &mut Session, dialect: &Dialect, table: &Table) -> Result<(), Fault> {
    session.raw(&dialect.create(table)).await?;
    if let Some(statement) = dialect.tune(table) {
        match session.raw(&statement).await {
            Err(Fault::Database(sqlx::Error::Database(said))) => {
                tracing::debug!("a table is left as it is, since the server says: {said}");
            }
            other => other?,
        }
    }
    Ok(())
}

/// The same for the table of the lease.
pub(crate) async fn lock(line: &Line, session: &mut Session, may_create: bool) -> Result<(), Broken> {
    let dialect = &line.dialect;
    if !check(line, session, &[LOCK], may_create).await?.is_empty() {
        session.raw(&dialect.create(&LOCK)).await?;
    }
    let count = format!("SELECT COUNT(*) FROM {} WHERE id = 1", dialect.table(&LOCK));
    let rows = session.query(&count, Vec::new()).await?;
    if rows.first().map_or(Ok(0), |row| number(row, 0))? == 0 {
        let first =
            vec![Value::from(1), Value::Text(String::new()), Value::from(0), Value::from(0), Value::Bytes(Vec::new())];
        match session.execute(&dialect.insert_one(&LOCK), first).await {
            // Another broker was quicker.
            Err(Fault::Database(sqlx::Error::Database(said))) if said.is_unique_violation() => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Which of these tables are missing; an error if one is not ours, or missing and not to be made.
async fn check(
    line: &Line,
    session: &mut Session,
    tables: &[Table],
    may_create: bool,
) -> Result<Vec<&'static str>, Broken> {
    let dialect = &line.dialect;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in session.query(&dialect.columns(), Vec::new()).await? {
        found.entry(text(&row, 0)?.to_lowercase()).or_default().insert(text(&row, 1)?.to_lowercase());
    }
    let mut missing = Vec::new();
    for table in tables {
        let name = dialect.table(table);
        let ours: BTreeSet<String> = table.columns.iter().map(|(column, _)| (*column).to_owned()).collect();
        match found.get(&name) {
            None => missing.push(table.name),
            Some(columns) if *columns == ours => {}
            Some(columns) => {
                let columns = columns.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(Broken::Error(foreign(line, &format!("table {name} has other columns: {columns}"))));
            }
        }
    }
    match missing.first() {
        Some(name) if !may_create => {
            let name = format!("{}{name}", dialect.prefix);
            let cause = format!("table {name} is missing and create_tables_on_startup is false; create it or allow it");
            Err(Broken::Error(JournalError::Io { attempt: "use", place: format!("database {}", line.address), cause }))
        }
        _ => Ok(missing),
    }
}

fn incomplete(line: &Line, missing: &[&str]) -> JournalError {
    let tables: Vec<_> = missing.iter().map(|table| format!("{}{table}", line.dialect.prefix)).collect();
    let (key, cause) = (line.address.to_string(), format!("missing: {}; restore what is missing", tables.join(", ")));
    JournalError::Damaged { what: "database", key, cause }
}

fn foreign(line: &Line, cause: &str) -> JournalError {
    let place = format!("database {} with table prefix {}", line.address, line.dialect.prefix);
    JournalError::Foreign {
        place,
        cause: format!("{cause}, so the tables are another program's; choose another table_prefix"),
    }
}

/// What is wrong with a prefix of table names.
pub fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let is_name = prefix.starts_with(is_letter) && prefix.chars().all(|c| is_letter(c) || c.is_ascii_digit());
    if is_name && prefix.len() <= PREFIX_BYTES_MAX {
        return Ok(());
    }
    Err("is no beginning of a table's name")
}

/// Longest prefix: names of tables have 63 characters at most.
const PREFIX_BYTES_MAX: usize = 40;
