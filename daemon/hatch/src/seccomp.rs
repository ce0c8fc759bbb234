//! System call filters. The interpreter's is an allow-list that kills, the gate's an allow-list
//! that refuses, an executor's refuses by class. Never the only wall: Landlock stands behind it.
//!
//! A filter has one answer for what it names, so that an executor carries three of them.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use crate::lock::LockError;

/// One condition on an argument, by position.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg {
    /// These bits have this value (32 bits wide).
    Bits { at: u8, mask: u64, value: u64 },
    /// The whole argument differs from this value.
    Not { at: u8, value: u64 },
    /// The whole argument has this value.
    Is { at: u8, value: u64 },
}

/// System calls and when they match: no rule means always, else any one of the rules.
pub(crate) type Table = BTreeMap<i64, Vec<Vec<Arg>>>;

/// The newest system call whose meaning is known here (`mseal`, Linux 6.10). What a later kernel
/// adds is refused as unknown, whatever it would do.
const NEWEST_KNOWN: u32 = 462;
/// Calls of the x32 interface carry this bit: the same calls under other numbers.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

fn broken(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> LockError {
    LockError::Seccomp { what, source: Box::new(error) }
}

fn condition(arg: Arg) -> Result<SeccompCondition, seccompiler::BackendError> {
    match arg {
        Arg::Bits { at, mask, value } => {
            let op = SeccompCmpOp::MaskedEq(mask);
            SeccompCondition::new(at, SeccompCmpArgLen::Dword, op, value)
        }
        Arg::Not { at, value } => {
            SeccompCondition::new(at, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, value)
        }
        Arg::Is { at, value } => {
            SeccompCondition::new(at, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
        }
    }
}

fn program(
    table: &Table,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::new();
    for (call, alternatives) in table {
        let mut chain = Vec::new();
        for conditions in alternatives {
            let conditions = conditions.iter().map(|arg| condition(*arg));
            chain.push(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?);
        }
        rules.insert(*call, chain);
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
}

/// Lets the table's calls through; any other one kills the process.
pub(crate) fn allow_or_kill(table: &Table) -> Result<(), LockError> {
    install(table, SeccompAction::KillProcess, SeccompAction::Allow)
}

/// Lets the table's calls through; any other one answers this error number.
pub(crate) fn allow_or_errno(table: &Table, errno: i32) -> Result<(), LockError> {
    install(table, SeccompAction::Errno(errno.unsigned_abs()), SeccompAction::Allow)
}

/// The table's calls answer this error number; any other one goes through.
pub(crate) fn refuse(table: &Table, errno: i32) -> Result<(), LockError> {
    install(table, SeccompAction::Allow, SeccompAction::Errno(errno.unsigned_abs()))
}

fn install(
    table: &Table,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<(), LockError> {
    let program = program(table, otherwise, matched).map_err(|e| broken("build", e))?;
    apply_filter(&program).map_err(|e| broken("install", e))
}

/// Refuses calls that this program does not know: the x32 interface kills, numbers beyond
/// [`NEWEST_KNOWN`] answer ENOSYS as on an older kernel.
pub(crate) fn refuse_unknown() -> Result<(), LockError> {
    let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = program(&Table::new(), SeccompAction::Allow, SeccompAction::KillProcess)
        .map_err(|e| broken("build", e))?;
    // The architecture check of an empty filter, then our own two comparisons.
    let mut bpf: BpfProgram = arch;
    bpf.pop();
    bpf.push(sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 });
    #[cfg(target_arch = "x86_64")]
    {
        bpf.push(sock_filter { code: 0x35, jt: 0, jf: 1, k: X32 });
        bpf.push(answer(SeccompAction::KillProcess));
    }
    bpf.push(sock_filter { code: 0x25, jt: 0, jf: 1, k: NEWEST_KNOWN });
    bpf.push(answer(enosys));
    bpf.push(answer(SeccompAction::Allow));
    apply_filter(&bpf).map_err(|e| broken("install", e))
}

fn answer(action: SeccompAction) -> sock_filter {
    sock_filter { code: 0x06, jt: 0, jf: 0, k: action.into() }
}
