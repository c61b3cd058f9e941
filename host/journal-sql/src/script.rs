//! What settling does, as statements with their values written out, so that many of them go to the server at once.

use std::fmt::Write as _;

use crate::dialect::{APPENDS, BODIES, Dialect, ENTRIES, FACTS, Table};
use crate::plan::{PART_BYTES, Plan};

/// A script that is longer than that is ended, and the next one begun. A row is at most twice a part longer, so that every
/// script is shorter than what servers take at least.
const SCRIPT_BYTES_MAX: usize = 1 << 20;
/// Most rows of one statement.
pub(crate) const ROWS_MAX: usize = 128;

/// Statements that go to the server together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) text: String,
    /// How many they are.
    statements: usize,
    /// Numbers of those that have to touch one row, or nothing of the whole is to stay.
    proofs: Vec<usize>,
}

impl Script {
    /// Whether this is what a server answers where all is proven.
    pub(crate) fn is_proven(&self, rows_touched: &[u64]) -> bool {
        rows_touched.len() == self.statements && self.proofs.iter().all(|at| rows_touched[*at] == 1)
    }
}

/// Who settles what, which its first and its last statement prove.
pub(crate) struct Proof<'a> {
    pub(crate) epoch: u64,
    /// Appends that are settled before …
    pub(crate) from: u64,
    /// … and afterwards.
    pub(crate) to: u64,
    /// Holder of the lease, where there is one to prove.
    pub(crate) lease: Option<&'a str>,
}

/// Begins a transaction, counts the appends, writes the rows of a plan, removes those of the appends and proves the lease;
/// all but the end of it.
pub(crate) fn settle(dialect: &Dialect, plan: &Plan, kept: &[u64], proof: &Proof<'_>) -> Vec<Script> {
    let mut writer = Writer { dialect, done: Vec::new(), script: Script::default() };
    writer.statement(dialect.begin());
    writer.proof(&dialect.count_settled(plan, proof));
    writer.rows_gone(plan);
    writer.rows_coming(plan);
    // By number, and not from one to another: a server that locks the gaps between them would hold up the next append.
    let appends = format!("DELETE FROM {} WHERE number IN (", dialect.table(&APPENDS));
    writer.list(&appends, kept, |_, number| number.to_string());
    if let Some(holder) = proof.lease {
        writer.proof(&dialect.prove_lease(holder));
    }
    writer.done.push(writer.script);
    writer.done
}

struct Writer<'a> {
    dialect: &'a Dialect,
    done: Vec<Script>,
    script: Script,
}

impl Writer<'_> {
    fn statement(&mut self, text: &str) {
        self.script.text.push_str(text);
        self.end();
    }

    fn proof(&mut self, text: &str) {
        self.script.proofs.push(self.script.statements);
        self.statement(text);
    }

    /// The statement is whole.
    fn end(&mut self) {
        self.script.text.push_str(";\n");
        self.script.statements += 1;
        if self.script.text.len() > SCRIPT_BYTES_MAX {
            self.done.push(std::mem::take(&mut self.script));
        }
    }

    fn rows_gone(&mut self, plan: &Plan) {
        for log in &plan.logs_gone {
            self.statement(&format!("DELETE FROM {} WHERE log = {log}", self.dialect.table(&ENTRIES)));
        }
        for (from, to) in &plan.facts_gone_between {
            let (from, to) = (self.dialect.bytes(from), self.dialect.bytes(to));
            self.statement(&format!("DELETE FROM {} WHERE id >= {from} AND id < {to}", self.dialect.table(&FACTS)));
        }
        let bodies = format!("DELETE FROM {} WHERE sequence IN (", self.dialect.table(&BODIES));
        self.list(&bodies, &plan.bodies_gone, |_, sequence| sequence.to_string());
        // Of one log after the other, as they are sorted: the planner of any server finds them by their key then.
        for of_log in plan.entries_gone.chunk_by(|one, other| one.0 == other.0) {
            let head =
                format!("DELETE FROM {} WHERE log = {} AND sequence IN (", self.dialect.table(&ENTRIES), of_log[0].0);
            self.list(&head, of_log, |_, (_, sequence)| sequence.to_string());
        }
        let facts = format!("DELETE FROM {} WHERE id IN (", self.dialect.table(&FACTS));
        self.list(&facts, &plan.facts_gone, |dialect, id| dialect.bytes(id));
    }

    fn list<T>(&mut self, head: &str, values: &[T], write: impl Fn(&Dialect, &T) -> String) {
        for some in values.chunks(ROWS_MAX) {
            let values: Vec<_> = some.iter().map(|value| write(self.dialect, value)).collect();
            self.statement(&format!("{head}{})", values.join(", ")));
        }
    }

    fn rows_coming(&mut self, plan: &Plan) {
        let dialect = self.dialect;
        let bodies = plan.bodies.iter().flat_map(|(sequence, value)| {
            parts(value).map(move |(part, value)| format!("{sequence}, {part}, {}", dialect.bytes(value)))
        });
        self.insert(&BODIES, "", bodies);
        let entries =
            plan.entries.iter().map(|(log, sequence, value)| format!("{log}, {sequence}, {}", dialect.bytes(value)));
        self.insert(&ENTRIES, "", entries);
        let facts = plan.facts.iter().flat_map(|(id, name, value)| {
            let (id, name) = (dialect.bytes(id), dialect.bytes(name));
            parts(value).map(move |(part, value)| format!("{id}, {part}, {name}, {}", dialect.bytes(value)))
        });
        self.insert(&FACTS, dialect.replacing(), facts);
    }

    /// Statements that put rows into a table, each with this end.
    fn insert(&mut self, table: &Table, end: &str, rows: impl Iterator<Item = String>) {
        let mut waiting = 0;
        for row in rows {
            match waiting {
                0 => self.script.text.push_str(&self.dialect.insert(table)),
                _ => self.script.text.push_str(", "),
            }
            let _ = write!(self.script.text, "({row})");
            waiting += 1;
            if waiting == ROWS_MAX || self.script.text.len() > SCRIPT_BYTES_MAX {
                waiting = 0;
                self.statement(end);
            }
        }
        if waiting > 0 {
            self.statement(end);
        }
    }
}

/// A value in parts; one at least.
fn parts(value: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let count = value.len().div_ceil(PART_BYTES).max(1);
    (0..count).map(move |part| {
        let end = value.len().min((part + 1) * PART_BYTES);
        (part, &value[part * PART_BYTES..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Kind;

    fn scripts(kind: Kind, plan: &Plan, kept: &[u64], lease: Option<&str>) -> Vec<Script> {
        let dialect = Dialect { kind, prefix: "jf_".into() };
        settle(&dialect, plan, kept, &Proof { epoch: 3, from: 8, to: 10, lease })
    }

    #[test]
    fn a_message_that_comes_is_one_script() {
        let mut plan = Plan::default();
        (plan.next_sequence, plan.next_log) = (6, 2);
        plan.bodies = vec![(5, vec![0xab, 1])];
        plan.entries = vec![(1, 5, vec![2])];
        plan.facts = vec![(vec![b'p'], Vec::new(), vec![3])];
        let expected = "\
BEGIN;
UPDATE jf_journal SET appends = 10, next_sequence = 6, next_log = 2, clean_stop = 0 WHERE id = 1 AND epoch = 3 AND appends = 8;
INSERT INTO jf_bodies (sequence, part, value) VALUES (5, 0, E'\\\\xab01');
INSERT INTO jf_entries (log, sequence, value) VALUES (1, 5, E'\\\\x02');
INSERT INTO jf_facts (id, part, name, value) VALUES (E'\\\\x70', 0, E'\\\\x', E'\\\\x03') ON CONFLICT (id, part) DO UPDATE SET value = excluded.value;
DELETE FROM jf_appends WHERE number IN (9, 10);
UPDATE jf_lock SET proofs = proofs + 1 WHERE id = 1 AND holder = convert_from(E'\\\\x6f27', 'UTF8');
";
        let found = scripts(Kind::Postgres, &plan, &[9, 10], Some("o'"));
        assert_eq!(found.iter().map(|script| &*script.text).collect::<Vec<_>>(), [expected]);
        for (touched, is_proven) in [
            ([0, 1, 1, 1, 1, 2, 1].as_slice(), true),
            (&[0, 0, 1, 1, 1, 2, 1], false),
            (&[0, 1, 1, 1, 1, 2, 0], false),
            (&[0, 1, 1, 1, 1, 2], false),
        ] {
            assert_eq!(found[0].is_proven(touched), is_proven, "{touched:?}");
        }
    }

    #[test]
    fn what_goes_is_listed_by_log() {
        let mut plan = Plan::default();
        plan.bodies_gone = (0..ROWS_MAX as u64 + 1).collect();
        plan.entries_gone = vec![(1, 5), (1, 6), (2, 7)];
        let found = scripts(Kind::MySql, &plan, &[], None);
        let lines: Vec<_> = found[0].text.lines().skip(2).collect();
        assert_eq!(
            lines[1..],
            [
                "DELETE FROM jf_bodies WHERE sequence IN (128);",
                "DELETE FROM jf_entries WHERE log = 1 AND sequence IN (5, 6);",
                "DELETE FROM jf_entries WHERE log = 2 AND sequence IN (7);",
            ]
        );
    }

    /// The bound that no server has to be asked to raise, whatever is written.
    #[test]
    fn long_values_are_taken_apart_and_no_script_is_too_long() {
        let long = vec![7; 2 * PART_BYTES + 1];
        let mut plan = Plan::default();
        plan.bodies = (0..3).map(|at| (at, long.clone())).collect();
        let found = scripts(Kind::Sqlite, &plan, &[], None);
        assert!(found.iter().all(|script| script.text.len() < 7 << 19), "longer than 3.5 MiB");
        let rows = found.iter().map(|script| script.text.matches("VALUES").count()).sum::<usize>();
        assert!(found.len() > 3 && (3..=9).contains(&rows), "{} scripts, {rows} statements", found.len());
        for (bytes, expected) in [(0, vec![0]), (PART_BYTES, vec![PART_BYTES]), (PART_BYTES + 1, vec![PART_BYTES, 1])] {
            let value = vec![7; bytes];
            assert_eq!(parts(&value).map(|(_, part)| part.len()).collect::<Vec<_>>(), expected);
        }
    }
}
