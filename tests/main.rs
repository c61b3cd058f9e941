//! The real program from outside: started, spoken to, killed, started again. One binary, so that it links once.

mod admin;
mod arrows;
mod disk;
mod durability;
mod first_message;
mod ha;
mod hostile;
mod hostile_openwire;
mod openwire;
mod plugins;
mod policies;
mod routing;
mod security;
mod support;
mod tls;
mod worlds;
