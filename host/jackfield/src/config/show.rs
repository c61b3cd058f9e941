//! A [`Config`] as the file that would give it, each key with a comment. With the defaults this is
//! `examples/jackfield.toml`.

use std::fmt::Write;

use plugin::native;

use super::keys::{DESTINATION, Key, SECTIONS, Shown, text};
use super::{Config, component, connector, stock};

const HEAD: &str = "\
# Jackfield, a message broker. Every key is shown with its value; a key that is left out has its default.
# `jackfield config check` finds the mistakes in a file, `jackfield config show` prints this for yours.
# Sizes: \"32mb\", \"1gb\", \"100 gb\", or a number of bytes. Names ending in _ms are milliseconds.
# In parentheses: what ActiveMQ calls it.
";

const CONNECTOR: &str = "
# Ports that clients connect to. Those given here take the place of the two below.
# uri: as ActiveMQ writes it. Schemes tcp and nio speak OpenWire, stomp and stomp+nio speak STOMP.
#   Port 0 lets the system choose one. 0.0.0.0 listens on all addresses: have users in [security] then.
#   Options of all: maximumConnections=10000, backlog=5000, wireFormat.maxFrameSize=104857600,
#     transport.connectAttemptTimeout=30000
#   Options of OpenWire: wireFormat.maxInactivityDuration=30000, wireFormat.maxInactivityDurationInitalDelay=10000
#   Options of STOMP: wireFormat.maxDataLength=104857600, transport.hbGracePeriodMultiplier=1.0
#   Example: tcp://0.0.0.0:61616?maximumConnections=1000&wireFormat.maxFrameSize=10485760
";

const STOCK_POLICIES: &str = "
# Stock policies with settings of your own, for dispatch_policy to name. Without settings they go by their own names:
";

const STOCK_POLICY_EXAMPLE: &str = "\
#
# [[policy.stock]]
# name = \"big-consumers-first\"
# policy = \"weighted\"
# settings = { weights = \"big-*=5, ID:small-*=1\" }
";

const COMPONENTS: &str = "
# Dispatch policies of your own: WebAssembly components, for dispatch_policy to name.
# settings: what the component is told when it is made; which ones it knows is its author's choice.
";

const COMPONENT_EXAMPLE: &str = "\
#
# [[policy.component]]
# name = \"by-region\"
# file = \"by-region.wasm\"
# settings = { home = \"north\" }
";

const DEFAULT_DESTINATION: &str = "
# For queues and topics that no [[destination]] below matches.
";

const DESTINATIONS: &str = "
# Settings for the queues or topics of a pattern: * stands for one part of the name, > for all that follow.
# The most specific pattern wins. Entries are not merged: a key that is left out has the program's default,
# not that of [default_destination]. The keys are those of [default_destination].
#
# [[destination]]
# queue = \"ORDERS.>\"
# dispatch_policy = \"least-in-flight\"
# dead_letter_queue = \"ORDERS-DLQ\"
";

const SECURITY: &str = "
# Who may log in. An empty list lets everybody in, with and without a name.
# Passwords stand here as they are: let nobody but the broker read this file.
[security]
# users = [{ name = \"orders\", password = \"…\" }]
";

/// The file that gives this configuration. Passwords are not shown.
pub(crate) fn show(config: &Config) -> String {
    let mut out = String::from(HEAD);
    for section in SECTIONS {
        push(&mut out, format_args!("\n# {}\n[{}]\n", section.doc, section.name));
        keys(&mut out, section.keys, config, true);
        match section.name {
            "broker" => connectors(&mut out, config),
            "policy" => {
                stock_policies(&mut out, config);
                components(&mut out, config);
            }
            _ => {}
        }
    }
    destinations(&mut out, config);
    security(&mut out, config);
    out
}

fn connectors(out: &mut String, config: &Config) {
    out.push_str(CONNECTOR);
    for key in connector::KEYS {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    for connector in &config.connectors {
        push(out, format_args!("[[connector]]\n"));
        if let Shown::Value(uri) = text(&connector.uri) {
            push(out, format_args!("uri = {uri}\n"));
        }
        keys(out, connector::KEYS, connector, false);
    }
    if config.connectors.is_empty() {
        out.push_str("connector = []\n");
    }
}

fn stock_policies(out: &mut String, config: &Config) {
    out.push_str(STOCK_POLICIES);
    for twin in native::twins() {
        comment(out, &format!("- {}: {}", twin.name, twin.description));
        for setting in twin.settings {
            let default = if setting.default.is_empty() { "none" } else { setting.default };
            comment(out, &format!("    {} ({default}): {}", setting.key, setting.meaning));
        }
    }
    comment(out, "settings: Values in quotes.");
    for key in stock::KEYS {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    out.push_str(STOCK_POLICY_EXAMPLE);
    for of in &config.stock_policies {
        out.push_str("[[policy.stock]]\n");
        keys(out, stock::KEYS, of, false);
        settings(out, &of.settings);
    }
}

fn components(out: &mut String, config: &Config) {
    out.push_str(COMPONENTS);
    for key in component::KEYS {
        comment(out, &format!("{}: {}", key.name, key.doc));
    }
    out.push_str(COMPONENT_EXAMPLE);
    for of in &config.components {
        out.push_str("[[policy.component]]\n");
        keys(out, component::KEYS, of, false);
        settings(out, &of.settings);
    }
}

fn settings(out: &mut String, settings: &[(String, String)]) {
    let settings = settings.iter().filter_map(|(name, value)| match (text(name), text(value)) {
        (Shown::Value(name), Shown::Value(value)) => Some(format!("{name} = {value}")),
        _ => None,
    });
    push(out, format_args!("settings = {{ {} }}\n", settings.collect::<Vec<_>>().join(", ")));
}

fn destinations(out: &mut String, config: &Config) {
    out.push_str(DEFAULT_DESTINATION);
    out.push_str("[default_destination]\n");
    keys(out, DESTINATION, &config.broker.default_destination, true);
    out.push_str(DESTINATIONS);
    for policy in &config.destinations {
        let kind = if policy.is_queue { "queue" } else { "topic" };
        let Shown::Value(pattern) = text(&policy.pattern) else { continue };
        push(out, format_args!("[[destination]]\n{kind} = {pattern}\n"));
        for key in DESTINATION.iter().filter(|key| policy.is_queue || key.name != "dispatch_policy") {
            one(out, key, &policy.settings);
        }
    }
}

fn security(out: &mut String, config: &Config) {
    out.push_str(SECURITY);
    if config.users.is_empty() {
        out.push_str("users = []\n");
        return;
    }
    out.push_str("users = [\n");
    for user in &config.users {
        if let Shown::Value(name) = text(&user.name) {
            push(out, format_args!("    {{ name = {name}, password = \"(not shown)\" }},\n"));
        }
    }
    out.push_str("]\n");
}

fn keys<T>(out: &mut String, keys: &[Key<T>], of: &T, with_comments: bool) {
    for key in keys {
        if with_comments {
            comment(out, key.doc);
        }
        one(out, key, of);
    }
}

fn one<T>(out: &mut String, key: &Key<T>, of: &T) {
    match (key.show)(of) {
        Shown::Value(value) => push(out, format_args!("{} = {value}\n", key.name)),
        Shown::Unset(example) => push(out, format_args!("# {} = {example}\n", key.name)),
    }
}

fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        push(out, format_args!("# {line}\n"));
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all text");
}
