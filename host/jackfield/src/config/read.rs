//! From the text of the file to a [`Config`], or to all that is wrong with it.

use std::ops::Range;

use broker::DestinationSettings;
use plugin::Point;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{DESTINATION, Key, QUEUES_ONLY, SECTIONS};
use super::problem::{Fault, Problem, unknown};
use super::raw::Raw;
use super::{Config, Connector, Destination};

/// Reads the text of a file. `policies` are the names that `dispatch_policy` may have beside those that the file brings.
pub(crate) fn read(source: &str, policies: &[String]) -> Result<Config, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        // A file that is no TOML is read no further: what would be found after the first slip is guesswork.
        return Err(errors.iter().map(|error| syntax_problem(source, error)).collect());
    }
    let mut reader = Reader { source, policies: policies.to_vec(), components: Vec::new(), problems: Vec::new() };
    let mut config = Config::default();
    reader.document(document.get_ref(), &mut config);
    if reader.problems.is_empty() {
        return Ok(config);
    }
    reader.problems.sort_by_key(|problem| problem.line);
    Err(reader.problems)
}

/// Walks over the document and collects what is wrong.
pub(super) struct Reader<'s> {
    source: &'s str,
    /// Names that `dispatch_policy` may have.
    pub(super) policies: Vec<String>,
    /// Names of the components that the file brings.
    pub(super) components: Vec<String>,
    problems: Vec<Problem>,
}

/// A key and its value.
pub(super) type Entry<'a> = (&'a Spanned<std::borrow::Cow<'a, str>>, &'a Spanned<DeValue<'a>>);

impl Reader<'_> {
    fn document<'a>(&mut self, document: &'a DeTable<'a>, config: &mut Config) {
        let mut names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
        names.extend(["default_destination", "destination", "routing", "connector", "security"]);
        // First, since it brings names that the others may use.
        let policy = document.get("policy").and_then(|policy| policy.get_ref().as_table());
        if let Some(entry) = policy.and_then(|policy| policy.get_key_value("stock")) {
            config.stock_policies = self.stock_policies(entry);
        }
        if let Some(entry) = policy.and_then(|policy| policy.get_key_value("component")) {
            config.components = self.components(entry);
            self.components = config.components.iter().map(|component| component.name.clone()).collect();
        }
        for entry @ (key, value) in document {
            match key.get_ref().as_ref() {
                "default_destination" => {
                    let mut settings = config.broker.default_destination.clone();
                    self.section("default_destination", entry, DESTINATION, &[], &mut settings);
                    self.policy(value, "default_destination.", &settings.dispatch_policy);
                    self.other_policies(value, "default_destination.", &settings);
                    config.broker.default_destination = settings;
                }
                "destination" => {
                    for (path, table) in self.entries(entry, "destination", "[[destination]]") {
                        config.destinations.extend(self.destination(&path, table));
                    }
                }
                "routing" => config.routing = self.routings(entry),
                "connector" => self.connectors(entry, config),
                "security" => config.security = self.security(entry),
                name => match SECTIONS.iter().find(|section| section.name == name) {
                    Some(section) => self.section(name, entry, section.keys, section.others, config),
                    None => self.report_key(key, "", unknown("section", name, &names)),
                },
            }
        }
        if let Some(entry) = document.get_key_value("connector") {
            self.connector_certificates(entry, config);
        }
        let lock = document.get("lock");
        for (key, fault) in super::lock::check(config) {
            // A key that is not there is told of where its section begins.
            let section = lock.map_or(0..0, Spanned::span);
            let value = lock.and_then(|lock| lock.get_ref().as_table()).and_then(|table| table.get(key));
            let name = format!("lock.{key}");
            let show_value = value.is_some() && !super::admin::SECRETS.contains(&name.as_str());
            self.report(value.map_or(section, Spanned::span), name, show_value, fault);
        }
        if let Some(table) = document.get("admin").and_then(|admin| admin.get_ref().as_table()) {
            for (key, fault) in super::admin::check(&config.admin) {
                let span = table.get(key).map_or(0..0, Spanned::span);
                let name = format!("admin.{key}");
                let show_value = !super::admin::SECRETS.contains(&name.as_str());
                self.report(span, name, show_value, fault);
            }
        }
    }

    /// Each connector has what its TLS needs; to be called after `[tls]` was read.
    fn connector_certificates(&mut self, entry: Entry<'_>, config: &Config) {
        let Some(array) = entry.1.get_ref().as_array() else { return };
        let tables = array.iter().map(|entry| entry.get_ref().as_table().and_then(|table| table.get("uri")));
        for (index, (uri, connector)) in tables.zip(&config.connectors).enumerate() {
            // One that could not be read was told of already; one without a URI has no place in the list either.
            let Some(uri) = uri else { return };
            if uri.get_ref().as_str() != Some(&connector.uri) {
                continue;
            }
            for fault in super::tls::check(connector, &config.tls) {
                self.report(uri.span(), format!("connector[{}].uri", index + 1), true, fault);
            }
        }
    }

    /// Reads a section by its table of keys.
    fn section<T>(&mut self, name: &str, (_, value): Entry<'_>, keys: &[Key<T>], others: &[&str], into: &mut T) {
        match Raw(value.get_ref()).table() {
            Ok(table) => self.keys(&format!("{name}."), table, keys, others, into),
            Err(fault) => self.report(value.span(), name.to_owned(), true, fault),
        }
    }

    /// Reads the keys of a table; `others` are read by the caller.
    pub(super) fn keys<T>(&mut self, path: &str, table: &DeTable<'_>, keys: &[Key<T>], others: &[&str], into: &mut T) {
        self.keys_shown(path, table, keys, others, into, true);
    }

    /// The same where a value may be a secret: messages name keys only.
    pub(super) fn keys_hidden<T>(&mut self, path: &str, table: &DeTable<'_>, keys: &[Key<T>], into: &mut T) {
        self.keys_shown(path, table, keys, &[], into, false);
    }

    fn keys_shown<T>(
        &mut self,
        path: &str,
        table: &DeTable<'_>,
        keys: &[Key<T>],
        others: &[&str],
        into: &mut T,
        show_values: bool,
    ) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let Some(known) = keys.iter().find(|known| known.name == name) {
                if let Err(fault) = (known.read)(into, Raw(value.get_ref())) {
                    let key = format!("{path}{name}");
                    let show_value = show_values && !super::admin::SECRETS.contains(&key.as_str());
                    self.report(value.span(), key, show_value, fault);
                }
            } else if !others.contains(&name) {
                let mut known = others.to_vec();
                known.extend(keys.iter().map(|known| known.name));
                self.report_key(key, path, unknown("key", name, &known));
            }
        }
    }

    /// The tables of an array of tables, each with its path.
    pub(super) fn entries<'a>(
        &mut self,
        (key, value): Entry<'a>,
        name: &str,
        header: &str,
    ) -> Vec<(String, &'a Spanned<DeValue<'a>>)> {
        let Some(array) = value.get_ref().as_array() else {
            let fault = Fault::new("is no list of sections", format!("write {header} in double brackets"));
            self.report(key.span(), name.to_owned(), false, fault);
            return Vec::new();
        };
        array.iter().enumerate().map(|(index, entry)| (format!("{name}[{}].", index + 1), entry)).collect()
    }

    fn destination(&mut self, path: &str, entry: &Spanned<DeValue<'_>>) -> Option<Destination> {
        let Some(table) = entry.get_ref().as_table() else {
            self.report(entry.span(), path.into(), true, Fault::new("is no section", "write it as [[destination]]"));
            return None;
        };
        let problems_before = self.problem_count();
        let mut settings = DestinationSettings::default();
        self.keys(path, table, DESTINATION, &["queue", "topic"], &mut settings);
        if let Some(value) = table.get("dispatch_policy") {
            self.policy(value, path, &settings.dispatch_policy);
            if table.contains_key("topic") {
                let fault =
                    Fault::new("a topic has no dispatch policy", "leave it out: each subscriber gets each message");
                self.report(value.span(), format!("{path}dispatch_policy"), true, fault);
            }
        }
        if table.contains_key("topic") {
            for name in QUEUES_ONLY.iter().filter(|name| **name != "dispatch_policy") {
                if let Some(value) = table.get(*name) {
                    let fault = Fault::new("is for queues only", "leave it out: each subscriber gets each message");
                    self.report(value.span(), format!("{path}{name}"), true, fault);
                }
            }
        }
        self.other_policies(entry, path, &settings);
        if let (Some(value), true) = (table.get("topic_dispatch_policy"), table.contains_key("queue")) {
            let fault = Fault::new("a queue has no topic dispatch policy", "write dispatch_policy for queues");
            self.report(value.span(), format!("{path}topic_dispatch_policy"), true, fault);
        }
        let (is_queue, pattern) = self.pattern(path, entry, table)?;
        (self.problem_count() == problems_before).then_some(Destination { is_queue, pattern, settings })
    }

    /// What `queue` or `topic` of a section names; one of them must be there.
    pub(super) fn pattern(
        &mut self,
        path: &str,
        entry: &Spanned<DeValue<'_>>,
        table: &DeTable<'_>,
    ) -> Option<(bool, String)> {
        let is_queue = table.contains_key("queue");
        let value = match (table.get("queue"), table.get("topic")) {
            (Some(value), None) | (None, Some(value)) => value,
            (both, _) => {
                let what = if both.is_some() { "has both queue and topic" } else { "says neither queue nor topic" };
                let fault = Fault::new(what, "write one of queue = \"ORDERS.>\" and topic = \"PRICES.*\"");
                self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
                return None;
            }
        };
        let name = Raw(value.get_ref()).name().and_then(|name| {
            let remedy =
                "write a name such as ORDERS.>, without queue:// and commas; * stands for one part, > for the rest";
            message::Destination::queue(name.to_owned())
                .check()
                .map_err(|error| Fault::new(error.to_string(), remedy))?;
            if name.contains("://") || name.contains(',') {
                return Err(Fault::new("is no pattern", remedy));
            }
            Ok(name.to_owned())
        });
        match name {
            Ok(name) => Some((is_queue, name)),
            Err(fault) => {
                let key = if is_queue { "queue" } else { "topic" };
                self.report(value.span(), format!("{path}{key}"), true, fault);
                None
            }
        }
    }

    /// Checks the name of a dispatch policy against those that there are.
    fn policy(&mut self, value: &Spanned<DeValue<'_>>, path: &str, policy: &str) {
        if !self.policies.iter().any(|known| known == policy) {
            let value = value.get_ref().get("dispatch_policy").unwrap_or(value);
            let known: Vec<&str> = self.policies.iter().map(String::as_str).collect();
            let fault = unknown("policy", policy, &known);
            self.report(value.span(), format!("{path}dispatch_policy"), true, fault);
        }
    }

    /// The same for the policies of other extension points.
    fn other_policies(&mut self, value: &Spanned<DeValue<'_>>, path: &str, settings: &DestinationSettings) {
        let (topic, group) = (settings.topic_dispatch_policy.as_deref(), Some(&*settings.message_group_policy));
        let named = [
            ("topic_dispatch_policy", "policy", Point::TopicDispatch, topic),
            ("message_group_policy", "group policy", Point::GroupAssignment, group),
        ];
        for (key, what, point, policy) in named {
            let Some(policy) = policy else { continue };
            let known = crate::policies::names_of(point);
            if !known.iter().chain(&self.components).any(|known| known == policy) {
                let value = value.get_ref().get(key).unwrap_or(value);
                let known: Vec<&str> = known.iter().chain(&self.components).map(String::as_str).collect();
                let fault = unknown(what, policy, &known);
                self.report(value.span(), format!("{path}{key}"), true, fault);
            }
        }
    }

    fn connectors<'a>(&mut self, entry: Entry<'a>, config: &mut Config) {
        let mut connectors: Vec<Connector> = Vec::new();
        for (path, entry) in self.entries(entry, "connector", "[[connector]]") {
            let Some(table) = entry.get_ref().as_table() else {
                let fault = Fault::new("is no section", "write it as [[connector]]");
                self.report(entry.span(), path, true, fault);
                continue;
            };
            let Some(uri) = table.get("uri") else {
                let fault = Fault::new("has no uri", "add one, such as uri = \"tcp://0.0.0.0:61616\"");
                self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
                continue;
            };
            let parsed = Raw(uri.get_ref()).name().map_err(Vec::from).and_then(|text| Connector::parse("", text));
            let readable = parsed.is_ok();
            let mut connector = parsed.unwrap_or_else(|faults| {
                for fault in faults {
                    self.report(uri.span(), format!("{path}uri"), true, fault);
                }
                Connector::parse("", "tcp://127.0.0.1:0").expect("a correct URI")
            });
            self.keys(&path, table, super::connector::KEYS, &["uri"], &mut connector);
            if connector.name.is_empty() {
                connector.name = connector.name_by_habit(&connectors);
            }
            if connectors.iter().any(|other| other.name == connector.name) {
                let span = table.get("name").map_or(entry.span(), Spanned::span);
                let fault = Fault::new("two connectors have this name", "give each connector a name of its own");
                self.report(span, format!("{path}name"), true, fault);
            }
            let same =
                |other: &&Connector| other.port != 0 && (&other.host, other.port) == (&connector.host, connector.port);
            if readable && let Some(other) = connectors.iter().find(same) {
                let what = format!("connector {} listens there already", other.name);
                self.report(uri.span(), format!("{path}uri"), true, Fault::new(what, "choose another port"));
            }
            connectors.push(connector);
        }
        config.connectors = connectors;
    }

    fn report_key(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, path: &str, fault: Fault) {
        self.report(key.span(), format!("{path}{}", key.get_ref()), false, fault);
    }

    /// Problems found so far.
    pub(super) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// Notes what is wrong with the value at `span`; `show_value` is false for secrets and where the value is a section.
    pub(super) fn report(&mut self, span: Range<usize>, key: String, show_value: bool, fault: Fault) {
        let value = show_value.then(|| excerpt(self.source, &span));
        self.problems.push(Problem { line: Some(line(self.source, span.start)), key, value, fault });
    }
}

fn syntax_problem(source: &str, error: &toml::de::Error) -> Problem {
    let fault = Fault::new(format!("is no TOML: {}", error.message()), "compare the line with examples/jackfield.toml");
    Problem {
        line: error.span().map(|span| line(source, span.start)),
        key: error.span().map_or_else(String::new, |span| whole_line(source, span.start)),
        value: None,
        fault,
    }
}

fn line(source: &str, offset: usize) -> usize {
    1 + source.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn whole_line(source: &str, offset: usize) -> String {
    let text = source.lines().nth(line(source, offset) - 1).unwrap_or_default().trim();
    text.chars().take(VALUE_CHARS_MAX).collect()
}

/// Characters of a value that a message shows.
const VALUE_CHARS_MAX: usize = 120;

/// The text of a value as it stands in the file, on one line and not too long.
fn excerpt(source: &str, span: &Range<usize>) -> String {
    let text = source.get(span.clone()).unwrap_or_default();
    let mut all = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = all.char_indices().nth(VALUE_CHARS_MAX) {
        all.truncate(end);
        all.push('…');
    }
    all
}
