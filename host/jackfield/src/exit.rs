//! Exit codes: a supervisor and a script can tell from them what to do next.

use std::process::ExitCode;

/// How the program ended. The codes follow `sysexits.h` where it has one that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All that was asked for is done.
    Ok = 0,
    /// It failed at run time: no broker there, no message came, a port is taken.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 64,
    /// A fault of the program itself.
    Internal = 70,
    /// A write or sync of the journal failed and the broker stopped at once.
    Journal = 74,
    /// Another process has the lock or the journal, and is not to be waited for.
    Locked = 75,
    /// The configuration is wrong.
    Config = 78,
    /// The lock of the journal was lost; another broker may be master.
    LockLost = 79,
}

/// The codes as `--help` tells them.
pub(crate) const HELP: &str = "\
Exit codes:
  0   done
  1   failed at run time: no broker there, no message came, a port is taken
  64  wrong arguments
  70  a fault of the program itself
  74  the journal failed: a write or sync did not succeed and the broker stopped at once
  75  another broker has the lock and lock.fail_if_locked is true
  78  wrong configuration
  79  the lock of the journal was lost: start it again and it is a slave";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_code() {
        use Exit::{Config, Failed, Internal, Journal, LockLost, Locked, Ok, Usage};
        for exit in [Ok, Failed, Usage, Internal, Journal, Locked, Config, LockLost] {
            assert!(HELP.contains(&format!("\n  {:<4}", exit as u8)), "{exit:?}");
        }
    }
}
