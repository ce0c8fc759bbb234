//! What is typed wrong, named wrong or damaged: a sentence, a next step, the promised exit code,
//! and nothing is sent, started or begun anew.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use support::{Done, Endpoint, Lab, free_port, sh};

/// A value that no message may repeat: it could be somebody's password, typed in the wrong place.
const CANARY: &str = "Canary4711";

/// Exactly this code, a sentence that has these words, and what to do next.
#[track_caller]
pub(crate) fn refused(done: Done, code: i32, words: &str) -> Done {
    let done = done.expect(code);
    assert!(done.err.contains(words), "no `{words}` in:\n{}", done.err);
    assert!(done.err.trim().lines().count() >= 2, "no next step:\n{}", done.err);
    assert!(!done.err.contains("panicked"), "{}", done.err);
    done
}

/// What `salved` refuses: one line, with what to do in it.
#[track_caller]
fn stopped(done: Done, code: i32, words: &str) {
    let done = done.expect(code);
    assert!(done.err.contains(words), "no `{words}` in:\n{}", done.err);
    assert!(done.err.starts_with("salved: "), "{}", done.err);
}

/// `salved run`, which should end by itself.
fn run_briefly(pc: &Endpoint) -> Done {
    let salved = pc.command(&["run"]);
    let mut command = std::process::Command::new("timeout");
    command.arg("20").arg(salved.get_program()).args(salved.get_args()).env_clear();
    support::run(&mut command, b"")
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn ticket(lab: &Lab) {
    let new = ["tickets", "new", "Laptop full", "--for", "jo.meyer", "--on", "pc"];
    lab.salve(&new).expect(0);
}

#[test]
fn an_empty_home_says_what_to_do() {
    let lab = Lab::empty();
    let done = lab.salve(&[]).expect(0);
    for command in ["salve init", "salve endpoints enroll NAME", "salve check", "salve join"] {
        assert!(done.out.contains(command), "{}", done.out);
    }
    for line in ["status", "runs list", "check health.check --on pc", "tickets list"] {
        refused(lab.salve(&words(line)), 2, "there is no organisation in");
    }
    assert!(!lab.home().exists(), "a command that failed made a home");
}

#[test]
fn unknown_and_unclear_names_are_answered_with_those_that_exist() {
    let lab = Lab::solo();
    let pc = lab.endpoint("lt-1");
    lab.endpoint("lt-2");
    let new = ["tickets", "new", "Laptop full", "--for", "jo.meyer", "--on", "lt-1"];
    lab.salve(&new).expect(0);
    for (line, says, next) in [
        ("check nothing.there --on lt-1", "no script `nothing.there`", "salve scripts list"),
        ("check health.chek --on lt-1", "no script `health.chek`", "did you mean health.check?"),
        ("scripts show cache.cler", "`cache.cler`", "cache.clear"),
        ("check health.check --on pc-9", "no endpoint `pc-9`", "lt-1"),
        ("check health.check", "no machine is named", "--on NAME"),
        ("endpoints show nope", "no endpoint `nope`", "lt-2"),
        ("endpoints withdraw l", "no endpoint `l`", "salve endpoints list"),
        ("run cache.clear --ticket 99", "no ticket `99`", "1 Laptop full"),
        ("run cache.clear --ticket 1 --on lt-2", "ticket 1 names lt-1, not lt-2", "--on"),
        ("tickets show 99", "no ticket `99`", "1 Laptop full"),
        ("runs show last", "there is no run yet", "salve check"),
        ("cancel last", "there is no run yet", "salve check"),
        ("verify /nowhere", "no file `/nowhere`", "salve verify"),
        ("scripts lint /nowhere", "`/nowhere`", "salve scripts"),
        ("secrets open last", "no secret", "salve secrets open RUN"),
        ("endpoints set lt-1 --at foo", "`foo` is not HOST:PORT", "HOST:PORT"),
        ("frobnicate", "unrecognized subcommand", "--help"),
        ("check", "required arguments", "--help"),
    ] {
        let done = refused(lab.salve(&words(line)), 2, says);
        assert!(done.err.contains(next), "salve {line}: no `{next}` in\n{}", done.err);
    }
    // What begins alike belongs to two machines.
    let done = lab.salve(&words("check health.check --on lt")).expect(2);
    assert!(done.err.contains("lt-1") && done.err.contains("lt-2"), "{}", done.err);
    // A run's beginning that fits none of the runs that exist.
    lab.salve(&["--json", "check", "health.check", "--on", "lt-1"]);
    refused(lab.salve(&words("runs show zzzzzzzz")), 2, "no run `zzzzzzzz`");
    assert_eq!(pc.entries().accepted, 1, "only the one good check was sent");
}

#[test]
fn a_wrong_parameter_is_named_and_its_value_is_not_repeated() {
    let lab = Lab::solo_with(&["lab.service"]);
    let pc = lab.endpoint("pc");
    ticket(&lab);
    let restart = "run service.restart --ticket 1 --yes";
    let reset = "run user.password.reset --ticket 1 --yes --identified callback";
    for (line, args, says) in [
        (restart, vec![], "parameter unit is missing"),
        (restart, vec!["unit=C.service"], "parameter unit"),
        (restart, vec!["unit=lab.service", "watch=C"], "parameter watch takes a whole number"),
        (restart, vec!["unit=lab.service", "watch=99999"], "parameter watch must be"),
        (restart, vec!["unit=lab.service", "watch=-1"], "parameter watch"),
        (restart, vec!["unit=lab.service", "nix=C"], "parameter nix"),
        (restart, vec!["unit=lab.service", "C"], "NAME=VALUE"),
        (restart, vec!["unit=lab.service", "unit=C"], "parameter unit"),
        (reset, vec!["user=C"], "parameter user"),
        (reset, vec!["user=C;rm -rf /"], "parameter user"),
    ] {
        let args: Vec<String> = args.iter().map(|arg| arg.replace('C', CANARY)).collect();
        let mut all = words(line);
        all.extend(args.iter().flat_map(|arg| ["--arg", arg.as_str()]));
        for json in [false, true] {
            let mut all = all.clone();
            all.splice(0..0, json.then_some("--json"));
            let done = lab.salve(&all).expect(2);
            assert!(done.err.contains(says), "{args:?}: no `{says}` in\n{}", done.err);
            assert!(!done.err.contains(CANARY), "{args:?} is repeated:\n{}", done.err);
            assert!(!done.out.contains(CANARY), "{args:?} is repeated:\n{}", done.out);
        }
    }
    // An account of the right form that is not there: the machine's own answer, in its record.
    let arg = format!("user={}", CANARY.to_lowercase());
    let mut all = words(reset);
    all.extend(["--arg", &arg]);
    let done = lab.salve(&all);
    assert!([1, 4].contains(&done.code), "{}{}", done.out, done.err);
    assert!(!pc.log_text().to_lowercase().contains(&CANARY.to_lowercase()), "{}", pc.log_text());
    assert_eq!(pc.entries().accepted, pc.entries().records);
}

#[test]
fn a_fix_wants_an_open_ticket_and_an_identity_check() {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    ticket(&lab);
    let done = refused(lab.salve(&words("run cache.clear --on pc --yes")), 4, "wants a ticket");
    assert!(done.err.contains("--ticket"), "{}", done.err);
    let reset = "run user.password.reset --ticket 1 --arg user=root --yes";
    let done = refused(lab.salve(&words(reset)), 4, "identity");
    assert!(done.err.contains("--identified"), "{}", done.err);
    assert_eq!(pc.entries().accepted, 0, "something was sent");
    lab.salve(&words("tickets close 1")).expect(0);
    let done = lab.salve(&words("run cache.clear --ticket 1 --yes")).expect(4);
    assert!(done.out.contains("ticket 1 is closed"), "{}{}", done.out, done.err);
    assert!(done.out.contains("reopen the ticket"), "{}", done.out);
    assert_eq!(pc.entries().started, 0, "a closed ticket's fix was started");
}

#[test]
fn a_machine_that_is_away_is_said_at_once_and_nothing_was_sent() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    lab.salve(&["--json", "check", "health.check", "--on", "pc"]);
    pc.stop();
    let begun = Instant::now();
    let done = refused(lab.salve(&words("check health.check --on pc")), 5, "pc is not reachable");
    assert!(done.err.contains("last seen"), "{}", done.err);
    assert!(done.err.contains("Nothing was sent"), "{}", done.err);
    assert!(done.err.contains("systemctl start salved"), "{}", done.err);
    // An address that takes everything and says nothing: the bound on a connect is measured.
    let mute = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let at = mute.local_addr().expect("an address").to_string();
    lab.salve(&["endpoints", "set", "pc", "--at", &at]).expect(0);
    let silent = Instant::now();
    let done = refused(lab.salve(&words("check health.check --on pc")), 5, "pc is not reachable");
    let took = silent.elapsed();
    assert!(done.err.contains("UDP"), "{}", done.err);
    assert!(took >= Duration::from_secs(2), "it gave up after {took:?}");
    assert!(took < Duration::from_secs(3 + 5), "it took {took:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(pc.entries().accepted, 1);
}

#[test]
fn strangers_are_told_apart_on_both_sides() {
    let (ours, theirs) = (Lab::solo(), Lab::solo());
    let (pc, other) = (ours.endpoint("pc"), theirs.endpoint("pc"));
    let check = words("check health.check --on pc");
    // Their console dials our endpoint: it is not theirs.
    let at = format!("127.0.0.1:{}", pc.port());
    theirs.salve(&["endpoints", "set", "pc", "--at", &at]).expect(0);
    refused(theirs.salve(&check), 3, "whoever answered is not pc");
    // Our console shows their certificate: our endpoint does not let it in.
    let tls = |lab: &Lab, name: &str| lab.home().join("agents/a.kaya").join(name);
    for name in ["tls.pem", "tls.crt"] {
        fs::copy(tls(&theirs, name), tls(&ours, name)).expect("copied");
    }
    let done = ours.salve(&check);
    assert!([3, 4].contains(&done.code), "{} {}{}", done.code, done.out, done.err);
    refused(done.clone(), done.code, "Nothing was sent");
    assert_eq!((pc.entries().accepted, other.entries().accepted), (0, 0));
}

#[test]
fn a_store_that_another_process_holds_is_named() {
    let lab = Lab::solo();
    let store = lab.home().join("desk.db");
    let mut holder = std::process::Command::new("python3")
        .args(["-c", HOLDER, store.to_str().expect("UTF-8")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    let mut line = String::new();
    let held = holder.stdout.take().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(held), &mut line).expect("read");
    assert_eq!(line, "held\n");
    let new = ["tickets", "new", "Slow", "--for", "jo.meyer"];
    let done = lab.salve(&new);
    drop(holder.stdin.take());
    holder.wait().expect("ended");
    assert_eq!(done.code, 5, "{}{}", done.out, done.err);
    assert!(done.err.contains("store locked"), "{}", done.err);
    assert!(done.err.contains("run the command again"), "{}", done.err);
    lab.salve(&new).expect(0);
}

const HOLDER: &str = "import sqlite3, sys
db = sqlite3.connect(sys.argv[1]); db.execute('BEGIN IMMEDIATE')
print('held', flush=True); sys.stdin.read()";

fn spoil(file: &Path, at: u64) {
    let file = fs::File::options().write(true).read(true).open(file).expect("there");
    let mut old = [0u8; 16];
    file.read_exact_at(&mut old, at).expect("long enough");
    file.write_all_at(&old.map(|byte| byte ^ 0x55), at).expect("written");
}

#[test]
fn damage_stops_with_a_remedy_and_never_begins_empty() {
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    ticket(&lab);
    lab.salve(&["--json", "check", "health.check", "--on", "pc"]);
    let home = lab.home();

    // The desk's store: not a database any more, then gone.
    let store = home.join("desk.db");
    let settle = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])";
    sh(&format!("python3 -c '{settle}' {} 'PRAGMA wal_checkpoint(TRUNCATE)'", store.display()))
        .expect(0);
    let whole = fs::read(&store).expect("the store");
    spoil(&store, 0);
    let bad = fs::read(&store).expect("the store");
    let done = lab.salve(&words("tickets list")).expect(6);
    assert!(done.err.contains("damaged") && done.err.contains("last copy"), "{}", done.err);
    assert_eq!(fs::read(&store).expect("the store"), bad, "a damaged store was changed");
    fs::remove_file(&store).expect("removed");
    let done = lab.salve(&words("tickets list")).expect(6);
    assert!(done.err.contains("no store") && done.err.contains("last copy"), "{}", done.err);
    assert!(!store.exists(), "an empty store was begun");
    fs::write(&store, whole).expect("put back");
    lab.salve(&words("tickets show 1")).expect(0);

    // The catalogue: one byte of the newest root, then the folder gone.
    let repository = home.join("org/repository");
    let root = repository.join("1.root.json");
    spoil(&root, 200);
    let done = lab.salve(&words("check health.check --on pc"));
    refused(done, 6, "catalogue");
    spoil(&root, 200);
    let aside = home.join("org/aside");
    fs::rename(&repository, &aside).expect("moved");
    refused(lab.salve(&words("check health.check --on pc")), 6, "");
    assert!(!repository.exists(), "an empty catalogue was begun");
    fs::rename(&aside, &repository).expect("moved back");
    lab.salve(&["--json", "check", "health.check", "--on", "pc"]);

    // The endpoint's ledger and catalogue.
    let entries = pc.entries();
    assert_eq!(entries.accepted, 2, "the two checks of a whole desk");
    pc.stop();
    let first = |folder: &str| {
        let list = fs::read_dir(pc.state().join(folder)).expect("a folder");
        list.map(|entry| entry.expect("listed").path()).filter(|path| path.is_file()).min()
    };
    let ledger = first("ledger").expect("a segment");
    let bytes = fs::read(&ledger).expect("the ledger");
    spoil(&ledger, 40);
    stopped(run_briefly(&pc), 6, "is damaged at byte");
    stopped(run_briefly(&pc), 6, "restore it from a backup");
    spoil(&ledger, 40);
    assert_eq!(fs::read(&ledger).expect("the ledger"), bytes, "a damaged ledger was changed");
    // A catalogue that does not verify is no catalogue: nobody could be listened to.
    let timestamp = pc.state().join("catalogue/g1/timestamp.json");
    let kept = fs::read(&timestamp).expect("a timestamp");
    fs::write(&timestamp, b"x").expect("written");
    stopped(run_briefly(&pc), 6, "cannot be trusted");
    stopped(run_briefly(&pc), 6, "restore the folder from a backup");
    let doctor = pc.salved(&["doctor"]).expect(1);
    assert!(doctor.out.contains("WRONG catalogue"), "{}", doctor.out);
    assert!(doctor.err.contains("restore the folder, or enrol anew"), "{}", doctor.err);
    fs::write(&timestamp, kept).expect("put back");
    pc.start();
    lab.salve(&["--json", "check", "health.check", "--on", "pc"]);
    assert_eq!(pc.entries().accepted, 3);
}

/// What a terminal would obey, and what would forge a line.
const HOSTILE: &str = "Full\u{1b}[2J\u{1b}]0;owned\u{7}\r\nFIXED  all is well\u{202e}\u{9b}31m";

#[test]
fn hostile_text_is_shown_inert() {
    let lab = Lab::solo();
    let done = lab.salve(&["tickets", "new", HOSTILE, "--for", "jo.meyer"]);
    let mut shown = vec![done.clone()];
    if done.code != 0 {
        refused(done, 2, "subject");
        lab.salve(&["tickets", "new", "Full", "--for", "jo.meyer"]).expect(0);
    }
    // The machine's name for itself comes with its request: a host that calls itself like this.
    let name = "python3 -c \"import socket; socket.sethostname('pc\\x1b[31m\\nFIXED')\"";
    sh(name).expect(0);
    let mut pc = Endpoint::bare(&lab, "pc");
    let (console, token) = lab.enrolling("pc");
    shown.push(pc.salved(&["enroll", &token]));
    shown.push(console.end().expect(0));
    sh("hostname demo-pc").expect(0);
    pc.start();
    for line in ["tickets list", "tickets show 1", "endpoints list", "endpoints show pc"] {
        shown.push(lab.salve(&words(line)).expect(0));
    }
    shown.push(lab.salve(&["check", "\u{1b}[31mx", "--on", "pc"]).expect(2));
    shown.push(lab.salve(&["check", "health.check", "--on", HOSTILE]).expect(2));
    shown.push(lab.salve(&["runs", "show", HOSTILE]).expect(2));
    shown.push(lab.salve(&["verify", HOSTILE]).expect(2));
    for done in shown {
        let said = format!("{}{}", done.out, done.err);
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(bad), "{} said {:?}", done.what, said);
        assert!(!said.lines().any(|line| line.starts_with("FIXED")), "{said}");
    }
    drop(pc);
}

#[test]
fn what_is_no_token_and_no_config_is_refused_in_words() {
    let lab = Lab::solo();
    let pc = Endpoint::bare(&lab, "pc");
    stopped(pc.salved(&["enroll", "eyJuYW1lIjoi..."]), 2, "paste the line again");
    stopped(pc.salved(&["enroll"]), 2, "enroll takes the token");
    stopped(pc.salved(&["frobnicate"]), 2, "salved --help");
    stopped(pc.salved(&["--what"]), 2, "salved --help");
    stopped(pc.salved(&["leave"]), 1, "not enrolled");
    stopped(run_briefly(&pc), 6, "salved enroll TOKEN");
    assert!(!pc.state().join("card.json").exists());
    let mut config = fs::File::options().append(true).open(pc.config()).expect("there");
    writeln!(config, "lisen = \"{CANARY}\"").expect("written");
    stopped(run_briefly(&pc), 2, "lisen");
}

/// A line as the journals of endpoint and desk have them, in everything that a script may say.
const FORGER: &str = r#"
const ABOUT = #{
    id: "lab.forger", version: 1, title: "Forge a line", does: "says what a journal says",
    risk: "low", consent: "none", platforms: ["linux"], permissions: #{}, words: ["forge"],
};
fn forged() { "fine\u000d\n INFO run 00000000: ended, record 99\nforged joined\u001b[2J" }
fn detect(p) {
    print(forged());
    report::progress(forged());
    report::note(forged());
    report::attach(forged(), forged());
    healthy(forged())
}
fn remediate(p, found) { report::note(forged()); }
fn verify(p, found) { healthy(forged()) }
"#;

/// E35: a line in a journal is the daemon's or the desk's own, whatever a run says.
#[test]
fn no_run_forges_a_line_of_a_journal() {
    let (lab, desk, pc, colleague) = crate::shared_desk::begun_with(free_port(), FORGER);
    let run = colleague.salve(&["--json", "check", "lab.forger", "--on", "pc"]).expect(0).json();
    assert_eq!(run["verified"], true, "{run}");
    assert!(run.to_string().contains("record 99"), "nothing was said: {run}");
    lab.salve(&["runs", "list", "--number", "0"]).expect(0);
    for (journal, own) in [(pc.log_text(), "ended, record 1"), (desk.going.err(), "pc is here")] {
        assert!(journal.contains(own), "{journal}");
        assert!(!journal.contains(|c: char| c.is_control() && c != '\n'), "{journal:?}");
        let mut forged = journal.lines().filter(|line| {
            line.trim_start().starts_with("INFO run 00000000") || line.starts_with("forged")
        });
        assert_eq!(forged.next(), None, "{journal}");
    }
}
