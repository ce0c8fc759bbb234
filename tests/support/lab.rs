//! An organisation of one person in a temporary home.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::run;
use crate::{Done, Endpoint, Going, need_overlay, programs};

/// The passphrase of root, admin and vetter keys in tests.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// One organisation, its console's home, and the endpoints that a test enrols.
#[derive(Debug)]
pub struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    /// An empty folder; nothing is set up.
    ///
    /// # Panics
    /// Outside the overlay.
    pub fn empty() -> Self {
        need_overlay();
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("passphrase"), format!("{PASSPHRASE}\n")).expect("written");
        Self { folder }
    }

    /// An organisation of one person, with the project's scripts vetted and published.
    pub fn solo() -> Self {
        Self::solo_with(&[])
    }

    /// As [`Lab::solo`]; agents may name these units to scripts.
    pub fn solo_with(units: &[&str]) -> Self {
        let lab = Self::empty();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
        let scripts = scripts.to_str().expect("UTF-8").to_owned();
        let mut args = vec!["init", "--profile", "solo", "--name", "Lab", "--me", "a.kaya"];
        args.extend(["--scripts", &scripts]);
        args.extend(units.iter().flat_map(|unit| ["--unit", unit]));
        lab.salve(&args).expect(0);
        lab
    }

    /// The lab's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The console's home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A command line of the console, ready to run or to spawn.
    pub fn command(&self, args: &[&str]) -> Command {
        // The shell only opens descriptor 3: the passphrase is never an argument.
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg("exec \"$0\" --passphrase-fd 3 \"$@\" 3<\"$PASSFILE\"")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("PASSFILE", self.folder.path().join("passphrase"))
            .arg(programs().join("salve"))
            .arg("--home")
            .arg(self.home())
            .args(args);
        command
    }

    /// Runs the console to its end.
    pub fn salve(&self, args: &[&str]) -> Done {
        run(&mut self.command(args), b"")
    }

    /// Enrols an endpoint of this name and starts it.
    pub fn endpoint(&self, name: &str) -> Endpoint {
        Endpoint::enrol(self, name)
    }

    /// Starts the console that waits for a machine of this name, and reads the token it printed.
    ///
    /// # Panics
    /// Where it prints none.
    pub fn enrolling(&self, name: &str) -> (Going, String) {
        let listen = format!("127.0.0.1:{}", crate::free_port());
        self.enrolling_by(self.command(&["endpoints", "enroll", name, "--listen", &listen]))
    }

    /// As [`Lab::enrolling`], with a command of the test's own.
    ///
    /// # Panics
    /// As [`Lab::enrolling`].
    pub fn enrolling_by(&self, mut command: Command) -> (Going, String) {
        let mut going = Going::start(&mut command);
        going.says("\n");
        let out = going.out();
        let token = out.lines().find_map(|line| line.strip_prefix("sudo salved enroll "));
        let token = token.expect("a line to paste").to_owned();
        (going, token)
    }

    /// Starts the console and leaves it running.
    pub fn start(&self, args: &[&str]) -> Going {
        Going::start(&mut self.command(args))
    }

    /// Waits until the console knows of a run; it writes one down when the endpoint has taken it, and
    /// an endpoint keeps processes ready for a look before there is any.
    ///
    /// # Panics
    /// Where there is none within 20 s.
    pub fn run_known(&self) {
        crate::wait_for("a run at the console", 20, || {
            let shown = self.salve(&["--json", "runs", "show", "last"]);
            (!shown.out.trim().is_empty()).then_some(())
        });
    }

    /// Starts the console on a terminal of its own, where it may ask.
    pub fn on_terminal(&self, args: &[&str]) -> Going {
        let console = self.command(args);
        let words: Vec<String> = std::iter::once(console.get_program())
            .chain(console.get_args())
            .map(|word| format!("'{}'", word.to_str().expect("UTF-8").replace('\'', "'\\''")))
            .collect();
        let mut terminal = Command::new("/usr/bin/script");
        terminal.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
        terminal.env_clear();
        terminal.envs(console.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Going::start(&mut terminal)
    }

    /// Vets and publishes a script of a test.
    ///
    /// # Panics
    /// Where lint or the catalogue refuses it.
    pub fn publish(&self, source: &str) {
        let file = self.folder().join("script.rhai");
        fs::write(&file, source).expect("written");
        self.salve(&["scripts", "sign", file.to_str().expect("UTF-8")]).expect(0);
        self.salve(&["scripts", "publish"]).expect(0);
    }

    /// Where the passphrase lies.
    pub fn passphrase(&self) -> PathBuf {
        self.folder().join("passphrase")
    }

    /// Plays a trick of the test double that holds this home; the endpoint's own answer.
    ///
    /// # Panics
    /// Where the trick cannot be played.
    pub fn cheat(&self, endpoint: &str, trick: &[&str]) -> Value {
        let mut command = Command::new(programs().join("cheat"));
        command.arg(self.home()).arg(endpoint).args(trick).env_clear();
        run(&mut command, b"").expect(0).json()["result"].clone()
    }

    /// A colleague with a console of their own.
    ///
    /// # Panics
    /// Where joining fails; says what was printed.
    pub fn colleague(&self, name: &str) -> Self {
        let colleague = Self::empty();
        let listen = format!("127.0.0.1:{}", crate::free_port());
        let mut invite = self.start(&["--json", "agents", "invite", name, "--listen", &listen]);
        invite.says("\"token\"");
        let line = invite.out();
        let line: Value = serde_json::from_str(line.lines().next().expect("a line")).expect("JSON");
        colleague.salve(&["join", line["token"].as_str().expect("a token")]).expect(0);
        invite.end().expect(0);
        colleague
    }
}
