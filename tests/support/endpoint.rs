//! One endpoint: its own state, its own port, the real four programs.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::run;
use crate::{Done, Entries, Lab, Process, cgroup_root, free_port, programs, wait_for};

/// An enrolled endpoint; stopped when dropped.
#[derive(Debug)]
pub struct Endpoint {
    name: String,
    folder: PathBuf,
    port: u16,
    daemon: Option<Child>,
}

impl Endpoint {
    /// Enrols an endpoint through the line that the console prints, then starts its daemon.
    ///
    /// # Panics
    /// Where any step fails; says what was printed.
    pub(crate) fn enrol(lab: &Lab, name: &str) -> Self {
        let mut endpoint = Self::new(lab, name);
        let listen = format!("127.0.0.1:{}", free_port());
        let mut console = lab
            .command(&["endpoints", "enroll", name, "--listen", &listen, "--owner", "jo.meyer"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("salve");
        let mut lines = BufReader::new(console.stdout.take().expect("piped")).lines();
        let token = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split("salved enroll ").nth(1).map(|t| t.trim().to_owned()));
        let Some(token) = token else {
            let out = console.wait_with_output().expect("ended");
            panic!("no line to paste: {}", String::from_utf8_lossy(&out.stderr));
        };
        endpoint.salved(&["enroll", &token]).expect(0);
        let joined =
            lines.map_while(Result::ok).any(|line| line.contains(&format!("{name} joined")));
        assert!(joined, "the console did not say `{name} joined`");
        assert!(console.wait().expect("ended").success());
        endpoint.start();
        endpoint
    }

    /// An endpoint that has not joined yet: its configuration, and an empty state.
    pub fn bare(lab: &Lab, name: &str) -> Self {
        Self::new(lab, name)
    }

    fn new(lab: &Lab, name: &str) -> Self {
        let folder = lab.folder().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let endpoint = Self { name: name.to_owned(), folder, port: free_port(), daemon: None };
        let config = format!(
            "listen = \"127.0.0.1:{}\"\nstate = \"{}\"\nlibexec = \"{}\"\n\
             gate_user = \"salve-gate\"\nexceptions = []\n",
            endpoint.port,
            endpoint.state().display(),
            programs().display(),
        );
        fs::write(endpoint.config(), config).expect("written");
        gate_user();
        endpoint
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }
    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("salved.toml")
    }
    /// Where its log goes.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
    /// Its UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds lines to its configuration; they count from its next start.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn configure(&self, lines: &str) {
        let text = fs::read_to_string(self.config()).expect("its configuration");
        fs::write(self.config(), format!("{text}{lines}\n")).expect("written");
    }

    /// Takes its desk out of its configuration; that counts from its next start.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn without_desk(&self) {
        let text = fs::read_to_string(self.config()).expect("its configuration");
        let lines = text.lines().filter(|line| !line.starts_with("desk ="));
        fs::write(self.config(), lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
    }

    /// A command line of `salved` with this endpoint's configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(programs().join("salved"));
        command.arg("--config").arg(self.config()).args(args).env_clear();
        command
    }

    /// Runs `salved` with this endpoint's configuration to its end.
    pub fn salved(&self, args: &[&str]) -> Done {
        run(&mut self.command(args), b"")
    }

    /// Starts the daemon and waits until it listens.
    ///
    /// # Panics
    /// Where it ends or never listens; prints its log.
    pub fn start(&mut self) {
        self.start_by(self.command(&["run"]));
    }

    /// As [`Endpoint::start`], with a command of the test's own.
    ///
    /// # Panics
    /// As [`Endpoint::start`].
    pub fn start_by(&mut self, mut command: Command) {
        assert!(self.daemon.is_none(), "{} runs already", self.name);
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("log");
        let before = self.listened();
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("salved");
        self.daemon = Some(child);
        wait_for("salved to listen", 20, || {
            if let Some(status) = self.daemon.as_mut()?.try_wait().expect("wait") {
                panic!("salved ended with {status}: {}", self.log_text());
            }
            (self.listened() > before).then_some(())
        });
    }

    /// The daemon's log so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Pid of the keeper.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn keeper(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon runs").id()
    }

    /// Pids of the keeper's children by program name.
    pub fn children(&self) -> Vec<(String, u32)> {
        children_of(self.keeper())
    }

    /// Waits for the one child whose name ends so.
    ///
    /// # Panics
    /// Where it does not come.
    pub fn child(&self, name: &str) -> Process {
        wait_for(name, 20, || {
            let children = self.children();
            children.iter().find(|(found, _)| found.ends_with(name)).map(|(_, pid)| Process(*pid))
        })
    }

    /// What stands in its ledger.
    pub fn entries(&self) -> Entries {
        Entries::read(&self.state().join("ledger"))
    }

    /// The folders of runs in the cgroup tree, this endpoint's or its neighbours'.
    ///
    /// # Panics
    /// Where the keeper is in no folder.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        let own = Process(self.keeper()).cgroup();
        let folder = cgroup_root().join(own.trim_start_matches('/'));
        let list = fs::read_dir(folder).expect("the keeper's folder").flatten();
        list.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// Whether the daemon that was started still runs, the same process.
    pub fn alive(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().expect("wait").is_none())
    }

    /// How often the gate has said that it listens.
    pub fn listened(&self) -> usize {
        self.log_text().matches("listening").count()
    }

    /// Pulls the plug: SIGKILL to the keeper; its children end as they may.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("killed");
            daemon.wait().expect("ended");
        }
    }

    /// Asks the daemon to end and waits.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let mut kill = Command::new("/bin/kill");
            run(kill.args(["-TERM", &daemon.id().to_string()]), b"").expect(0);
            daemon.wait().expect("ended");
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log_text());
        }
    }
}

/// The gate's system user, as the package makes it.
fn gate_user() {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if !passwd.lines().any(|line| line.starts_with("salve-gate:")) {
        let mut add = Command::new("/usr/sbin/useradd");
        add.args(["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "salve-gate"]);
        run(&mut add, b"").expect(0);
    }
}

/// Children of a process: name and pid.
fn children_of(parent: u32) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
        let Ok(status) = status else { continue };
        let field = |name: &str| {
            status.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned())
        };
        if field("PPid:").and_then(|p| p.parse().ok()) == Some(parent) {
            found.push((field("Name:").unwrap_or_default(), pid));
        }
    }
    found
}
