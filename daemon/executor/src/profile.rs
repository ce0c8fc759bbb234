//! Which files and programs the kernel leaves to a run: from its permissions, before the lock.

use std::path::PathBuf;

use hatch::lock::ExecutorProfile;
use surface::Class;

use crate::people;
use crate::process::Program;
use crate::run::Run;

/// What the free queries read: the machine's condition.
const CONDITION: [&str; 12] = [
    "/proc",
    "/etc/passwd",
    "/etc/login.defs",
    "/etc/nsswitch.conf",
    "/etc/security/faillock.conf",
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/timezone",
    "/etc/localtime",
    "/var/lib/dpkg/status",
    "/var/lib/apt/lists",
    "/run/reboot-required.pkgs",
];
/// What the functions of `user` read beside that, and the tallies of failed sign-ins: passwords are
/// nobody else's business.
const PASSWORDS: &str = "/etc/shadow";
/// What one function reads that no other run needs.
const READ_BY: [(&str, &[&str]); 4] = [
    ("service.log", &["/var/log/journal", "/run/log/journal"]),
    ("host.boots", &["/var/log/wtmp"]),
    ("pkg.installed", &[crate::pkg::LISTS]),
    ("user.sessions", &[crate::sessions::SESSIONS]),
];
/// What the account programs read: their libraries are the lock's business.
const ACCOUNTS_READ: [&str; 7] = [
    "/etc",
    "/usr/share/zoneinfo",
    "/usr/share/i18n",
    "/proc",
    "/sys/fs/selinux",
    "/dev/urandom",
    "/run/faillock",
];
/// What they write: the files of `/etc` are replaced by renames, tallies are emptied, and their
/// output goes nowhere.
const ACCOUNTS_WRITE: [&str; 3] = ["/etc", "/run/lock", "/dev/null"];

/// The profile of an opened run.
pub(crate) fn profile(run: &Run) -> ExecutorProfile {
    let own = |paths: &[&str]| paths.iter().map(|path| run.root.at(path)).collect::<Vec<_>>();
    let (held, changed) = run.places.held();
    let mut profile = ExecutorProfile {
        classes: run.classes.clone(),
        read: own(&CONDITION),
        write: Vec::new(),
        exec: Vec::new(),
    };
    profile.read.extend(held);
    profile.read.extend(run.certificates.iter().map(|path| run.root.at(path)));
    let tallies = run.root.at(&people::tallies(&run.root));
    if run.guard.reaches("user") {
        profile.read.extend([run.root.at(PASSWORDS), tallies.clone()]);
    }
    for (function, paths) in READ_BY {
        if run.guard.nouns(function).is_some() {
            profile.read.extend(own(paths));
        }
    }
    if run.classes.contains(&Class::Files) {
        profile.write.extend(changed);
    }
    if run.classes.contains(&Class::Accounts) {
        profile.read.extend(own(&ACCOUNTS_READ));
        profile.write.extend(own(&ACCOUNTS_WRITE));
        profile.write.push(tallies);
        let programs =
            Program::ALL.iter().filter(|program| run.guard.nouns(program.function()).is_some());
        let paths: Vec<PathBuf> = programs.map(|program| run.root.at(program.path())).collect();
        profile.exec.extend(paths);
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{machine, open, start};
    use protocol::Mode;

    #[test]
    fn only_a_run_with_a_permission_of_user_may_read_the_passwords() {
        let tree = machine();
        let reads = |grants: &[(&str, &[&str])], classes: &[&str], mode| {
            let made = open(&tree, start(mode, grants, classes));
            let profile = profile(&made.run);
            let tallies = tree.root.at(&people::tallies(&tree.root));
            let passwords = profile.read.contains(&tree.root.at(PASSWORDS));
            assert_eq!(passwords, profile.read.contains(&tallies), "tallies go with passwords");
            passwords
        };
        for mode in [Mode::Check, Mode::Plan, Mode::Fix] {
            assert!(!reads(&[], &[], mode));
            let others: &[(&str, &[&str])] =
                &[("fs.find", &["/tmp/**"]), ("service.log", &["nginx.service"])];
            assert!(!reads(others, &["files", "services"], mode));
            assert!(reads(&[("user.get", &[])], &[], mode));
            assert!(reads(&[("user.clear_failures", &["humans"])], &["accounts"], mode));
        }
    }
}
