//! The disk as a file system that other processes can use. No cache lies between: each call reaches the disk.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    AccessFlags, BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::disk::{Disk, FileNumber};

/// A disk shared between the file system and the test.
pub type SharedDisk = Arc<Mutex<Disk>>;

/// Mounts the disk until the answer is dropped.
pub fn mount(disk: SharedDisk, place: &Path) -> std::io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.mount_options.push(MountOption::FSName("powercut".into()));
    fuser::spawn_mount(Files(disk), place, &config)
}

struct Files(SharedDisk);

const NO_CACHE: Duration = Duration::ZERO;
const BLOCK_BYTES: u64 = 4096;

impl Files {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn attributes(&self, number: FileNumber) -> Result<FileAttr, Errno> {
        if number == u64::from(INodeNo::ROOT) {
            return Ok(attributes(number, 0, FileType::Directory));
        }
        let length = self.disk().length(number).map_err(Errno::from_i32)?;
        Ok(attributes(number, length as u64, FileType::RegularFile))
    }
}

fn attributes(number: FileNumber, size: u64, kind: FileType) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: if kind == FileType::Directory { 0o755 } else { 0o644 },
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: BLOCK_BYTES as u32,
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), i32>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(Errno::from_i32(error)),
    }
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.disk().find(&text(name)) {
            Ok((number, length)) => {
                let attributes = attributes(number, length as u64, FileType::RegularFile);
                reply.entry(&NO_CACHE, &attributes, Generation(0));
            }
            Err(error) => reply.error(Errno::from_i32(error)),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number.into()) {
            Ok(attributes) => reply.attr(&NO_CACHE, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if let Some(size) = size
            && let Err(error) = self.disk().set_length(number.into(), size as usize)
        {
            return reply.error(Errno::from_i32(error));
        }
        match self.attributes(number.into()) {
            Ok(attributes) => reply.attr(&NO_CACHE, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        match self.disk().create(&text(name)) {
            Ok(number) => {
                let attributes = attributes(number, 0, FileType::RegularFile);
                reply.created(&NO_CACHE, &attributes, Generation(0), FileHandle(number), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(error) => reply.error(Errno::from_i32(error)),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(number.into()), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(number.into(), offset as usize, size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(Errno::from_i32(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk().write(number.into(), offset as usize, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(Errno::from_i32(error)),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.disk().remove(&text(name)));
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.disk().rename(&text(name), &text(new_name)));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.disk().sync(number.into()));
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.disk().sync_names());
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let root = u64::from(INodeNo::ROOT);
        let mut all = vec![(".".to_string(), root), ("..".to_string(), root)];
        all.extend(self.disk().list());
        for (i, (name, number)) in all.into_iter().enumerate().skip(offset as usize) {
            let kind = if number == root { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(number), i as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let disk = self.disk();
        let total = disk.capacity as u64 / BLOCK_BYTES;
        let free = disk.capacity.saturating_sub(disk.used()) as u64 / BLOCK_BYTES;
        reply.statfs(total, free, free, 1 << 20, 1 << 20, BLOCK_BYTES as u32, 255, BLOCK_BYTES as u32);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    /// Space is not reserved: a write tells whether it has any.
    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.ok();
    }
}
