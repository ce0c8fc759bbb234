//! The commands of an organisation of three people, end to end, with passphrases on a descriptor.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use protocol::Time;

use super::{Cli, run};
use crate::ctx::{Ctx, Given};
use crate::exit::{Exit, Failure};

pub(super) const NOW: Time = Time(1_795_000_000);

pub(super) struct Team {
    dir: tempfile::TempDir,
    pub(super) ssh_agent: Option<PathBuf>,
}

fn passphrase(person: &str) -> String {
    format!("the passphrase of {person}")
}

impl Team {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), ssh_agent: None }
    }
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `salve LINE` with the passphrases of these people on a descriptor, in their order.
    pub(super) fn salve(&self, line: &str, people: &[&str]) -> Result<Exit, Failure> {
        let given = self.path("passphrases");
        let lines: String = people.iter().map(|person| passphrase(person) + "\n").collect();
        File::create(&given).unwrap().write_all(lines.as_bytes()).unwrap();
        let given = File::open(&given).unwrap();
        let cli = Cli::try_parse_from(std::iter::once("salve").chain(line.split(' '))).unwrap();
        let ctx = Ctx {
            home: self.path("home"),
            json: false,
            keys: cli.keys,
            passphrase_fd: Some(given.as_raw_fd().try_into().unwrap()),
            given: Given::default(),
            ssh_agent: self.ssh_agent.clone(),
            scripts_beside: None,
            now: || NOW,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&ctx, cli.command))
    }

    fn script(&self, name: &str, risk: &str) -> PathBuf {
        let path = self.path(&format!("{name}.rhai"));
        let text = format!(
            r#"const ABOUT = #{{
    id: "{name}", version: 1, title: "Look", does: "looks at something", risk: "{risk}",
    consent: "none", platforms: ["linux"], limit: "1m", params: #{{}}, permissions: #{{}},
    words: ["disk full"],
}};

fn detect(p) {{ healthy("fine") }}
fn remediate(p, found) {{ }}
fn verify(p, found) {{ healthy("fine") }}
"#
        );
        File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    fn listed(&self, name: &str) -> bool {
        let home = desk::home::Home::new(self.path("home"));
        let catalogue = desk::catalogue::open(&home, NOW).unwrap();
        catalogue.latest(&name.parse().unwrap()).is_some()
    }

    /// Somebody takes their keys away on a stick.
    fn take_away(&self, person: &str, stick: &Path) {
        for kind in ["root", "admin", "vetter"] {
            std::fs::create_dir_all(stick.join(kind)).unwrap();
            let file = format!("{kind}/{person}.pem");
            std::fs::rename(self.path("home/keys").join(&file), stick.join(&file)).unwrap();
        }
    }
}

const INIT: &str = "init --profile small --name Demo --me a.kaya --person m.ruiz --person s.okafor \
                    --no-scripts";
const ALL: [&str; 3] = ["a.kaya", "m.ruiz", "s.okafor"];

pub(super) fn sentence(result: Result<Exit, Failure>) -> (Exit, String) {
    let failure = result.unwrap_err();
    (failure.exit, failure.for_people())
}

#[test]
fn alone_a_small_organisation_is_not_founded_and_solo_is_named() {
    let team = Team::new();
    let alone = team.salve("init --profile small --name Demo --me a.kaya --no-scripts", &ALL);
    let (exit, words) = sentence(alone);
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("only you are named") && words.contains("--profile solo"), "{words}");
    assert!(words.contains("--person NAME"), "{words}");
    let (exit, words) = sentence(team.salve(INIT, &ALL[..2]));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("holds no passphrase of s.okafor"), "{words}");
    let same = ["a.kaya", "m.ruiz", "m.ruiz"];
    let (_, words) = sentence(team.salve(INIT, &same));
    assert!(words.contains("m.ruiz and s.okafor chose the same passphrase"), "{words}");
    assert!(!team.path("home").exists());
}

#[test]
fn two_people_sign_and_publish_with_their_keys_on_sticks() {
    let team = Team::new();
    assert_eq!(team.salve(INIT, &ALL).unwrap(), Exit::Fine);
    let file = team.script("net.look", "medium");
    let file = file.display();
    let stick = team.path("stick");
    for person in ALL {
        team.take_away(person, &stick);
    }
    let away = team.salve(&format!("scripts sign {file} --as m.ruiz"), &["m.ruiz"]);
    let (exit, words) = sentence(away);
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("no vetter key of m.ruiz") && words.contains("--keys DIR"), "{words}");
    let keys = format!("--keys {}", stick.display());
    let sign = |person: &str, passphrase: &str| {
        team.salve(&format!("{keys} scripts sign {file} --as {person}"), &[passphrase])
    };
    assert_eq!(sign("m.ruiz", "m.ruiz").unwrap(), Exit::Fine);
    let (exit, words) = sentence(team.salve("scripts publish", &[]));
    assert_eq!(exit, Exit::Refused);
    assert!(words.contains("risk-medium needs 2 people, has 1"), "{words}");
    let (_, words) = sentence(sign("s.okafor", "m.ruiz"));
    assert!(words.contains("the passphrase does not open this key"), "{words}");
    assert!(!team.listed("net.look"));
    assert_eq!(sign("s.okafor", "s.okafor").unwrap(), Exit::Fine);
    assert_eq!(team.salve("scripts publish", &[]).unwrap(), Exit::Fine);
    assert!(team.listed("net.look"));

    // Policy and lists: two people, one passphrase each for both of their keys.
    let (exit, words) = sentence(team.salve(&format!("{keys} scripts renew"), &["a.kaya"]));
    assert_eq!(exit, Exit::Refused);
    assert!(words.contains("policy needs 2 people, has 1") && words.contains("--as"), "{words}");
    let renew = format!("{keys} scripts renew --as s.okafor --as m.ruiz");
    assert_eq!(team.salve(&renew, &["s.okafor", "m.ruiz"]).unwrap(), Exit::Fine);
    let (exit, words) = sentence(team.salve("agents withdraw s.okafor", &["a.kaya"]));
    assert_eq!(exit, Exit::Refused);
    assert!(words.contains("--as NAME --as NAME"), "{words}");
    let twice = format!("{keys} agents withdraw s.okafor --as a.kaya --as a.kaya");
    assert_eq!(sentence(team.salve(&twice, &["a.kaya", "a.kaya"])).0, Exit::Refused);
    let both = format!("{keys} agents withdraw s.okafor --as a.kaya --as m.ruiz");
    assert_eq!(team.salve(&both, &["a.kaya", "m.ruiz"]).unwrap(), Exit::Fine);
    let late = team.script("disk.look", "low");
    let late = format!("{keys} scripts sign {} --as s.okafor", late.display());
    let (exit, words) = sentence(team.salve(&late, &["s.okafor"]));
    assert_eq!(exit, Exit::Refused);
    assert!(words.contains("s.okafor was withdrawn and signs nothing any more"), "{words}");
}

/// One key lost, one person away: whoever is left goes on, and the one who lost it gets another.
#[test]
fn a_lost_key_is_taken_away_another_is_given_and_a_threshold_is_raised() {
    let team = Team::new();
    assert_eq!(team.salve(INIT, &ALL).unwrap(), Exit::Fine);
    let lost = team.path("home/keys/vetter/s.okafor.pem");
    std::fs::remove_file(&lost).unwrap();
    assert_eq!(team.salve("keys list", &[]).unwrap(), Exit::Fine);
    let (exit, words) = sentence(team.salve("keys take vetter s.okafor", &["a.kaya"]));
    assert_eq!(exit, Exit::Refused);
    assert!(words.contains("needs 2 people, has 1") && words.contains("--as"), "{words}");
    // s.okafor is there with what is left of his keys: that counts for the policy, and not for lists.
    let both = ["a.kaya", "m.ruiz"];
    let by = "--as a.kaya --as m.ruiz";
    assert_eq!(team.salve(&format!("keys take vetter s.okafor {by}"), &both).unwrap(), Exit::Fine);
    let (exit, words) = sentence(team.salve(&format!("keys take vetter m.ruiz {by}"), &both));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("2 of 1 keys cannot be asked for"), "{words}");

    let twice = ["s.okafor", "s.okafor"];
    assert_eq!(team.salve("keys make vetter --for s.okafor", &twice).unwrap(), Exit::Fine);
    let given = format!("keys give vetter s.okafor {by}");
    let three = ["s.okafor", "a.kaya", "m.ruiz"];
    assert_eq!(team.salve(&given, &three).unwrap(), Exit::Fine);
    assert!(lost.exists(), "it has its place");
    let (_, words) = sentence(team.salve(&given, &three));
    assert!(words.contains("no vetter key was made for s.okafor"), "{words}");
    let everybody = format!("keys threshold high 3 {by} --as s.okafor");
    assert_eq!(team.salve(&everybody, &ALL).unwrap(), Exit::Fine);
    let (exit, words) = sentence(team.salve(&everybody, &ALL));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("it is so already"), "{words}");
    assert_eq!(team.salve(&format!("keys online {by}"), &both).unwrap(), Exit::Fine);

    // What is signed from now on is signed with the new key.
    let file = team.script("net.look", "medium");
    for person in ["a.kaya", "s.okafor"] {
        let line = format!("scripts sign {} --as {person}", file.display());
        assert_eq!(team.salve(&line, &[person]).unwrap(), Exit::Fine);
    }
    assert_eq!(team.salve("scripts publish", &[]).unwrap(), Exit::Fine);
    assert!(team.listed("net.look"));
}
