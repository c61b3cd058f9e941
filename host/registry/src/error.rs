//! What is refused, and what of the facts cannot be used.

use crate::{Digest, Point};

/// Why an operation was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A name that no plug-in may have.
    #[error("{name:?} is no name of a plug-in: use 1 to {limit} letters, digits, dots, dashes and underscores")]
    Name {
        /// The name.
        name: String,
        /// `name_bytes_max`.
        limit: usize,
    },
    /// A name that a policy from elsewhere has.
    #[error("policy {name} comes from {by} already; choose another name")]
    Taken {
        /// The name.
        name: String,
        /// Where the other one comes from.
        by: String,
    },
    /// It is not deployed but comes from elsewhere, and is not to be changed here.
    #[error("policy {name} comes from {by}, and is changed and removed there, not by a command")]
    Elsewhere {
        /// The name.
        name: String,
        /// Where it comes from.
        by: String,
    },
    /// No such plug-in.
    #[error("plug-in {name} does not exist; deployed are: {}", some(known))]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The kept description of the plug-in could not be read.
    #[error("plug-in {name} cannot be used: {reason}; remove it, or start the version that wrote it")]
    Unreadable {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// No such generation.
    #[error("plug-in {name} has no generation {number}; kept are: {}", some(known))]
    Generation {
        /// The plug-in.
        name: String,
        /// The number.
        number: u64,
        /// Those that are kept.
        known: Vec<u64>,
    },
    /// It is what runs already.
    #[error("generation {number} of {name} is the active one already")]
    Active {
        /// The plug-in.
        name: String,
        /// The number.
        number: u64,
    },
    /// Nothing is deployed beside the active generation.
    #[error("plug-in {name} has no shadow; deploy one with --shadow, or name a generation")]
    NoShadow {
        /// The plug-in.
        name: String,
    },
    /// There is nothing to go back to.
    #[error("plug-in {name} has no previous generation; name one with --generation")]
    NoPrevious {
        /// The plug-in.
        name: String,
    },
    /// Nothing of it is active.
    #[error("plug-in {name} has no active generation; promote one first")]
    NoActive {
        /// The plug-in.
        name: String,
    },
    /// The component of a generation is lost.
    #[error("the component {digest} of generation {number} of {name} is lost; deploy it again")]
    BytesGone {
        /// The plug-in.
        name: String,
        /// The generation.
        number: u64,
        /// Its component.
        digest: Digest,
    },
    /// The new generation does not read the state of the active one.
    #[error(
        "generation {number} of {name} does not restore format {have} of the active generation's state, only {}; deploy with \
         --start-empty to go on without the state",
        some(restores)
    )]
    StateFormat {
        /// The plug-in.
        name: String,
        /// The new generation.
        number: u64,
        /// Format of the active generation.
        have: u32,
        /// What the new one reads.
        restores: Vec<u32>,
    },
    /// A bound is reached.
    #[error("{what} {have} is beyond {limit_name} of {limit}; {remedy}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How much there would be.
        have: usize,
        /// Name of the limit.
        limit_name: &'static str,
        /// The limit.
        limit: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// It is used.
    #[error("plug-in {name} is bound to {}; unbind it first", patterns.join(", "))]
    Bound {
        /// The plug-in.
        name: String,
        /// By these patterns.
        patterns: Vec<String>,
    },
    /// No such binding.
    #[error("nothing is bound to {pattern} for {point}; bound are: {}", some(known))]
    NotBound {
        /// The pattern.
        pattern: String,
        /// The extension point.
        point: Point,
        /// Those that are.
        known: Vec<String>,
    },
    /// A pattern that is none.
    #[error("{pattern:?} is no pattern: {reason}; write a name such as ORDERS.>, without queue:// and commas")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A place among the auth policies that is none.
    #[error("{reason}")]
    NoPlace {
        /// What is wrong, and which places there are.
        reason: String,
    },
    /// An auth policy has a place.
    #[error("policy {name} is bound to {place} for auth already; unbind it there first")]
    Placed {
        /// The policy.
        name: String,
        /// Its place.
        place: String,
    },
    /// A plug-in stays what it is.
    #[error("plug-in {name} implements world {have}, the new generation {world}; deploy it under another name")]
    OtherWorld {
        /// The plug-in.
        name: String,
        /// Its world.
        have: String,
        /// The new generation's.
        world: String,
    },
    /// Another plug-in's world is needed there.
    #[error("plug-in {name} implements world {world}, which decides nothing for {point}")]
    World {
        /// The plug-in.
        name: String,
        /// Its world.
        world: String,
        /// The extension point.
        point: Point,
    },
}

/// A part of the facts that cannot be used as it is. The rest is loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Written by a later version.
    #[error(
        "fact {key} has version {found}, this program reads up to {known}; start the version that wrote it, or remove it"
    )]
    Newer {
        /// Its key.
        key: String,
        /// Version found.
        found: u32,
        /// Latest version known here.
        known: u32,
    },
    /// It does not read.
    #[error("fact {key} cannot be read: {reason}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The component of a generation is lost.
    #[error("the component {digest} of generation {number} of plug-in {name} is lost; {falls_back}; deploy it again")]
    BytesGone {
        /// The plug-in.
        name: String,
        /// The generation.
        number: u64,
        /// Its component.
        digest: Digest,
        /// What runs in its place.
        falls_back: String,
    },
    /// Two policies of one name.
    #[error("policy {name} is deployed and comes from {by} too; remove it there, or deploy it under another name")]
    Taken {
        /// The name.
        name: String,
        /// Where the other one comes from.
        by: String,
    },
    /// A binding leads nowhere.
    #[error("{pattern} is bound to {name} for {point}, which does not exist; {} until it does", meanwhile(*point))]
    Dangling {
        /// The extension point.
        point: Point,
        /// The pattern.
        pattern: String,
        /// The policy that is missing.
        name: String,
    },
}

/// What holds where a binding leads nowhere.
fn meanwhile(point: Point) -> &'static str {
    match point {
        Point::Auth => "everybody is refused",
        _ => "the destination's own setting holds",
    }
}

fn some<T: ToString>(known: &[T]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.iter().map(T::to_string).collect::<Vec<_>>().join(", ") }
}
