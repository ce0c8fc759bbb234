//! The person at the machine is asked, on a real terminal of a real session and on a desktop's bus,
//! and what they say decides (E22).

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Endpoint, Going, Lab, programs, wait_for};

/// Removes one file, after asking.
const ASKING: &str = r#"
const ABOUT = #{
    id: "lab.tidy", version: 1, title: "Tidy", does: "removes a file",
    risk: "medium", consent: "ask", question: "May I remove the old report?",
    platforms: ["linux"],
    permissions: #{ "fs.find": ["/var/tmp/salve-ask/*"], "fs.remove": ["/var/tmp/salve-ask/*"] },
    words: ["tidy"],
};
fn old() { fs::find("/var/tmp/salve-ask/*", #{ only: "files" }) }
fn detect(p) {
    let found = old();
    if found.is_empty() { return healthy("there is no report"); }
    needed(`${found.len()} old reports`)
}
fn remediate(p, found) { fs::remove(old()); }
fn verify(p, found) { if old().is_empty() { healthy("it is gone") } else { needed("it is there") } }
"#;

/// The file that may go.
fn report() -> PathBuf {
    let folder = Path::new("/var/tmp/salve-ask");
    fs::create_dir_all(folder).expect("a folder");
    let file = folder.join("report.txt");
    fs::write(&file, "old").expect("written");
    file
}

fn user(name: &str) -> (u32, u32) {
    let known = Command::new("/usr/bin/getent").args(["passwd", name]).output().expect("getent");
    if !known.status.success() {
        let made = Command::new("/usr/sbin/useradd").args(["--create-home", name]).status();
        assert!(made.expect("useradd").success());
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("accounts");
    let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).expect("made");
    let id = |at: usize| line.split(':').nth(at).and_then(|id| id.parse().ok()).expect("a number");
    (id(2), id(3))
}

/// A file that goes with the test.
struct Written(PathBuf);

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What logind has of this person's open session.
fn session_of(name: &str) -> Option<String> {
    let all = fs::read_dir("/run/systemd/sessions").ok()?.flatten();
    let mut texts = all.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.find(|text| text.contains(&format!("USER={name}\n")) && text.contains("CLASS=user"))
}

/// Somebody signed in at a terminal: a shell, and what they see and type.
fn sign_in(name: &str) -> Going {
    // `su` opens a session of its own with logind (pam_systemd) where its caller has none.
    let mut script = Command::new("/usr/bin/systemd-run");
    script.args(["--quiet", "--wait", "--pipe", "--service-type=exec", "/usr/bin/script"]);
    script.args(["--quiet", "--return", "--command", &format!("su -l {name}"), "/dev/null"]);
    let mut shell = Going::start(&mut script);
    let session = wait_for("a session of logind", 20, || session_of(name));
    // login(1) and sshd give the terminal to whoever signs in; su does not.
    let terminal = session.lines().find_map(|line| line.strip_prefix("TTY=")).expect("a terminal");
    chown(Path::new("/dev").join(terminal), Some(user(name).0), None).expect("given");
    shell.answer("PS1='at> '; stty -echo");
    shell.says("at> ");
    shell
}

/// Runs the script for a ticket without a terminal of the agent's own: what is asked is asked there.
fn start(lab: &Lab, ticket: &str) -> Going {
    lab.start(&["run", "lab.tidy", "--ticket", ticket, "--yes"])
}

fn lab() -> (Lab, Endpoint) {
    let lab = Lab::solo();
    lab.publish(ASKING);
    let pc = lab.endpoint("pc");
    (lab, pc)
}

fn ticket(lab: &Lab) -> String {
    crate::bench::ticket(lab, "An old report", "pc")
}

fn notes(lab: &Lab, ticket: &str) -> String {
    lab.salve(&["tickets", "show", ticket]).expect(0).out
}

#[test]
fn e22_a_yes_and_a_no_typed_at_the_machine_decide_and_nobody_there_is_read_aloud() {
    let (lab, pc) = lab();
    let file = report();
    // Nobody is there: said at once, and the agent reads it aloud.
    let first = ticket(&lab);
    let alone = start(&lab, &first).end().expect(4);
    alone.says("nobody is signed in at the machine").says("Read aloud");
    assert!(file.exists());

    user("ada");
    let mut shell = sign_in("ada");
    let command = format!("{} answer", programs().join("salved").display());

    // No: nothing is changed, and it says so on both sides.
    let second = ticket(&lab);
    let no = start(&lab, &second);
    wait_for("the question to be put", 30, || no.err().contains("Asking the person").then_some(()));
    shell.says("lab: a.kaya of the help desk asks (lab.tidy, ticket 2)");
    shell.says("May I remove the old report?");
    shell.says("- /var/tmp/salve-ask/*: 1 file, 3 B");
    shell.answer(&format!("{command} no; echo told $?"));
    shell.says("You said no. Nothing will be changed.");
    shell.says("told 0");
    no.end().expect(4).says("nothing was changed: ada said no at the machine (terminal pts/");
    assert!(file.exists());
    // An agent who claims otherwise has to make a plan that asks nobody: this one is refused.
    shell.answer(&format!("{command} yes; echo late $?"));
    shell.says("late 1");

    // Yes: it is done, and the record says who said it.
    let third = ticket(&lab);
    let yes = start(&lab, &third);
    shell.says("(lab.tidy, ticket 3)");
    shell.answer(&format!("{command} yes"));
    let done = yes.end().expect(0).says("FIXED");
    assert!(!done.err.contains("Read aloud"), "{}", done.err);
    assert!(!file.exists());
    let shown = lab.salve(&["runs", "show", "last"]).expect(0).out;
    assert!(shown.contains("Asked    ada said yes at the machine (terminal pts/"), "{shown}");
    assert!(notes(&lab, &third).contains("consent: ada said yes at the machine"), "{shown}");
    lab.salve(&["verify", "last"]).expect(0);
    wait_for("nothing but the gate", 20, || {
        let left = pc.children();
        left.iter().all(|(name, _)| name != "prompter").then_some(())
    });
    shell.answer("exit");
    wait_for("the end of the session", 20, || session_of("ada").is_none().then_some(()));
}

#[test]
fn a_desktop_shows_the_question_with_two_buttons() {
    let (lab, _pc) = lab();
    let file = report();
    let (uid, gid) = user("bea");
    let runtime = PathBuf::from(format!("/run/user/{uid}"));
    fs::create_dir_all(&runtime).expect("a folder");
    chown(&runtime, Some(uid), Some(gid)).expect("hers");
    let bus = format!("unix:path={}", runtime.join("bus").display());
    let as_her = |program: &str, args: &[&str]| {
        let mut command = Command::new("/usr/sbin/runuser");
        command.args(["-u", "bea", "--", program]).args(args);
        command
    };
    let daemon = ["--session", "--nofork", "--nopidfile", "--address", &bus];
    let _bus = Going::start(&mut as_her("/usr/bin/dbus-daemon", &daemon));
    wait_for("her bus", 20, || runtime.join("bus").exists().then_some(()));
    let service = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/notifications.py");
    let service = fs::read_to_string(service).expect("the service");
    let mut desktop = Going::start(&mut as_her("/usr/bin/python3", &["-c", &service, &bus]));
    desktop.says("ready");
    // A session as logind writes one of a desktop; a machine of this kind has no seat.
    let session = Written(PathBuf::from("/run/systemd/sessions/salve-ask-test"));
    fs::create_dir_all("/run/systemd/sessions").expect("a folder");
    let text = format!("UID={uid}\nUSER=bea\nSTATE=active\nCLASS=user\nTYPE=wayland\nTTY=tty2\n");
    fs::write(&session.0, text).expect("written");

    let one = ticket(&lab);
    let yes = start(&lab, &one);
    desktop.says("\"actions\"");
    let out = desktop.out();
    let shown = out.lines().find(|line| line.contains("\"actions\"")).expect("a notification");
    let shown: Value = serde_json::from_str(shown).expect("JSON");
    assert_eq!(shown["title"], "lab: a.kaya of the help desk asks (lab.tidy, ticket 1)");
    assert_eq!(shown["body"], "May I remove the old report?\n- /var/tmp/salve-ask/*: 1 file, 3 B");
    assert_eq!(shown["actions"], serde_json::json!(["yes", "Yes", "no", "No"]));
    assert_eq!(shown["urgency"], 2);
    // A button of another notification answers nothing.
    desktop.answer("77 no");
    desktop.answer("yes");
    yes.end().expect(0).says("FIXED");
    assert!(!file.exists());
    lab.salve(&["runs", "show", "last"]).expect(0).says("bea said yes at the machine (desktop)");

    // Without a desktop that answers, it says why, and the agent reads it aloud.
    report();
    drop(desktop);
    let two = ticket(&lab);
    let none = start(&lab, &two).end().expect(4);
    none.says("the question could not be shown at the machine: the desktop").says("Read aloud");
}

#[test]
fn where_policy_wants_the_persons_own_word_an_agents_statement_is_not_enough() {
    let (lab, _pc) = lab();
    let file = report();
    let folder = lab.folder().join("policy.toml");
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    let text = text.replacen(
        "id = \"fix-medium\"\n",
        "id = \"fix-medium\"\nconsent = { spoken = false }\n",
        1,
    );
    fs::write(&folder, text).expect("written");
    lab.salve(&["policy", "sign", folder.to_str().expect("UTF-8"), "--yes"]).expect(0);
    let one = ticket(&lab);
    lab.salve(&["run", "lab.tidy", "--ticket", &one, "--spoken", "--yes"])
        .expect(4)
        .says("the person at the machine has to say yes first");
    let alone = start(&lab, &one).end().expect(4);
    let alone = alone.says("nobody is signed in at the machine");
    let alone = alone.says("the person at the machine has to say yes first");
    assert!(!alone.err.contains("Read aloud"), "{}", alone.err);
    assert!(file.exists());
}
