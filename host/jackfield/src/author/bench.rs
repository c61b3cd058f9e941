//! What a component costs, beside a native policy.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, bail};
use plugin::native::NativeHost;
use plugin::{Point, PolicyHost};
use plugin_wasmtime::kit::{
    COST_ROWS, Cost, CostMessages, cost, cost_auth, cost_groups, cost_network, cost_routing, cost_topic,
};
use plugin_wasmtime::{Limits, WasmHost, stock_of};

use crate::author::{Judged, folder, judge};
use crate::policies::with_remedy;

/// Consumers or subscriptions of the tables that costs are measured with.
const TABLES: [u32; 3] = [1, 8, 64];
/// Time of a call while it is measured: a busy machine must not hand it to the native policy.
const CALL_MS: u64 = 10_000;
/// What the component is called meanwhile.
const MEASURED: &str = "measured";
/// Where it decides.
const PLACE: &str = "orders";

/// Prints what the component costs, and what a native policy does.
pub(super) fn run(judged: &Judged, beside: Option<&str>, out: &mut impl Write) -> anyhow::Result<()> {
    let (file, bytes) = folder::component(&judged.policy)?;
    let limits = judge::limits(&judged.policy, &judged.limits)?.limits;
    let host = WasmHost::new(Limits { call_ms_max: CALL_MS, ..limits })?;
    let begin = Instant::now();
    let prepared = host.prepare_generation(MEASURED, 1, bytes.clone(), &judged.settings);
    let prepared = prepared.map_err(|error| anyhow::anyhow!(with_remedy(&error)))?;
    let (point, ms) = (prepared.point(), begin.elapsed().as_millis());
    let twin = Twin::of(point, &bytes, &judged.settings, beside)?;
    prepared.grant_passwords();
    host.install(&prepared);
    writeln!(out, "{}: {} bytes of world {}, compiled in {ms} ms", file.display(), bytes.len(), prepared.world())?;
    let what = match point {
        Point::GroupAssignment => "group",
        Point::Auth => "right or message",
        _ => "message",
    };
    writeln!(out, "nanoseconds a {what} at {COST_ROWS:?} of them a call, the best of several runs:")?;
    let mut bench = Bench { host, twin, messages: CostMessages::new(&judged.settings), out };
    match point {
        Point::QueueDispatch => bench.queue(),
        Point::TopicDispatch => bench.topic(),
        Point::GroupAssignment => bench.groups(),
        Point::PublishRouting => bench.routing(),
        Point::NetworkFilter => bench.network(),
        Point::Auth => bench.auth(),
    }
}

/// A native policy with its settings.
struct Twin {
    host: NativeHost,
    name: String,
    settings: Vec<(String, String)>,
}

impl Twin {
    /// The one that is asked for, the one of a stock component with its settings, or the one that is usual.
    fn of(
        point: Point,
        bytes: &[u8],
        settings: &[(String, String)],
        beside: Option<&str>,
    ) -> anyhow::Result<Option<Twin>> {
        let stock = stock_of(point).iter().find(|stock| stock.bytes == bytes);
        let usual = match point {
            Point::QueueDispatch => Some("round-robin"),
            Point::TopicDispatch => Some("strict-order"),
            Point::GroupAssignment => Some("sticky"),
            Point::PublishRouting | Point::NetworkFilter | Point::Auth => None,
        };
        let (name, settings) = match (beside, stock, usual) {
            (Some(name), _, _) if point == Point::Auth => {
                bail!("--beside {name}: the native policies of auth are part of the broker; leave it out")
            }
            (Some(name), _, _) => (name, &[][..]),
            (None, Some(stock), _) => (stock.name, settings),
            (None, None, Some(name)) => (name, &[][..]),
            (None, None, None) => return Ok(None),
        };
        let mut twin = Twin { host: NativeHost::new(), name: name.to_owned(), settings: settings.to_vec() };
        if point == Point::QueueDispatch {
            twin.host.add(MEASURED, name, settings)?;
        }
        twin.check(point).with_context(|| format!("--beside {name}"))?;
        Ok(Some(twin))
    }

    /// Whether it is there and takes its settings.
    fn check(&self, point: Point) -> anyhow::Result<()> {
        match point {
            Point::TopicDispatch => self.host.topic_dispatch(&self.name, PLACE).map(drop)?,
            Point::GroupAssignment => self.host.group_assignment(&self.name, PLACE).map(drop)?,
            Point::PublishRouting => self.host.publish_routing(&self.name, PLACE, &self.settings).map(drop)?,
            Point::NetworkFilter => self.host.network_filter(&self.name, PLACE, &self.settings).map(drop)?,
            Point::QueueDispatch | Point::Auth => {}
        }
        Ok(())
    }
}

struct Bench<'a, W> {
    host: WasmHost,
    twin: Option<Twin>,
    messages: CostMessages,
    out: &'a mut W,
}

impl<W: Write> Bench<'_, W> {
    fn queue(&mut self) -> anyhow::Result<()> {
        for consumers in TABLES {
            let table = format!(", {consumers} consumers");
            let mut policy = self.host.queue_dispatch(MEASURED, PLACE)?;
            self.own(&table, cost(&mut *policy, consumers, false))?;
            if let Some(twin) = &self.twin {
                let mut native = twin.host.queue_dispatch(MEASURED, PLACE)?;
                self.native(&table, cost(&mut *native, consumers, false))?;
            }
        }
        Ok(())
    }

    fn topic(&mut self) -> anyhow::Result<()> {
        for subscriptions in TABLES {
            let table = format!(", {subscriptions} subscriptions");
            let mut policy = self.host.topic_dispatch(MEASURED, PLACE)?;
            self.own(&table, cost_topic(&mut *policy, &self.messages, subscriptions))?;
            if let Some(twin) = &self.twin {
                let mut native = twin.host.topic_dispatch(&twin.name, PLACE)?;
                self.native(&table, cost_topic(&mut *native, &self.messages, subscriptions))?;
            }
        }
        Ok(())
    }

    fn groups(&mut self) -> anyhow::Result<()> {
        for consumers in TABLES {
            let table = format!(", {consumers} consumers");
            let mut policy = self.host.group_assignment(MEASURED, PLACE)?;
            self.own(&table, cost_groups(&mut *policy, consumers))?;
            if let Some(twin) = &self.twin {
                let mut native = twin.host.group_assignment(&twin.name, PLACE)?;
                self.native(&table, cost_groups(&mut *native, consumers))?;
            }
        }
        Ok(())
    }

    fn routing(&mut self) -> anyhow::Result<()> {
        let mut policy = self.host.publish_routing(MEASURED, PLACE, &[])?;
        self.own("", cost_routing(&mut *policy, &self.messages))?;
        if let Some(twin) = &self.twin {
            let mut native = twin.host.publish_routing(&twin.name, PLACE, &twin.settings)?;
            self.native("", cost_routing(&mut *native, &self.messages))?;
        }
        Ok(())
    }

    fn network(&mut self) -> anyhow::Result<()> {
        let mut policy = self.host.network_filter(MEASURED, PLACE, &[])?;
        self.own("", cost_network(&mut *policy, &self.messages))?;
        if let Some(twin) = &self.twin {
            let mut native = twin.host.network_filter(&twin.name, PLACE, &twin.settings)?;
            self.native("", cost_network(&mut *native, &self.messages))?;
        }
        Ok(())
    }

    fn auth(&mut self) -> anyhow::Result<()> {
        let policy = self.host.auth(MEASURED, true)?;
        let measured = cost_auth(&*policy, &self.messages);
        let cost = measured.context("it failed while it was measured; see `test`")?;
        if let Some(rights) = cost.rights {
            self.line("this one, rights", &rights)?;
        }
        if let Some(messages) = cost.messages {
            self.line("this one, messages", &messages)?;
        }
        if let Some(login) = cost.login {
            self.line("this one, a login", &[login])?;
        }
        Ok(())
    }

    fn own(&mut self, table: &str, cost: Option<Cost>) -> anyhow::Result<()> {
        let cost = cost.context("it failed while it was measured; see `test`")?;
        Ok(self.line(&format!("this one{table}"), &cost)?)
    }

    fn native(&mut self, table: &str, cost: Option<Cost>) -> anyhow::Result<()> {
        let name = self.twin.as_ref().map_or("", |twin| &twin.name);
        let name = format!("native {name}{table}");
        Ok(self.line(&name, &cost.context("the native policy failed")?)?)
    }

    fn line(&mut self, name: &str, cost: &[f64]) -> std::io::Result<()> {
        write!(self.out, "{name:40}")?;
        for each in cost {
            write!(self.out, "{each:10.1}")?;
        }
        writeln!(self.out)
    }
}
