//! Landlock: which files a process may touch. ABI 2 is required (Debian 12's own kernel); what
//! later ABIs hold is asked for where the kernel has it, and reported.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::lock::LockError;
use crate::sys;

/// The least ABI: moving files between directories is held from here on.
pub(crate) const ABI_LEAST: i32 = 2;
/// The newest ABI that is asked for.
pub(crate) const ABI_NEWEST: i32 = 9;

/// Directories and files that a process keeps.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fence {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    pub(crate) exec: Vec<PathBuf>,
    /// Whether the network stays out of it (class network).
    pub(crate) network: bool,
}

/// Where a dynamic program finds its loader and its libraries.
const LOADERS: [&str; 4] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib/ld-musl-x86_64.so.1",
];
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];

/// The ABI that counts: the kernel's, at most `newest`.
pub(crate) fn abi(newest: i32) -> i32 {
    sys::landlock_abi().min(newest)
}

/// Locks this thread for good. Gives the ABI that was used.
pub(crate) fn raise(fence: &Fence, newest: i32) -> Result<i32, LockError> {
    let abi = abi(newest);
    if abi < ABI_LEAST {
        return Err(LockError::Landlock { abi, least: ABI_LEAST });
    }
    let broken = |source| LockError::Fence { source: Box::new(source) };
    let rights = AccessFs::from_all(ABI::from(abi));
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(rights)
        .map_err(broken)?;
    if abi >= 4 && !fence.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(ABI::V4)).map_err(broken)?;
    }
    if abi >= 6 {
        ruleset = ruleset.scope(Scope::from_all(ABI::V6)).map_err(broken)?;
    }
    let mut created = ruleset.create().map_err(broken)?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
        | (BitFlags::from(AccessFs::Truncate) & rights);
    let exec = AccessFs::ReadFile | AccessFs::Execute;
    created = allow(created, &fence.read, read)?;
    created = allow(created, &fence.write, write)?;
    if !fence.exec.is_empty() {
        created = allow(created, &fence.exec, exec)?;
        created = allow(created, &LOADERS.map(PathBuf::from), exec)?;
        created = allow(created, &LIBRARIES.map(PathBuf::from), read)?;
    }
    let status = created.restrict_self().map_err(broken)?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(abi),
        _ => Err(LockError::Landlock { abi, least: ABI_LEAST }),
    }
}

/// What is not there needs no rule: it cannot be touched.
fn allow(
    mut created: RulesetCreated,
    paths: &[PathBuf],
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, LockError> {
    for path in paths {
        let Some(is_dir) = kind(path)? else { continue };
        let on_files = AccessFs::from_file(ABI::V9);
        let rights = if is_dir { rights } else { rights & on_files };
        let broken = |source| LockError::Path { path: path.clone(), source: Box::new(source) };
        let fd = PathFd::new(path)
            .map_err(|e| LockError::Path { path: path.clone(), source: Box::new(e) })?;
        created = created.add_rule(PathBeneath::new(fd, rights)).map_err(broken)?;
    }
    Ok(created)
}

fn kind(path: &Path) -> Result<Option<bool>, LockError> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found.is_dir())),
        Err(error) => match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(LockError::Path { path: path.to_owned(), source: Box::new(error) }),
        },
    }
}
