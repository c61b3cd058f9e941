//! `[[routing]]`: which policy says where sent messages go.

use plugin::PolicyHost;
use plugin::native::NativeHost;
use toml::Spanned;
use toml::de::DeValue;

use super::Routing;
use super::keys::{Key, text};
use super::problem::{Fault, unknown};
use super::read::{Entry, Reader};
use crate::policies::{NATIVE, names_of};

/// Keys beside `queue`, `topic` and `settings`.
pub(super) const KEYS: &[Key<Routing>] = &[Key {
    name: "policy",
    doc: "\"content-based\", \"header-table\", \"partition-by-key\", \"sampling\", \"wiretap\", the same with \"native:\"\n\
          in front for the twins built into the broker, or the name of a [[policy.component]].",
    read: |r, raw| raw.name().map(|name| r.policy = name.to_owned()),
    show: |r| text(&r.policy),
}];

impl Reader<'_> {
    /// Reads the bindings; names and settings of stock policies are checked here, those of components when they are
    /// made.
    pub(super) fn routings<'a>(&mut self, entry: Entry<'a>) -> Vec<Routing> {
        let mut all: Vec<Routing> = Vec::new();
        for (path, entry) in self.entries(entry, "routing", "[[routing]]") {
            if let Some(routing) = self.routing(&path, entry) {
                if all.iter().any(|other| other.is_queue == routing.is_queue && other.pattern == routing.pattern) {
                    let fault = Fault::new("has the pattern of another one", "leave one of the two out");
                    self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
                    continue;
                }
                all.push(routing);
            }
        }
        all
    }

    fn routing(&mut self, path: &str, entry: &Spanned<DeValue<'_>>) -> Option<Routing> {
        let Some(table) = entry.get_ref().as_table() else {
            self.report(entry.span(), path.into(), true, Fault::new("is no section", "write it as [[routing]]"));
            return None;
        };
        let problems_before = self.problem_count();
        let mut routing =
            Routing { is_queue: true, pattern: String::new(), policy: String::new(), settings: Vec::new() };
        self.keys(path, table, KEYS, &["queue", "topic", "settings"], &mut routing);
        if let Some(settings) = table.get("settings") {
            routing.settings = self.settings(path, settings);
        }
        (routing.is_queue, routing.pattern) = self.pattern(path, entry, table)?;
        let Some(value) = table.get("policy") else {
            let fault = Fault::new("has no policy", "write policy = \"content-based\" or another name");
            self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
            return None;
        };
        if self.problem_count() > problems_before || self.components.contains(&routing.policy) {
            return Some(routing);
        }
        let known = names_of(plugin::Point::PublishRouting);
        if !known.contains(&routing.policy) {
            let known: Vec<&str> = known.iter().chain(&self.components).map(String::as_str).collect();
            let fault = unknown("policy", &routing.policy, &known);
            self.report(value.span(), format!("{path}policy"), true, fault);
            return None;
        }
        let stock = routing.policy.strip_prefix(NATIVE).unwrap_or(&routing.policy);
        if let Err(error) = NativeHost::new().publish_routing(stock, &routing.pattern, &routing.settings) {
            let span = table.get("settings").map_or(entry.span(), Spanned::span);
            let fault = Fault::new(error.to_string(), "see the first lines of the policy for its settings");
            self.report(span, format!("{path}settings"), false, fault);
        }
        Some(routing)
    }
}
