//! P5: what faces the network cannot decide, sign or run anything; what reads script text holds no
//! rights. Read here from `/proc`, in the middle of a run, of the four programs as they are started.
//!
//! That each claimed defence refuses what it should is tried attempt by attempt in
//! `daemon/hatch/tests/probes`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use support::{Done, Endpoint, Lab, Process, programs, sh, wait_for};

/// `CAP_DAC_READ_SEARCH`: all that an executor keeps in order to look.
const READ_ALL: u64 = 1 << 2;
/// The five sets.
const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

fn account(name: &str) -> u32 {
    let done = sh(&format!("id -u {name}")).expect(0);
    done.out.trim().parse().expect("a number")
}

/// Inodes of every socket of the internet's families.
fn internet() -> Vec<String> {
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink"] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let inode =
                if matches!(table, "packet" | "netlink") { fields.last() } else { fields.get(9) };
            found.extend(inode.map(|inode| (*inode).to_owned()));
        }
    }
    found
}

/// The kernel has taken new rights and free choice of system calls from it, for good: it has
/// filters beyond those that the whole machine has.
fn locked(process: Process, keeper: Process, what: &str) {
    let filters = |process: Process| -> Option<u32> {
        process.field("Seccomp_filters").and_then(|count| count.parse().ok())
    };
    let given = filters(keeper).expect("a number");
    wait_for("a filter of its own", 20, || (filters(process)? > given).then_some(()));
    assert_eq!(process.field("Seccomp").as_deref(), Some("2"), "{what}");
    assert_eq!(process.field("NoNewPrivs").as_deref(), Some("1"), "{what}");
    assert_eq!(process.groups(), Vec::<u32>::new(), "{what}");
}

fn powerless(process: Process, what: &str) {
    for set in SETS {
        assert_eq!(process.capabilities(set), 0, "{what}: {set}");
    }
}

/// Nothing is open but pipes, what is named here, and the log.
fn opened_only(process: Process, what: &str, also: &[&str], log: &Path) {
    for descriptor in process.descriptors() {
        let known = descriptor.starts_with("pipe:")
            || Path::new(&descriptor) == log
            || also.iter().any(|also| descriptor.starts_with(also));
        assert!(known, "{what} holds {descriptor}");
    }
}

#[test]
fn four_processes_hold_four_sets_of_rights() {
    let lab = Lab::solo_with(&["lab.service"]);
    crate::p4::service();
    let mut pc = lab.endpoint("pc");
    lab.publish(&crate::p4::stays("lab.watch", "5m", 100));
    let going =
        lab.start(&["--json", "check", "lab.watch", "--on", "pc", "--arg", "unit=lab.service"]);
    let keeper = Process(pc.keeper());
    let (gate, executor) = (pc.child("gate"), pc.child("executor"));
    let interpreter = pc.child("interpreter");
    for (process, what) in [(gate, "gate"), (executor, "executor"), (interpreter, "interpreter")] {
        locked(process, keeper, what);
    }
    assert_eq!(pc.children().len(), 3, "{:?}", pc.children());

    // E36: whatever they know when they die, no core file does.
    for (process, what) in
        [(keeper, "keeper"), (gate, "gate"), (executor, "executor"), (interpreter, "interpreter")]
    {
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.0)).expect("limits");
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        let core: Vec<&str> = core.expect("a limit").split_whitespace().collect();
        assert_eq!(core, ["0", "0", "bytes"], "{what}");
    }
    // To the kernel they are not to be dumped: what lies in `/proc` of them is root's, not theirs.
    for (process, what) in [(gate, "gate"), (interpreter, "interpreter")] {
        let owner = fs::metadata(format!("/proc/{}/environ", process.0)).expect("there").uid();
        assert_eq!(owner, 0, "{what}");
    }

    assert_eq!(keeper.uids(), [0; 4]);
    assert_eq!(keeper.field("Threads").as_deref(), Some("1"));
    let internet = internet();
    let online = |process: Process| {
        process.sockets().into_iter().filter(|socket| internet.contains(socket)).count()
    };
    assert_eq!(online(keeper), 0, "the keeper is on a network");

    assert_eq!(gate.uids(), [account("salve-gate"); 4]);
    powerless(gate, "gate");
    assert_eq!(online(gate), 1, "one UDP socket is all that faces the network");
    opened_only(gate, "gate", &["socket:", "anon_inode:"], &pc.log());

    assert_eq!(interpreter.uids(), [account("nobody"); 4]);
    powerless(interpreter, "interpreter");
    assert_eq!(interpreter.field("Threads").as_deref(), Some("1"));
    opened_only(interpreter, "interpreter", &[], &pc.log());

    assert_eq!(executor.uids(), [0; 4]);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(executor.capabilities(set), READ_ALL, "executor: {set}");
    }
    assert_eq!(online(executor), 0, "the executor is on a network");

    let home = keeper.cgroup();
    assert_eq!(gate.cgroup(), home);
    assert_eq!(executor.cgroup(), interpreter.cgroup());
    let run = executor.cgroup();
    let own = run.strip_prefix(&format!("{home}/")).expect("beneath the keeper's own");
    assert!(own.starts_with("salve-") && !own.contains('/'), "{own}");

    lab.run_known();
    lab.salve(&["--json", "cancel", "last"]).expect(1);
    going.end().expect(1);
    assert!(pc.alive());
    let shown = lab.salve(&["--json", "runs", "show", "last"]).expect(1).json();
    let told = &shown["record"]["predicate"]["defences"];
    for process in ["executor", "interpreter"] {
        for defence in ["landlock", "seccomp", "capabilities", "cgroup", "no_new_privs"] {
            let word = told[format!("{process} {defence}")].as_str();
            assert!(word.is_some_and(|word| !word.contains("off")), "{process} {defence}: {told}");
        }
    }
}

fn words(properties: &[&str]) -> String {
    properties.iter().map(|property| format!("-p {property} ")).collect()
}

/// Runs `salved` as a service with these properties of the unit, to its end.
fn salved(pc: &Endpoint, properties: &[&str], word: &str) -> Done {
    sh(&format!(
        "exec systemd-run --quiet --pipe --wait --collect -p Delegate=yes -p RuntimeMaxSec=30 {} \
         {} --config {} {word}",
        words(properties),
        programs().join("salved").display(),
        pc.config().display(),
    ))
}

/// Refuses to start, and names the defence that is missing.
fn refuses(pc: &Endpoint, properties: &[&str], defence: &str) {
    let done = salved(pc, properties, "run");
    assert_ne!(done.code, 0, "started without {defence}");
    done.says(&format!("defence missing: {defence}"));
}

fn excepted(pc: &Endpoint, exceptions: &str) {
    let config = fs::read_to_string(pc.config()).expect("read");
    let kept = config.lines().filter(|line| !line.starts_with("exceptions"));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    text.push_str(&format!("exceptions = {exceptions}\n"));
    fs::write(pc.config(), text).expect("written");
}

/// A kernel without Landlock, as this unit sees it.
const NO_LANDLOCK: [&str; 2] =
    ["SystemCallFilter=~landlock_create_ruleset", "SystemCallErrorNumber=ENOSYS"];

#[test]
fn without_landlock_nothing_starts_and_no_exception_helps() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    pc.salved(&["status"]).expect(0).says("landlock    ABI ");
    pc.stop();
    salved(&pc, &NO_LANDLOCK, "status").expect(0).says("landlock    missing");
    refuses(&pc, &NO_LANDLOCK, "landlock");
    excepted(&pc, "[\"landlock\"]");
    let done = salved(&pc, &NO_LANDLOCK, "run");
    assert_ne!(done.code, 0);
    done.says("names a defence that cannot be missing");
    excepted(&pc, "[]");
    pc.start();
    assert!(pc.alive(), "the same state starts where the defence is there");
}

/// Kernels that refuse system call filters, and one that has none, as this unit sees them.
const NO_SECCOMP: [[&str; 2]; 3] = [
    ["SystemCallFilter=~seccomp", "SystemCallErrorNumber=EPERM"],
    ["SystemCallFilter=~seccomp", "SystemCallErrorNumber=EINVAL"],
    ["SystemCallFilter=~seccomp", "SystemCallErrorNumber=ENOSYS"],
];

/// E45.
#[test]
fn where_filters_are_denied_nothing_starts_and_no_exception_helps() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    pc.salved(&["status"]).expect(0).says("seccomp     filters");
    pc.stop();
    for properties in NO_SECCOMP {
        salved(&pc, &properties, "status").expect(0).says("seccomp     missing");
        refuses(&pc, &properties, "seccomp");
    }
    excepted(&pc, "[\"seccomp\"]");
    salved(&pc, &NO_SECCOMP[0], "run").says("names a defence that cannot be missing");
    excepted(&pc, "[]");
    pc.start();
    assert!(pc.alive(), "the same state starts where the defence is there");
}

/// Machines without a cgroup tree to divide (the overlay's own root lies in `/mnt` once more), and
/// without other users.
const MISSING: [(&[&str], &str); 2] = [
    (&["ProtectControlGroups=yes", "InaccessiblePaths=-/mnt"], "cgroup"),
    (&["PrivateUsers=yes"], "uid"),
];

#[test]
fn a_defence_may_be_missing_only_where_it_is_named_and_the_record_says_so() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    pc.stop();
    for (properties, defence) in MISSING {
        excepted(&pc, "[]");
        refuses(&pc, properties, defence);
        let other = if defence == "uid" { "[\"cgroup\"]" } else { "[\"uid\"]" };
        excepted(&pc, other);
        refuses(&pc, properties, defence);

        excepted(&pc, &format!("[\"{defence}\"]"));
        let listened = pc.listened();
        sh(&format!(
            "systemd-run --quiet --unit=excepted.service --collect -p Delegate=yes {} \
             -p StandardError=append:{} {} --config {} run",
            words(properties),
            pc.log().display(),
            programs().join("salved").display(),
            pc.config().display(),
        ))
        .expect(0);
        wait_for("salved to listen", 20, || (pc.listened() > listened).then_some(()));
        let done = lab.salve(&["--json", "check", "health.check", "--on", "pc"]);
        assert_eq!(done.json()["verified"], true, "{}{}", done.out, done.err);
        let shown = lab.salve(&["--json", "runs", "show", "last"]).json();
        let told = &shown["record"]["predicate"]["defences"];
        assert_eq!(told[format!("keeper exception {defence}")], "may be missing here", "{told}");
        let word = told[format!("interpreter {defence}")].as_str().unwrap_or_default();
        assert!(word.contains("by exception"), "claims what is not there: {told}");
        sh("systemctl stop excepted.service").expect(0);
    }
}
