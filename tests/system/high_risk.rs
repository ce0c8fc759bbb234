//! docs/high-risk.md, its own lines: three people, a script of high risk, an auditor.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Done, Endpoint, Going, Lab, free_port, programs, run, wait_for};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/high-risk.md");
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");

/// Somebody's full name.
fn person(who: &str) -> &str {
    match who {
        "ruiz" => "m.ruiz",
        "okafor" => "s.okafor",
        _ => "a.kaya",
    }
}

/// Everybody's places, what was printed to be pasted, and what waits.
struct Stage {
    labs: BTreeMap<&'static str, Lab>,
    machine: Endpoint,
    ports: [u16; 2],
    line: String,
    waits: Vec<(String, Going)>,
    desk: Option<Going>,
    last: Option<Done>,
}

impl Stage {
    fn new() -> Self {
        let labs = ["kaya", "ruiz", "okafor"].map(|who| (who, Lab::empty()));
        let labs = BTreeMap::from(labs);
        std::os::unix::fs::symlink(SCRIPTS, labs["kaya"].folder().join("scripts")).expect("linked");
        let machine = Endpoint::bare(&labs["kaya"], "pc");
        let ports = [free_port(), free_port()];
        let (line, waits) = (String::new(), Vec::new());
        Self { labs, machine, ports, line, waits, desk: None, last: None }
    }

    fn folder(&self, who: &str) -> PathBuf {
        match who {
            "auditor" => self.labs["kaya"].folder().join("auditor"),
            _ => self.labs[who].folder().to_owned(),
        }
    }

    /// The line as it is typed: whoever is named gives a passphrase, in that order.
    fn typed(&self, who: &str, line: &str) -> Command {
        let words: Vec<&str> = line.split_whitespace().collect();
        let named = |pair: &[&str]| {
            matches!(pair[0], "--as" | "--me" | "--person").then(|| pair[1].to_owned())
        };
        let mut people: Vec<String> = words.windows(2).filter_map(named).collect();
        if people.is_empty() {
            people.push(person(who).to_owned());
        }
        let given: String = people.iter().map(|who| format!("the passphrase of {who}\n")).collect();
        let folder = self.folder(who);
        // A file for each: what waits reads its own.
        let file = folder.join(format!("given-{}", self.waits.len()));
        if who != "auditor" {
            fs::write(&file, given).expect("written");
        }
        let text = format!(
            "set -e\nsalve() {{ '{bin}/salve' --home home --passphrase-fd 3 \"$@\" 3<'{file}'; }}\n\
             salve-verify() {{ unshare --net '{bin}/salve-verify' \"$@\"; }}\n\
             salved() {{ '{bin}/salved' --config '{config}' \"$@\"; }}\n{line}\n",
            bin = programs().display(),
            file = file.display(),
            config = self.machine.config().display(),
        );
        let mut command = Command::new("/bin/bash");
        command.arg("-c").arg(text).current_dir(folder).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn filled(&self, line: &str) -> String {
        let [one, two] = self.ports;
        line.replace("127.0.0.1:7434", &format!("127.0.0.1:{one}"))
            .replace("127.0.0.1:7435", &format!("127.0.0.1:{two}"))
            .replace("LINE", &self.line)
    }

    /// The one order that asks whoever this is.
    fn order(&self, who: &str) -> String {
        wait_for("an order that asks", 30, || {
            let asking = run(&mut self.typed(who, "salve --json approve"), b"").expect(0).json();
            let order = asking.as_array()?.first()?["order"].as_str()?.to_owned();
            Some(order.chars().take(12).collect())
        })
    }

    /// A command that waits for somebody, and what it printed for them.
    fn begin(&mut self, who: &str, line: &str) {
        let mut going = Going::start(&mut self.typed(who, line));
        if line.contains("salve serve") {
            wait_for("the desk", 30, || going.err().contains("listening on").then_some(()));
            self.desk = Some(going);
            return;
        }
        if line.contains("invite") || line.contains("enroll") {
            self.line = wait_for("a line to paste", 30, || {
                assert!(!going.ended(), "{line}: {}{}", going.out(), going.err());
                let out = going.out();
                let mut words =
                    out.split_whitespace().skip_while(|w| !matches!(*w, "join" | "enroll"));
                words.nth(1).map(str::to_owned)
            });
        }
        self.waits.push((line.to_owned(), going));
    }

    fn play(&mut self, line: &str) {
        if let Some(words) = line.strip_prefix("> ") {
            let done = self.last.as_ref().expect("a command before it");
            let said = format!("{}{}", done.out, done.err);
            let is_there = |text: &str| text.contains(words.trim());
            assert!(is_there(&said), "{}: no `{words}` in\n{said}", done.what);
            return;
        }
        let (who, line) = line.split_once(['$', '#']).expect("somebody types it");
        let (line, code) = match line.split_once(" # exit ") {
            Some((line, code)) => (line, code.trim().parse().expect("a code")),
            None => (line, 0),
        };
        let mut line = self.filled(line.trim());
        if line == "wait" {
            let (_, going) = self.waits.pop().expect("something waits");
            self.last = Some(going.end().expect(0));
            return;
        }
        if line.contains("ORDER") {
            line = line.replace("ORDER", &self.order(who));
        }
        if let Some(line) = line.strip_suffix(" &") {
            return self.begin(who, line);
        }
        let who = if who == "pc" { "kaya" } else { who };
        let done = run(&mut self.typed(who, &line), b"").expect(code);
        if line.contains("join") || line.starts_with("salved enroll") {
            // Whoever waited for that has seen it.
            let (_, going) = self.waits.pop().expect("somebody waits");
            going.end().expect(0);
        }
        if line.starts_with("salved enroll") {
            self.machine.start();
            let desk = self.desk.as_ref().expect("a desk");
            wait_for("pc at the desk", 30, || desk.err().contains("pc is here").then_some(()));
        }
        self.last = Some(done);
    }
}

fn lines() -> Vec<String> {
    let page = fs::read_to_string(Path::new(PAGE)).expect("docs/high-risk.md");
    let blocks = page.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| block.lines().skip(1).map(str::to_owned));
    lines.filter(|line| !line.trim().is_empty()).collect()
}

#[test]
fn the_page_on_high_risk_is_what_happens() {
    let status = Command::new("/usr/sbin/useradd").args(["-m", "kim"]).status().expect("useradd");
    assert!(status.success(), "useradd: {status}");
    let mut chpasswd = Command::new("/usr/sbin/chpasswd");
    run(&mut chpasswd, b"kim:what was forgotten\n").expect(0);
    let mut stage = Stage::new();
    for line in lines() {
        stage.play(&line);
    }
    assert!(stage.waits.is_empty());
}
