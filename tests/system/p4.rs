//! P4: a run never outlives its deadline, every call is checked against the manifest (that half is
//! in the executor's room and in P1's rogue script), and no process survives the run.

use std::time::{Duration, Instant};

use support::{Endpoint, Lab, Process, named, processes, sh, wait_for};

/// From the order to stop until everything is gone, with room for a busy machine.
const SOON: Duration = Duration::from_secs(2 + 8);

/// A script that only watches a unit, for `seconds`, in `detect`.
pub(crate) fn stays(id: &str, limit: &str, seconds: u32) -> String {
    format!(
        r#"
const ABOUT = #{{
    id: "{id}", version: 1, title: "Watch a service", does: "watches a service",
    risk: "low", consent: "none", platforms: ["linux"], limit: "{limit}",
    params: #{{ unit: #{{ kind: "choice", from: "site.units", ask: "Which service?" }} }},
    permissions: #{{}}, words: ["watch"],
}};
fn detect(p) {{
    report::progress("watching");
    let s = service::stays(p.unit, "active", {seconds});
    if s.held {{ healthy("it stays") }} else {{ needed("it does not stay") }}
}}
fn remediate(p, found) {{ report::note("nothing was done"); }}
fn verify(p, found) {{ healthy("it stays") }}
"#
    )
}

/// A script whose `detect` never ends by itself.
const SPIN: &str = r#"
const ABOUT = #{
    id: "lab.spin", version: 1, title: "Spin", does: "never ends",
    risk: "low", consent: "none", platforms: ["linux"], limit: "2s",
    permissions: #{}, words: ["spin"],
};
fn detect(p) {
    let text = "";
    while text.len() < 1_000_000 { text += "0123456789"; }
    let found = 0;
    while found < 1_000_000 { found += if text.contains("nowhere") { 1 } else { 0 }; }
    healthy("done")
}
fn remediate(p, found) { report::note("nothing was done"); }
fn verify(p, found) { healthy("done") }
"#;

/// Both processes of the run under way, and their folder.
struct Tree {
    folder: std::path::PathBuf,
    processes: Vec<Process>,
}

impl Tree {
    /// Waits for the run's processes to be in their folder.
    fn of(pc: &Endpoint) -> Self {
        let (executor, interpreter) = (pc.child("executor"), pc.child("interpreter"));
        let keeper = Process(pc.keeper()).cgroup();
        let own = wait_for("the run's own folder", 20, || {
            let folders = [executor.cgroup(), interpreter.cgroup()];
            (folders[0] == folders[1] && folders[0] != keeper).then(|| folders[0].clone())
        });
        let folder = support::cgroup_root().join(own.trim_start_matches('/'));
        assert!(pc.run_folders().contains(&folder), "{} is not the keeper's", folder.display());
        Self { folder, processes: vec![executor, interpreter] }
    }

    /// Holds that nothing of the run is left.
    fn gone(&self, pc: &Endpoint) {
        wait_for("the run's folder to go", 5, || (!self.folder.exists()).then_some(()));
        for process in &self.processes {
            assert!(!process.lives(), "{process:?} survives its run");
        }
        // A keeper's folders share a prefix; another test's keeper that was killed leaves its own.
        let name =
            |folder: &std::path::Path| folder.file_name().map(|n| n.to_string_lossy().into_owned());
        let own = name(&self.folder).expect("a name");
        let prefix: String = own.split_inclusive('-').take(2).collect();
        // Two processes may wait for the next look, and no longer than a while.
        wait_for("no folder at all", 20, || {
            let mut left = pc.run_folders();
            left.retain(|folder| name(folder).is_some_and(|n| n.starts_with(&prefix)));
            left.is_empty().then_some(())
        });
        let own = self.folder.file_name().expect("a name").to_str().expect("UTF-8");
        let left: Vec<_> = processes().into_iter().filter(|p| within(*p, own)).collect();
        assert_eq!(left, []);
    }
}

fn within(process: Process, folder: &str) -> bool {
    let file = format!("/proc/{}/cgroup", process.0);
    std::fs::read_to_string(file).is_ok_and(|text| text.contains(folder))
}

/// A unit that is worth watching.
pub(crate) fn service() {
    sh("systemctl is-active --quiet lab.service || \
        systemd-run --quiet --unit=lab.service --collect sleep infinity")
    .expect(0);
}

fn watched() -> (Lab, Endpoint) {
    let lab = Lab::solo_with(&["lab.service"]);
    service();
    let pc = lab.endpoint("pc");
    (lab, pc)
}

#[test]
fn a_run_that_waits_in_a_host_call_ends_at_its_deadline() {
    let (lab, mut pc) = watched();
    lab.publish(&stays("lab.watch", "2s", 100));
    let begun = Instant::now();
    let going =
        lab.start(&["--json", "check", "lab.watch", "--on", "pc", "--arg", "unit=lab.service"]);
    let tree = Tree::of(&pc);
    let done = going.end().expect(1);
    assert!(begun.elapsed() < Duration::from_secs(2) + SOON, "{:?}", begun.elapsed());
    let run = done.json();
    assert_eq!(run["outcome"], "timed_out", "{}", done.out);
    assert_eq!(run["verified"], true, "{}", done.out);
    tree.gone(&pc);
    assert!(pc.alive());
}

#[test]
fn a_run_that_computes_for_ever_ends_at_its_deadline() {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    lab.publish(SPIN);
    let begun = Instant::now();
    let going = lab.start(&["--json", "check", "lab.spin", "--on", "pc"]);
    let tree = Tree::of(&pc);
    let done = going.end().expect(1);
    assert!(begun.elapsed() < Duration::from_secs(2) + SOON, "{:?}", begun.elapsed());
    assert_eq!(done.json()["outcome"], "timed_out", "{}", done.out);
    tree.gone(&pc);
}

#[test]
fn a_run_that_is_cancelled_ends_within_its_grace() {
    let (lab, pc) = watched();
    lab.publish(&stays("lab.watch", "5m", 100));
    let going =
        lab.start(&["--json", "check", "lab.watch", "--on", "pc", "--arg", "unit=lab.service"]);
    let tree = Tree::of(&pc);
    lab.run_known();
    let begun = Instant::now();
    let cancelled = lab.salve(&["--json", "cancel", "last"]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(cancelled.json()["outcome"], "cancelled", "{}{}", cancelled.out, cancelled.err);
    tree.gone(&pc);
    let done = going.end().expect(1);
    assert_eq!(done.json()["outcome"], "cancelled", "{}", done.out);
}

/// What stands where `chpasswd` is: it reads nothing, and leaves a child in a session of its own.
const LINGERER: &str = r"
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void) {
    prctl(PR_SET_NAME, fork() ? `lingerer` : `grandchild`);
    setsid();
    signal(SIGTERM, SIG_IGN);
    for (;;) pause();
}
";

const PASSWORD: &str = r#"
const ABOUT = #{
    id: "lab.password", version: 1, title: "Set a password", does: "sets a password",
    risk: "high", consent: "none", platforms: ["linux"], limit: "3s",
    params: #{ user: #{ kind: "user", ask: "Whose password?" } },
    permissions: #{ "user.set_password": ["humans"], "secret.one_time": [] }, words: ["password"],
};
fn detect(p) { needed("it is asked for") }
fn remediate(p, found) { user::set_password(p.user, secret::one_time(#{ length: 16 })); }
fn verify(p, found) { healthy("it is set") }
"#;

/// The real `chpasswd`, put aside; it comes back whatever happens.
struct Real;

impl Real {
    fn aside() -> Self {
        sh("cp -p /usr/sbin/chpasswd /usr/sbin/chpasswd.real").expect(0);
        Self
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = sh("mv -f /usr/sbin/chpasswd.real /usr/sbin/chpasswd");
    }
}

#[test]
fn a_program_of_the_table_and_its_orphans_end_with_the_run() {
    let lab = Lab::solo();
    let pc = lab.endpoint("pc");
    sh("getent passwd lingers >/dev/null || useradd -m lingers; echo lingers:once | chpasswd")
        .expect(0);
    let source = lab.folder().join("lingerer.c");
    std::fs::write(&source, LINGERER.replace('`', "\"")).expect("written");
    let real = Real::aside();
    sh(&format!("cc -o /usr/sbin/chpasswd {}", source.display())).expect(0);
    lab.publish(PASSWORD);
    lab.salve(&["tickets", "new", "A password", "--for", "jo.meyer", "--on", "pc"]).expect(0);
    let mut args = vec!["--json", "run", "lab.password", "--ticket", "1", "--arg", "user=lingers"];
    args.extend(["--identified", "callback", "--yes"]);
    let going = lab.start(&args);
    let found = wait_for("the program and its orphan", 30, || {
        let mut found = named("lingerer");
        found.extend(named("grandchild"));
        (found.len() == 2).then_some(found)
    });
    let tree = Tree::of(&pc);
    let done = going.end();
    drop(real);
    done.clone().expect(1);
    assert!(found.iter().all(|process| !process.lives()), "{found:?} survive their run");
    tree.gone(&pc);
    assert_eq!(done.json()["outcome"], "timed_out", "{}", done.out);
}

const LOUD: &str = r#"
const ABOUT = #{
    id: "lab.loud", version: 1, title: "Be loud", does: "prints more than is kept",
    risk: "low", consent: "none", platforms: ["linux"], limit: "1m",
    permissions: #{}, words: ["loud"],
};
fn detect(p) {
    let line = "";
    while line.len() < 10_000 { line += "0123456789"; }
    for i in 0..5_000 { print(line); }
    healthy("that was loud")
}
fn remediate(p, found) { report::note("nothing was done"); }
fn verify(p, found) { healthy("quiet") }
"#;

/// E35: 50 MB of it.
#[test]
fn output_beyond_its_limit_is_counted_and_not_kept() {
    const MIB: u64 = 1024 * 1024;
    let lab = Lab::solo();
    let mut pc = lab.endpoint("pc");
    lab.publish(LOUD);
    let done = lab.salve(&["--json", "check", "lab.loud", "--on", "pc"]).expect(0);
    assert_eq!(done.json()["outcome"], "unchanged", "{}", done.out);
    let shown = lab.salve(&["--json", "runs", "show", "last"]).expect(0).json();
    let record = &shown["record"]["predicate"];
    assert!(record["output"]["bytes"].as_u64().expect("a number") == 50_000_000, "{record}");
    assert!(record["output"]["kept"].as_u64().expect("a number") <= MIB, "{record}");
    assert!(record["limits_hit"].to_string().contains("output"), "{record}");
    let list = std::fs::read_dir(pc.state().join("effects")).expect("a folder");
    let mut outputs: Vec<u64> = Vec::new();
    for entry in list.map(|entry| entry.expect("listed")) {
        if entry.file_name().to_string_lossy().ends_with("output") {
            outputs.push(entry.metadata().expect("there").len());
        }
    }
    assert_eq!(outputs.len(), 1);
    assert!(outputs[0] <= MIB && outputs[0] > MIB / 2, "{outputs:?}");
    assert!(pc.alive());
}
