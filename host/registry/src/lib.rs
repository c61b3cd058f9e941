//! Which policies there are, in which generations, and where they are used: what must be the same after a restart.
//!
//! A machine of values: an operation checks what it is asked, changes the registry and says which facts the journal has
//! to keep and what is to be carried out. It must never know how a component is run, how facts are kept, nor who asks; it
//! has no clock and no files. A caller that wants all or nothing works on a copy (components are shared, not copied),
//! keeps the facts, and then takes the copy for the truth.
//!
//! ```text
//!  deploy, promote, … ──> Registry ──> Done { facts, changes } ──> journal, then whoever runs the policies
//!                            ^
//!  facts of the journal ─────┘ load: the same registry, and what of it cannot be used
//! ```
//!
//! Start reading at [`Registry`], then `facts.rs` for what is kept under which key.

mod control;
mod digest;
mod error;
mod facts;
mod limits;
mod plug_in;
mod registry;

pub use control::{
    Bound, ControlError, Explained, ExplainedOwner, Explanation, Listed, ListedGeneration, LogLine, PolicyControl,
    RecordWish, Recorded, ShadowFindings, Turned, Wish,
};
pub use digest::Digest;
pub use error::{RegistryError, Trouble};
pub use facts::PREFIX;
pub use limits::Limits;
pub use plug_in::{
    Deploy, Generation, Happened, History, PASSWORDS, Place, PlugIn, Point, State, StorePlace, StoreValues,
};
pub use registry::{Change, Done, Registry, Running};
