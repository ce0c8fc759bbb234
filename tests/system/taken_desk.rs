//! A shared desk that was taken: `cheat` has all that lies on the desk's host (online keys, both CAs,
//! the desk's TLS key, its store, the catalogue) and no key of root, administrators, vetters or agents.
//!
//! Two tables, one row an attack: what it tries on an endpoint that holds a line to it, by the
//! endpoint's own stable code; and what it tells a console that works with it, by exit code and words.
//! The double plays all it knows: a row without a row here fails, and the other way round.
//!
//! What takes longer than a test may is tried in the simulation, with the daemon's own core: an order
//! outside its window and a frozen catalogue beyond its life (`tests/sim/refusals.rs`,
//! `tests/sim/narrowing.rs`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use support::{Done, Endpoint, Going, Lab, free_port, programs, sh, wait_for};

use crate::bench;

/// An organisation whose desk's host is somebody else's now.
struct Taken {
    lab: Lab,
    colleague: Lab,
    pc: Endpoint,
    other: Endpoint,
    /// What lies on the desk's host.
    home: PathBuf,
    books: Going,
    /// Where the desk's own books are asked, and where the double is.
    ports: (u16, u16),
}

impl Taken {
    /// Both machines are enrolled and stopped; what they trust is older than what is published.
    fn new(script: Option<&str>) -> Self {
        let lab = Lab::solo();
        script.into_iter().for_each(|script| lab.publish(script));
        let colleague = lab.colleague("m.ruiz");
        let (mut pc, mut other) = (lab.endpoint("pc"), lab.endpoint("other"));
        pc.stop();
        other.stop();
        bench::copy(&lab.home().join("org/repository"), &lab.folder().join("old"));
        lab.publish(bench::NOTHING);
        let home = lab.folder().join("taken");
        bench::copy(&lab.home(), &home);
        // On the host of a desk there are no other keys than its own.
        sh(&format!(
            "cd {} && rm -rf agents && find keys -mindepth 1 -maxdepth 1 ! -name online \
             -exec rm -rf {{}} +",
            home.display()
        ))
        .expect(0);
        let keys = sh(&format!("ls {}/keys", home.display())).expect(0).out;
        assert_eq!(keys.trim(), "online");
        let ports = (free_port(), free_port());
        let mut serve = Command::new(programs().join("salve"));
        serve.arg("--home").arg(&home).env_clear();
        serve.args(["serve", "--listen", &format!("127.0.0.1:{}", ports.0)]);
        let books = Going::start(&mut serve);
        wait_for("the books", 30, || books.err().contains("listening on").then_some(()));
        Self { lab, colleague, pc, other, home, books, ports }
    }

    fn double(&self, trick: &[&str]) -> Command {
        let mut command = Command::new(programs().join("cheat"));
        command.arg(&self.home).arg("pc").args(trick).env_clear();
        command
    }

    fn start(&mut self, port: u16) {
        for endpoint in [&mut self.pc, &mut self.other] {
            endpoint.configure(&format!("desk = \"127.0.0.1:{port}\""));
            endpoint.start();
        }
    }
}

fn table(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter().map(|(row, code)| ((*row).to_owned(), (*code).to_owned())).collect()
}

fn said(done: &Done) -> BTreeMap<String, String> {
    let last = done.out.trim().lines().last().expect("a line");
    let said: Value = serde_json::from_str(last).expect("JSON");
    let said = said["result"].as_object().expect("a table").iter();
    said.map(|(row, code)| (row.clone(), code.as_str().expect("a code").to_owned())).collect()
}

/// What a taken desk tries on an endpoint, and the endpoint's own word for why not. `ran` is the one
/// thing that it may do: deliver late what an agent signed.
const ON_AN_ENDPOINT: &[(&str, &str)] = &[
    ("order signed by snapshot-timestamp", "seal"),
    ("order signed by people-ca", "seal"),
    ("order signed by endpoints-ca", "seal"),
    ("order signed by enroller", "seal"),
    ("order signed by ticket", "seal"),
    ("order signed by desk-tls", "seal"),
    ("order signed by a key of its own", "seal"),
    ("order altered under its signature", "seal"),
    ("dispatch signed by the online key", "seal"),
    ("dispatch with another challenge and number", "seal"),
    ("recall signed by the desk", "seal"),
    ("order that names a newer catalogue", "catalogue-behind"),
    ("the same pair again", "challenge-used"),
    ("dispatch of another order", "dispatch-mismatch"),
    ("order for another target", "wrong-endpoint"),
    ("attestation signed by the online key", "ticket-attestation"),
    ("attestation of another ticket", "ticket-attestation"),
    ("withheld, then delivered", "ran"),
    ("replay on the same line", "already-run"),
    ("replay at another endpoint", "wrong-endpoint"),
    ("a line in an agent's name", "admitted"),
    ("replay on a line in an agent's name", "already-run"),
    ("unused dispatch on another line", "challenge-unknown"),
    // Advice that the endpoint takes from its desk: a record is not offered again, and stays.
    ("filed, of nothing", "offered, kept"),
    ("filed, that was not filed", "not offered, kept"),
    ("certificate of a CA of its own", "issuer"),
    ("certificate of an agent's role", "issuer"),
    ("certificate for another key", "key"),
    ("certificate for another name", "name"),
    ("certificate that ends no later", "not-later"),
    ("catalogue: rolled back whole", "rollback"),
    ("catalogue: timestamp-back", "rollback"),
    ("catalogue: snapshot-back", "rollback"),
    ("catalogue: role-back", "rollback"),
    ("catalogue: mixed", "mismatch"),
    ("catalogue: timestamp-twice", "equivocation"),
    ("catalogue: role-twice", "threshold"),
    ("catalogue: script", "threshold"),
    ("catalogue: policy", "threshold"),
    ("catalogue: targets", "threshold"),
    ("catalogue: root", "threshold"),
];

#[test]
fn a_taken_desk_runs_nothing_on_an_endpoint() {
    let mut taken = Taken::new(None);
    let (books, port) = (format!("127.0.0.1:{}", taken.ports.0), taken.ports.1);
    let (at, folder) = (port.to_string(), taken.lab.folder().to_str().expect("UTF-8").to_owned());
    let mut double = Going::start(&mut taken.double(&["siege", &at, &books, &folder]));
    taken.start(port);
    double.says("both are here");
    let before = taken.pc.entries();
    taken.colleague.salve(&["desk", "set", &format!("127.0.0.1:{port}")]).expect(0);
    for endpoint in ["pc", "pc", "pc", "pc", "pc", "other"] {
        let done = taken.colleague.salve(&["check", "health.check", "--on", endpoint]);
        assert_ne!(done.code, 0, "{}{}", done.out, done.err);
        assert!(done.err.contains("the desk says: the endpoint is not connected"), "{}", done.err);
        assert!(done.err.contains("as far as known; it expires at"), "{}", done.err);
    }
    assert_eq!(said(&double.end().expect(0)), table(ON_AN_ENDPOINT));
    let after = taken.pc.entries();
    assert_eq!((after.accepted, after.started), (before.accepted + 1, before.started + 1));
    assert!(taken.pc.alive());

    let double = Going::start(&mut taken.double(&["restarted", &at, &folder]));
    taken.pc.stop();
    taken.pc.start();
    let again = table(&[("replay after a restart", "already-run")]);
    assert_eq!(said(&double.end().expect(0)), again);
    assert_eq!(taken.pc.entries().started, after.started);
}

/// One lie to a console: its name, what the console did before under it (commands between `;`), what it
/// does, its exit code, and what it has to say.
type Told = (&'static str, &'static str, &'static str, i32, &'static str);

const CHECK: &str = "check lab.nothing --on pc";
const ELSEWHERE: &str = "check lab.nothing --on other";
const COUNT: &str = "run lab.count --ticket 1 --identified callback --yes --arg nonce=1";

/// 3: not verified. 4: refused by the endpoint, by name. 5: the line to the desk. 6: no answer of this
/// protocol. 7: unknown. The one 0 that a lie ends in is a list, which is the desk's word and says so.
const TO_A_CONSOLE: &[Told] = &[
    ("record-key", "", CHECK, 3, "NOT VERIFIED  record: it is not what pc signed"),
    ("record-outcome", "", CHECK, 3, "NOT VERIFIED  record: it is not what pc signed"),
    ("record-effects", "", CHECK, 3, "NOT VERIFIED  record: it is not what pc signed"),
    ("effects-file", "", CHECK, 3, "effects: the file has 1 line, the endpoint signed 0"),
    ("record-again", CHECK, CHECK, 3, "order: it is not the order that the record names"),
    ("record-again", ELSEWHERE, CHECK, 3, "card: it is not the card that the record names"),
    ("record-none", "", CHECK, 3, "what came back for pc is no record"),
    ("endpoint-garbage", "", CHECK, 7, "UNKNOWN  the desk was given the order for pc"),
    ("effects-endless", "", CHECK, 7, "UNKNOWN  the desk was given the order for pc"),
    ("card-again", ELSEWHERE, CHECK, 3, "its card is that of other"),
    ("hello-again", ELSEWHERE, CHECK, 3, "its hello is not signed as it must be"),
    ("challenge-again", CHECK, CHECK, 4, "this dispatch was sent before"),
    ("silent", "", CHECK, 7, "UNKNOWN  the desk was given the order for pc"),
    ("stored-only", "", CHECK, 7, "UNKNOWN  the desk was given the order for pc"),
    ("denied", "", CHECK, 7, "UNKNOWN  the desk says: no disk\\u{1b}[2J; the order did not run"),
    ("catalogue-behind", "", CHECK, 0, "The desk has an older catalogue and did not take ours"),
    ("catalogue-old", "", CHECK, 3, "that the desk brings is not taken"),
    ("catalogue-script", "", CHECK, 3, "threshold not met for role risk-low"),
    ("catalogue-policy", "", CHECK, 3, "threshold not met for role policy"),
    ("catalogue-root", "", CHECK, 3, "threshold not met for role root"),
    ("catalogue-mixed", "", CHECK, 3, "sha256 mismatch"),
    ("rows-machine", ELSEWHERE, CHECK, 2, "no endpoint `pc`"),
    ("honest", "", "check lab.nothing --on othe", 2, "there is:  other"),
    ("rows-verified", "", "runs show last", 3, "NOT VERIFIED: record: it is not what "),
    ("rows-verified", "", "verify last", 3, "NOT VERIFIED: record: it is not what "),
    ("rows-verified", "", "runs list", 0, "that is the desk's word"),
    ("rows-record-again", AGAIN, "runs show last", 3, "record: it is not that of run"),
    ("rows-record-again", AGAIN, "verify last", 3, "is another run's record"),
    ("rows-unsent", "", "runs show last", 7, "nobody signed that"),
    ("rows-escapes", "", "tickets list", 0, "\\u{1b}]0;x\\u{7} full"),
    ("rows-endless", "", "runs list", 5, "bad frame"),
    ("rows-garbage", "", "runs list", 5, "frame is not a known message"),
    ("rows-unended", "", "runs list", 6, "answered with something else"),
    ("rows-count", "", "runs list", 6, "answered with something else"),
    ("honest", "", COUNT, 0, "the desk says: note and record added"),
    // Its host holds the enroller's key, and whoever met the machine knows its keys (decision 0023).
    ("card-made", "", CHECK, 3, "whoever answers to pc is a stranger. Nothing was sent."),
    (
        "rows-card",
        CHECK,
        "runs show last",
        3,
        "NOT VERIFIED: card: the card names other keys for pc",
    ),
    ("rows-card", CHECK, "verify last", 3, "NOT VERIFIED: card: the card names other keys for pc"),
    ("escrow-again", COUNT, COUNT, 3, "secret: the sealed bytes are not those that the record"),
    // What it can do still: a machine that nobody here met before is whom the desk says it is.
    ("card-made", FORGET, CHECK, 0, "as the desk would have it"),
];

/// The console has met no machine yet.
const FORGET: &str = "forget";
const AGAIN: &str = "runs show last;check lab.nothing --on pc";

#[test]
fn a_taken_desk_makes_a_console_believe_nothing() {
    bench::make_unit();
    let mut taken = Taken::new(Some(bench::COUNTER));
    let books = format!("127.0.0.1:{}", taken.ports.0);
    taken.start(taken.ports.0);
    for name in ["pc is here", "other is here"] {
        wait_for(name, 30, || taken.books.err().contains(name).then_some(()));
    }
    let port = taken.ports.1.to_string();
    let folder = taken.lab.folder().to_str().expect("UTF-8").to_owned();
    let colleague = &taken.colleague;
    let stand = |lie: &str| {
        let mut double = Going::start(&mut taken.double(&["between", &port, &books, lie, &folder]));
        double.says("it stands between");
        double
    };
    let double = stand("honest");
    colleague.salve(&["desk", "set", &format!("127.0.0.1:{port}")]).expect(0);
    bench::ticket(colleague, "Laptop full", "pc");
    colleague.salve(&CHECK.split(' ').collect::<Vec<_>>()).expect(0);
    double.kill();
    let run = |line: &str| colleague.salve(&line.split(' ').collect::<Vec<_>>());
    let met = colleague.home().join("agents/m.ruiz/machines");
    let mut wrong = Vec::new();
    for (lie, before, command, code, words) in TO_A_CONSOLE {
        let double = stand(lie);
        match *before {
            FORGET => std::fs::remove_file(&met).expect("machines that were met"),
            before => {
                before.split(';').filter(|line| !line.is_empty()).for_each(|line| drop(run(line)))
            }
        }
        let done = run(command);
        let all = format!("{}{}", done.out, done.err);
        let inert = all.chars().all(|c| c == '\n' || !c.is_control());
        // What the desk would have people type is never said as if it were our own advice.
        let advice = !all.contains("curl") || all.contains("the desk's advice:  curl");
        if done.code != *code || !all.contains(words) || !inert || !advice {
            let heard = double.err();
            wrong.push(format!("{lie}: {command}: {}\n{all}\n--- double\n{heard}", done.code));
        }
        double.kill();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n=====\n"));
}
