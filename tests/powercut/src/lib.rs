//! Takes the power away from a journal, and lets single calls of its disk fail.
//!
//! A process of its own appends to a journal that lies on a file system of this crate; the file system keeps what was
//! synced and forgets, tears or reorders the rest. The next process has to find each group that was confirmed, whole, and
//! of the others none or whole ones, without a hole: exactly the state after some number of groups, and not too few.
//!
//! Start reading at [`campaign`], then [`disk`] for what a cut does and [`writer`] for what is checked.

pub mod campaign;
pub mod disk;
pub mod mount;
pub mod writer;
