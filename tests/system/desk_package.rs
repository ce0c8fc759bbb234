//! The desk as a package on a system with real systemd: locked in, ready when it says so, stopped in
//! order, and its folder left behind.

use std::path::Path;
use std::process::Command;

use support::{Done, Lab, programs, run, sh};

const STATE: &str = "/var/lib/salve-desk";
/// What `systemd-analyze security` may find at most; without any of the unit's walls it is 9.2.
const EXPOSURE_MAX: f64 = 2.0;

fn dpkg(line: &str) -> Done {
    sh(&format!("DEBIAN_FRONTEND=noninteractive dpkg {line}")).expect(0)
}

/// As the unit's own properties say it.
fn unit(property: &str) -> String {
    let shown = sh(&format!("systemctl show salve-desk.service -p {property} --value"));
    shown.expect(0).out.trim().into()
}

#[test]
fn the_desk_is_a_locked_unit_that_is_ready_when_it_says_so_and_stops_in_order() {
    let lab = Lab::solo();
    let deb = lab.folder().join("salve.deb");
    let mut build = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../package"));
    build.arg("--desk").arg("--from").arg(programs()).arg("--out").arg(&deb);
    build.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    run(&mut build, b"").expect(0);
    dpkg(&format!("-i {}", deb.display()));
    assert_eq!(sh("dpkg --verify salve").expect(0).out, "");
    let owner = sh(&format!("stat -c '%a %U' {STATE}")).expect(0).out;
    assert_eq!(owner, "700 salve-desk\n");
    assert!(scripts() > 3);

    // Without an organisation there is nothing to serve, and that is no failure.
    sh("systemctl start salve-desk.service").expect(0);
    assert_eq!((unit("ActiveState").as_str(), unit("Result").as_str()), ("inactive", "success"));

    // A desk that was made elsewhere moves in as its own user.
    let copy = "/var/tmp/moving.backup";
    lab.salve(&["backup", copy]).expect(0);
    sh(&format!("chown salve-desk {copy}")).expect(0);
    sh(&format!("runuser -u salve-desk -- salve --home {STATE} restore {copy}")).expect(0);
    sh("systemctl start salve-desk.service").expect(0);
    assert_eq!((unit("ActiveState").as_str(), unit("Type").as_str()), ("active", "notify"));
    // It listens before systemd calls it started.
    let listens = sh("ss -Hulpn 'sport = :7435'").expect(0).out;
    assert!(listens.contains("salve"), "{listens}");
    let pid = unit("MainPID");
    let user = sh(&format!("stat -c %U /proc/{pid}")).expect(0).out;
    assert_eq!(user, "salve-desk\n");
    let status = sh(&format!("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/{pid}/status"));
    let status = status.expect(0).out;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{status}");
    }

    let analysed = sh("systemd-analyze security --no-pager salve-desk.service").expect(0).out;
    let line = analysed.lines().find(|line| line.contains("Overall exposure")).expect("a verdict");
    println!("{line}");
    let exposure = line.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(exposure.expect("a number") <= EXPOSURE_MAX, "{analysed}");

    // The store is usable beside it, and it stops in order.
    sh(&format!("runuser -u salve-desk -- salve --home {STATE} tickets list")).expect(0);
    sh("systemctl stop salve-desk.service").expect(0);
    assert_eq!((unit("ActiveState").as_str(), unit("Result").as_str()), ("inactive", "success"));
    assert_eq!(unit("ExecMainStatus"), "0");

    dpkg("-r salve");
    let purged = dpkg("-P salve");
    assert!(purged.err.contains(STATE), "{}{}", purged.out, purged.err);
    assert!(Path::new(STATE).join("desk.db").exists(), "the desk's store is gone");
    assert_eq!(sh("find /etc/systemd -name 'salve-desk*'").expect(0).out, "");
    sh(&format!("rm -rf {STATE} {copy}; userdel salve-desk")).expect(0);
}

fn scripts() -> usize {
    let listed = sh("find /usr/share/salve/scripts -name '*.rhai' | wc -l").expect(0).out;
    listed.trim().parse().expect("a number")
}
