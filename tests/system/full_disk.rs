//! Full disks. An endpoint whose state has no byte or no inode left still takes an order, runs it
//! and records it, and the script that empties that very disk works; a full desk says so and
//! leaves nothing half done.

use std::fs;
use std::path::Path;

use support::{Endpoint, Lab, fingerprint, sh};

/// A small file system of its own; it is taken away again when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).expect("a folder");
        sh(&format!("mount -t tmpfs -o {options} small {}", at.display())).expect(0);
        Self(at.to_owned())
    }

    /// Takes every byte that is left.
    fn fill(&self) {
        sh(&format!("cat /dev/zero >{0}/filler 2>/dev/null || true; sync", self.0.display()))
            .expect(0);
        assert_eq!(self.free().0, 0);
    }

    /// Takes every inode that is left.
    fn fill_inodes(&self) {
        let fill = "touch $1/filler; i=0; while true >$1/inode$i; do i=$((i+1)); done 2>/dev/null";
        sh(&format!("set -- {}; {fill}; true", self.0.display())).expect(0);
        assert_eq!(self.free().1, 0);
    }

    /// Bytes and inodes that are free.
    fn free(&self) -> (u64, u64) {
        let done = sh(&format!("stat -f -c '%a %d' {}", self.0.display())).expect(0);
        let mut numbers = done.out.split_whitespace().map(|n| n.parse().expect("a number"));
        (numbers.next().expect("blocks"), numbers.next().expect("inodes"))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = sh(&format!("umount -l {}", self.0.display()));
    }
}

const CHECK: [&str; 5] = ["--json", "check", "health.check", "--on", "pc"];

fn checked(lab: &Lab) {
    let done = lab.salve(&CHECK);
    let run = done.json();
    assert_eq!(run["verified"], true, "{}{}", done.out, done.err);
    assert_eq!(run["refusal"], serde_json::Value::Null, "{}", done.out);
}

/// Rotated logs of a month ago, on the file system that `/var/log` is.
fn rotated(count: usize, bytes: usize) {
    for i in 0..count {
        let path = format!("/var/log/app.log.{i}.gz");
        fs::write(&path, vec![b'x'; bytes]).expect("written");
    }
    sh("touch -d '30 days ago' /var/log/app.log.*.gz").expect(0);
}

/// Runs `disk.free` on `/var/log` and gives its run.
fn freed(lab: &Lab, mode: &str) -> serde_json::Value {
    let look = [mode, "disk.free", "--on", "pc", "--arg", "mount=/var/log"];
    let fix = [mode, "disk.free", "--ticket", "1", "--yes", "--spoken", "--arg", "mount=/var/log"];
    let args = if mode == "run" { &fix[..] } else { &look[..] };
    let done = lab.salve(&[&["--json"], args].concat()).expect(0);
    let run = done.json();
    assert_eq!(run["verified"], true, "{}{}", done.out, done.err);
    run
}

#[test]
fn a_file_system_without_a_byte_or_an_inode_left_gets_room_from_its_old_logs() {
    let lab = Lab::solo();
    let _pc = lab.endpoint("pc");
    lab.salve(&["tickets", "new", "Disk full", "--for", "jo.meyer", "--on", "pc"]).expect(0);
    let logs = Path::new("/var/log");
    let disk = Small::mount(logs, "size=16m,nr_inodes=400");
    rotated(8, 1 << 20);
    fs::write(logs.join("today.1"), vec![b'x'; 1 << 20]).expect("written");
    disk.fill();
    let before = fingerprint(&["/var/log"]);
    let plan = freed(&lab, "plan");
    assert_eq!(plan["effects"], serde_json::json!({}), "{plan}");
    assert_eq!(fingerprint(&["/var/log"]), before, "a plan changed something");
    assert_eq!(disk.free().0, 0);
    let unasked = ["run", "disk.free", "--ticket", "1", "--yes", "--arg", "mount=/var/log"];
    let refused = lab.salve(&unasked).expect(4);
    assert!(refused.err.contains("the person did not say yes"), "{}", refused.err);
    assert_eq!(fingerprint(&["/var/log"]), before, "nobody had said yes");
    assert_eq!(freed(&lab, "run")["outcome"], "succeeded");
    assert!(logs.join("today.1").exists() && logs.join("filler").exists());
    assert!(!logs.join("app.log.0.gz").exists());

    // Many small files: bytes are there, names are not.
    fs::remove_file(logs.join("filler")).expect("removed");
    rotated(300, 1);
    disk.fill_inodes();
    assert!(disk.free().0 > 0);
    assert_eq!(freed(&lab, "run")["outcome"], "succeeded");
    assert!(disk.free().1 >= 300, "{:?}", disk.free());
    assert!(logs.join("inode0").exists());
}

/// The endpoint's state lies on this file system, as the folder `pc/state` of the lab.
fn enrolled(lab: &Lab) -> Endpoint {
    let mut pc = Endpoint::bare(lab, "pc");
    let (console, token) = lab.enrolling("pc");
    pc.salved(&["enroll", &token]).expect(0);
    console.end().expect(0);
    pc.start();
    pc
}

#[test]
fn an_endpoint_without_a_byte_left_repairs_itself() {
    let lab = Lab::solo();
    // State and the cache that fills it on one disk, as `/var` is.
    let disk = Small::mount(&lab.folder().join("pc"), "size=260m");
    let archives = disk.0.join("archives");
    fs::create_dir_all(archives.join("partial")).expect("a folder");
    let mut pc = enrolled(&lab);
    let cache = Path::new("/var/cache/apt/archives");
    sh(&format!("mount --bind {} {}", archives.display(), cache.display())).expect(0);
    let cache = Small(cache.to_owned());
    sh("for i in $(seq 8); do head -c 10M /dev/urandom \
        >/var/cache/apt/archives/full${i}_1_amd64.deb; done")
    .expect(0);
    lab.salve(&["tickets", "new", "Disk full", "--for", "jo.meyer", "--on", "pc"]).expect(0);
    disk.fill();
    checked(&lab);
    // Also for a daemon that starts on the full disk, and after a power cut there.
    pc.kill();
    pc.start();
    checked(&lab);
    disk.fill();
    let doctor = pc.salved(&["doctor"]).expect(0);
    assert!(doctor.out.contains("an order still runs from the held room"), "{}", doctor.out);

    let done = lab.salve(&["--json", "run", "cache.clear", "--ticket", "1", "--yes"]);
    drop(cache);
    let run = done.clone().expect(0).json();
    assert_eq!(run["outcome"], "succeeded", "{}{}", done.out, done.err);
    assert_eq!(run["verified"], true, "{}", done.out);
    assert!(disk.free().0 > 0);
    let left = fs::read_dir(&archives).expect("the cache").flatten();
    assert_eq!(left.filter(|e| e.path().extension().is_some_and(|x| x == "deb")).count(), 0);
    checked(&lab);
    let entries = pc.entries();
    assert_eq!(entries.accepted, entries.records, "{entries:?}");
}

#[test]
fn an_endpoint_without_an_inode_left_still_runs_and_records() {
    let lab = Lab::solo();
    let disk = Small::mount(&lab.folder().join("pc"), "size=200m,nr_inodes=600");
    let mut pc = enrolled(&lab);
    disk.fill_inodes();
    for _ in 0..3 {
        checked(&lab);
    }
    pc.kill();
    pc.start();
    checked(&lab);
    disk.fill();
    checked(&lab);
    assert_eq!(pc.entries().records, 5);
    assert!(pc.alive());
}

/// E45: what the kernel does to a disk that fails.
#[test]
fn on_a_disk_that_turned_read_only_nothing_starts_and_nothing_is_forgotten() {
    let lab = Lab::solo();
    let disk = Small::mount(&lab.folder().join("pc/state"), "size=200m");
    let mut pc = enrolled(&lab);
    checked(&lab);
    pc.kill();
    let before = pc.entries();
    let remount = |how: &str| sh(&format!("mount -o remount,{how} {}", disk.0.display())).expect(0);
    remount("ro");
    let doctor = pc.salved(&["doctor"]).expect(1);
    doctor.says("pc/state is read-only").says("mount it writable");
    pc.salved(&["run"]).expect(6).says("Read-only file system");
    pc.salved(&["status"]).expect(0).says("records     1");
    assert_eq!(pc.entries(), before);
    remount("rw");
    pc.start();
    checked(&lab);
    assert_eq!(pc.entries().records, before.records + 1);
}

#[test]
fn a_disk_that_is_too_small_is_said_before_a_line_is_spent() {
    let lab = Lab::solo();
    let disk = Small::mount(&lab.folder().join("pc"), "size=16m");
    let pc = Endpoint::bare(&lab, "pc");
    let (console, token) = lab.enrolling("pc");
    let done = pc.salved(&["enroll", &token]).expect(6);
    assert!(done.err.contains("has no room for the ledger and the reserve"), "{}", done.err);
    assert!(done.err.contains("run the same line again"), "{}", done.err);
    sh(&format!("mount -o remount,size=200m {}", disk.0.display())).expect(0);
    pc.salved(&["enroll", &token]).expect(0);
    console.end().expect(0);
}

#[test]
fn a_desk_without_a_byte_left_says_so_and_does_nothing_by_halves() {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    checked(&lab);
    let tickets = |lab: &Lab| lab.salve(&["--json", "tickets", "list", "--all"]).expect(0).out;
    let before = tickets(&lab);
    // The home moves to a disk of its own, and that one is filled.
    let moved = lab.folder().join("moved");
    let disk = Small::mount(&moved, "size=24m");
    sh(&format!(
        "cp -a {0}/. {1}/ && rm -rf {0} && ln -s {1} {0}",
        lab.home().display(),
        moved.display()
    ))
    .expect(0);
    disk.fill();
    let records = pc.entries();
    for args in [
        &["tickets", "new", "Slow", "--for", "jo.meyer", "--on", "pc"][..],
        &["check", "health.check", "--on", "pc"][..],
        &["endpoints", "enroll", "other", "--listen", "127.0.0.1:0"][..],
    ] {
        let done = lab.salve(args);
        crate::bad_input::refused(done.clone(), 6, "no room");
        assert!(done.err.contains(lab.home().to_str().expect("UTF-8")), "{}", done.err);
    }
    assert_eq!(pc.entries(), records, "an order was sent that the desk could not keep");
    // Reading still works, and with room everything does.
    assert_eq!(tickets(&lab), before);
    fs::remove_file(moved.join("filler")).expect("removed");
    assert_eq!(tickets(&lab), before);
    checked(&lab);
    let new = ["tickets", "new", "Slow", "--for", "jo.meyer", "--on", "pc"];
    lab.salve(&new).expect(0);
    drop(pc);
}
