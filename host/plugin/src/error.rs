//! What can go wrong before a policy is asked for the first time. Afterwards nothing can: the native twin decides.

/// A policy that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No policy has this name.
    #[error("policy {policy} is unknown; known are {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        policy: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A policy of this name is there already.
    #[error("policy {policy} is defined already")]
    Duplicate {
        /// The name given twice.
        policy: String,
    },
    /// The component has too many bytes.
    #[error("policy {policy} has {have} bytes, the limit component_bytes_max is {limit}")]
    TooLarge {
        /// Its name.
        policy: String,
        /// Its size.
        have: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are no component of WebAssembly.
    #[error("policy {policy} is not a WebAssembly component: {reason}")]
    NotComponent {
        /// Its name.
        policy: String,
        /// What the check said.
        reason: String,
    },
    /// The component asks for what a policy is not given.
    #[error("policy {policy} imports what a policy is not given: {}", imports.join(", "))]
    ForbiddenImports {
        /// Its name.
        policy: String,
        /// All the imports that are not granted.
        imports: Vec<String>,
    },
    /// The component lacks exports of a world, or has them with other types.
    #[error("policy {policy} implements no world of jackfield:policy@0.1.0: {reason}")]
    WrongWorld {
        /// Its name.
        policy: String,
        /// What is missing.
        reason: String,
    },
    /// The component is well formed and was not accepted all the same.
    #[error("policy {policy} was refused: {reason}")]
    Refused {
        /// Its name.
        policy: String,
        /// Why.
        reason: String,
    },
    /// The engine cannot be started on this machine.
    #[error("the policy engine cannot start: {reason}")]
    Engine {
        /// What the engine said.
        reason: String,
    },
}
