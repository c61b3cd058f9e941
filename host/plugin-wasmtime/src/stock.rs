//! The policies that come with the program.

use std::sync::LazyLock;

use plugin::Point;
use plugin::native::{self, GROUP_POLICIES, NETWORK, ROUTING, TOPIC};

/// A policy embedded in the program.
#[derive(Debug, Clone, Copy)]
pub struct Stock {
    /// The name to write in a configuration; also the name of its native twin.
    pub name: &'static str,
    /// The component, built from `plugins/` by `plugins/build.sh`.
    pub bytes: &'static [u8],
    /// One line for people.
    pub description: &'static str,
}

/// Name and component; `$point` stands before the name of the file.
macro_rules! built {
    ($point:literal, $($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../plugins/built/", $point, $name, ".wasm")).as_slice())),*]
    };
}

static QUEUE_STOCK: LazyLock<Vec<Stock>> = LazyLock::new(|| {
    let built = built!(
        "",
        "fair-share",
        "latency-aware",
        "least-in-flight",
        "priority",
        "round-robin",
        "sticky-by-property",
        "strict-order",
        "weighted"
    );
    described(&built, |name| native::twin(name).map(|twin| twin.description))
});

static TOPIC_STOCK: LazyLock<Vec<Stock>> = LazyLock::new(|| {
    let built = built!("topic-", "priority", "priority-network", "strict-order");
    described(&built, |name| TOPIC.iter().find(|twin| twin.name == name).map(|twin| twin.description))
});

static GROUP_STOCK: LazyLock<Vec<Stock>> = LazyLock::new(|| {
    let built = built!("group-", "consistent-hash", "hash-bucket", "sticky");
    described(&built, |name| GROUP_POLICIES.iter().find(|(other, _)| *other == name).map(|(_, text)| *text))
});

static NETWORK_STOCK: LazyLock<Vec<Stock>> = LazyLock::new(|| {
    let built = built!("network-", "data-residency", "header-redaction", "include-exclude", "rate-limit");
    described(&built, |name| NETWORK.iter().find(|twin| twin.name == name).map(|twin| twin.description))
});

static ROUTING_STOCK: LazyLock<Vec<Stock>> = LazyLock::new(|| {
    let built = built!("routing-", "content-based", "header-table", "partition-by-key", "sampling", "wiretap");
    described(&built, |name| ROUTING.iter().find(|twin| twin.name == name).map(|twin| twin.description))
});

fn described(
    built: &[(&'static str, &'static [u8])],
    description: impl Fn(&str) -> Option<&'static str>,
) -> Vec<Stock> {
    let stock = |&(name, bytes): &(&'static str, &'static [u8])| {
        let description = description(name).expect("each stock policy has a native twin of its name");
        Stock { name, bytes, description }
    };
    built.iter().map(stock).collect()
}

/// Those that dispatch queues, by name in ascending order.
pub fn stock() -> &'static [Stock] {
    &QUEUE_STOCK
}

/// Those of an extension point, by name in ascending order.
pub fn stock_of(point: Point) -> &'static [Stock] {
    match point {
        Point::QueueDispatch => &QUEUE_STOCK,
        Point::GroupAssignment => &GROUP_STOCK,
        Point::PublishRouting => &ROUTING_STOCK,
        Point::TopicDispatch => &TOPIC_STOCK,
        Point::NetworkFilter => &NETWORK_STOCK,
        Point::Auth => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_native_policy_is_there_as_a_component() {
        let native = native::NativeHost::new();
        let points = [Point::QueueDispatch, Point::TopicDispatch, Point::GroupAssignment, Point::NetworkFilter];
        for point in points.into_iter().chain([Point::PublishRouting]) {
            let names: Vec<_> = stock_of(point).iter().map(|stock| stock.name.to_owned()).collect();
            let twins: Vec<_> = plugin::PolicyHost::names(&native, point).into_iter().map(|info| info.name).collect();
            assert_eq!(names, twins, "{point}");
        }
    }
}
