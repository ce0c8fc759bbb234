//! Capabilities, limits and the small switches. Never gives a right, only takes.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

use crate::lock::LockError;

pub(crate) fn step(what: &'static str) -> impl Fn(rustix::io::Errno) -> LockError {
    move |source| LockError::Step { what, source: source.into() }
}

/// No core file, and nobody may look into this process.
pub(crate) fn unseen() -> Result<(), LockError> {
    limit(Resource::Core, 0, "switch core files off")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(step("refuse to be dumped"))
}

/// As [`unseen`], and it dies with the keeper.
pub(crate) fn private() -> Result<(), LockError> {
    unseen()?;
    with_keeper()
}

/// Dies with the keeper.
pub(crate) fn with_keeper() -> Result<(), LockError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(step("end with the keeper"))
}

/// One limit, soft and hard.
pub(crate) fn limit(resource: Resource, to: u64, what: &'static str) -> Result<(), LockError> {
    let limit = Rlimit { current: Some(to), maximum: Some(to) };
    setrlimit(resource, limit).map_err(step(what))
}

/// No program started from here gains anything.
pub(crate) fn no_new_rights() -> Result<(), LockError> {
    set_no_new_privs(true).map_err(step("set no_new_privs"))
}

/// Keeps these capabilities and no others, also for programs started later.
pub(crate) fn keep(kept: CapabilitySet) -> Result<(), LockError> {
    bound(kept)?;
    let had = capabilities(None).map_err(step("read the capabilities"))?.permitted;
    let _ = clear_ambient_capability_set();
    let sets = CapabilitySets {
        effective: kept & had,
        permitted: kept & had,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(step("drop capabilities"))
}

/// Takes all others out of the bounding set. Where this process may not, it has none to lose: a
/// program it starts gains none either, by no_new_privs.
pub(crate) fn bound(kept: CapabilitySet) -> Result<(), LockError> {
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        // Beyond the last capability the kernel answers EINVAL.
        let Ok(inside) = capability_is_in_bounding_set(one) else { break };
        if !inside || kept.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(rustix::io::Errno::PERM) => {
                let have = capabilities(None).map_err(step("read the capabilities"))?;
                return if have.permitted.contains(CapabilitySet::SETPCAP) {
                    Err(step("bound the capabilities")(rustix::io::Errno::PERM))
                } else {
                    Ok(())
                };
            }
            Err(source) => return Err(step("bound the capabilities")(source)),
        }
    }
    Ok(())
}

/// Gives up the keeper's protection from the out-of-memory killer, where it has one.
pub(crate) fn expendable() {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = open("/proc/self/oom_score_adj", flags, Mode::empty()) {
        // Raising it is always allowed; where it is not, nothing is lost.
        let _ = rustix::io::write(&file, b"0");
    }
}

/// What `ps` shows: without it, the number of the descriptor that was executed.
pub(crate) fn named(name: &str) -> Result<(), LockError> {
    let name = std::ffi::CString::new(name).unwrap_or_default();
    rustix::thread::set_name(&name).map_err(step("take a name"))
}
