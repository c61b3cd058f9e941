//! The real program from outside: started, spoken to, killed, started again. One binary, so that it links once.

mod arrows;
mod durability;
mod first_message;
mod hostile;
mod policies;
mod support;
