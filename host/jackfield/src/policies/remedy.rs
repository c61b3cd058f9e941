//! What is wrong with a component, with the key of the configuration that would allow it.

use std::fmt::Display;

/// Limits of `plugin-wasmtime` as its errors name them, and their keys.
const KEYS: [(&str, &str); 9] = [
    ("component_bytes_max", "plugins.component_limit"),
    ("modules_max", "plugins.core_modules"),
    ("core_instances_max", "plugins.core_instances"),
    ("functions_max", "plugins.functions"),
    ("branch_targets_max", "plugins.branch_targets"),
    ("table_elements_max", "plugins.table_elements"),
    ("memory_bytes_max", "policy.memory_limit"),
    ("call_ms_max", "policy.deadline_ms"),
    ("recording_bytes_max", "plugins.recording_limit"),
];

/// The error in words, and the key to raise where it names a limit.
pub(crate) fn with_remedy(error: &impl Display) -> String {
    let text = error.to_string();
    match KEYS.into_iter().find(|(limit, _)| text.contains(limit)) {
        Some((_, key)) => format!("{text}; make it smaller, or raise {key}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_limit_is_told_with_its_key() {
        let told = |text: &str| with_remedy(&text);
        assert_eq!(
            told("it has 17 where modules_max is 16"),
            "it has 17 where modules_max is 16; make it smaller, or raise plugins.core_modules"
        );
        assert_eq!(told("it is no component"), "it is no component");
        let file = crate::config::show(&Config::default());
        for (limit, key) in KEYS {
            let (section, name) = key.split_once('.').expect("a section and a name");
            let section = file.split(&format!("[{section}]\n")).nth(1).expect("the section is there");
            let section = section.split("\n[").next().unwrap_or_default();
            assert!(section.contains(&format!("\n{name} = ")), "{limit}: {key}");
        }
    }
}
