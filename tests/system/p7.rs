//! P7: a secret is never in clear outside the process that needs it. A canary that is known only at
//! the end is looked for in everything that was left behind, and in every command line meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::{Lab, processes};

use crate::bench;

fn feed(program: &str, args: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let out = child.wait_with_output().expect("ended");
    let both = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&both).into_owned())
}

fn sign_in(password: &str) -> (bool, String) {
    let words = ["salve-lab", "jo", "authenticate", "acct_mgmt"];
    feed("/usr/bin/pamtester", &words, &format!("{password}\n"))
}

/// Every file below, whole.
pub(crate) fn gather(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("listed").flatten() {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            gather(&entry.path(), into);
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            into.push((entry.path().display().to_string(), bytes));
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 of what lies inside `bytes` behind `skip` bytes of something else: whole groups only.
pub(crate) fn base64(bytes: &[u8], skip: usize) -> String {
    let inner = bytes.get((3 - skip) % 3..).unwrap_or_default();
    let mut out = String::new();
    for group in inner.chunks_exact(3) {
        let n = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for shift in [18, 12, 6, 0] {
            out.push(char::from(ALPHABET[(n >> shift & 63) as usize]));
        }
    }
    out
}

fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![secret.to_owned(), hex.to_uppercase(), hex, secret.chars().rev().collect()];
    all.extend((0..3).map(|skip| base64(bytes, skip)));
    all.into_iter().map(String::into_bytes).collect()
}

fn found(forms: &[Vec<u8>], bytes: &[u8]) -> bool {
    forms.iter().any(|form| bytes.windows(form.len()).any(|part| part == form))
}

#[test]
fn a_one_time_secret_is_nowhere_in_clear_and_opens_one_sign_in() {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    let useradd = ["-m", "-s", "/bin/bash", "jo"];
    assert!(Command::new("/usr/sbin/useradd").args(useradd).status().expect("useradd").success());
    fs::write("/etc/pam.d/salve-lab", "auth required pam_unix.so\naccount required pam_unix.so\n")
        .expect("written");
    assert!(feed("/usr/sbin/chpasswd", &[], "jo:the old one\n").0);
    let ticket = bench::ticket(&lab, "Forgot my password", "pc");

    let stop = Arc::new(AtomicBool::new(false));
    let watching = Arc::clone(&stop);
    let watcher = std::thread::spawn(move || {
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
    });
    let mut args = vec!["--json", "run", "user.password.reset", "--ticket", &ticket];
    args.extend(["--arg", "user=jo", "--identified", "callback", "--yes"]);
    let ran = lab.salve(&args).expect(0);
    stop.store(true, Ordering::Relaxed);
    let seen = watcher.join().expect("watched");

    let papers = lab.folder().join("papers");
    lab.salve(&["runs", "show", "--export", papers.to_str().expect("UTF-8")]).expect(0);
    let shown = bench::shown(&lab, &ticket).to_string();
    let opened = lab.salve(&["--json", "secrets", "open", "last"]).expect(0).json();
    let secret = opened["secret"].as_str().expect("a secret").to_owned();
    let again = lab.salve(&["--json", "secrets", "open", "last"]);
    assert_ne!(again.code, 0, "opened twice: {}", again.out);

    // E36: whole, and split in two.
    let (head, tail) = secret.split_at(8);
    let forms = [&secret, head, tail].map(forms).concat();
    assert!(found(&forms, format!("x{secret}x").as_bytes()) && secret.len() == 16);
    let mut files = Vec::new();
    gather(lab.folder(), &mut files);
    assert!(files.iter().any(|(name, _)| name.ends_with("desk.db")));
    assert!(files.iter().any(|(name, _)| name.contains("/escrow/")), "no escrow to look into");
    files.push((
        "the console".into(),
        format!("{}{}{}{}", ran.out, ran.err, again.out, again.err).into_bytes(),
    ));
    files.push(("the ticket".into(), shown.into_bytes()));
    files.push(("the log".into(), pc.log_text().into_bytes()));
    files.push(("shadow".into(), fs::read("/etc/shadow").expect("read")));
    for (name, bytes) in &files {
        assert!(!found(&forms, bytes), "the secret is in {name}");
    }
    let mut watched = 0;
    for bytes in &seen {
        watched += usize::from(String::from_utf8_lossy(bytes).contains("user.password.reset"));
        assert!(!found(&forms, bytes), "in a command line: {}", String::from_utf8_lossy(bytes));
    }
    assert!(watched > 0, "the watcher saw nothing of the run");

    assert!(!sign_in("the old one").0, "the old password still works");
    let (ok, said) = sign_in(&secret);
    let asked = said.to_lowercase();
    let asked = asked.contains("new password required")
        || asked.contains("no longer valid")
        || asked.contains("expired")
        || asked.contains("required to change");
    assert!(!ok && asked, "no new password was asked for: {said}");
    assert!(feed("/usr/sbin/chpasswd", &[], "jo:her own choice 4711\n").0);
    assert!(sign_in("her own choice 4711").0, "her own password");
    assert!(!sign_in(&secret).0, "the one-time password works twice");
}
