//! `salved doctor`: looks at one thing after the other and stops at the first that is wrong, with
//! what to do about it. Changes nothing.

use std::path::{Path, PathBuf};

use hatch::{FromGate, ProbeStep, ToGate};
use protocol::error_chain::ErrorChain;
use protocol::{Digest, Time};
use trust::catalogue::{Catalogue, FolderStore, TrustedStore as _};

use crate::config::Config;
use crate::enrol::gate_ids;
use crate::spawn::{self, StartError};
use crate::state::{Identity, Layout, Reserve};

/// What must stay free on the disk of the state folder, bytes: less is a warning of what comes.
const FREE_LEAST: u64 = 64 << 20;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, in one word.
    pub what: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// One sentence.
    pub detail: String,
    /// What to do, where it is not well.
    pub next: String,
}

fn well(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, ok: true, detail: detail.into(), next: String::new() }
}

fn wrong(what: &'static str, detail: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding { what, ok: false, detail: detail.into(), next: next.into() }
}

/// Whom to dial, where somebody is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `HOST:PORT`.
    pub address: String,
    /// SHA-256 of its TLS key, where known.
    pub key: Option<Digest>,
}

/// Looks at everything, in the order in which one thing needs the other; ends with the first that
/// is wrong.
#[must_use]
pub fn doctor(config: &Config, peer: Option<&Peer>, now: Time) -> Vec<Finding> {
    let layout = Layout::new(&config.state);
    let mut found = Vec::new();
    let looks: [&dyn Fn() -> Vec<Finding>; 8] = [
        &|| vec![root(config)],
        &|| vec![programs(&config.libexec)],
        &|| vec![user(config)],
        &|| defences(config),
        &|| vec![disk(&layout)],
        &|| enrolment(&layout, now),
        &|| vec![port(config)],
        &|| peer.map_or_else(|| desks(config), |peer| probe(config, peer)),
    ];
    for look in looks {
        for finding in look() {
            let stop = !finding.ok;
            found.push(finding);
            if stop {
                return found;
            }
        }
    }
    found
}

fn root(config: &Config) -> Finding {
    if rustix::process::geteuid().is_root() {
        well("rights", "run by root")
    } else if config.exceptions.uid {
        well("rights", "run by the daemon's own user, by exception")
    } else {
        wrong("rights", "only root sees the state and starts the gate", "sudo salved doctor")
    }
}

fn programs(libexec: &Path) -> Finding {
    match spawn::Programs::open(libexec) {
        Ok(_) => well(
            "programs",
            format!("gate, interpreter, executor, prompter in {}", libexec.display()),
        ),
        Err(error) => {
            wrong("programs", ErrorChain(&error).to_string(), "install the package again")
        }
    }
}

fn user(config: &Config) -> Finding {
    match gate_ids(config) {
        Ok(Some((uid, _))) => {
            well("user", format!("the gate runs as {} ({uid})", config.gate_user))
        }
        Ok(None) => well("user", "the gate keeps its starter's uid, by exception"),
        Err(error) => {
            let next = format!("useradd --system {}", config.gate_user);
            wrong("user", error.to_string(), next)
        }
    }
}

fn defences(config: &Config) -> Vec<Finding> {
    let mut missing = hatch::lock::missing(&config.exceptions);
    let mut offered = hatch::lock::available();
    // The folder that counts is the daemon's, not that of the shell that asks.
    if let Ok(home) = hatch::cgroup::Home::of_unit("salved.service") {
        missing.retain(|name| name != "cgroup");
        offered.insert("cgroup".to_owned(), format!("v2 at {}", home.path().display()));
    }
    let words: Vec<String> = offered.iter().map(|(name, word)| format!("{name} {word}")).collect();
    if missing.is_empty() {
        return vec![well("defences", words.join("; "))];
    }
    let say = |name: &String| {
        let word = offered.get(name).map_or("missing", String::as_str);
        let next = match name.as_str() {
            "landlock" => "boot a kernel of 5.19 or newer with landlock in its lsm= list",
            "seccomp" => {
                "boot a kernel with CONFIG_SECCOMP_FILTER, and start salved where nothing forbids \
                 seccomp()"
            }
            "cgroup" => {
                "mount cgroup v2 writable (systemd does), or name the exception \"cgroup\" \
                 in salved.toml"
            }
            _ => "run it where other uids exist, or name the exception \"uid\" in salved.toml",
        };
        wrong("defences", format!("{name}: {word}"), next)
    };
    missing.iter().map(say).collect()
}

fn disk(layout: &Layout) -> Finding {
    let mut folder: PathBuf = layout.root().to_owned();
    while !folder.exists() && folder.pop() {}
    let stat = match rustix::fs::statvfs(&folder) {
        Ok(stat) => stat,
        Err(error) => {
            let what = format!("could not ask the disk of {}: {error}", folder.display());
            return wrong("disk", what, "look at `df` and `dmesg`");
        }
    };
    if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        let what = format!("{} is read-only, and nothing can be recorded", folder.display());
        return wrong("disk", what, "look at `dmesg`, then mount it writable and start salved");
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let inodes = stat.f_favail;
    let held = layout.reserve().exists()
        && Reserve::open(layout.reserve()).is_ok_and(|reserve| reserve.filled().whole());
    let space = format!("{} MiB and {inodes} inodes free", free >> 20);
    // Some file systems count no inodes at all.
    let few = stat.f_files > 0 && inodes < 256;
    match (free < FREE_LEAST || few, held) {
        (false, _) => well("disk", space),
        (true, true) => well("disk", format!("{space}; an order still runs from the held room")),
        (true, false) => wrong("disk", format!("{space}, and no room is held"), "free some space"),
    }
}

fn enrolment(layout: &Layout, now: Time) -> Vec<Finding> {
    let identity = match Identity::load(layout) {
        Ok(identity) => identity,
        Err(error) => {
            let next = "ask for a line to paste: `salve endpoints enroll NAME` prints it";
            return vec![wrong("enrolled", ErrorChain(&error).to_string(), next)];
        }
    };
    let card = &identity.card;
    let mut found = vec![well("enrolled", format!("as {} ({})", card.name, card.endpoint.short()))];
    trust::catalogue::install_provider();
    let files = FolderStore::open(layout.catalogue()).and_then(|store| store.load());
    let read = files.map_err(|error| ErrorChain(&error).to_string()).and_then(|files| {
        let read = Catalogue::open(&files, &identity.root, now);
        read.map_err(|error| ErrorChain(&error).to_string())
    });
    let catalogue = match read {
        Ok(catalogue) => catalogue,
        Err(why) => {
            found.push(wrong("catalogue", why, "restore the folder, or enrol anew"));
            return found;
        }
    };
    found.push(clock(&catalogue, now));
    found.push(if card.not_after <= now {
        let why = format!("the card ended at {}", card.not_after);
        wrong("card", why, "ask an administrator to enrol this machine anew")
    } else {
        well("card", format!("until {}", card.not_after))
    });
    found.push(age(&catalogue, now));
    found
}

fn clock(catalogue: &Catalogue, now: Time) -> Finding {
    let floor = catalogue.floor();
    if now < floor {
        let why = format!("the clock says {now}, but the desk signed something at {floor}");
        wrong("clock", why, "set the clock: `timedatectl set-ntp true`")
    } else {
        well("clock", format!("{now}, after everything that was signed"))
    }
}

fn age(catalogue: &Catalogue, now: Time) -> Finding {
    match catalogue.expired(now) {
        None => well("catalogue", format!("issued {}, nothing has expired", catalogue.issued())),
        Some((role, since)) => {
            let why = format!("its {role} expired at {since}: nothing runs until it is renewed");
            wrong("catalogue", why, "run any `salve` command at this machine from the console")
        }
    }
}

/// Whether something listens on the configured port.
fn port(config: &Config) -> Finding {
    let port = config.listen.port();
    let listens = ["/proc/net/udp", "/proc/net/udp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        let ends = format!(":{port:04X}");
        table.lines().filter_map(|line| line.split_whitespace().nth(1)).any(|l| l.ends_with(&ends))
    });
    if listens {
        well("listens", format!("UDP {}", config.listen))
    } else {
        let why = format!("nothing listens on UDP {}", config.listen);
        wrong("listens", why, "start it: `systemctl start salved`, then `journalctl -u salved`")
    }
}

/// The desks that are configured, where nobody else is named.
fn desks(config: &Config) -> Vec<Finding> {
    let peers = config.desks.iter().map(|desk| Peer { address: desk.clone(), key: None });
    peers.flat_map(|peer| probe(config, &peer)).collect()
}

fn probe(config: &Config, peer: &Peer) -> Vec<Finding> {
    match dial(config, peer) {
        Ok(steps) => steps.iter().map(|step| told(step, &peer.address)).collect(),
        Err(why) => vec![wrong("gate", why, "install the package again")],
    }
}

/// Lets the gate dial: name, route, UDP, certificate, each step as it went.
fn dial(config: &Config, peer: &Peer) -> Result<Vec<ProbeStep>, String> {
    let words = |error: &dyn std::error::Error| ErrorChain(error).to_string();
    let ids = gate_ids(config).map_err(|error| words(&error))?;
    let gate =
        spawn::gate_program(&config.libexec).map_err(|error| words(&StartError::from(error)))?;
    let message = ToGate::Probe { peer: peer.address.clone(), peer_key: peer.key, ids };
    let mut steps = Vec::new();
    spawn::errand(&gate, &message, |said| {
        if let FromGate::Result { steps: all } = said {
            steps = all;
        }
    })
    .map_err(|error| words(&error))?;
    Ok(steps)
}

fn told(step: &ProbeStep, peer: &str) -> Finding {
    let (what, next): (&'static str, &str) = match step.what.as_str() {
        "name" => ("name", "compare the name with the desk's, and look at /etc/resolv.conf"),
        "route" => ("route", "look at `ip route` and the cable or Wi-Fi"),
        "udp" if step.detail.contains("nothing listens") => {
            ("udp", "nobody waits there: is it the right address, and is that side started?")
        }
        "udp" => ("udp", "let UDP through to that port: a firewall or proxy drops it"),
        "certificate" => ("certificate", "somebody else answers there: compare the token's desk"),
        "clock" => ("clock", "set the clock: `timedatectl set-ntp true`"),
        _ => ("answer", "ask the help desk whether `salve` still waits there"),
    };
    if step.ok {
        let detail = if step.detail.is_empty() { peer } else { &step.detail };
        well(what, detail)
    } else {
        wrong(what, format!("{peer}: {}", step.detail), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_that_is_wrong_is_the_last_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            state: folder.path().join("state"),
            libexec: folder.path().join("nothing"),
            ..Config::default()
        };
        let found = doctor(&config, None, Time(0));
        let (last, before) = found.split_last().unwrap();
        assert!(!last.ok && !last.next.is_empty());
        assert!(before.iter().all(|finding| finding.ok));
        if rustix::process::geteuid().is_root() {
            assert_eq!(last.what, "programs");
        }
    }

    #[test]
    fn a_step_that_failed_names_its_cure() {
        let step = ProbeStep { what: "udp".into(), ok: false, detail: "no answer in 3 s".into() };
        let finding = told(&step, "desk:7434");
        assert_eq!(finding.what, "udp");
        assert!(finding.detail.contains("desk:7434") && finding.next.contains("UDP"));
    }
}
