//! Who is calling: a code to the contact on file, said by the caller, checked by the desk, demanded by a rule
//! on the machine; and nowhere in clear but in the message.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use support::{Done, Going, Lab, free_port, processes, wait_for};

use crate::bench::{self, COUNTER};
use crate::p7::{base64, gather};
use crate::shared_desk::begun_with;

/// Has the policy want a checked caller for every fix of high risk.
fn want_checks(lab: &Lab) {
    let draft = lab.folder().join("policy.toml");
    let text = lab.salve(&["policy", "show", "--toml"]).expect(0).out;
    let rule = "id = \"fix-high\"\n";
    assert!(text.contains(rule), "{text}");
    let text = text.replace(rule, &format!("{rule}identity_checked = true\n"));
    fs::write(&draft, text).expect("written");
    lab.salve(&["policy", "sign", draft.to_str().expect("UTF-8"), "--yes"]).expect(0);
}

fn send_by(lab: &Lab, how: &str) {
    let text = format!("send = \"{how}\"\nfrom = \"helpdesk@example.com\"\n");
    fs::write(lab.home().join("mail.toml"), text).expect("written");
}

/// The fix of [`bench`], with a code that is read from standard input.
fn fix(lab: &Lab, ticket: &str, more: &[(&str, &str)]) -> Going {
    let nonce = format!("nonce={ticket}");
    let args = ["--json", "run", "lab.count", "--ticket", ticket, "--arg", &nonce];
    let mut command = lab.command(&args);
    command.args(["--identified", "code", "--code-fd", "0", "--yes"]);
    command.envs(more.iter().copied());
    Going::start(&mut command)
}

fn messages(folder: &Path) -> BTreeSet<PathBuf> {
    let found = fs::read_dir(folder).expect("listed").flatten().map(|file| file.path());
    found.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect()
}

/// The code of the message that comes next.
fn code(folder: &Path, before: &BTreeSet<PathBuf>, going: &mut Going) -> String {
    let path = wait_for("a message with a code", 30, || {
        assert!(!going.ended(), "{}{}", going.out(), going.err());
        messages(folder).difference(before).next().cloned()
    });
    let text = fs::read_to_string(path).expect("read");
    let line = text.lines().find_map(|line| line.strip_prefix("    ")).expect("a code");
    assert!(line.len() == 6 && line.bytes().all(|c| c.is_ascii_digit()), "{line}");
    line.to_owned()
}

/// Another code than this one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().expect("digits") + 1) % 1_000_000)
}

/// Whether `bytes` have the code: as a word of its own (digests and keys have many digits), in hex or base64.
fn has(bytes: &[u8], code: &str) -> bool {
    let hex: String = code.bytes().map(|byte| format!("{byte:02x}")).collect();
    let alone = |at: usize| {
        let outside = |c: Option<&u8>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
        outside(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && outside(bytes.get(at + code.len()))
    };
    let clear = bytes.windows(code.len()).enumerate();
    let mut clear = clear.filter(|(_, part)| *part == code.as_bytes());
    let form = |form: &str| bytes.windows(form.len()).any(|part| part == form.as_bytes());
    clear.any(|(at, _)| alone(at)) || form(&hex) || form(&base64(code.as_bytes(), 0))
}

fn refused(done: &Done, words: &str) {
    assert!(done.err.contains(words), "{words}\n{}", done.err);
}

/// Reads every command line and environment, until it is told to stop.
fn watcher(stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<BTreeSet<Vec<u8>>> {
    let watching = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !watching.load(Ordering::Relaxed) {
            for process in processes() {
                for name in ["cmdline", "environ"] {
                    let file = format!("/proc/{}/{name}", process.0);
                    seen.extend(fs::read(file).ok().filter(|bytes| !bytes.is_empty()));
                }
            }
        }
        seen
    })
}

/// What is missing is said, and nothing is sent; then nothing is missing any more.
fn prepared(lab: &Lab, colleague: &Lab, ticket: &str, out: &Path) {
    let nonce = format!("nonce={ticket}");
    let stated = ["run", "lab.count", "--ticket", ticket, "--arg", &nonce, "--yes"];
    let stated = colleague.salve(&[&stated[..], &["--identified", "callback"]].concat()).expect(4);
    refused(&stated, "policy wants the caller identified by a code that the desk checked");
    let none = fix(colleague, ticket, &[]).end().expect(2);
    refused(&none, "no contact is on file for `jo.meyer`");
    let set = ["contacts", "set", "jo.meyer", "--mail", "jo.meyer@example.com"];
    refused(&colleague.salve(&set).expect(4), "only an administrator may do this");
    lab.salve(&set).expect(0).says("is on file");
    let listed = colleague.salve(&["contacts", "list"]).expect(0).says("j…@example.com");
    assert!(listed.out.contains("NEW") && !listed.out.contains("jo.meyer@"), "{}", listed.out);
    refused(&fix(colleague, ticket, &[]).end().expect(2), "no sender for codes");
    fs::create_dir(out).expect("made");
    send_by(lab, &format!("file:{}", out.display()));
}

/// Three wrong ones are enough; the code that was sent.
fn three_wrong(colleague: &Lab, ticket: &str, out: &Path) -> String {
    let mut going = fix(colleague, ticket, &[]);
    let first = code(out, &BTreeSet::new(), &mut going);
    for _ in 0..3 {
        going.answer(&wrong(&first));
    }
    let done = going.end().expect(4);
    for words in [
        "A code went to the mail on file (j…@example.com)",
        "CAREFUL  that mail was put on file 0 days ago, by a.kaya",
        "Wrong; 2 tries are left",
        "wrong, and that was the last try",
    ] {
        refused(&done, words);
    }
    first
}

/// The check is on the record, on the ticket and in the bundle of an auditor.
fn proven(lab: &Lab, colleague: &Lab, ticket: &str) {
    let words = "by a code to the mail on file (j…@example.com), checked by the desk";
    let record = colleague.salve(&["--json", "runs", "show", "last"]).expect(0).json();
    let said = &record["record"]["predicate"]["identity_checked"];
    assert_eq!(
        (&said["person"], &said["agent"]),
        (&"jo.meyer".into(), &"m.ruiz".into()),
        "{record}"
    );
    let shown = format!("jo.meyer identified {words}");
    colleague.salve(&["runs", "show", "last"]).expect(0).says(&shown);
    let ticket_page = bench::delivered(lab, ticket).to_string();
    assert!(ticket_page.contains(&shown), "{ticket_page}");
    let bundle = colleague.folder().join("ticket.bundle");
    let export = ["audit", "export", ticket, "--out", bundle.to_str().expect("UTF-8")];
    colleague.salve(&export).expect(0);
    let mut judge = Command::new(support::programs().join("salve-verify"));
    judge.arg(&bundle).arg("--root").arg(lab.home().join("org/repository/1.root.json"));
    let judged = support::run(&mut judge, b"").expect(0);
    let person = format!("jo.meyer, identified {words}");
    for words in [person.as_str(), "that whoever read that mail was jo.meyer"] {
        assert!(judged.out.contains(words), "{words}\n{}", judged.out);
    }
}

#[test]
fn a_caller_is_checked_at_the_shared_desk_and_the_code_is_nowhere_but_in_the_message() {
    let (lab, desk, pc, colleague) = begun_with(free_port(), COUNTER);
    want_checks(&lab);
    let out = lab.folder().join("out");
    let ticket = bench::ticket(&colleague, "count it", "pc");
    let before = bench::executions();
    prepared(&lab, &colleague, &ticket, &out);
    let first = three_wrong(&colleague, &ticket, &out);
    assert_eq!(bench::executions(), before);

    let stop = Arc::new(AtomicBool::new(false));
    let watcher = watcher(&stop);
    let mut going = fix(&colleague, &ticket, &[]);
    let second = code(&out, &messages(&out), &mut going);
    going.answer(&wrong(&second));
    going.answer(&second);
    let done = going.end().expect(0);
    stop.store(true, Ordering::Relaxed);
    let seen = watcher.join().expect("watched");
    let run: Value = done.json();
    assert_eq!((&run["verified"], &run["outcome"]), (&true.into(), &"succeeded".into()), "{run}");
    assert_eq!(bench::executions(), before + 1);
    proven(&lab, &colleague, &ticket);

    // Within the hour the same agent goes on without asking the caller again.
    let mut again = vec!["run", "lab.count", "--ticket", &ticket, "--arg", "nonce=7", "--yes"];
    again.extend(["--identified", "code", "--code-fd", "0"]);
    refused(&colleague.salve(&again).expect(0), "it still counts");

    let mut files = Vec::new();
    for folder in [lab.folder(), colleague.folder()] {
        gather(folder, &mut files);
    }
    files.retain(|(name, _)| !Path::new(name).starts_with(&out));
    assert!(files.iter().any(|(name, _)| name.ends_with("desk.db")));
    files.push(("the console".into(), format!("{}{}", done.out, done.err).into_bytes()));
    let journal = format!("{}{}", desk.going.out(), desk.going.err());
    files.push(("the desk's journal".into(), journal.into_bytes()));
    files.push(("the machine's log".into(), pc.log_text().into_bytes()));
    files.extend(seen.into_iter().map(|bytes| ("a command line".to_owned(), bytes)));
    let lines = files.iter().filter(|(name, _)| name == "a command line");
    assert!(lines.filter(|(_, b)| String::from_utf8_lossy(b).contains("--identified")).count() > 0);
    assert!(has(format!("({second})").as_bytes(), &second));
    for code in [&first, &second] {
        for (name, bytes) in &files {
            assert!(!has(bytes, code), "the code is in {name}");
        }
    }
}

/// A mail server of the fixtures, and what it prints first: its port.
fn mail_server(folder: &Path, cert: &Path, key: &Path) -> (Going, String) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail.py");
    let mut command = Command::new("python3");
    command.arg(fixture).arg(folder).arg("--cert").arg(cert).arg("--key").arg(key);
    let mut going = Going::start(&mut command);
    going.says("\n");
    let port = going.out().trim().to_owned();
    (going, port)
}

#[test]
fn a_code_goes_by_tls_to_a_mail_server_whose_certificate_this_machine_trusts() {
    let lab = Lab::solo();
    bench::make_unit();
    lab.publish(COUNTER);
    let _pc = lab.endpoint("pc");
    want_checks(&lab);
    let (out, cert, key) =
        (lab.folder().join("box"), lab.folder().join("mail.crt"), lab.folder().join("mail.key"));
    fs::create_dir(&out).expect("made");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl").success());
    let (server, port) = mail_server(&out, &cert, &key);
    send_by(&lab, &format!("smtp://localhost:{port}"));
    lab.salve(&["contacts", "set", "jo.meyer", "--mail", "jo.meyer@example.com"]).expect(0);
    let ticket = bench::ticket(&lab, "count it", "pc");
    let before = bench::executions();

    // Nobody vouches for its certificate: no code, and nothing ran.
    let done = fix(&lab, &ticket, &[]).end().expect(5);
    assert!(done.err.contains("could not send a code"), "{}", done.err);
    assert!(done.err.contains("no TLS with the mail server"), "{}", done.err);
    assert_eq!((messages(&out).len(), bench::executions()), (0, before));

    let trusts = [("SSL_CERT_FILE", cert.to_str().expect("UTF-8"))];
    let mut going = fix(&lab, &ticket, &trusts);
    let code = code(&out, &BTreeSet::new(), &mut going);
    let text = fs::read_to_string(messages(&out).first().expect("a message")).expect("read");
    assert!(text.contains("RCPT TO:<jo.meyer@example.com>\ntls=True user=None\n"), "{text}");
    going.answer(&code);
    let done = going.end().expect(0);
    assert_eq!(done.json()["outcome"], "succeeded", "{}", done.out);
    assert_eq!(bench::executions(), before + 1);
    server.kill();
}
