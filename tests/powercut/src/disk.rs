//! A disk that keeps what was synced, and of the rest what chance leaves.
//!
//! One flat directory. Of each file there is what readers see, what is on the platter, and the changes between the two;
//! of the directory the same. A sync of a file moves its changes to the platter, a sync of the directory its names; the
//! one says nothing of the other. A cut throws away what readers see and builds the disk anew from the platter and from
//! a choice of the changes.

use std::collections::{BTreeMap, HashMap};

use journal::conformance::Random;

/// The error of a device that fails.
pub const EIO: i32 = 5;
/// The error of a device that is full.
pub const ENOSPC: i32 = 28;
/// The error for a name that is not there.
pub const ENOENT: i32 = 2;

/// What a device writes as a whole.
const SECTOR_BYTES: usize = 512;
/// What an operating system writes back as a whole, in any order.
const PAGE_BYTES: usize = 4096;

/// What a cut leaves of the changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything, as after a kill.
    Everything,
    /// The first ones, the last of them torn at a sector.
    Prefix,
    /// Any pages of any changes, and any changes of names.
    Pages,
}

/// Which calls a fault counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Writes into files.
    Write,
    /// Syncs of files and of the directory.
    Sync,
    /// Changes of names and lengths.
    Name,
}

/// Number of a file; never used twice.
pub type FileNumber = u64;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(String, FileNumber),
    Remove(String),
    Rename(String, String),
}

#[derive(Debug, Default)]
struct File {
    seen: Vec<u8>,
    platter: Vec<u8>,
    /// With the disk's count at the time, so that changes of all files have one order.
    changes: Vec<(u64, Change)>,
}

/// The disk. All errors are the operating system's numbers.
#[derive(Debug)]
pub struct Disk {
    files: HashMap<FileNumber, File>,
    names: BTreeMap<String, FileNumber>,
    platter_names: BTreeMap<String, FileNumber>,
    name_changes: Vec<(u64, NameChange)>,
    next_file: FileNumber,
    calls: u64,
    /// Calls of each kind so far: write, sync, name.
    pub counts: [u64; 3],
    cut_at: Option<(u64, Survival, u64)>,
    off: bool,
    fail: Option<(Call, u64, i32)>,
    /// Bytes the files may have in sum.
    pub capacity: usize,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk {
            files: HashMap::new(),
            names: BTreeMap::new(),
            platter_names: BTreeMap::new(),
            name_changes: Vec::new(),
            next_file: 2,
            calls: 0,
            counts: [0; 3],
            cut_at: None,
            off: false,
            fail: None,
            capacity: 1 << 40,
        }
    }
}

impl Disk {
    /// The power goes after so many more calls that change something.
    pub fn cut_after(&mut self, calls: u64, survival: Survival, seed: u64) {
        self.cut_at = Some((self.calls + calls, survival, seed));
    }

    /// The n-th call of this kind from now on, beginning with 0, fails with this error.
    pub fn fail(&mut self, call: Call, n: u64, error: i32) {
        self.fail = Some((call, self.counts[call as usize] + n, error));
    }

    /// Whether the fault that was asked for has happened.
    pub fn failed(&self) -> bool {
        self.fail.is_none()
    }

    /// Whether the power is gone; every call fails until [`Disk::power_on`].
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Cuts the power now, if it is not off yet.
    pub fn cut(&mut self, survival: Survival, seed: u64) {
        if self.off {
            return;
        }
        self.off = true;
        let mut random = Random(seed);
        let newest = self.calls;
        let prefix_end = match survival {
            Survival::Prefix => {
                let oldest = self.oldest_change().unwrap_or(newest);
                oldest + random.below(newest - oldest + 2)
            }
            _ => 0,
        };
        let mut numbers: Vec<_> = self.files.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(file) = self.files.get_mut(&number) {
                file.lose_power(survival, prefix_end, &mut random);
            }
        }
        for (at, change) in std::mem::take(&mut self.name_changes) {
            let stays = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Prefix => at < prefix_end,
                Survival::Pages => random.below(2) == 0,
            };
            if stays {
                change.apply(&mut self.platter_names);
            }
        }
        self.names = self.platter_names.clone();
        let alive: Vec<FileNumber> = self.names.values().copied().collect();
        self.files.retain(|number, _| alive.contains(number));
    }

    /// Whoever opens the disk now sees what the cut left.
    pub fn power_on(&mut self) {
        self.off = false;
        self.cut_at = None;
        self.fail = None;
    }

    /// The file of this name, and its length.
    pub fn find(&self, name: &str) -> Result<(FileNumber, usize), i32> {
        if self.off {
            return Err(EIO);
        }
        let number = *self.names.get(name).ok_or(ENOENT)?;
        Ok((number, self.length(number)?))
    }

    /// Names and numbers of all files.
    pub fn list(&self) -> Vec<(String, FileNumber)> {
        self.names.iter().map(|(name, number)| (name.clone(), *number)).collect()
    }

    /// Length of a file.
    pub fn length(&self, number: FileNumber) -> Result<usize, i32> {
        Ok(self.file(number)?.seen.len())
    }

    /// Bytes of a file; fewer at its end.
    pub fn read(&self, number: FileNumber, offset: usize, length: usize) -> Result<&[u8], i32> {
        let seen = &self.file(number)?.seen;
        let from = offset.min(seen.len());
        Ok(&seen[from..from.saturating_add(length).min(seen.len())])
    }

    /// Bytes that all files take.
    pub fn used(&self) -> usize {
        let mut numbers: Vec<_> = self.names.values().collect();
        numbers.dedup();
        numbers.into_iter().filter_map(|n| self.files.get(n)).map(|f| f.seen.len()).sum()
    }

    /// Makes an empty file.
    pub fn create(&mut self, name: &str) -> Result<FileNumber, i32> {
        self.call(Call::Name)?;
        if self.used() >= self.capacity {
            return Err(ENOSPC);
        }
        let number = self.next_file;
        self.next_file += 1;
        self.files.insert(number, File::default());
        self.change_name(NameChange::Add(name.into(), number));
        Ok(number)
    }

    /// Removes a name.
    pub fn remove(&mut self, name: &str) -> Result<(), i32> {
        self.call(Call::Name)?;
        if !self.names.contains_key(name) {
            return Err(ENOENT);
        }
        self.change_name(NameChange::Remove(name.into()));
        Ok(())
    }

    /// Gives a file another name; what had that name before has none any more.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), i32> {
        self.call(Call::Name)?;
        if !self.names.contains_key(from) {
            return Err(ENOENT);
        }
        self.change_name(NameChange::Rename(from.into(), to.into()));
        Ok(())
    }

    /// Sets the length of a file.
    pub fn set_length(&mut self, number: FileNumber, length: usize) -> Result<(), i32> {
        self.call(Call::Name)?;
        self.change(number, Change::Length(length))
    }

    /// Writes into a file. A write that fails may have written its first half.
    pub fn write(&mut self, number: FileNumber, offset: usize, bytes: &[u8]) -> Result<(), i32> {
        let grows = (offset + bytes.len()).saturating_sub(self.length(number)?);
        if let Err(error) = self.call(Call::Write) {
            if !self.off {
                let half = bytes[..bytes.len() / 2].to_vec();
                self.change(number, Change::Write { offset, bytes: half })?;
            }
            return Err(error);
        }
        if self.used() + grows > self.capacity {
            return Err(ENOSPC);
        }
        self.change(number, Change::Write { offset, bytes: bytes.to_vec() })
    }

    /// Moves the changes of a file to the platter. When that fails they will never get there, and the next sync will not
    /// say so: that is how operating systems are.
    pub fn sync(&mut self, number: FileNumber) -> Result<(), i32> {
        let result = self.call(Call::Sync);
        if self.off {
            return Err(EIO);
        }
        let file = self.files.get_mut(&number).ok_or(ENOENT)?;
        let changes = std::mem::take(&mut file.changes);
        if result.is_ok() {
            for (_, change) in changes {
                change.apply(&mut file.platter);
            }
        }
        result
    }

    /// Moves the changes of names to the platter.
    pub fn sync_names(&mut self) -> Result<(), i32> {
        self.call(Call::Sync)?;
        for (_, change) in std::mem::take(&mut self.name_changes) {
            change.apply(&mut self.platter_names);
        }
        Ok(())
    }

    /// Counts a call; cuts the power or fails when it is due.
    fn call(&mut self, call: Call) -> Result<(), i32> {
        if let Some((at, survival, seed)) = self.cut_at
            && self.calls >= at
        {
            self.cut(survival, seed);
        }
        if self.off {
            return Err(EIO);
        }
        self.calls += 1;
        let count = self.counts[call as usize];
        self.counts[call as usize] += 1;
        match self.fail {
            Some((which, at, error)) if which == call && count == at => {
                self.fail = None;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    fn file(&self, number: FileNumber) -> Result<&File, i32> {
        if self.off { Err(EIO) } else { self.files.get(&number).ok_or(ENOENT) }
    }

    fn change(&mut self, number: FileNumber, change: Change) -> Result<(), i32> {
        let file = self.files.get_mut(&number).ok_or(ENOENT)?;
        change.apply(&mut file.seen);
        file.changes.push((self.calls, change));
        Ok(())
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push((self.calls, change));
    }

    fn oldest_change(&self) -> Option<u64> {
        let of_files = self.files.values().filter_map(|f| f.changes.first()).map(|(at, _)| *at);
        of_files.chain(self.name_changes.first().map(|(at, _)| *at)).min()
    }
}

impl File {
    fn lose_power(&mut self, survival: Survival, prefix_end: u64, random: &mut Random) {
        for (at, change) in std::mem::take(&mut self.changes) {
            match survival {
                Survival::Nothing => {}
                Survival::Everything => change.apply(&mut self.platter),
                Survival::Prefix if at < prefix_end => change.apply(&mut self.platter),
                Survival::Prefix if at == prefix_end => change.torn(random).apply(&mut self.platter),
                Survival::Prefix => {}
                Survival::Pages => change.apply_pages(&mut self.platter, random),
            }
        }
        self.seen = self.platter.clone();
    }
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if data.len() < end {
                    data.resize(end, 0);
                }
                data[*offset..end].copy_from_slice(bytes);
            }
            Change::Length(length) => data.resize(*length, 0),
        }
    }

    fn torn(&self, random: &mut Random) -> Change {
        match self {
            Change::Write { offset, bytes } => {
                // Sectors are counted from the beginning of the file, not of the write.
                let end = offset + random.below(bytes.len() as u64 + 1) as usize;
                let end = (end / SECTOR_BYTES * SECTOR_BYTES).max(*offset);
                Change::Write { offset: *offset, bytes: bytes[..end - offset].to_vec() }
            }
            Change::Length(length) => Change::Length(*length),
        }
    }

    /// Each page gets there or not. Behind one that does, the file has grown over those that did not.
    fn apply_pages(&self, data: &mut Vec<u8>, random: &mut Random) {
        match self {
            Change::Write { offset, bytes } => {
                let mut at = 0;
                while at < bytes.len() {
                    let length = (PAGE_BYTES - (offset + at) % PAGE_BYTES).min(bytes.len() - at);
                    if random.below(2) == 0 {
                        let page = bytes[at..at + length].to_vec();
                        Change::Write { offset: offset + at, bytes: page }.apply(data);
                    }
                    at += length;
                }
            }
            Change::Length(_) if random.below(2) == 0 => {}
            Change::Length(_) => self.apply(data),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, FileNumber>) {
        match self {
            NameChange::Add(name, number) => {
                names.insert(name.clone(), *number);
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
            NameChange::Rename(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &Disk, name: &str) -> Option<Vec<u8>> {
        let (number, length) = disk.find(name).ok()?;
        disk.read(number, 0, length).ok().map(<[u8]>::to_vec)
    }

    #[test]
    fn only_what_was_synced_is_sure_to_stay() {
        let mut disk = Disk::default();
        let a = disk.create("a").expect("create");
        disk.write(a, 0, b"old").expect("write");
        disk.sync(a).expect("sync");
        disk.sync_names().expect("sync names");
        disk.write(a, 1, b"ewer").expect("write");
        disk.create("b").expect("create");
        disk.rename("a", "c").expect("rename");
        assert_eq!(content(&disk, "c"), Some(b"oewer".to_vec()));
        disk.cut(Survival::Nothing, 1);
        assert_eq!(disk.find("a"), Err(EIO));
        disk.power_on();
        assert_eq!(disk.list().len(), 1);
        assert_eq!(content(&disk, "a"), Some(b"old".to_vec()));
    }

    #[test]
    fn pages_get_there_in_any_order() {
        let mut found = std::collections::BTreeSet::new();
        for seed in 0..64 {
            let mut disk = Disk::default();
            let a = disk.create("a").expect("create");
            disk.sync_names().expect("sync names");
            disk.write(a, 0, &[1; 2 * PAGE_BYTES]).expect("write");
            disk.cut(Survival::Pages, seed);
            disk.power_on();
            let data = content(&disk, "a").expect("synced name");
            found.insert((data.len() / PAGE_BYTES, data.first() == Some(&1)));
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(0, false), (1, true), (2, false), (2, true)]);
    }

    #[test]
    fn a_failed_sync_loses_its_changes_for_good() {
        let mut disk = Disk::default();
        let a = disk.create("a").expect("create");
        disk.sync_names().expect("sync names");
        disk.write(a, 0, b"x").expect("write");
        disk.fail(Call::Sync, 0, EIO);
        assert_eq!(disk.sync(a), Err(EIO));
        assert_eq!(disk.sync(a), Ok(()));
        disk.cut(Survival::Everything, 0);
        disk.power_on();
        assert_eq!(content(&disk, "a"), Some(Vec::new()));
    }
}
