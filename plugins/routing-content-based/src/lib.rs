//! Content based: the first rule whose JMS selector takes the message says what becomes of it.
//!
//! A setting is a rule: its value is the selector, its key what to do: `to A, topic://B`, `also A, B`, `drop`,
//! `reject SENTENCE` or `dead-letter SENTENCE`. Rules are looked at in the order in which they are written.

use jackfield_routing_policy::export_routing_policy;
use jackfield_routing_policy::plugin::native::ContentBased;

export_routing_policy!(ContentBased);
