//! The real program from outside: started, spoken to, killed, started again. One binary, so that it links once.

mod admin;
mod arrows;
mod auth;
#[path = "../host/plugin-wasmtime/tests/auth_guest/mod.rs"]
mod auth_guest;
mod auth_plugged;
mod authors;
mod contract;
#[path = "../host/journal-sql/tests/server/mod.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod database;
mod disk;
mod durability;
mod first_message;
#[path = "../host/plugin-wasmtime/tests/guest/mod.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod guest;
mod ha;
mod ha_database;
mod hostile;
mod hostile_openwire;
mod openwire;
mod plugins;
mod policies;
mod policy_cache;
mod routing;
mod security;
mod shadows;
mod support;
mod tls;
#[path = "../host/plugin-wasmtime/tests/world_guest/mod.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod world_guest;
mod worlds;
