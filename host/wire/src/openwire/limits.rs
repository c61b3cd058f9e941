//! Upper bounds for everything that a peer can make us hold.

/// Bounds of one connection's codec; every one is checked before memory is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a frame without its size prefix; offered as `MaxFrameSize` and enforced. Default 104857600 (100 MiB).
    pub frame_bytes_max: usize,
    /// Bytes of a frame before versions are agreed, when only a `WireFormatInfo` may come. Default 65536.
    pub negotiation_bytes_max: usize,
    /// Bytes of one string. Default 65535, the most that loose encoding can carry; tight encoding stops at 32766 (W10).
    pub string_bytes_max: usize,
    /// Elements of all arrays of one frame together; one array never has more than 32767 (W09). Default 65536.
    pub array_items_max: usize,
    /// Objects within objects, and causes of a throwable. Default 16.
    pub nesting_depth_max: usize,
    /// Entries of the marshalling cache, each direction. Default 16383, what a size of 0 stands for (W04).
    pub cache_entries_max: usize,
    /// Bytes kept by the marshalling cache of what the peer sends. Default 16777216 (16 MiB).
    pub cache_bytes_max: usize,
    /// Stack trace elements of one throwable with its causes; they are read and dropped. Default 32767.
    pub stack_trace_elements_max: usize,
    /// The oldest version that we speak, `minmumWireFormatVersion` of ActiveMQ (W06). Default 0.
    pub version_min: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 104_857_600,
            negotiation_bytes_max: 65_536,
            string_bytes_max: 65_535,
            array_items_max: 65_536,
            nesting_depth_max: 16,
            cache_entries_max: 16_383,
            cache_bytes_max: 16_777_216,
            stack_trace_elements_max: 32_767,
            version_min: 0,
        }
    }
}
