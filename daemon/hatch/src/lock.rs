//! A process locks itself, in one call, before it reads anything that it did not bring along.
//! Never half: an error means that the process must end.
//!
//! Order in every child: [`begin`] first thing in `main`; claim descriptors; open what must be
//! open; then [`interpreter`], [`gate`] or [`executor`]; only then read input.

use std::collections::BTreeSet;
use std::path::PathBuf;

use protocol::limits;
use rustix::process::Resource;
use rustix::thread::CapabilitySet;
use surface::Class;

use crate::fence::{self, ABI_LEAST, ABI_NEWEST, Fence};
use crate::rights;
use crate::{Defences, Exceptions, cgroup, seccomp, sys, tables};

/// Open descriptors of an interpreter: its pipes and a few to spare.
const INTERPRETER_FILES: u64 = 16;
/// Open descriptors of a gate: its pipes, socket, poller, waker.
const GATE_FILES: u64 = 64;
/// Open descriptors of an executor: a walk of deep folders holds one a level.
const EXECUTOR_FILES: u64 = 1024;
/// Largest file that an executor writes: an account database or a rotated log, never a disk image.
const EXECUTOR_FILE_BYTES: u64 = 1 << 30;
/// What a gate's log may grow to where it is a file; it opens none itself.
const GATE_LOG_BYTES: u64 = 64 << 20;
/// A prompter's memory, bytes: a question and a message of the desktop's bus.
const PROMPTER_MEMORY_BYTES: u64 = 128 << 20;
/// A gate's memory, bytes: 256 connections with their windows take less than half.
const GATE_MEMORY_BYTES: u64 = 2 << 30;

/// Why a process is not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// More than one thread: a lock holds one thread only.
    #[error("could not lock: {0} threads run already, and a lock holds one")]
    Threads(usize),
    /// A call failed.
    #[error("could not {what}")]
    Step {
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        #[source]
        source: std::io::Error,
    },
    /// Landlock is missing or too old.
    #[error("landlock ABI {abi} is less than {least}: enable landlock (kernel 5.19 or newer)")]
    Landlock {
        /// What there is.
        abi: i32,
        /// What is needed.
        least: i32,
    },
    /// Landlock refused the rules.
    #[error("could not raise the landlock rules")]
    Fence {
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A path of the profile could not be opened.
    #[error("could not permit `{}`", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A system call filter could not be built or installed.
    #[error("could not {what} the system call filter")]
    Seccomp {
        /// `build` or `install`.
        what: &'static str,
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Rights of one executor.
#[derive(Debug, Clone, Default)]
pub struct ExecutorProfile {
    /// Classes of the run; `look` where it is empty.
    pub classes: BTreeSet<Class>,
    /// Files and folders it reads. What is not there is left out.
    pub read: Vec<PathBuf>,
    /// Files and folders it writes beneath, and reads.
    pub write: Vec<PathBuf>,
    /// Programs it starts (class accounts); their loader and libraries are added.
    pub exec: Vec<PathBuf>,
}

/// First call of a child: closes every descriptor but `keep`, takes its own name, allows no core
/// file and no look into its memory, and dies with the keeper. Call it before anything is open.
///
/// # Errors
/// [`LockError::Step`].
pub fn begin(name: &str, keep: &[i32]) -> Result<(), LockError> {
    let mut sorted: Vec<i32> = keep.iter().copied().filter(|fd| *fd >= 0).collect();
    sorted.sort_unstable();
    let io = |what| move |source| LockError::Step { what, source };
    sys::close_others(&sorted).map_err(io("close inherited descriptors"))?;
    sys::ignore_file_size_signal().map_err(io("ignore a signal"))?;
    // The keeper is the last one to go where memory is short; its children are not.
    rights::expendable();
    rights::named(name)?;
    rights::private()
}

/// What the keeper takes from itself at its start: no core file, no look into its memory, and the
/// descriptors it was born with stay with it.
///
/// # Errors
/// [`LockError::Step`].
pub fn keeper() -> Result<(), LockError> {
    sys::give_back_large_blocks();
    rights::unseen()
}

/// Asks again to end with the keeper: the kernel forgets it whenever a process changes its file
/// system uid or loses a capability.
///
/// # Errors
/// [`LockError::Step`].
pub fn end_with_keeper() -> Result<(), LockError> {
    rights::with_keeper()
}

/// Locks an interpreter: user nobody, no files, no network, no programs, an allow-list of system
/// calls that kills, memory and stack limits. It needs descriptors that are open already.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn interpreter(nobody: (u32, u32), exceptions: &Exceptions) -> Result<Defences, LockError> {
    interpreter_at(nobody, exceptions, ABI_NEWEST)
}

/// As [`interpreter`], with no Landlock ABI above `newest`: how an older kernel behaves.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn interpreter_at(
    nobody: (u32, u32),
    exceptions: &Exceptions,
    newest: i32,
) -> Result<Defences, LockError> {
    alone()?;
    let stack = u64::try_from(limits::INTERPRETER_STACK_BYTES).unwrap_or(u64::MAX);
    rights::limit(Resource::Stack, stack, "limit the stack")?;
    rights::limit(Resource::As, limits::INTERPRETER_MEMORY_BYTES, "limit memory")?;
    rights::limit(Resource::Nofile, INTERPRETER_FILES, "limit descriptors")?;
    rights::limit(Resource::Fsize, 0, "limit files")?;
    rights::limit(Resource::Cpu, limits::RUN_SECONDS_MAX, "limit processor time")?;
    rights::bound(CapabilitySet::empty())?;
    let mut report = become_user(nobody, exceptions)?;
    rights::keep(CapabilitySet::empty())?;
    rights::private()?;
    rights::no_new_rights()?;
    let abi = fence::raise(&Fence::default(), newest)?;
    seccomp::allow_or_kill(&tables::interpreter())?;
    say(&mut report, abi, "allow-list, kills", "none");
    let memory = limits::INTERPRETER_MEMORY_BYTES >> 20;
    report.insert("limits".to_owned(), format!("memory {memory} MiB, no files, no core"));
    Ok(report)
}

/// Locks the gate once its socket is bound and its runtime exists: its own user, no files, no new
/// sockets, no programs, an allow-list of system calls that refuses.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn gate(ids: Option<(u32, u32)>, exceptions: &Exceptions) -> Result<Defences, LockError> {
    gate_at(ids, exceptions, ABI_NEWEST)
}

/// As [`gate`], with no Landlock ABI above `newest`.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn gate_at(
    ids: Option<(u32, u32)>,
    exceptions: &Exceptions,
    newest: i32,
) -> Result<Defences, LockError> {
    alone()?;
    rights::named("gate")?;
    rights::expendable();
    rights::limit(Resource::As, GATE_MEMORY_BYTES, "limit memory")?;
    rights::limit(Resource::Nofile, GATE_FILES, "limit descriptors")?;
    rights::limit(Resource::Fsize, GATE_LOG_BYTES, "limit files")?;
    rights::bound(CapabilitySet::empty())?;
    let mut report = match ids {
        Some(ids) => become_user(ids, exceptions)?,
        None if exceptions.uid => Defences::from([own_uid()]),
        None => {
            let source = std::io::ErrorKind::PermissionDenied.into();
            return Err(LockError::Step { what: "run the gate without a user of its own", source });
        }
    };
    rights::keep(CapabilitySet::empty())?;
    rights::private()?;
    rights::no_new_rights()?;
    let abi = fence::raise(&Fence::default(), newest)?;
    seccomp::allow_or_errno(&tables::gate(), libc::EPERM)?;
    say(&mut report, abi, "allow-list, refuses", "none");
    Ok(report)
}

/// Makes this process a person's, for good: no groups, no capabilities. What must be open is opened
/// after it with that person's rights, and then [`prompter`] locks.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn person(ids: (u32, u32), exceptions: &Exceptions) -> Result<(), LockError> {
    rights::bound(CapabilitySet::empty())?;
    become_user(ids, exceptions)?;
    rights::keep(CapabilitySet::empty())?;
    rights::private()?;
    rights::no_new_rights()
}

/// Locks a prompter with its terminal, its bus and its socket open: no files, no programs, no new
/// sockets, an allow-list of system calls that refuses.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn prompter() -> Result<(), LockError> {
    alone()?;
    rights::limit(Resource::As, PROMPTER_MEMORY_BYTES, "limit memory")?;
    rights::limit(Resource::Nofile, INTERPRETER_FILES, "limit descriptors")?;
    rights::limit(Resource::Fsize, 0, "limit files")?;
    fence::raise(&Fence::default(), ABI_NEWEST)?;
    seccomp::allow_or_errno(&tables::prompter(), libc::EPERM)
}

/// Locks an executor to its manifest's classes and paths. Class packages has none of this but the
/// descriptors, and the report says so.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn executor(profile: &ExecutorProfile, exceptions: &Exceptions) -> Result<Defences, LockError> {
    executor_at(profile, exceptions, ABI_NEWEST)
}

/// As [`executor`], with no Landlock ABI above `newest`.
///
/// # Errors
/// [`LockError`]: end the process.
pub fn executor_at(
    profile: &ExecutorProfile,
    exceptions: &Exceptions,
    newest: i32,
) -> Result<Defences, LockError> {
    let classes = &profile.classes;
    if classes.contains(&Class::Packages) {
        let off = "off: package programs need the whole system".to_owned();
        return Ok(["landlock", "seccomp", "capabilities"]
            .map(|name| (name.to_owned(), off.clone()))
            .into());
    }
    alone()?;
    rights::limit(Resource::Nofile, EXECUTOR_FILES, "limit descriptors")?;
    let mut report = Defences::new();
    if !exceptions.uid {
        let io = |source| LockError::Step { what: "leave all groups", source };
        sys::no_groups().map_err(io)?;
    }
    let bytes = if classes.iter().all(|class| *class == Class::Look) {
        limits::SCRATCH_BYTES
    } else {
        EXECUTOR_FILE_BYTES
    };
    rights::limit(Resource::Fsize, bytes, "limit files")?;
    let accounts = classes.contains(&Class::Accounts);
    let memory =
        if accounts { limits::ACCOUNTS_MEMORY_BYTES } else { limits::EXECUTOR_MEMORY_BYTES };
    // What is written to, not the addresses: a thread of the bus reserves many and uses few.
    rights::limit(Resource::Data, memory, "limit memory")?;
    report.insert("limits".to_owned(), format!("memory {} MiB, no core", memory >> 20));
    let kept = capabilities_of(classes);
    rights::keep(kept)?;
    rights::private()?;
    rights::no_new_rights()?;
    let fence = Fence {
        read: profile.read.clone(),
        write: profile.write.clone(),
        exec: if accounts { profile.exec.clone() } else { Vec::new() },
        network: classes.contains(&Class::Network),
    };
    let abi = fence::raise(&fence, newest)?;
    seccomp::refuse(&tables::sockets(classes), libc::EAFNOSUPPORT)?;
    seccomp::refuse(&tables::hidden(abi), libc::ENOSYS)?;
    seccomp::refuse(&tables::executor(classes), libc::EPERM)?;
    seccomp::refuse_unknown()?;
    let names: Vec<&str> = classes.iter().map(|class| class.word()).collect();
    let filter =
        format!("by class: {}", if names.is_empty() { "look".into() } else { names.join(", ") });
    say(&mut report, abi, &filter, &words(kept));
    Ok(report)
}

fn capabilities_of(classes: &BTreeSet<Class>) -> CapabilitySet {
    let mut kept = CapabilitySet::DAC_READ_SEARCH;
    let files = CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::CHOWN
        | CapabilitySet::SETUID
        | CapabilitySet::SETGID;
    for class in classes {
        kept |= match class {
            Class::Look | Class::Services | Class::Packages => CapabilitySet::empty(),
            Class::Files => files,
            Class::Accounts => files | CapabilitySet::AUDIT_WRITE,
            Class::Network => CapabilitySet::NET_ADMIN,
        };
    }
    kept
}

fn words(set: CapabilitySet) -> String {
    let names = set.iter_names().map(|(name, _)| name.to_lowercase());
    names.collect::<Vec<_>>().join(" ")
}

/// A lock holds the thread that asks for it.
fn alone() -> Result<(), LockError> {
    let io = |source| LockError::Step { what: "count threads", source };
    let threads = std::fs::read_dir("/proc/self/task").map_err(io)?.count();
    if threads == 1 { Ok(()) } else { Err(LockError::Threads(threads)) }
}

fn own_uid() -> (String, String) {
    let uid = rustix::process::getuid().as_raw();
    ("uid".to_owned(), format!("own uid {uid} kept, by exception"))
}

fn become_user((uid, gid): (u32, u32), exceptions: &Exceptions) -> Result<Defences, LockError> {
    match sys::become_user(uid, gid) {
        Ok(()) => Ok(Defences::from([("uid".to_owned(), format!("uid {uid}, no groups"))])),
        Err(_) if exceptions.uid => Ok(Defences::from([own_uid()])),
        Err(source) => Err(LockError::Step { what: "become another user", source }),
    }
}

fn say(report: &mut Defences, abi: i32, filter: &str, kept: &str) {
    let words = [
        ("landlock", format!("ABI {abi}, enforced")),
        ("seccomp", filter.to_owned()),
        ("capabilities", kept.to_owned()),
        ("no_new_privs", "on".to_owned()),
    ];
    report.extend(words.map(|(name, word)| (name.to_owned(), word)));
}

/// What this machine offers, for `salved status` and `salved doctor`.
#[must_use]
pub fn available() -> Defences {
    let landlock = match sys::landlock_abi() {
        0 => "missing: not in this kernel, or off".to_owned(),
        abi if abi < ABI_LEAST => format!("ABI {abi}, too old: {ABI_LEAST} is needed"),
        abi => format!("ABI {abi}"),
    };
    let seccomp = match std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.split_whitespace().any(|word| word == "kill_process") => {
            match sys::takes_filters() {
                Ok(()) => "filters".to_owned(),
                Err(error) => format!("missing: no system call filter may be set: {error}"),
            }
        }
        _ => "missing: the kernel has no system call filters".to_owned(),
    };
    let cgroup = match cgroup::Home::find() {
        Ok(home) => format!("v2 at {}", home.path().display()),
        Err(error) => format!("missing: {}", protocol::error_chain::ErrorChain(&error)),
    };
    let uid =
        if other_users() { "other users can be taken" } else { "missing: only one user here" };
    [("landlock", landlock), ("seccomp", seccomp), ("cgroup", cgroup), ("uid", uid.to_owned())]
        .map(|(name, word)| (name.to_owned(), word))
        .into()
}

/// Whether this process may become another user: root, where other users exist.
#[must_use]
pub fn other_users() -> bool {
    rustix::process::geteuid().is_root() && maps_other_uids()
}

fn maps_other_uids() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let count = |line: &str| line.split_whitespace().nth(2).and_then(|n| n.parse::<u64>().ok());
    map.lines().filter_map(count).sum::<u64>() > 1
}

/// Required defences that this machine does not offer and that no exception names.
#[must_use]
pub fn missing(exceptions: &Exceptions) -> Vec<String> {
    available()
        .into_iter()
        .filter(|(name, word)| {
            let excepted = match name.as_str() {
                "uid" => exceptions.uid,
                "cgroup" => exceptions.cgroup,
                _ => false,
            };
            let bad = word.starts_with("missing") || word.contains("too old");
            bad && !excepted
        })
        .map(|(name, _)| name)
        .collect()
}
