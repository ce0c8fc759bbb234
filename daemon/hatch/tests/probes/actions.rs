//! The attempts. Each does what its name says, with raw system calls, and gives the error number.

use std::ffi::CString;
use std::path::Path;

use crate::Place;
use crate::sys::call;

type Action = fn(&Place) -> Result<(), i32>;

/// All of them.
pub(crate) const ACTIONS: &[(&str, Action)] = &[
    ("read inside", |p| open(&p.inside.join("file"), libc::O_RDONLY)),
    ("read outside", |p| open(&p.outside.join("file"), libc::O_RDONLY)),
    ("read outside by a link", |p| open(&p.inside.join("link"), libc::O_RDONLY)),
    ("read passwd", |_| open(Path::new("/etc/passwd"), libc::O_RDONLY)),
    ("create inside", |p| open(&p.inside.join("new"), libc::O_CREAT | libc::O_WRONLY)),
    ("create outside", |p| open(&p.outside.join("new"), libc::O_CREAT | libc::O_WRONLY)),
    ("write outside", |p| open(&p.outside.join("file"), libc::O_WRONLY)),
    ("cut inside, opened to read", |p| {
        open(&p.inside.join("file"), libc::O_RDONLY | libc::O_TRUNC)
    }),
    ("truncate outside", |p| path(libc::SYS_truncate, &p.outside.join("file"), 0)),
    ("unlink inside", |p| unlink(&p.inside.join("file"))),
    ("unlink outside", |p| unlink(&p.outside.join("file"))),
    ("link in from outside", |p| two(libc::SYS_linkat, p)),
    ("rename in from outside", |p| two(libc::SYS_renameat, p)),
    ("chmod outside", |p| at(libc::SYS_fchmodat, &p.outside.join("file"), 0o777)),
    ("chmod inside", |p| at(libc::SYS_fchmodat, &p.inside.join("file"), 0o777)),
    ("fchmod inside", |p| {
        let fd = opened(&p.inside.join("file"), libc::O_RDONLY)?;
        done(call(libc::SYS_fchmod, [fd, 0o600, 0, 0, 0, 0]))
    }),
    ("chown outside", |p| at(libc::SYS_fchownat, &p.outside.join("file"), 65534)),
    ("set times outside", |p| at(libc::SYS_utimensat, &p.outside.join("file"), 0)),
    ("set times of a descriptor", |p| {
        let fd = opened(&p.inside.join("file"), libc::O_RDONLY)?;
        done(call(libc::SYS_utimensat, [fd, 0, 0, 0, 0, 0]))
    }),
    ("mknod inside", |p| {
        let path = text(&p.inside.join("device"));
        let mode = (libc::S_IFCHR | 0o600) as usize;
        done(call(libc::SYS_mknodat, [here(), path.as_ptr() as usize, mode, 0x103, 0, 0]))
    }),
    ("inet socket", |_| socket(libc::AF_INET, libc::SOCK_DGRAM)),
    ("unix socket", |_| socket(libc::AF_UNIX, libc::SOCK_STREAM)),
    ("netlink socket", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    ("socket pair", |_| {
        let mut pair = [0i32; 2];
        let to = (&raw mut pair) as usize;
        done(call(libc::SYS_socketpair, [libc::AF_UNIX as usize, 1, 0, to, 0, 0]))
    }),
    ("exec the granted tool", |p| exec(&p.inside.join("tool"))),
    ("exec another program", |_| exec(Path::new("/usr/bin/id"))),
    ("memfd", |_| done(call(libc::SYS_memfd_create, [c"x".as_ptr() as usize, 0, 0, 0, 0, 0]))),
    ("io_uring", |_| {
        let mut parameters = [0u8; 120];
        let to = (&raw mut parameters) as usize;
        done(call(libc::SYS_io_uring_setup, [4, to, 0, 0, 0, 0]))
    }),
    ("user namespace", |_| {
        done(call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0]))
    }),
    ("mount namespace", |_| {
        done(call(libc::SYS_unshare, [libc::CLONE_NEWNS as usize, 0, 0, 0, 0, 0]))
    }),
    ("bpf map", |_| {
        let map: [u32; 32] = std::array::from_fn(|n| match n {
            0 => 2,
            1..=3 => 4,
            _ => 0,
        });
        done(call(libc::SYS_bpf, [0, (&raw const map) as usize, 128, 0, 0, 0]))
    }),
    ("trace the parent", |_| {
        let parent = call(libc::SYS_getppid, [0; 6])?;
        done(call(libc::SYS_ptrace, [0x4206, usize::try_from(parent).unwrap(), 0, 0, 0, 0]))
    }),
    ("memory of the parent", |_| {
        let parent = call(libc::SYS_getppid, [0; 6])?;
        open(Path::new(&format!("/proc/{parent}/mem")), libc::O_RDWR)
    }),
    ("signal the parent", |_| {
        let parent = call(libc::SYS_getppid, [0; 6])?;
        done(call(libc::SYS_kill, [usize::try_from(parent).unwrap(), 0, 0, 0, 0, 0]))
    }),
    ("key ring", |_| done(call(libc::SYS_keyctl, [0, usize::MAX - 2, 1, 0, 0, 0]))),
    ("mount", |p| {
        let to = text(&p.inside);
        let kind = c"tmpfs".as_ptr() as usize;
        done(call(libc::SYS_mount, [kind, to.as_ptr() as usize, kind, 0, 0, 0]))
    }),
    ("clone3", |_| {
        // No flags and no exit signal: a plain child, which ends at once.
        let how = [0u64; 11];
        match call(libc::SYS_clone3, [(&raw const how) as usize, 64, 0, 0, 0, 0]) {
            Ok(0) => std::process::exit(0),
            other => done(other),
        }
    }),
    ("fork", |_| match call(libc::SYS_clone, [17, 0, 0, 0, 0, 0]) {
        Ok(0) => std::process::exit(0),
        other => done(other),
    }),
    ("thread", |_| {
        let thread = std::thread::Builder::new().spawn(|| ());
        thread.map_err(|error| error.raw_os_error().unwrap_or(0))?.join().map_err(|_| 0)
    }),
    ("become root again", |_| done(call(libc::SYS_setresuid, [0; 6]))),
    ("become nobody for files", |_| {
        call(libc::SYS_setfsuid, [65534, 0, 0, 0, 0, 0])?;
        // It answers the uid before; asked again it tells whether it was taken.
        match call(libc::SYS_setfsuid, [65534, 0, 0, 0, 0, 0])? {
            65534 => Ok(()),
            _ => Err(libc::EPERM),
        }
    }),
    ("a call of tomorrow", |_| done(call(467, [0; 6]))),
    ("a call of x32", |_| done(call(0x4000_0000 + libc::SYS_getpid, [0; 6]))),
    ("clock", |_| {
        let mut now = [0u64; 2];
        done(call(libc::SYS_clock_gettime, [0, (&raw mut now) as usize, 0, 0, 0, 0]))
    }),
    ("set the clock", |_| {
        let bad = [0i64, 2_000_000_000];
        done(call(libc::SYS_clock_settime, [0, (&raw const bad) as usize, 0, 0, 0, 0]))
    }),
    ("executable memory", |_| {
        let rwx = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize;
        let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        done(call(libc::SYS_mmap, [0, 4096, rwx, private, usize::MAX, 0]))
    }),
    ("memory of 300 MiB", |_| {
        let rw = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let private = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        done(call(libc::SYS_mmap, [0, 300 << 20, rw, private, usize::MAX, 0]))
    }),
    ("descriptor left open", |_| done(call(libc::SYS_fcntl, [9, 1, 0, 0, 0, 0]))),
    ("terminal input", |_| {
        done(call(libc::SYS_ioctl, [0, 0x5412, c"x".as_ptr() as usize, 0, 0, 0]))
    }),
    ("openat2", |p| {
        let path = text(&p.inside.join("file"));
        let how = [0u64; 3];
        let to = (&raw const how) as usize;
        done(call(libc::SYS_openat2, [here(), path.as_ptr() as usize, to, 24, 0, 0]))
    }),
];

/// The attempt of this name.
pub(crate) fn find(name: &str) -> Action {
    ACTIONS.iter().find(|(known, _)| *known == name).unwrap().1
}

fn done(answer: Result<i64, i32>) -> Result<(), i32> {
    answer.map(|_| ())
}

fn text(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

/// The current folder, for calls that take a folder's descriptor.
fn here() -> usize {
    libc::AT_FDCWD as usize
}

fn opened(path: &Path, flags: i32) -> Result<usize, i32> {
    let path = text(path);
    let flags = usize::try_from(flags).unwrap();
    let fd = call(libc::SYS_openat, [here(), path.as_ptr() as usize, flags, 0o600, 0, 0])?;
    Ok(usize::try_from(fd).unwrap())
}

fn open(path: &Path, flags: i32) -> Result<(), i32> {
    opened(path, flags).map(|_| ())
}

fn path(number: i64, path: &Path, argument: usize) -> Result<(), i32> {
    let path = text(path);
    done(call(number, [path.as_ptr() as usize, argument, 0, 0, 0, 0]))
}

fn at(number: i64, path: &Path, argument: usize) -> Result<(), i32> {
    let path = text(path);
    // The fourth argument of fchownat is the group, of the others nothing.
    done(call(number, [here(), path.as_ptr() as usize, argument, 0, 0, 0]))
}

fn unlink(path: &Path) -> Result<(), i32> {
    at(libc::SYS_unlinkat, path, 0)
}

fn two(number: i64, place: &Place) -> Result<(), i32> {
    let (from, to) = (text(&place.outside.join("file")), text(&place.inside.join("gained")));
    done(call(number, [here(), from.as_ptr() as usize, here(), to.as_ptr() as usize, 0, 0]))
}

fn socket(family: i32, kind: i32) -> Result<(), i32> {
    let (family, kind) = (usize::try_from(family).unwrap(), usize::try_from(kind).unwrap());
    done(call(libc::SYS_socket, [family, kind, 0, 0, 0, 0]))
}

/// Replaces this process: nothing more is said where it worked.
fn exec(path: &Path) -> Result<(), i32> {
    let path = text(path);
    let argv = [path.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null::<libc::c_char>()];
    let (argv, envp) = ((&raw const argv) as usize, (&raw const envp) as usize);
    done(call(libc::SYS_execve, [path.as_ptr() as usize, argv, envp, 0, 0, 0]))
}
