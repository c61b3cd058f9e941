//! Bytes <-> frames, a module per protocol.
//!
//! This room is sans-IO: it takes what arrived in a buffer and appends what is to be sent to another, with a limit at
//! every length. It must never know sockets, clocks or what a frame means to the broker. Start reading at the module of
//! the protocol in question.

pub mod openwire;
pub mod stomp;
