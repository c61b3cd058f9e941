//! The policies that come with the program.

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

/// All of them, by name in ascending order.
pub fn stock() -> &'static [Stock] {
    &[
        Stock {
            name: plugin::native::LeastInFlight::NAME,
            bytes: include_bytes!("../../../plugins/built/least-in-flight.wasm"),
            description: plugin::native::LeastInFlight::DESCRIPTION,
        },
        Stock {
            name: plugin::native::RoundRobin::NAME,
            bytes: include_bytes!("../../../plugins/built/round-robin.wasm"),
            description: plugin::native::RoundRobin::DESCRIPTION,
        },
    ]
}
