//! The package on a system with real systemd: it is installed, started by the pasted line, upgraded
//! in place and purged, and what was done on the machine stays known.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Done, Lab, programs, run, sh, wait_for};

const STATE: &str = "/var/lib/salve";

fn built(lab: &Lab) -> String {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../package");
    let deb = lab.folder().join("salved.deb");
    let mut build = Command::new(package);
    build.arg("--from").arg(programs()).arg("--out").arg(&deb);
    // Debug programs are large, and nobody downloads this package.
    build.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    run(&mut build, b"").expect(0);
    deb.to_str().expect("UTF-8").to_owned()
}

fn dpkg(line: &str) -> Done {
    sh(&format!("DEBIAN_FRONTEND=noninteractive dpkg {line}")).expect(0)
}

/// As the unit's own properties say it.
fn unit(property: &str) -> String {
    sh(&format!("systemctl show salved.service -p {property} --value")).expect(0).out.trim().into()
}

/// A check that is verified; the number of the machine's record.
fn check(lab: &Lab) -> u64 {
    let done = lab.salve(&["--json", "check", "health.check", "--on", "pc"]);
    assert_eq!(done.json()["verified"], true, "{}{}", done.out, done.err);
    let shown = lab.salve(&["--json", "runs", "show", "last"]).json();
    shown["record"]["predicate"]["counter"].as_u64().expect("a number")
}

#[test]
fn the_package_installs_starts_upgrades_and_leaves_the_account() {
    let lab = Lab::solo();
    let deb = built(&lab);
    sh("systemctl stop salved.service || true; userdel salve-gate || true; \
        rm -rf /var/lib/salve /run/systemd/system/salved.service.d; systemctl daemon-reload")
    .expect(0);

    // Installed: the gate's user, the unit, nothing running before the machine has joined.
    dpkg(&format!("-i {deb}"));
    let user = sh("getent passwd salve-gate").expect(0).out;
    assert!(user.contains("/nologin") && user.contains("/nonexistent"), "{user}");
    assert_ne!(unit("ActiveState"), "active");
    assert_eq!(unit("Type"), "notify");
    assert_eq!(sh("dpkg --verify salved").expect(0).out, "");
    assert!(!Path::new(STATE).exists(), "installing made a state");
    // Started before that, the unit is not a failure.
    sh("systemctl start salved.service").expect(0);
    assert_eq!((unit("ActiveState").as_str(), unit("Result").as_str()), ("inactive", "success"));

    // The line as it is pasted (root needs no sudo here); it starts the unit.
    let (console, token) = lab.enrolling("pc");
    let joined = sh(&format!("salved enroll {token}")).expect(0);
    assert!(joined.out.contains("pc joined"), "{}", joined.out);
    assert!(joined.out.contains("salved runs, now and after every start"), "{}", joined.out);
    console.end().expect(0);
    assert_eq!(unit("ActiveState"), "active");
    assert_eq!(sh("systemctl is-enabled salved").expect(0).out.trim(), "enabled");
    let status = sh("systemctl status salved").expect(0).out;
    assert!(status.contains("active (running)"), "{status}");
    assert_eq!(check(&lab), 1);
    let pid = unit("MainPID");
    let doctor = sh("salved doctor").expect(0).out;
    assert!(!doctor.contains("WRONG"), "{doctor}");
    let modes = sh(&format!("stat -c '%a %U' {STATE} {STATE}/keys")).expect(0).out;
    assert_eq!(modes, "700 root\n700 root\n");

    // A setting of the administrator survives an upgrade, and so does the account.
    sh("echo '# kept' >>/etc/salve/salved.toml").expect(0);
    dpkg(&format!("-i --force-confold {deb}"));
    assert_eq!(unit("ActiveState"), "active");
    assert_ne!(unit("MainPID"), pid, "the new programs do not run");
    assert!(fs::read_to_string("/etc/salve/salved.toml").expect("there").contains("# kept"));
    assert_eq!(check(&lab), 2, "the chain of records goes on");

    // A daemon that dies is started again by systemd, and says what it did when it is ready.
    let pid = unit("MainPID");
    sh(&format!("kill -KILL {pid}")).expect(0);
    wait_for("systemd to start it again", 20, || {
        // In this order: a unit whose process has just gone is active for a moment yet.
        let now = unit("MainPID");
        (now != pid && now != "0" && unit("ActiveState") == "active").then_some(())
    });
    assert_eq!(check(&lab), 3);

    // Removed: it ends; the configuration stays. Purged: the account alone stays, and is named.
    dpkg("-r salved");
    assert!(!Path::new("/usr/sbin/salved").exists() && !Path::new("/usr/lib/salve").exists());
    assert_ne!(sh("systemctl is-active salved").out.trim(), "active");
    assert!(Path::new("/etc/salve/salved.toml").exists());
    let purged = dpkg("-P salved");
    assert!(!Path::new("/etc/salve").exists());
    assert!(purged.err.contains("/var/lib/salve"), "{}{}", purged.out, purged.err);
    assert!(Path::new(STATE).join("ledger").exists(), "the account is gone");
    assert_eq!(sh("find /etc/systemd -name 'salved*'").expect(0).out, "", "a unit's link stays");
    let left = lab.salve(&["check", "health.check", "--on", "pc"]);
    crate::bad_input::refused(left, 5, "pc is not reachable");
    sh(&format!("rm -rf {STATE}")).expect(0);
}
