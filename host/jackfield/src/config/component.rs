//! `[[policy.component]]`: dispatch policies of the operator.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::Component;
use super::keys::{Key, text};
use super::problem::Fault;
use super::read::{Entry, Reader};

/// Keys beside `settings`.
pub(super) const KEYS: &[Key<Component>] = &[
    Key {
        name: "name",
        doc: "What dispatch_policy calls it.",
        read: |c, raw| {
            let name = raw.name()?;
            if name.contains(':') || name.chars().any(char::is_whitespace) {
                return Err(Fault::new("is no name of a policy", "leave out colons and spaces"));
            }
            c.name = name.to_owned();
            Ok(())
        },
        show: |c| text(&c.name),
    },
    Key {
        name: "file",
        doc: "The component. Relative to where the program is started.",
        read: |c, raw| raw.name().map(|file| c.file = PathBuf::from(file)),
        show: |c| text(&c.file.to_string_lossy()),
    },
];

impl Reader<'_> {
    /// Reads the components and makes their names known to `dispatch_policy`.
    pub(super) fn components<'a>(&mut self, entry: Entry<'a>) -> Vec<Component> {
        let mut components: Vec<Component> = Vec::new();
        for (path, entry) in self.entries(entry, "policy.component", "[[policy.component]]") {
            let Some(table) = entry.get_ref().as_table() else {
                let fault = Fault::new("is no section", "write it as [[policy.component]]");
                self.report(entry.span(), path, true, fault);
                continue;
            };
            let problems_before = self.problem_count();
            let mut component = Component { name: String::new(), file: PathBuf::new(), settings: Vec::new() };
            self.keys(&path, table, KEYS, &["settings"], &mut component);
            if let Some(settings) = table.get("settings") {
                component.settings = self.settings(&path, settings);
            }
            if !component.name.is_empty() && self.policies.contains(&component.name) {
                let span = table.get("name").map_or(entry.span(), Spanned::span);
                let fault = Fault::new("another policy has this name", "give the component a name of its own");
                self.report(span, format!("{path}name"), true, fault);
            }
            if !component.name.is_empty() {
                // Known even if the rest is wrong, so that its name is not reported where it is used.
                self.policies.push(component.name.clone());
            }
            if self.problem_count() == problems_before {
                if component.name.is_empty() || component.file.as_os_str().is_empty() {
                    let fault = Fault::new("lacks a name or a file", "write both");
                    self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
                }
                components.push(component);
            }
        }
        components
    }

    /// Settings in the order in which they were written.
    fn settings(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Vec<(String, String)> {
        let path = format!("{path}settings");
        let remedy = "write settings = { name = \"value\" }, values in quotes";
        let Some(table) = value.get_ref().as_table() else {
            self.report(value.span(), path, true, Fault::new("is no table", remedy));
            return Vec::new();
        };
        let mut settings: Vec<_> = table.iter().collect();
        settings.sort_by_key(|(key, _)| key.span().start);
        let mut all = Vec::new();
        for (key, value) in settings {
            match value.get_ref().as_str() {
                Some(text) => all.push((key.get_ref().to_string(), text.to_owned())),
                None => {
                    let fault = Fault::new("is no text", remedy);
                    self.report(value.span(), format!("{path}.{}", key.get_ref()), true, fault);
                }
            }
        }
        all
    }
}
