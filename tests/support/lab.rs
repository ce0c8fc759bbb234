//! An organisation of one person in a temporary home.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;
use crate::{Done, Endpoint, need_overlay, programs};

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
        let lab = Self::empty();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
        let scripts = scripts.to_str().expect("UTF-8").to_owned();
        lab.salve(&[
            "init",
            "--profile",
            "solo",
            "--name",
            "Lab",
            "--me",
            "a.kaya",
            "--scripts",
            &scripts,
        ])
        .expect(0);
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
}
