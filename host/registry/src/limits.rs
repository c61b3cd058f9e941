//! Every bound of a registry, with its name and default.

/// Upper bounds. What is beyond one is refused with its name, or goes out as the oldest of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a component. Default 4 MiB.
    pub component_bytes_max: usize,
    /// Bytes of all components together, those of former generations included. Default 128 MiB.
    pub components_bytes_max: usize,
    /// Plug-ins. Default 64.
    pub plug_ins_max: usize,
    /// Generations kept of one plug-in; the oldest that is neither active, previous nor shadow goes first. At least 3.
    /// Default 8.
    pub generations_kept_max: usize,
    /// Lines of history kept of one plug-in; the oldest go first. Default 64.
    pub history_max: usize,
    /// Bytes of the reason in a line of history; longer ones are cut. Default 500.
    pub reason_bytes_max: usize,
    /// Bindings. Default 1 000.
    pub bindings_max: usize,
    /// Settings of a generation. Default 64.
    pub settings_max: usize,
    /// Bytes of a setting, key and value together. Default 4 KiB.
    pub setting_bytes_max: usize,
    /// Bytes of a plug-in's name. Default 64.
    pub name_bytes_max: usize,
    /// Destinations whose states are kept, and stores that are kept. Default 10 000.
    pub states_max: usize,
    /// Bytes of one state. Default 64 KiB.
    pub state_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            component_bytes_max: 4 << 20,
            components_bytes_max: 128 << 20,
            plug_ins_max: 64,
            generations_kept_max: 8,
            history_max: 64,
            reason_bytes_max: 500,
            bindings_max: 1_000,
            settings_max: 64,
            setting_bytes_max: 4 << 10,
            name_bytes_max: 64,
            states_max: 10_000,
            state_bytes_max: 64 << 10,
        }
    }
}
