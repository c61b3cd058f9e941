//! The host with real components. One program: each would bring the whole engine along otherwise.

mod auth;
mod auth_guest;
mod guest;
mod hostile;
mod kit;
mod published;
mod recording;
mod swap;
mod twins;
mod world_guest;
mod worlds;
