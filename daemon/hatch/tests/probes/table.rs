//! What must come of every attempt under every lock.

use hatch::cgroup::Home;
use hatch::spawn::{End, Program, spawn_in};

use crate::{Came, actions, attempt, child};

/// Name and test.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("unlocked_every_attempt_succeeds", unlocked),
    ("an_interpreter_dies_of_whatever_it_tries", interpreter),
    ("a_gate_opens_starts_and_connects_nothing", gate),
    ("an_executor_of_class_look_changes_nothing", look),
    ("an_executor_of_class_files_stays_inside_and_starts_nothing", files),
    ("an_executor_of_class_accounts_starts_only_its_programs", accounts),
    ("an_executor_of_class_services_gets_no_new_socket", services),
    ("landlock_abi_2_is_enough", abi_2),
    ("the_report_names_abi_and_capabilities", report),
    ("a_lock_without_its_defence_is_an_error", fails_closed),
    ("cgroup_kill_ends_a_whole_tree", cgroup_kill),
    ("a_child_has_exactly_its_descriptors", exact_table),
];

const NEWEST: i32 = 9;
const SIGSYS: Came = Came::Killed(31);
const PERM: Came = Came::Refused(1);
const ACCES: Came = Came::Refused(13);
const XDEV: Came = Came::Refused(18);
const NOSYS: Came = Came::Refused(38);
const FAMILY: Came = Came::Refused(97);
const BADF: Came = Came::Refused(9);

fn expect(lock: &str, newest: i32, attempts: &[(&str, &[Came])]) {
    let mut wrong = Vec::new();
    for (action, may) in attempts {
        let came = attempt(lock, newest, action);
        if !may.contains(&came) {
            wrong.push(format!("{lock} (ABI {newest}), {action}: {came:?}, not one of {may:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without a lock the attempts work: a refusal elsewhere is the lock's.
fn unlocked() {
    let mut wrong = Vec::new();
    for (action, _) in actions::ACTIONS {
        let came = attempt("none", NEWEST, action);
        let fine = match *action {
            // Not to be done on a machine of ours; wrong arguments get past a filter, no further.
            "set the clock" => came == Came::Refused(22) || came == PERM,
            "terminal input" => came == Came::Refused(25),
            // The program that took its place says nothing.
            "exec the granted tool" | "exec another program" => came == Came::Lost(0),
            "a call of tomorrow" => came != SIGSYS,
            "a call of x32" => came == Came::Done || came == NOSYS,
            "key ring" => came == Came::Done || came == NOSYS,
            _ => came == Came::Done,
        };
        if !fine {
            wrong.push(format!("{action}: {came:?}"));
        }
    }
    assert!(wrong.is_empty(), "unlocked, these did not work:\n{}", wrong.join("\n"));
}

fn interpreter() {
    for (action, _) in actions::ACTIONS {
        let came = attempt("interpreter", NEWEST, action);
        let fine = match *action {
            "clock" => came == Came::Done,
            "memory of 300 MiB" => came == Came::Refused(12),
            _ => came == SIGSYS,
        };
        assert!(fine, "interpreter, {action}: {came:?}");
    }
}

fn gate() {
    for (action, _) in actions::ACTIONS {
        let came = attempt("gate", NEWEST, action);
        let fine = match *action {
            "clock" | "memory of 300 MiB" => came == Came::Done,
            "descriptor left open" => came == BADF,
            _ => came == PERM,
        };
        assert!(fine, "gate, {action}: {came:?}");
    }
}

/// Refused in every class but packages.
const NEVER: &[(&str, &[Came])] = &[
    ("read inside", &[Came::Done]),
    ("read outside", &[ACCES]),
    ("read outside by a link", &[ACCES]),
    ("create outside", &[ACCES]),
    ("write outside", &[ACCES]),
    ("truncate outside", &[ACCES, PERM]),
    ("unlink outside", &[ACCES]),
    ("link in from outside", &[ACCES, XDEV]),
    ("rename in from outside", &[ACCES, XDEV]),
    ("mknod inside", &[PERM, ACCES]),
    ("cut inside, opened to read", &[PERM]),
    ("inet socket", &[FAMILY]),
    ("unix socket", &[FAMILY]),
    ("netlink socket", &[FAMILY]),
    ("socket pair", &[FAMILY]),
    ("exec another program", &[PERM, ACCES]),
    ("memfd", &[PERM]),
    ("io_uring", &[NOSYS]),
    ("user namespace", &[PERM]),
    ("mount namespace", &[PERM]),
    ("bpf map", &[PERM]),
    ("trace the parent", &[PERM]),
    ("memory of the parent", &[ACCES, PERM]),
    ("key ring", &[PERM]),
    ("mount", &[PERM]),
    ("clone3", &[NOSYS]),
    ("thread", &[Came::Done]),
    ("a call of tomorrow", &[NOSYS]),
    ("a call of x32", &[SIGSYS]),
    ("set the clock", &[PERM]),
    ("descriptor left open", &[BADF]),
    ("terminal input", &[PERM]),
];

const CONTAINED: &[(&str, &[Came])] = &[
    ("chmod outside", &[PERM]),
    ("chmod inside", &[PERM]),
    ("chown outside", &[PERM]),
    ("set times outside", &[PERM]),
    ("exec the granted tool", &[PERM]),
    ("signal the parent", &[PERM]),
    ("fork", &[PERM]),
    ("become root again", &[PERM]),
    ("memory of 300 MiB", &[Came::Refused(12)]),
];

const LOOK: &[(&str, &[Came])] = &[
    ("create inside", &[ACCES]),
    ("unlink inside", &[ACCES]),
    ("fchmod inside", &[PERM]),
    ("set times of a descriptor", &[PERM]),
    ("become nobody for files", &[PERM]),
];

const FILES: &[(&str, &[Came])] = &[
    ("create inside", &[Came::Done]),
    ("unlink inside", &[Came::Done]),
    ("fchmod inside", &[PERM]),
    ("set times of a descriptor", &[Came::Done]),
    ("become nobody for files", &[Came::Done]),
];

fn look() {
    expect("look", NEWEST, NEVER);
    expect("look", NEWEST, CONTAINED);
    expect("look", NEWEST, LOOK);
    expect("look", NEWEST, &[("openat2", &[Came::Done])]);
}

fn files() {
    expect("files", NEWEST, NEVER);
    expect("files", NEWEST, CONTAINED);
    expect("files", NEWEST, FILES);
}

fn services() {
    expect("services", NEWEST, NEVER);
    expect("services", NEWEST, CONTAINED);
    expect("services", NEWEST, LOOK);
}

fn accounts() {
    expect("accounts", NEWEST, NEVER);
    // Replaced by the tool, which says nothing and ends well.
    expect(
        "accounts",
        NEWEST,
        &[
            ("exec the granted tool", &[Came::Lost(0)]),
            ("fork", &[Came::Done]),
            ("memory of 300 MiB", &[Came::Done]),
        ],
    );
}

/// Debian 12's own kernel has ABI 2: seccomp refuses what later ABIs hold.
fn abi_2() {
    for lock in ["look", "files"] {
        expect(lock, 2, NEVER);
        expect(lock, 2, CONTAINED);
        // Its flags hide from a filter, and ABI 2 does not hold truncation.
        expect(lock, 2, &[("openat2", &[NOSYS])]);
    }
    expect("look", 2, LOOK);
    expect("files", 2, FILES);
    expect("interpreter", 2, &[("read passwd", &[SIGSYS])]);
    expect("gate", 2, &[("read passwd", &[PERM])]);
}

fn report() {
    let (text, end) = child(&["report", "look", "2"]);
    assert_eq!(end, End::Exited(0));
    assert!(text.contains("landlock=ABI 2, enforced"), "{text}");
    assert!(text.contains("capabilities=dac_read_search\n"), "{text}");
    assert!(text.contains("limits=memory 256 MiB, no core\n"), "{text}");
    let (text, _) = child(&["report", "interpreter", "9"]);
    assert!(text.contains("uid=uid 65534, no groups"), "{text}");
    assert!(text.contains("capabilities=none"), "{text}");
    let (text, _) = child(&["report", "packages", "9"]);
    assert!(text.contains("seccomp=off: package programs need the whole system"), "{text}");
}

fn fails_closed() {
    // ABI 1 is below what is required: the child must not come to its attempt.
    for lock in ["interpreter", "gate", "look", "files"] {
        assert!(matches!(attempt(lock, 1, "clock"), Came::Lost(_)), "{lock}");
    }
}

fn cgroup_kill() {
    let home = Home::find().unwrap();
    let folder = home.make(&format!("salve-test-{}", std::process::id())).unwrap();
    let shell = Program::open(std::path::Path::new("/bin/sh")).unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let (read, write) = hatch::pipe::pair().unwrap();
    let inside = folder.open().unwrap();
    // A grandchild of its own session outlives its parents, but not the folder.
    let script = "setsid sh -c 'sleep 600' & setsid sh -c 'sleep 600' & echo there; wait";
    use std::os::fd::AsFd as _;
    let table = [(null.as_fd(), 0), (write.as_fd(), 1)];
    let child = spawn_in(inside.as_fd(), &shell, &["-c", script], &table).unwrap();
    drop(write);
    let mut word = [0u8; 6];
    assert_eq!(rustix::io::read(&read, &mut word).unwrap(), 6);
    assert!(!folder.is_empty().unwrap());
    folder.kill().unwrap();
    assert_eq!(child.wait().unwrap(), End::Signalled(9));
    assert!(folder.wait_empty(2000).unwrap());
    // The pipe's writing end was theirs: its end says that they are gone.
    assert_eq!(rustix::io::read(&read, &mut word).unwrap(), 0);
    folder.remove().unwrap();
    assert!(!folder.path().exists());
}

fn exact_table() {
    // One that is open here without close-on-exec does not get through either.
    let dup = libc::F_DUPFD.unsigned_abs() as usize;
    assert!(crate::sys::call(libc::SYS_fcntl, [2, dup, 200, 0, 0, 0]).unwrap() >= 200);
    let (text, end) = child(&["born"]);
    assert_eq!(end, End::Exited(0));
    let lines: Vec<&str> = text.lines().collect();
    let ours = ["0 1 2 9", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];
    assert_eq!(lines, ours);
}
