//! The policies that come with the program.

use std::sync::LazyLock;

use plugin::native;

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

/// Name and component.
macro_rules! built {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../plugins/built/", $name, ".wasm")).as_slice())),*]
    };
}

static STOCK: LazyLock<Vec<Stock>> = LazyLock::new(|| {
    let built = built!(
        "fair-share",
        "latency-aware",
        "least-in-flight",
        "priority",
        "round-robin",
        "sticky-by-property",
        "strict-order",
        "weighted"
    );
    let stock = built.into_iter().map(|(name, bytes)| {
        let twin = native::twin(name).expect("each stock policy has a native twin of its name");
        Stock { name, bytes, description: twin.description }
    });
    stock.collect()
});

/// All of them, by name in ascending order.
pub fn stock() -> &'static [Stock] {
    &STOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_native_policy_is_there_as_a_component() {
        let names: Vec<_> = stock().iter().map(|stock| stock.name).collect();
        assert_eq!(names, native::twins().iter().map(|twin| twin.name).collect::<Vec<_>>());
    }
}
