//! Publish routing, judged.

use std::collections::BTreeSet;

use plugin::{Messages, PolicyError, PolicyHost, PolicyStats, PublishRouting, RouteCheck, Verdict};

use crate::WasmHost;
use crate::kit::contract::answered;
use crate::kit::questions::{Ground, Questions, Size};
use crate::kit::rows::Rows;
use crate::kit::traffic::Random;

/// What a broker holds verdicts to unless its operator says otherwise: targets of a message, bytes of a reason.
const CHECK: RouteCheck = RouteCheck { targets_max: 64, reason_bytes_max: 1_024 };
/// Bytes of a destination's name, and parts between its dots.
const NAME_MAX: (usize, usize) = (4_096, 128);

/// What is sent to the destinations of one binding.
pub(super) struct RoutingQuestions {
    random: Random,
    messages: Rows,
    rows_max: usize,
}

impl Questions for RoutingQuestions {
    type Policy = Box<dyn PublishRouting>;
    type Answer = Vec<Verdict>;
    const RIGHT: &'static str = "each message has a verdict, and targets are destinations";
    const READS: bool = true;

    fn new(seed: u64, ground: &Ground) -> RoutingQuestions {
        RoutingQuestions { random: Random(seed), messages: Rows::new(seed, ground), rows_max: ground.rows_max }
    }

    fn policy(host: &WasmHost, name: &str, place: &str) -> Result<Box<dyn PublishRouting>, PolicyError> {
        host.publish_routing(name, place, &[])
    }

    fn draw(&mut self, size: Size, _policy: &mut Box<dyn PublishRouting>) {
        self.messages.draw(&mut self.random, size, self.rows_max);
    }

    fn ask(&mut self, policy: &mut Box<dyn PublishRouting>) -> Result<Vec<Verdict>, String> {
        let mut verdicts = Vec::new();
        answered(policy.route(self.messages.now_ms, &self.messages, &mut verdicts))?;
        Ok(verdicts)
    }

    fn judge(&mut self, answer: &Vec<Verdict>) -> Result<(), String> {
        for (row, verdict) in answer.iter().enumerate() {
            fault(verdict).map_err(|what| format!("sends message {} {what}", row + 1))?;
        }
        let found = CHECK.correct(self.rows(), &mut answer.clone(), |_| true);
        if found.total() == 0 { Ok(()) } else { Err(format!("was corrected: {found:?}")) }
    }

    fn rows(&self) -> usize {
        self.messages.rows()
    }

    fn wanted(&self, _policy: &Box<dyn PublishRouting>) -> BTreeSet<String> {
        self.messages.asked()
    }

    fn stats(policy: &Box<dyn PublishRouting>) -> PolicyStats {
        policy.stats()
    }
}

/// Why a broker would not do what a verdict says.
fn fault(verdict: &Verdict) -> Result<(), String> {
    match verdict {
        Verdict::Replace(targets) if targets.is_empty() => {
            Err("to other destinations and names none; to drop it is a verdict of its own".to_owned())
        }
        Verdict::Replace(targets) | Verdict::Add(targets) => targets.iter().try_for_each(|target| is_target(target)),
        Verdict::Reject(reason) | Verdict::DeadLetter(reason) => sentence(reason),
        Verdict::AsAddressed | Verdict::Drop => Ok(()),
    }
}

fn sentence(reason: &str) -> Result<(), String> {
    match reason.len() {
        0 => Err("back without a sentence that says why".to_owned()),
        have if have > CHECK.reason_bytes_max => {
            Err(format!("back with {have} bytes, of which {} are shown", CHECK.reason_bytes_max))
        }
        _ => Ok(()),
    }
}

/// A target is a queue or topic of one name, which a message can be sent to.
fn is_target(target: &str) -> Result<(), String> {
    let (scheme, name) = target.split_once("://").unwrap_or(("queue", target));
    let what = match scheme {
        "topic" if name.starts_with("ActiveMQ.Advisory.") => "which is the broker's own",
        "queue" | "topic" if name.is_empty() => "which has no name",
        "queue" | "topic" if name.contains(',') => "which is several; write a target for each",
        "queue" | "topic" if name.chars().any(char::is_control) => "which has control characters",
        "queue" | "topic" if name.split('.').any(|part| part == "*" || part == ">") => {
            "which has wildcards; name one destination"
        }
        "queue" | "topic" if name.len() > NAME_MAX.0 || name.split('.').count() > NAME_MAX.1 => "which is too long",
        "queue" | "topic" => return Ok(()),
        "temp-queue" | "temp-topic" => "which belongs to a connection",
        _ => "which is neither queue:// nor topic://",
    };
    Err(format!("to {target:?}, {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_queues_and_topics_of_one_name() {
        for good in ["A", "queue://A.B", "topic://C", "queue://a b", "queue://A.*B"] {
            assert_eq!(is_target(good), Ok(()), "{good}");
        }
        let table = [
            ("", "no name"),
            ("queue://", "no name"),
            ("A,B", "several"),
            ("A.>", "wildcards"),
            ("topic://*", "wildcards"),
            ("temp-queue://ID:1", "a connection"),
            ("topic://ActiveMQ.Advisory.Queue", "own"),
            ("http://A", "neither"),
            ("A\nB", "control"),
        ];
        for (bad, why) in table {
            assert!(is_target(bad).is_err_and(|what| what.contains(why)), "{bad}");
        }
        assert!(is_target(&"a.".repeat(200)).is_err_and(|what| what.contains("too long")));
    }
}
