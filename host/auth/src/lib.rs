//! Who comes in and what they may do: passwords and tokens are checked here, policies are asked what that means, and
//! what happens when a policy is down is decided here too.
//!
//! The only room that says `argon2` and `jsonwebtoken`. It knows no socket, no protocol and no file; no policy sees a token
//! or a key, and a password only one that was granted it.
//!
//! Start reading at [`Gate`].
//!
//! ```text
//!  session ── Credentials ──> Gate ── Proofs ──> AuthPolicy, one after the other ── Admission
//!  session ── (action, destination) ──> Gate ──> AuthPolicy ── Answer, with a time to go by it
//!  messages that came together ───────> Gate ──> every AuthPolicy that looks at messages
//! ```

mod gate;
mod known;
mod memory;
mod offices;
mod passwords;
mod stats;
mod tokens;

pub use gate::{Gate, Settings};
pub use passwords::{PasswordHash, Passwords, Secret, hash_password};
pub use stats::GateStats;
pub use tokens::{ALGORITHMS, KeyMaterial, TokenKey, Tokens};

/// What cannot be used to check logins with.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The text is no hash that can be checked.
    #[error("is no argon2 hash ({reason})")]
    Hash {
        /// What is wrong with it.
        reason: String,
    },
    /// Checking the hash would take too much memory.
    #[error("asks for {have} KiB of memory at each login, at most {limit} are allowed")]
    HashMemory {
        /// KiB that it asks for.
        have: u32,
        /// The limit.
        limit: u32,
    },
    /// A password cannot be hashed.
    #[error("the password cannot be hashed: {reason}")]
    Hashing {
        /// What the library said.
        reason: String,
    },
    /// No such algorithm of tokens.
    #[error("algorithm {algorithm} is unknown")]
    Algorithm {
        /// What was asked for.
        algorithm: String,
    },
    /// The algorithm wants the other sort of key.
    #[error("algorithm {algorithm} needs {needs}")]
    WrongKey {
        /// The algorithm.
        algorithm: String,
        /// The sort of key it needs.
        needs: &'static str,
    },
    /// A shared secret that can be guessed.
    #[error("the secret has {have} bytes, at least {need} are needed")]
    ShortSecret {
        /// Bytes it has.
        have: usize,
        /// Bytes it needs.
        need: usize,
    },
    /// The key cannot be read.
    #[error("the key cannot be read for {algorithm}: {reason}")]
    Key {
        /// The algorithm.
        algorithm: String,
        /// What the library said.
        reason: String,
    },
}
