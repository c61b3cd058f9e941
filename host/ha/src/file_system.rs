//! Which file system a directory is on, and what its record locks are worth.

use std::path::Path;

use nix::sys::statfs::statfs;

/// What record locks there are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The kernel keeps them: a lock goes only with the process that holds it.
    Full,
    /// A server keeps them, or nobody knows: a lock may go while its holder is alive.
    Limited,
}

/// A file system, recognised by the number that the kernel gives its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name for people.
    pub name: &'static str,
    /// What record locks there are worth.
    pub trust: Trust,
    /// Its servers forget locks one by one as they are restarted; to ask again for a lock that one has renews it with all of
    /// them, and is refused only if somebody else has it.
    pub renewable: bool,
    /// What its operator should know.
    pub caution: &'static str,
}

const LOCAL: &str = "";
const UNKNOWN: FileSystem = FileSystem {
    name: "of a kind that is not known here",
    trust: Trust::Limited,
    renewable: false,
    caution: "its locks may be unknown to other machines",
};

/// A program's, GlusterFS among them. CIFS, in contrast, may refuse a lock to whoever has it already.
const FUSE: i64 = 0x6573_5546;

/// Kinds by number. What is not in here is treated with caution.
const KNOWN: &[(i64, &str, &str)] = &[
    (0xEF53, "ext4", LOCAL),
    (0x5846_5342, "XFS", LOCAL),
    (0x9123_683E, "Btrfs", LOCAL),
    (0x0102_1994, "tmpfs", LOCAL),
    (0x8584_58F6, "ramfs", LOCAL),
    (0x794C_7630, "overlay", LOCAL),
    (0x2FC1_2FC1, "ZFS", LOCAL),
    (0xF2F5_2010, "F2FS", LOCAL),
    (0xCA45_1A4E, "bcachefs", LOCAL),
    (0x3153_464A, "JFS", LOCAL),
    (0x5265_4973, "ReiserFS", LOCAL),
    (
        0x6969,
        "NFS",
        "with version 3 the lock of a dead machine is never freed, with version 4 after its lease; \
                     use version 4",
    ),
    (0xFF53_4D42_u32 as i64, "CIFS", "locks go when the connection to the server breaks"),
    (0xFE53_4D42_u32 as i64, "SMB", "locks go when the connection to the server breaks"),
    (0x517B, "SMB", "locks go when the connection to the server breaks"),
    (
        FUSE,
        "FUSE",
        "whether locks reach other machines is the choice of its program; CephFS passes them on, and GlusterFS, which has to be \
         mounted with auto-invalidation=yes and attribute-timeout=0",
    ),
    (0x00C3_6400, "CephFS", "locks go when the server shuts a silent client out"),
    (0x0102_1997, "9P", "locks may stay on this machine"),
    (0x5346_414F, "AFS", "record locks stay on this machine"),
    (0x7461_636F, "OCFS2", "record locks are known to the whole cluster only with a user-space cluster stack"),
    (0x0116_1970, "GFS2", "record locks need the cluster's lock manager"),
    (0x0BD0_0BD0, "Lustre", "record locks are known to other machines only where it is mounted with the option flock"),
    (0x4750_4653, "GPFS", "locks go when a machine is expelled"),
    (0x786F_4256, "a folder of VirtualBox", "locks stay on this machine"),
];

impl FileSystem {
    /// The one that holds `place`.
    pub fn of(place: &Path) -> std::io::Result<FileSystem> {
        // Kinds are 32-bit numbers, in a field that is as wide as the machine likes and sometimes signed.
        let kind = i64::from(statfs(place)?.filesystem_type().0 as u32);
        Ok(FileSystem::of_kind(kind))
    }

    fn of_kind(kind: i64) -> FileSystem {
        let Some((_, name, caution)) = KNOWN.iter().find(|(known, ..)| *known == kind) else { return UNKNOWN };
        let trust = if caution.is_empty() { Trust::Full } else { Trust::Limited };
        FileSystem { name, trust, renewable: kind == FUSE, caution }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_number() {
        let table = [
            (0xEF53, "ext4", Trust::Full),
            (0x6969, "NFS", Trust::Limited),
            (0x6573_5546, "FUSE", Trust::Limited),
            (0xFF53_4D42, "CIFS", Trust::Limited),
            (0x9123_683E, "Btrfs", Trust::Full),
            (1, UNKNOWN.name, Trust::Limited),
        ];
        for (kind, name, trust) in table {
            let found = FileSystem::of_kind(kind);
            assert_eq!((found.name, found.trust), (name, trust));
            assert_eq!(found.caution.is_empty(), trust == Trust::Full);
            assert_eq!(found.renewable, name == "FUSE");
        }
    }

    #[test]
    fn a_real_directory_has_one() {
        assert!(FileSystem::of(Path::new("/")).is_ok());
        assert!(FileSystem::of(Path::new("/nowhere/at/all")).is_err());
    }
}
