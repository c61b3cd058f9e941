//! `[[policy.component]]`: dispatch policies of the operator.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::Component;
use super::keys::{Key, text};
use super::problem::Fault;
use super::raw::Raw;
use super::read::{Entry, Reader};
use crate::policies::NATIVE;

/// Keys beside `settings`.
pub(super) const KEYS: &[Key<Component>] = &[
    Key {
        name: "name",
        doc: "What dispatch_policy, topic_dispatch_policy, message_group_policy or the policy of a [[routing]] calls it.",
        read: |c, raw| check_name(raw).map(|name| c.name = name),
        show: |c| text(&c.name),
    },
    Key {
        name: "file",
        doc: "The component. Relative to where the program is started.",
        read: |c, raw| raw.name().map(|file| c.file = PathBuf::from(file)),
        show: |c| text(&c.file.to_string_lossy()),
    },
];

/// A name that a policy of the operator may have.
pub(super) fn check_name(raw: Raw<'_>) -> Result<String, Fault> {
    let name = raw.name()?;
    if name.contains([':', '/']) || name.chars().any(char::is_whitespace) {
        return Err(Fault::new("is no name of a policy", "leave out colons, slashes and spaces"));
    }
    Ok(name.to_owned())
}

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
            let name_span = table.get("name").map_or(entry.span(), Spanned::span);
            self.name_policy(&path, name_span, &component.name, false);
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

    /// Makes the name of a policy known, even if the rest of it is wrong: it is not to be reported where it is used. A
    /// stock policy has a native twin of its name.
    pub(super) fn name_policy(&mut self, path: &str, span: Range<usize>, name: &str, has_twin: bool) {
        if name.is_empty() {
            return;
        }
        if self.policies.iter().any(|known| known == name) {
            let fault = Fault::new("another policy has this name", "give it a name of its own");
            self.report(span, format!("{path}name"), true, fault);
        }
        self.policies.push(name.to_owned());
        if has_twin {
            self.policies.push(format!("{NATIVE}{name}"));
        }
    }

    /// Settings in the order in which they were written.
    pub(super) fn settings(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Vec<(String, String)> {
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
