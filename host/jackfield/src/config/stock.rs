//! `[[policy.stock]]`: stock policies under names and with settings of the operator's.

use plugin::native;
use toml::Spanned;

use super::StockPolicy;
use super::component::check_name;
use super::keys::{Key, text};
use super::problem::{Fault, unknown};
use super::read::{Entry, Reader};

/// Keys beside `settings`.
pub(super) const KEYS: &[Key<StockPolicy>] = &[
    Key {
        name: "name",
        doc: "What dispatch_policy calls it.",
        read: |s, raw| check_name(raw).map(|name| s.name = name),
        show: |s| text(&s.name),
    },
    Key {
        name: "policy",
        doc: "Which stock policy it is.",
        read: |s, raw| {
            let policy = raw.name()?;
            if native::twin(policy).is_none() {
                let known: Vec<&str> = native::twins().iter().map(|twin| twin.name).collect();
                return Err(unknown("stock policy", policy, &known));
            }
            s.policy = policy.to_owned();
            Ok(())
        },
        show: |s| text(&s.policy),
    },
];

impl Reader<'_> {
    /// Reads the policies, lets them look at their settings, and makes their names known to `dispatch_policy`.
    pub(super) fn stock_policies<'a>(&mut self, entry: Entry<'a>) -> Vec<StockPolicy> {
        let mut policies = Vec::new();
        for (path, entry) in self.entries(entry, "policy.stock", "[[policy.stock]]") {
            let Some(table) = entry.get_ref().as_table() else {
                let fault = Fault::new("is no section", "write it as [[policy.stock]]");
                self.report(entry.span(), path, true, fault);
                continue;
            };
            let problems_before = self.problem_count();
            let mut policy = StockPolicy { name: String::new(), policy: String::new(), settings: Vec::new() };
            self.keys(&path, table, KEYS, &["settings"], &mut policy);
            if let Some(settings) = table.get("settings") {
                policy.settings = self.settings(&path, settings);
            }
            let name_span = table.get("name").map_or(entry.span(), Spanned::span);
            self.name_policy(&path, name_span, &policy.name, true);
            if self.problem_count() > problems_before {
                continue;
            }
            if policy.name.is_empty() || policy.policy.is_empty() {
                let fault = Fault::new("lacks a name or a policy", "write both");
                self.report(entry.span(), path.trim_end_matches('.').to_owned(), false, fault);
                continue;
            }
            let twin = native::twin(&policy.policy).expect("looked up when the key was read");
            for fault in twin.make(&policy.settings).err().unwrap_or_default() {
                let settings = table.get("settings").and_then(|settings| settings.get_ref().as_table());
                let value = settings.and_then(|settings| settings.get(fault.key.as_str()));
                let span = value.map_or(entry.span(), Spanned::span);
                let key = format!("{path}settings.{}", fault.key);
                self.report(span, key, true, Fault::new(fault.what, fault.remedy));
            }
            policies.push(policy);
        }
        policies
    }
}
