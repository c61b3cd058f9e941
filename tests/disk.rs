//! A disk that is full, and a backlog that is larger than the memory for it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Broker, PROGRAM, Stomp, Witness, repository, text, until};

/// A small file system of its own; what is put there is gone with it.
struct Disk(PathBuf);

impl Disk {
    /// Nothing where mounting is not allowed.
    fn mount(place: &Path, size: &str) -> Option<Disk> {
        std::fs::create_dir_all(place).expect("a folder");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "jackfield-house"])
            .arg(place)
            .output()
            .expect("mount is there");
        if !done.status.success() {
            eprintln!("skipped: no file system can be mounted here ({})", text(&done.stderr).trim());
            return None;
        }
        Some(Disk(place.to_owned()))
    }

    fn free(&self) -> u64 {
        let found = nix::sys::statvfs::statvfs(&self.0).expect("mounted");
        found.blocks_available() * found.fragment_size()
    }

    /// Takes all space but `left` bytes, more and more if the broker gives some back meanwhile.
    fn fill(&self, left: u64) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.filler()).expect("a file");
        while self.free() > left {
            let length = (self.free() - left).min(64 * 1024);
            if file.write_all(&vec![0; length as usize]).is_err() {
                break;
            }
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        // The broker's folder went before, as far as it could.
        let _ = std::fs::remove_dir(&self.0);
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

const SIZE: &str = "96m";
const MB: u64 = 1024 * 1024;
const WAIT: &str = "producers of persistent messages wait";
const AGAIN: &str = "has room again";

fn body(number: usize) -> String {
    format!("{number:05}").repeat(800)
}

fn send(client: &mut Stomp, number: usize) {
    let body = body(number);
    client.send(&format!("SEND\ndestination:/queue/Q\npersistent:true\nreceipt:{number}\n\n{body}"));
}

/// Short of space, producers of persistent messages wait and consumers go on; with no space at all, all wait that needs
/// the journal; when there is space again, all go on, and what was confirmed is there, whatever happened meanwhile.
#[test]
fn a_full_disk_stops_producers_and_heals() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::mount(&home.path().join("data"), SIZE) else { return };
    let broker = Broker::start_in(home, "");
    let mut witness = Witness::new(&broker);
    let mut early = broker.client();
    (0..100).for_each(|number| early.publish("Q", &body(number)));

    disk.fill(7 * MB);
    until("the shortage to be seen", || broker.log().contains(WAIT));
    // The core hears of the shortage a moment after the log: until then a message may still be taken.
    let mut late = broker.client();
    let mut last = 100;
    send(&mut late, last);
    until("a producer to wait", || {
        if !late.nothing_came() {
            late.expect_receipt(&last.to_string());
            last += 1;
            send(&mut late, last);
        }
        broker.total("sends_parked") > 0
    });
    let mut consumer = broker.client();
    consumer.subscribe("Q", "client-individual");
    for number in 0..50 {
        let message = consumer.frame();
        assert_eq!(message.body, body(number));
        consumer.ack(&message);
    }
    witness.is_well();
    assert!(late.nothing_came(), "confirmed without space: {}", broker.log());

    // No space at all: the next acknowledgements may wait, what needs no journal goes on.
    disk.fill(0);
    for number in 50..60 {
        let message = consumer.frame();
        assert_eq!(message.body, body(number));
        consumer.send(&format!("ACK\nid:{}\nreceipt:ack-{number}\n\n", message.header("ack")));
        disk.fill(0);
        witness.is_well();
    }
    assert!(late.nothing_came(), "confirmed without space: {}", broker.log());

    disk.clear();
    late.expect_receipt(&last.to_string());
    (50..60).for_each(|number| consumer.expect_receipt(&format!("ack-{number}")));
    until("the room to be seen", || broker.log().contains(AGAIN));
    early.publish("Q", &body(last + 1));

    let broker = Broker::start_in(broker.kill(), "");
    let mut consumer = broker.client();
    consumer.subscribe("Q", "client-individual");
    for number in 60..=last + 1 {
        let message = consumer.frame();
        assert_eq!(message.body, body(number));
        consumer.ack(&message);
    }
    drop(broker);
    drop(disk);
}

/// Told to refuse, the broker says why at once.
#[test]
fn a_full_disk_is_told_to_those_who_ask() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(disk) = Disk::mount(&home.path().join("data"), SIZE) else { return };
    let broker = Broker::start_in(home, "[memory]\nsend_fail_if_no_space = true\n");
    broker.client().publish("Q", &body(0));
    disk.fill(7 * MB);
    until("the shortage to be seen", || broker.log().contains(WAIT));
    let mut refused = broker.client();
    let mut taken = 0;
    let answer = loop {
        send(&mut refused, taken + 1);
        let answer = refused.frame();
        if answer.command != "RECEIPT" {
            break answer;
        }
        taken += 1;
    };
    assert_eq!(answer.command, "ERROR", "{answer:?}");
    assert!(answer.header("message").contains("store_limit"), "{answer:?}");
    disk.clear();
    until("the room to be seen", || broker.log().contains(AGAIN));
    let mut client = broker.client();
    client.publish("Q", &body(taken + 1));
    client.subscribe("Q", "client-individual");
    for number in 0..=taken + 1 {
        assert_eq!(client.frame().body, body(number));
    }
    drop(broker);
    drop(disk);
}

/// The campaign in its short form: bounded memory while a backlog piles up and drains, and the space given back.
#[test]
fn a_backlog_is_kept_on_disk() {
    let output = Command::new(repository("tests/backlog.sh")).args([PROGRAM, "64"]).output().expect("a shell");
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    eprintln!("{}", text(&output.stdout).lines().last().unwrap_or_default());
}
