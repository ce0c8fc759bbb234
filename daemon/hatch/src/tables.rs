//! Which system calls each process may make. Data; `seccomp` turns it into filters.

use std::collections::BTreeSet;

use surface::Class;

use crate::seccomp::{Arg, Table};

/// Flags of `clone` that make a namespace.
const NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    0x80, // CLONE_NEWTIME
];
/// `TIOCSTI` and `TIOCLINUX`: put words into somebody's terminal.
const TERMINAL: [u64; 2] = [0x5412, 0x541c];

fn always(table: &mut Table, calls: &[i64]) {
    for call in calls {
        table.insert(*call, Vec::new());
    }
}

fn when(table: &mut Table, call: i64, conditions: Vec<Arg>) {
    table.entry(call).or_default().push(conditions);
}

fn wide(flag: i32) -> u64 {
    u64::from(flag.unsigned_abs())
}

/// What a program needs to compute, speak on open descriptors, and end. No memory is executable
/// that was not when the filter came.
fn plain() -> Table {
    let mut table = Table::new();
    always(
        &mut table,
        &[
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_readv,
            libc::SYS_writev,
            libc::SYS_close,
            libc::SYS_brk,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_madvise,
            libc::SYS_futex,
            libc::SYS_getrandom,
            libc::SYS_clock_gettime,
            libc::SYS_sched_yield,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_sigaltstack,
            libc::SYS_restart_syscall,
            libc::SYS_getpid,
            libc::SYS_gettid,
            libc::SYS_exit,
            libc::SYS_exit_group,
        ],
    );
    let exec = wide(libc::PROT_EXEC);
    let anonymous = wide(libc::MAP_ANONYMOUS);
    when(
        &mut table,
        libc::SYS_mmap,
        vec![
            Arg::Bits { at: 2, mask: exec, value: 0 },
            Arg::Bits { at: 3, mask: anonymous, value: anonymous },
        ],
    );
    when(&mut table, libc::SYS_mprotect, vec![Arg::Bits { at: 2, mask: exec, value: 0 }]);
    // For abort(): a signal to itself and to nobody else.
    let me = u64::from(std::process::id());
    when(&mut table, libc::SYS_tgkill, vec![Arg::Is { at: 0, value: me }]);
    table
}

/// The interpreter: memory, its four pipes, the end.
pub(crate) fn interpreter() -> Table {
    plain()
}

/// The gate, once its socket, its poller and its runtime exist.
pub(crate) fn gate() -> Table {
    let mut table = plain();
    always(
        &mut table,
        &[
            libc::SYS_recvmsg,
            libc::SYS_sendmsg,
            libc::SYS_recvmmsg,
            libc::SYS_sendmmsg,
            libc::SYS_recvfrom,
            libc::SYS_sendto,
            libc::SYS_getsockopt,
            libc::SYS_setsockopt,
            libc::SYS_getsockname,
            libc::SYS_getpeername,
            libc::SYS_shutdown,
            libc::SYS_epoll_ctl,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
            libc::SYS_epoll_create1,
            libc::SYS_ppoll,
            libc::SYS_eventfd2,
            libc::SYS_timerfd_create,
            libc::SYS_timerfd_settime,
            libc::SYS_clock_nanosleep,
            libc::SYS_nanosleep,
            libc::SYS_fstat,
            libc::SYS_uname,
            libc::SYS_sched_getaffinity,
        ],
    );
    #[cfg(target_arch = "x86_64")]
    always(&mut table, &[libc::SYS_epoll_wait, libc::SYS_poll]);
    for command in [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL] {
        when(&mut table, libc::SYS_fcntl, vec![Arg::Is { at: 1, value: wide(command) }]);
    }
    let duplicate = wide(libc::F_DUPFD_CLOEXEC);
    when(&mut table, libc::SYS_fcntl, vec![Arg::Is { at: 1, value: duplicate }]);
    for request in [libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD] {
        when(
            &mut table,
            libc::SYS_ioctl,
            vec![Arg::Bits { at: 1, mask: 0xffff_ffff, value: request }],
        );
    }
    table
}

/// The prompter: its pipes, terminal, bus and socket, and whoever connects to that.
pub(crate) fn prompter() -> Table {
    let mut table = plain();
    always(
        &mut table,
        &[
            libc::SYS_accept4,
            libc::SYS_recvfrom,
            libc::SYS_sendto,
            libc::SYS_recvmsg,
            libc::SYS_sendmsg,
            libc::SYS_getsockopt,
            libc::SYS_shutdown,
            libc::SYS_ppoll,
            libc::SYS_fstat,
        ],
    );
    #[cfg(target_arch = "x86_64")]
    always(&mut table, &[libc::SYS_poll]);
    for command in [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL] {
        when(&mut table, libc::SYS_fcntl, vec![Arg::Is { at: 1, value: wide(command) }]);
    }
    let nonblocking = libc::FIONBIO;
    when(
        &mut table,
        libc::SYS_ioctl,
        vec![Arg::Bits { at: 1, mask: 0xffff_ffff, value: nonblocking }],
    );
    table
}

/// What no executor below class packages has a use for: other processes' memory, kernel keys and
/// programs, mounts, the clock, device nodes, files by handle.
const NEVER: &[i64] = &[
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_capset,
    libc::SYS_personality,
];

/// Calls that no executor below class packages makes: EPERM.
fn never() -> Table {
    let mut table = Table::new();
    always(&mut table, NEVER);
    #[cfg(target_arch = "x86_64")]
    always(
        &mut table,
        &[
            libc::SYS_mknod,
            libc::SYS_iopl,
            libc::SYS_ioperm,
            libc::SYS_modify_ldt,
            libc::SYS_uselib,
        ],
    );
    for flag in NAMESPACES.map(wide) {
        when(&mut table, libc::SYS_clone, vec![Arg::Bits { at: 0, mask: flag, value: flag }]);
    }
    for request in TERMINAL {
        let full = 0xffff_ffff;
        when(&mut table, libc::SYS_ioctl, vec![Arg::Bits { at: 1, mask: full, value: request }]);
    }
    // O_TRUNC with O_RDONLY cuts a file that Landlock before ABI 3 lets it read only.
    let mask = wide(libc::O_TRUNC | libc::O_ACCMODE);
    let value = wide(libc::O_TRUNC);
    when(&mut table, libc::SYS_openat, vec![Arg::Bits { at: 2, mask, value }]);
    #[cfg(target_arch = "x86_64")]
    when(&mut table, libc::SYS_open, vec![Arg::Bits { at: 1, mask, value }]);
    table
}

/// What every class but accounts loses beside that: programs, other identities, signals, metadata
/// by path (Landlock holds none of these), device commands.
fn contained(table: &mut Table, network: bool) {
    always(
        table,
        &[
            libc::SYS_execve,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
            libc::SYS_pidfd_send_signal,
            libc::SYS_setuid,
            libc::SYS_setreuid,
            libc::SYS_setresuid,
            libc::SYS_setgid,
            libc::SYS_setregid,
            libc::SYS_setresgid,
            libc::SYS_truncate,
            libc::SYS_fchmodat,
            libc::SYS_fchmodat2,
            libc::SYS_fchownat,
            libc::SYS_setxattr,
            libc::SYS_lsetxattr,
            libc::SYS_removexattr,
            libc::SYS_lremovexattr,
        ],
    );
    #[cfg(target_arch = "x86_64")]
    always(
        table,
        &[
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_chmod,
            libc::SYS_chown,
            libc::SYS_lchown,
            libc::SYS_utime,
            libc::SYS_utimes,
            libc::SYS_futimesat,
        ],
    );
    // Threads only. utimensat without a path is futimens: a descriptor's.
    let thread = wide(libc::CLONE_THREAD);
    when(table, libc::SYS_clone, vec![Arg::Bits { at: 0, mask: thread, value: 0 }]);
    when(table, libc::SYS_utimensat, vec![Arg::Not { at: 1, value: 0 }]);
    let me = u64::from(std::process::id());
    when(table, libc::SYS_tgkill, vec![Arg::Not { at: 0, value: me }]);
    if network {
        return;
    }
    // Every device command but the few that ask a descriptor about itself.
    let asks: [u64; 7] = [
        libc::TCGETS,
        libc::FIONREAD,
        libc::FIONBIO,
        libc::FIOCLEX,
        libc::FIONCLEX,
        0xc020_660b, // FS_IOC_FIEMAP
        0x8008_6601, // FS_IOC_GETFLAGS
    ];
    table.remove(&libc::SYS_ioctl);
    let none_of = asks.iter().map(|request| Arg::Not { at: 1, value: *request }).collect();
    when(table, libc::SYS_ioctl, none_of);
}

/// What class files loses too: Landlock lets whoever may read a file change its mode and owner by
/// its descriptor, and an executor may read `/etc/shadow`. No host function changes metadata.
fn metadata(table: &mut Table) {
    let calls = [libc::SYS_fchmod, libc::SYS_fchown, libc::SYS_fsetxattr, libc::SYS_fremovexattr];
    always(table, &calls);
}

/// What all but accounts and files lose beside that: times, and other people's names.
fn look(table: &mut Table) {
    table.remove(&libc::SYS_utimensat);
    always(
        table,
        &[libc::SYS_utimensat, libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_setgroups],
    );
}

/// What an executor of these classes is refused with EPERM.
pub(crate) fn executor(classes: &BTreeSet<Class>) -> Table {
    let mut table = never();
    if !classes.contains(&Class::Accounts) {
        contained(&mut table, classes.contains(&Class::Network));
        metadata(&mut table);
        if !classes.contains(&Class::Files) {
            look(&mut table);
        }
    }
    if !classes.contains(&Class::Network) {
        always(
            &mut table,
            &[
                libc::SYS_connect,
                libc::SYS_bind,
                libc::SYS_listen,
                libc::SYS_accept,
                libc::SYS_accept4,
            ],
        );
    }
    table
}

/// What an executor of these classes is refused with EAFNOSUPPORT: account programs take EPERM for
/// a failure *after* they changed the password, and this for a kernel without the family.
pub(crate) fn sockets(classes: &BTreeSet<Class>) -> Table {
    let mut table = Table::new();
    always(&mut table, &[libc::SYS_socketpair]);
    if classes.contains(&Class::Network) {
        let families = [libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6];
        let none_of = families.map(|family| Arg::Not { at: 0, value: wide(family) }).to_vec();
        when(&mut table, libc::SYS_socket, none_of);
    } else {
        always(&mut table, &[libc::SYS_socket]);
    }
    table
}

/// What is refused with ENOSYS, for which libraries have an older way: `clone3` and `openat2` hide
/// their flags from a filter. `openat2` stays where Landlock holds truncation (ABI 3).
pub(crate) fn hidden(landlock: i32) -> Table {
    let mut table = Table::new();
    always(
        &mut table,
        &[
            libc::SYS_clone3,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_memfd_secret,
        ],
    );
    if landlock < 3 {
        always(&mut table, &[libc::SYS_openat2]);
    }
    table
}
