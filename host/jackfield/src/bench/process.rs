//! What `/proc` says of a broker: processor time, memory, bytes written.

use std::{fs, time::Duration};

/// One look at a process; fields that the kernel does not show are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) cpu: Duration,
    pub(crate) rss_bytes: u64,
    /// The most it ever was.
    pub(crate) rss_bytes_peak: u64,
    pub(crate) written_bytes: u64,
    pub(crate) threads: u64,
}

/// Looks at a process; none when it is gone.
pub(crate) fn sample(pid: u32) -> Option<Sample> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
    let status = read("status").ok()?;
    let stat = read("stat").ok()?;
    let io = read("io").unwrap_or_default();
    Some(parse(&stat, &status, &io))
}

/// The kernel's clock tick in `/proc/PID/stat` is 1/100 s on every Linux that is in use.
const TICK: Duration = Duration::from_millis(10);

fn parse(stat: &str, status: &str, io: &str) -> Sample {
    // The name in parentheses may hold spaces: count from behind it.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
    let cpu = TICK * (ticks() + ticks());
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Sample {
        cpu,
        rss_bytes: value(status, "VmRSS") << 10,
        rss_bytes_peak: value(status, "VmHWM") << 10,
        written_bytes: value(io, "write_bytes"),
        threads: value(status, "Threads"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with spaces and parentheses does not shift the fields; user and system time are added.
    #[test]
    fn fields() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 0 10 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        let status = "Name:\ta b\nVmHWM:\t 2048 kB\nVmRSS:\t1024 kB\nThreads:\t9\n";
        let io = "rchar: 1\nread_bytes: 2\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        let want = Sample {
            cpu: Duration::from_secs(3),
            rss_bytes: 1 << 20,
            rss_bytes_peak: 2 << 20,
            written_bytes: 4096,
            threads: 9,
        };
        assert_eq!(parse(stat, status, io), want);
        assert_eq!(parse("", "", ""), Sample::default());
        assert!(sample(std::process::id()).unwrap().rss_bytes > 0);
    }
}
