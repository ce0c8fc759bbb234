//! A described machine: what a case's TOML says. What it leaves out is absent or unknown, never
//! green by itself.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Everything a script can see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// Name, system, kernel, uptime, boot id.
    pub host: HostInfo,
    /// Memory and swap; unknown where absent.
    pub memory: Option<Memory>,
    /// Pressure; nothing where absent.
    pub pressure: Option<Pressure>,
    /// Mounted file systems.
    pub disks: Vec<Disk>,
    /// Whether a restart is asked for; unknown where absent.
    pub reboot: Option<Reboot>,
    /// The clock; nothing is known where absent.
    pub clock: Option<Clock>,
    /// Certificates; none are known where absent.
    pub certificates: Option<Vec<Certificate>>,
    /// Starts in the last 30 days; nothing where absent.
    pub boots: Option<Boots>,
    /// Who is signed in; nothing where absent.
    pub signed_in: Option<Vec<String>>,
    /// The last backup; no job where absent.
    pub backup: Option<Backup>,
    /// The package manager.
    pub packages: Packages,
    /// Files.
    pub files: Vec<File>,
    /// Processes.
    pub processes: Vec<Process>,
    /// Units by name.
    pub services: BTreeMap<String, Service>,
    /// Local accounts by name.
    pub users: BTreeMap<String, User>,
    /// Host functions that fail: name to the error that they give.
    pub errors: BTreeMap<String, Trouble>,
}

/// See `host.info`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostInfo {
    /// Name.
    pub name: String,
    /// System.
    pub system: String,
    /// Seconds.
    pub uptime: i64,
}

impl Default for HostInfo {
    fn default() -> Self {
        Self { name: "demo-pc".into(), system: "Debian 12".into(), uptime: 86_400 }
    }
}

/// See `host.boots`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boots {
    /// How many.
    pub count: i64,
    /// Without a shutdown before.
    pub unclean: i64,
}

/// See `host.memory`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Bytes.
    pub total: i64,
    /// Bytes.
    pub available: i64,
}

/// See `host.pressure`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pressure {
    /// Percent times 100.
    pub cpu: i64,
    /// Percent times 100.
    pub memory: i64,
    /// Percent times 100.
    pub io: i64,
}

/// See `host.disks`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Where.
    pub mount: String,
    /// What is mounted; `/dev/vda1` where absent.
    #[serde(default)]
    pub device: Option<String>,
    /// Bytes.
    pub total: i64,
    /// Bytes.
    pub free: i64,
    /// 0..100.
    pub inodes_free_pct: i64,
    /// Whether it takes no writes.
    #[serde(default)]
    pub read_only: bool,
}

/// See `host.reboot_needed`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// Yes or no.
    pub needed: bool,
    /// Who asks.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// See `host.clock`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Yes, no, or nothing where unknown.
    pub synced: Option<bool>,
}

/// See `host.certificates`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// File.
    pub path: String,
    /// Subject.
    pub subject: String,
    /// Days.
    pub days_left: i64,
}

/// See `backup.last`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Job.
    pub job: String,
    /// Seconds.
    pub age: i64,
    /// Whether it was good.
    pub ok: bool,
}

/// See `pkg.*`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packages {
    /// Bytes of archives.
    pub cache: i64,
    /// Archives.
    pub archives: i64,
    /// What is installed, as in `tool 1.2`; nothing where absent.
    pub installed: Option<Vec<String>>,
    /// Updates; unknown where absent.
    pub updates: Option<Updates>,
}

/// See `pkg.updates`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Updates {
    /// How many.
    pub waiting: i64,
    /// How many of them for security.
    pub security: i64,
    /// Seconds.
    pub lists_age: i64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Absolute.
    pub path: String,
    /// Bytes.
    pub size: i64,
    /// Seconds ago.
    #[serde(default)]
    pub changed: i64,
    /// Its program writes to it between find and remove: remove leaves it.
    #[serde(default)]
    pub busy: bool,
    /// A program holds it open: its room stays taken when it is removed.
    #[serde(default)]
    pub open: bool,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Name of its executable.
    pub program: String,
    /// Whose.
    pub user: String,
}

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// As in `service.status`.
    pub state: String,
    /// As in `exit-code`.
    pub result: String,
    /// How often systemd restarted it.
    pub restarts: i64,
    /// Last lines.
    pub log: String,
    /// State after a restart; `active` where absent.
    pub after_restart: Option<String>,
    /// Lines of the log after a restart.
    pub log_after: Option<String>,
    /// Fails again this many seconds after a restart.
    pub falls_after: Option<i64>,
}

/// A local account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Number.
    pub uid: i64,
    /// Whether it is a person's.
    pub human: bool,
    /// `set`, `locked` or `none`.
    pub password: String,
    /// Locked.
    #[serde(default)]
    pub locked: bool,
    /// Must change at the next sign-in.
    #[serde(default)]
    pub must_change: bool,
    /// Days; unknown where absent.
    #[serde(default)]
    pub changed_days: Option<i64>,
    /// Failed sign-ins; unknown where absent.
    #[serde(default)]
    pub failures: Option<i64>,
    /// Expired.
    #[serde(default)]
    pub expired: bool,
    /// Actions on it have no effect: the system says yes and does nothing.
    #[serde(default)]
    pub stubborn: bool,
}

/// An error that a host function gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Code.
    pub code: String,
    /// Sentence.
    pub message: String,
    /// Whether the run ends there.
    #[serde(default)]
    pub fatal: bool,
}
