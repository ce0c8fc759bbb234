//! The key that signs orders: under a passphrase, in an ssh-agent, and the session that it lends to.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use desk::home::{Home, OwnKey, ssh_keys};
use protocol::PublicKey;
use trust::Signer as _;

use super::team_tests::{Team, sentence};
use crate::exit::Exit;

const SOLO: &str = "init --profile solo --name Demo --me a.kaya --no-scripts";

fn founded() -> Team {
    let team = Team::new();
    assert_eq!(team.salve(SOLO, &["a.kaya"]).unwrap(), Exit::Fine);
    team
}

fn home(team: &Team) -> Home {
    Home::new(team.path("home"))
}

fn own(team: &Team) -> OwnKey {
    home(team).own_key(&"a.kaya".parse().unwrap()).unwrap()
}

fn session(team: &Team) -> Option<desk::home::Session> {
    let me = "a.kaya".parse().unwrap();
    home(team).session(&me, &own(team).public_key(), super::team_tests::NOW)
}

#[test]
fn a_passphrase_is_set_changed_and_taken_away_and_the_key_stays() {
    let team = founded();
    let OwnKey::Clear(key) = own(&team) else { panic!("new keys lie in clear") };
    assert_eq!(team.salve("keys passphrase", &["first"]).unwrap(), Exit::Fine);
    assert!(matches!(own(&team), OwnKey::Locked(public) if public == key.public_key()));
    let pem = std::fs::read_to_string(team.path("home/agents/a.kaya/signing.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{pem}");
    let (exit, words) = sentence(team.salve("keys passphrase", &["wrong", "second"]));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("does not open this key"), "{words}");
    assert_eq!(team.salve("keys passphrase", &["first", "second"]).unwrap(), Exit::Fine);
    let (_, words) = sentence(team.salve("keys passphrase --remove", &["first"]));
    assert!(words.contains("does not open this key"), "{words}");
    assert_eq!(team.salve("keys passphrase --remove", &["second"]).unwrap(), Exit::Fine);
    let OwnKey::Clear(again) = own(&team) else { panic!("still locked") };
    assert_eq!(again.public_key(), key.public_key());
}

#[test]
fn a_session_is_unlocked_once_and_locked_again() {
    let team = founded();
    assert_eq!(team.salve("keys passphrase", &["words"]).unwrap(), Exit::Fine);
    let (exit, words) = sentence(team.salve("unlock --for 8h", &[]));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("passphrase") && words.contains("salve unlock --for 8h"), "{words}");
    let (exit, words) = sentence(team.salve("unlock --for 8h", &["wrong"]));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("does not open this key"), "{words}");
    assert!(session(&team).is_none());
    assert_eq!(team.salve("unlock --for 8h", &["words"]).unwrap(), Exit::Fine);
    let first = session(&team).unwrap().says;
    assert_eq!(first.not_after.since(first.not_before), 8 * 3600);
    assert_eq!(first.risk, protocol::Risk::Medium);
    assert_eq!(team.salve("unlock --for 30m --risk low", &["words"]).unwrap(), Exit::Fine);
    let second = session(&team).unwrap().says;
    assert!(second.key != first.key && second.risk == protocol::Risk::Low);
    assert_eq!(team.salve("lock", &[]).unwrap(), Exit::Fine);
    assert!(session(&team).is_none());
    assert!(!team.path("home/agents/a.kaya/session.pem").exists());
    assert_eq!(team.salve("lock", &[]).unwrap(), Exit::Fine);
    for (line, says) in [
        ("unlock --for 13h", "12 hours at most"),
        ("unlock --risk high", "signed by your own key each time"),
    ] {
        let (exit, words) = sentence(team.salve(line, &["words"]));
        assert!(exit == Exit::Usage && words.contains(says), "{words}");
    }
}

/// Changes the policy as an administrator does.
fn policy(team: &Team, from: &str, to: &str) {
    let text = desk::rules::editable(&home(team), super::team_tests::NOW).unwrap();
    assert!(text.contains(from), "{text}");
    let path = team.path("policy.toml");
    std::io::Write::write_all(
        &mut std::fs::File::create(&path).unwrap(),
        text.replace(from, to).as_bytes(),
    )
    .unwrap();
    let sign = format!("policy sign {} --yes", path.display());
    assert_eq!(team.salve(&sign, &["a.kaya"]).unwrap(), Exit::Fine);
}

#[test]
fn a_session_key_that_leaked_is_denied_and_a_policy_may_take_none() {
    let team = founded();
    assert_eq!(team.salve("unlock", &[]).unwrap(), Exit::Fine);
    let key = session(&team).unwrap().says.key;
    policy(&team, "\nkeys = []", &format!("\nkeys = [\"{key}\"]"));
    let now = super::team_tests::NOW;
    let catalogue = desk::catalogue::open(&home(&team), now).unwrap();
    assert!(desk::catalogue::policy_of(&catalogue).unwrap().is_denied_key(&key));
    policy(&team, "session_key = true", "session_key = false");
    let (exit, words) = sentence(team.salve("unlock", &[]));
    assert_eq!(exit, Exit::Refused);
    assert!(words.contains("no rule of the policy takes a session key"), "{words}");
}

/// A real ssh-agent, ended when dropped.
struct SshAgent {
    child: Child,
    socket: PathBuf,
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the ssh-agent of this machine is what is tried")]
fn program(name: &str) -> Command {
    Command::new(name)
}

impl SshAgent {
    fn start(team: &Team) -> Self {
        let socket = team.path("ssh-agent");
        let child = program("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("openssh-client is installed");
        let started = std::time::Duration::from_secs(10);
        let waits = async {
            while std::os::unix::net::UnixStream::connect(&socket).is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(started, waits).await.unwrap() });
        Self { child, socket }
    }

    fn command(&self, name: &str, arguments: &[&str]) {
        let mut command = program(name);
        let command = command.args(arguments).env("SSH_AUTH_SOCK", &self.socket);
        assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{name} {arguments:?}");
    }

    /// Makes a key as people make theirs, and gives it to the agent.
    fn make(&self, team: &Team, name: &str) -> PublicKey {
        let path = team.path(name).display().to_string();
        self.command("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &path]);
        self.command("ssh-add", &["-q", &path]);
        let listed = ssh_keys(Some(&self.socket)).unwrap();
        listed.into_iter().find(|listed| listed.comment == name).unwrap().key
    }
}

#[test]
fn the_real_ssh_agent_signs_once_it_has_the_key_that_the_policy_lists() {
    let mut team = founded();
    let (exit, words) = sentence(team.salve("keys ssh-agent", &[]));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("no ssh-agent is named") && words.contains("ssh-add"), "{words}");
    let agent = SshAgent::start(&team);
    team.ssh_agent = Some(agent.socket.clone());
    let new = agent.make(&team, "new");
    // Types that sign something else than the message are passed over.
    let rsa = team.path("rsa").display().to_string();
    agent.command("ssh-keygen", &["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", &rsa]);
    agent.command("ssh-add", &["-q", &rsa]);
    assert_eq!(ssh_keys(team.ssh_agent.as_deref()).unwrap().len(), 1);
    let (_, words) = sentence(team.salve("keys ssh-agent", &[]));
    assert!(words.contains("does not have the key that the policy lists for you"), "{words}");
    assert!(words.contains(&new.to_string()), "{words}");
    let (exit, words) = sentence(team.salve(&format!("keys ssh-agent {new}"), &[]));
    assert_eq!(exit, Exit::Refused);
    assert!(words.contains("the policy lists another key for you"), "{words}");
    assert!(matches!(own(&team), OwnKey::Clear(_)), "nothing was changed");

    // An administrator lists it; what the old key lent is over.
    assert_eq!(team.salve("unlock", &[]).unwrap(), Exit::Fine);
    let names = |key: PublicKey| format!("signing_key = \"{key}\"");
    policy(&team, &names(own(&team).public_key()), &names(new));
    let (_, words) = sentence(team.salve("unlock", &[]));
    assert!(words.contains("the policy lists another key for you"), "{words}");
    assert_eq!(team.salve("keys ssh-agent --list", &[]).unwrap(), Exit::Fine);
    assert_eq!(team.salve("keys ssh-agent", &[]).unwrap(), Exit::Fine);
    assert!(!team.path("home/agents/a.kaya/signing.pem").exists());
    assert!(matches!(own(&team), OwnKey::SshAgent(_)) && own(&team).public_key() == new);
    assert!(session(&team).is_none());
    assert_eq!(team.salve("unlock --for 1h", &[]).unwrap(), Exit::Fine);
    assert!(session(&team).unwrap().says.key != new);
    let (_, words) = sentence(team.salve("keys passphrase", &["words"]));
    assert!(words.contains("lies in an ssh-agent"), "{words}");

    // Without the agent, and with one that has forgotten the key.
    agent.command("ssh-add", &["-qD"]);
    let (exit, words) = sentence(team.salve("unlock", &[]));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("lacks the key"), "{words}");
    drop(agent);
    let (exit, words) = sentence(team.salve("unlock", &[]));
    assert_eq!(exit, Exit::Usage);
    assert!(words.contains("could not talk to the ssh-agent"), "{words}");
}
