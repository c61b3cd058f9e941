//! The admin room: HTTP for the people and programs that look after a broker.
//!
//! It knows nothing of the broker but the traits [`Control`] and [`registry::PolicyControl`] and the words in
//! [`mod@words`], which are what the API says; it holds no state of its own and decides nothing.
//!
//! ```text
//!  admin.sock (file rights) ──┐
//!  address (token, password) ─┼─> door ─> guard ─> routes ─> Control ─> the broker
//!  health address (open) ─────┘   bounds  who may   what      └─> PolicyControl, on threads that may wait
//! ```
//!
//! Invariants: nothing is asked of the broker before the guard has let a request pass; every connection, head, body and
//! answer has a bound in [`Limits`].
//!
//! Start reading at [`Room`], then `routes`.

mod body;
mod config;
mod control;
mod door;
mod guard;
mod metrics;
mod policies;
mod room;
mod routes;
#[cfg(test)]
mod tests;
pub mod words;

pub use config::{Config, HealthDoor, Limits, Login, Secret, TcpDoor};
pub use control::{Answer, Control, Problem};
pub use room::{AdminError, Room};
