//! Publish routing: before a message is stored, the policy that its destination is bound to says where it goes.
//!
//! The question comes after the audit against repeated sends and before anything is stored. A send outside of a
//! transaction is asked about when it comes in, those of a transaction when it commits: a policy sees what really
//! happens, in its order, and a commit asks by batches. All copies are stored in the step of the send, so they become
//! durable together.
//!
//! A message that was sent on may be bound again at its new place. It ends: each binding is asked once at most on one
//! way, `routing_hops_max` bounds the way and `routing_targets_max` the copies.

use std::sync::Arc;

use message::{Destination, DestinationKind, Message, Pattern, Refusal, RefusalKind, Text, Value};
use plugin::{Columns, Messages, Point, PolicyHost, PolicyStats, PublishRouting, RouteCheck, Scalar, Verdict};

use crate::acknowledge::dead_letter_of;
use crate::broker::Broker;
use crate::retired::Retired;
use crate::{Config, Routing};

/// Bytes of a reason that a policy gives for a rejection or a dead letter.
const REASON_BYTES_MAX: usize = 1_024;

/// The bindings of publish routing.
#[derive(Default)]
pub(crate) struct Routes {
    rules: Vec<Rule>,
    verdicts: Vec<Verdict>,
}

struct Rule {
    is_queue: bool,
    pattern: Pattern,
    name: String,
    policy: Box<dyn PublishRouting>,
    /// Bound on the running broker, not by the configuration.
    is_bound: bool,
    stats: RoutingStats,
}

/// What became of the messages of one binding, rising since the start of the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoutingStats {
    /// Messages that went where they were sent, and nowhere else.
    pub as_addressed: u64,
    /// Messages that went elsewhere.
    pub replaced: u64,
    /// Messages that went elsewhere as well.
    pub added: u64,
    /// Messages that went nowhere.
    pub dropped: u64,
    /// Messages whose producers were refused.
    pub rejected: u64,
    /// Messages that became dead letters.
    pub dead_lettered: u64,
    /// Answers that had to be corrected.
    pub corrected: u64,
    /// Targets left out because one message had `routing_targets_max` of them.
    pub targets_cut: u64,
    /// Messages not asked about because they had passed `routing_hops_max` bindings, or this one before.
    pub hops_cut: u64,
}

/// One binding as it stands.
#[derive(Debug)]
pub struct RoutingReport {
    /// The pattern with its scheme.
    pub pattern: String,
    /// Name of the policy.
    pub policy: String,
    /// What became of the messages.
    pub routing: RoutingStats,
    /// The policy's own counters.
    pub stats: PolicyStats,
}

/// A place where a copy of a message ends up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    At(Destination),
    /// As a dead letter of this destination, for this reason.
    Dead(Destination, String),
}

/// Where a message is on its way through the bindings.
struct Leg {
    /// Index of the message.
    message: usize,
    at: Destination,
    /// Bindings asked on this way.
    passed: Vec<usize>,
}

impl Routes {
    /// The policies of the configuration's bindings, and how many could not be had; messages of those go as addressed.
    pub(crate) fn new(config: &Config, policies: &dyn PolicyHost) -> (Routes, u64) {
        let mut routes = Routes::default();
        let add = |binding: &Routing| routes.add(binding, policies, false);
        let refused = config.routing.iter().map(add).filter(|added| !added).count() as u64;
        (routes, refused)
    }

    /// Other policies may be bound on the running broker than before. A rule that stays notices nothing. Tells how many
    /// policies could not be had.
    fn rebind(&mut self, policies: &dyn PolicyHost, retired: &mut Retired) -> u64 {
        let (mut bound, of_file): (Vec<Rule>, Vec<Rule>) = self.rules.drain(..).partition(|rule| rule.is_bound);
        self.rules = of_file;
        let mut refused = 0;
        for (pattern, policy) in policies.bindings(Point::PublishRouting) {
            let Destination { kind, name } = target_of(&pattern);
            let (is_queue, pattern) = (kind.is_queue(), Pattern::new(name));
            let is_same =
                |rule: &Rule| rule.is_queue == is_queue && rule.pattern.text() == pattern.text() && rule.name == policy;
            match bound.iter().position(is_same) {
                Some(at) => self.rules.push(bound.swap_remove(at)),
                None => {
                    let binding = Routing { is_queue, pattern, policy, settings: Vec::new() };
                    refused += u64::from(!self.add(&binding, policies, true));
                }
            }
        }
        for gone in bound {
            retired.policy(Point::PublishRouting, Some(gone.name.into()), Some(gone.policy.stats()));
        }
        refused
    }

    fn add(&mut self, binding: &Routing, policies: &dyn PolicyHost, is_bound: bool) -> bool {
        let Routing { is_queue, pattern, policy: name, settings } = binding;
        let kind = if *is_queue { DestinationKind::Queue } else { DestinationKind::Topic };
        let place = Destination { kind, name: pattern.text().clone() }.to_string();
        let Ok(policy) = policies.publish_routing(name, &place, settings) else { return false };
        let (is_queue, pattern, name) = (*is_queue, pattern.clone(), name.clone());
        self.rules.push(Rule { is_queue, pattern, name, policy, is_bound, stats: RoutingStats::default() });
        true
    }

    /// Whether no message is ever asked about.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The most specific binding of a destination; of two for the same pattern the one made on the running broker.
    /// Temporary destinations and advisories are the broker's own affair.
    fn rule_of(&self, destination: &Destination) -> Option<usize> {
        if destination.kind.is_temporary() || destination.is_advisory() {
            return None;
        }
        let is_queue = destination.kind.is_queue();
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.is_queue == is_queue && rule.pattern.matches(&destination.name))
            .max_by_key(|(_, rule)| rule.pattern.specificity())
            .map(|(index, _)| index)
    }
}

/// What becomes of the messages of one question, message by message.
struct Journey<'a> {
    messages: &'a [Arc<Message>],
    stops: Vec<Vec<Stop>>,
    legs: Vec<Leg>,
}

impl Broker {
    /// Other policies may be bound than before.
    pub(crate) fn rebind_routes(&mut self) {
        self.stats.policies_refused += self.routes.rebind(&*self.policies, &mut self.retired);
    }

    /// Where each message goes in the end; `None` for one that is bound to no policy. A rejection refuses them all.
    pub(crate) fn itineraries(&mut self, messages: &[Arc<Message>]) -> Result<Vec<Option<Vec<Stop>>>, Refusal> {
        let mut journey = Journey { messages, stops: Vec::new(), legs: Vec::new() };
        let mut bound = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let parts = message.destination.components();
            bound.push(parts.iter().any(|part| self.routes.rule_of(part).is_some()));
            journey.stops.push(Vec::new());
            if bound[index] {
                journey.legs.extend(parts.into_iter().map(|at| Leg { message: index, at, passed: Vec::new() }));
            }
        }
        // Out of the machine while its policies are asked and the machine judges their targets.
        let mut routes = std::mem::take(&mut self.routes);
        let mut outcome = Ok(());
        while !journey.legs.is_empty() && outcome.is_ok() {
            outcome = self.next_legs(&mut routes, &mut journey);
        }
        self.routes = routes;
        outcome?;
        Ok(journey.stops.into_iter().zip(bound).map(|(stops, bound)| bound.then_some(stops)).collect())
    }

    /// Asks each binding about the messages that stand at its door.
    fn next_legs(&self, routes: &mut Routes, journey: &mut Journey<'_>) -> Result<(), Refusal> {
        let mut doors: Vec<Vec<Leg>> = routes.rules.iter().map(|_| Vec::new()).collect();
        for leg in std::mem::take(&mut journey.legs) {
            match routes.rule_of(&leg.at) {
                None => journey.arrive(leg.message, Stop::At(leg.at)),
                Some(rule) if leg.passed.len() >= self.config.routing_hops_max || leg.passed.contains(&rule) => {
                    routes.rules[rule].stats.hops_cut += 1;
                    journey.arrive(leg.message, Stop::At(leg.at));
                }
                Some(rule) => doors[rule].push(leg),
            }
        }
        for (index, legs) in doors.iter_mut().enumerate() {
            let rule = &mut routes.rules[index];
            let most = rule.policy.rows_max().min(self.config.dispatch_rows_max).max(1);
            while !legs.is_empty() {
                let asked: Vec<Leg> = legs.drain(..legs.len().min(most)).collect();
                self.ask(rule, &mut routes.verdicts, &asked, journey.messages);
                for (leg, verdict) in asked.into_iter().zip(routes.verdicts.drain(..)) {
                    self.follow(rule, index, leg, verdict, journey)?;
                }
            }
        }
        Ok(())
    }

    fn ask(&self, rule: &mut Rule, verdicts: &mut Vec<Verdict>, legs: &[Leg], messages: &[Arc<Message>]) {
        let rows = Rows { messages, legs };
        rule.policy.route(u64::try_from(self.now).unwrap_or(0), &rows, verdicts);
        let check = RouteCheck { targets_max: self.config.routing_targets_max, reason_bytes_max: REASON_BYTES_MAX };
        let found = check.correct(legs.len(), verdicts, |target| self.is_target(&target_of(target)));
        if found.total() > 0 {
            rule.stats.corrected += found.total();
            rule.policy.corrected(found.total());
        }
    }

    /// Whether a message can be sent there. The policy is the operator's: it may name what the producer may not.
    fn is_target(&self, target: &Destination) -> bool {
        let lasting = !target.kind.is_temporary() && !target.is_composite() && !target.is_advisory();
        let may_be_made =
            || target.check().is_ok() && !target.is_wildcard() && self.destinations() < self.config.destinations_max;
        lasting && (self.exists(target) || may_be_made())
    }

    /// Does what the verdict says.
    fn follow(
        &self,
        rule: &mut Rule,
        index: usize,
        leg: Leg,
        verdict: Verdict,
        journey: &mut Journey<'_>,
    ) -> Result<(), Refusal> {
        let Leg { message, at, mut passed } = leg;
        passed.push(index);
        let stats = &mut rule.stats;
        let targets = match verdict {
            Verdict::AsAddressed => {
                stats.as_addressed += 1;
                journey.arrive(message, Stop::At(at));
                return Ok(());
            }
            Verdict::Replace(targets) => {
                stats.replaced += 1;
                targets
            }
            Verdict::Add(targets) => {
                stats.added += 1;
                journey.arrive(message, Stop::At(at.clone()));
                targets
            }
            Verdict::Drop => {
                stats.dropped += 1;
                return Ok(());
            }
            Verdict::Reject(reason) => {
                stats.rejected += 1;
                let text = format!("message to {at} rejected by routing policy {}: {reason}", rule.name);
                return Err(Refusal::new(RefusalKind::Rejected, text));
            }
            Verdict::DeadLetter(reason) => {
                stats.dead_lettered += 1;
                journey.arrive(message, Stop::Dead(at, reason));
                return Ok(());
            }
        };
        for target in targets {
            let target = target_of(&target);
            let under_way = journey.legs.iter().filter(|leg| leg.message == message).count();
            if under_way + journey.stops[message].len() >= self.config.routing_targets_max {
                stats.targets_cut += 1;
            } else if target == at {
                // "Here" is no new question.
                journey.arrive(message, Stop::At(target));
            } else {
                journey.legs.push(Leg { message, at: target, passed: passed.clone() });
            }
        }
        // Whatever the limits took away, only an explicit drop drops.
        if journey.stops[message].is_empty() && !journey.legs.iter().any(|leg| leg.message == message) {
            journey.arrive(message, Stop::At(at));
        }
        Ok(())
    }

    /// Sends a message to where its way ended.
    pub(crate) fn deliver_to(&mut self, message: &Message, stops: Vec<Stop>) {
        for stop in stops {
            let mut copy = Message::clone(message);
            match stop {
                Stop::At(destination) if destination == message.destination => {}
                Stop::At(destination) => {
                    copy.original_destination = Some(std::mem::replace(&mut copy.destination, destination));
                }
                Stop::Dead(of, reason) => {
                    let settings = self.config.settings(of.kind.is_queue(), &of.name);
                    let name = match &settings.individual_dead_letter_prefix {
                        Some(prefix) => Text::from(format!("{prefix}{}", of.name)),
                        None => settings.dead_letter_queue.clone(),
                    };
                    copy = dead_letter_of(message, Destination::queue(name), Text::from(reason), 0);
                }
            }
            self.route(Arc::new(copy));
        }
    }

    /// Every binding of publish routing, in the order of the configuration.
    pub fn routing(&self) -> Vec<RoutingReport> {
        let report = |rule: &Rule| RoutingReport {
            pattern: format!("{}{}", if rule.is_queue { "queue://" } else { "topic://" }, rule.pattern.text()),
            policy: rule.name.clone(),
            routing: rule.stats,
            stats: rule.policy.stats(),
        };
        self.routes.rules.iter().map(report).collect()
    }
}

impl Journey<'_> {
    /// A copy of the message ends up there; one is enough.
    fn arrive(&mut self, message: usize, stop: Stop) {
        if !self.stops[message].contains(&stop) {
            self.stops[message].push(stop);
        }
    }
}

fn target_of(name: &str) -> Destination {
    Destination::parse(name, DestinationKind::Queue)
}

/// Messages at one binding's door, each at the destination where it stands.
struct Rows<'a> {
    messages: &'a [Arc<Message>],
    legs: &'a [Leg],
}

impl Messages for Rows<'_> {
    fn rows(&self) -> usize {
        self.legs.len()
    }

    fn number(&self, row: usize, column: Columns) -> i64 {
        number_of(&self.messages[self.legs[row].message], column)
    }

    fn property(&self, row: usize, name: &str) -> Scalar<'_> {
        let leg = &self.legs[row];
        if name == "JMSDestination" {
            return Scalar::Text(leg.at.to_string().into());
        }
        property_of(&self.messages[leg.message], name)
    }
}

/// A numeric header as policies see it.
pub fn number_of(message: &Message, column: Columns) -> i64 {
    match column {
        Columns::PRIORITY => message.priority.into(),
        Columns::SIZE => message.size_bytes() as i64,
        Columns::REDELIVERED => message.redelivery_count.into(),
        Columns::TIMESTAMP => message.timestamp,
        Columns::EXPIRATION => message.expiration,
        Columns::SEQUENCE => message.sequence as i64,
        _ => 0,
    }
}

/// A header or property as policies see it.
pub fn property_of<'a>(message: &'a Message, name: &str) -> Scalar<'a> {
    if !name.starts_with("JMS") {
        return match message.properties.get(name) {
            Some(Value::Text(text)) => Scalar::Text(text),
            Some(value) => value.into_selector().map_or(Scalar::Absent, scalar),
            None => Scalar::Absent,
        };
    }
    message.selector_value(name).map_or(Scalar::Absent, scalar)
}

fn scalar(value: selector::Value<'_>) -> Scalar<'_> {
    match value {
        selector::Value::Bool(value) => Scalar::Bool(value),
        selector::Value::Int(value) => Scalar::Int(value),
        selector::Value::Float(value) => Scalar::Float(value),
        selector::Value::Str(value) => Scalar::Text(value.into()),
        selector::Value::Owned(value) => Scalar::Text(value.to_string().into()),
    }
}
