//! `jackfield plugin …`: asks the running broker for what is wanted and tells what came of it.

use std::io::Write;

use admin::words::{Changed, Policy};
use anyhow::{Context, anyhow};
use registry::{Bound, Explanation, History, Listed, LogLine, ShadowFindings};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin_client::{AdminClient, Query, escaped};
use crate::cli::{
    Binding, Configure, Deploy, Explain, List, Named, PluginCommand, Promote, Reach, Rollback, Show, Unbinding,
};
use crate::{author, plugin_inspect, plugin_record, plugin_show};

/// Does what is asked for; what is found goes to `out`.
pub(crate) fn run(command: &PluginCommand, out: &mut impl Write) -> anyhow::Result<()> {
    let said = match command {
        PluginCommand::Record(args) => return plugin_record::record(args, out),
        PluginCommand::Author(command) => return author::run(command, out),
        PluginCommand::Inspect(args) => return plugin_inspect::inspect(args, out),
        PluginCommand::Deploy(args) => deploy(args)?,
        PluginCommand::Promote(Promote { name, generation, start_empty, reach }) => {
            let wishes = Query::default().generation(*generation).flag("start_empty", *start_empty);
            turned(name, "decides", post(reach, name, "promote", &wishes)?)?
        }
        PluginCommand::Rollback(Rollback { name, generation, reach }) => {
            let wishes = Query::default().generation(*generation);
            turned(name, "decides again", post(reach, name, "rollback", &wishes)?)?
        }
        PluginCommand::Configure(Configure { name, settings, reach }) => {
            let wishes = Query::default().settings(settings);
            turned(name, "decides", post(reach, name, "configure", &wishes)?)?
        }
        PluginCommand::EndShadow(Named { name, reach }) => {
            turned(name, "looks on no more", post(reach, name, "end-shadow", &Query::default())?)?
        }
        PluginCommand::Remove(Named { name, reach }) => {
            let broker = AdminClient::new(reach)?;
            let _: Changed = broker.ask("DELETE", &format!("/api/v1/plugins/{}", escaped(name)), &[])?;
            format!("{name} is removed")
        }
        PluginCommand::Bind(Binding { name, pattern, point, reach }) => {
            post(reach, name, "bind", &Query::default().with("pattern", pattern).with("point", point.name()))?;
            format!("{name} is bound to {pattern} for {point}")
        }
        PluginCommand::Unbind(Unbinding { pattern, point, reach }) => {
            let wishes = Query::default().with("pattern", pattern).with("point", point.name());
            let broker = AdminClient::new(reach)?;
            let _: Changed = broker.ask("POST", &format!("/api/v1/bindings/unbind{wishes}"), &[])?;
            format!("nothing is bound to {pattern} for {point} any more")
        }
        PluginCommand::List(List { json, reach }) => {
            let broker = AdminClient::new(reach)?;
            let plug_ins: Vec<Listed> = broker.get("/api/v1/plugins")?;
            let bindings: Vec<Bound> = broker.get("/api/v1/bindings")?;
            let policies: Vec<Policy> = broker.get("/api/v1/policies")?;
            match json {
                true => pretty(&serde_json::json!({
                    "plugins": plug_ins, "bindings": bindings, "policies": policies
                }))?,
                false => plugin_show::list(&plug_ins, &bindings, &policies),
            }
        }
        PluginCommand::History(args) => {
            let history: Vec<History> = one(args, "history")?;
            if args.json { pretty(&history)? } else { plugin_show::history(&history) }
        }
        PluginCommand::Shadow(args) => {
            let found: Vec<ShadowFindings> = one(args, "shadow")?;
            if args.json { pretty(&found)? } else { plugin_show::shadow(&found) }
        }
        PluginCommand::Logs(args) => {
            let lines: Vec<LogLine> = one(args, "logs")?;
            if args.json { pretty(&lines)? } else { plugin_show::logs(&lines) }
        }
        PluginCommand::Explain(Explain { destination, json, reach }) => {
            let broker = AdminClient::new(reach)?;
            let explained: Explanation = broker.get(&format!("/api/v1/explain/{}", escaped(destination)))?;
            if *json { pretty(&explained)? } else { plugin_show::explanation(destination, &explained) }
        }
    };
    writeln!(out, "{}", said.trim_matches('\n')).context("cannot print")
}

fn deploy(args: &Deploy) -> anyhow::Result<String> {
    let Deploy { name, file, settings, shadow, start_empty, grants, reach } = args;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let wishes = Query::default().settings(settings).flag("shadow", *shadow).flag("start_empty", *start_empty);
    let wishes = grants.iter().fold(wishes, |wishes, grant| wishes.with("grant", grant));
    let path = format!("/api/v1/plugins/{}/deploy{wishes}", escaped(name));
    turned(name, if *shadow { "looks on" } else { "decides" }, AdminClient::new(reach)?.ask("POST", &path, &bytes)?)
}

fn post(reach: &Reach, name: &str, what: &str, wishes: &Query) -> anyhow::Result<Changed> {
    AdminClient::new(reach)?.ask("POST", &format!("/api/v1/plugins/{}/{what}{wishes}", escaped(name)), &[])
}

fn one<T: DeserializeOwned>(args: &Show, what: &str) -> anyhow::Result<T> {
    AdminClient::new(&args.reach)?.get(&format!("/api/v1/plugins/{}/{what}", escaped(&args.name)))
}

/// What a generation does now, and where it does not.
fn turned(name: &str, what: &str, changed: Changed) -> anyhow::Result<String> {
    let number = changed.generation;
    let number = number.ok_or_else(|| anyhow!("the answer names no generation; is it the same version?"))?;
    let said = format!("generation {number} of {name} {what}");
    Ok(match changed.remarks.as_slice() {
        [] => said,
        remarks => format!("{said}, but\n{}", remarks.join("\n")),
    })
}

fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}
