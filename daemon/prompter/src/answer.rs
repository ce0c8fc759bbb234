//! The door for `salved answer`: a socket in the person's own runtime folder, and who is let in.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use hatch::messages::ANSWER_SOCKET;
use protocol::documents::Heard;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::socket_peercred;

/// How long one who connected has to say a word.
const WORD: rustix::time::Timespec = rustix::time::Timespec { tv_sec: 2, tv_nsec: 0 };

/// The open door.
#[derive(Debug)]
pub(crate) struct Door(pub(crate) UnixListener);

impl Door {
    /// Opens it, in the place of an earlier question's.
    ///
    /// # Errors
    /// The folder is not there, or not this person's.
    pub(crate) fn open(runtime: &Path) -> io::Result<Self> {
        let path = runtime.join(ANSWER_SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Whoever waits at it; their answer is taken where they are this person.
    pub(crate) fn knock(&self, uid: u32) -> Option<(Heard, UnixStream)> {
        let (mut stream, _) = self.0.accept().ok()?;
        // Read first: what is left unread makes the kernel take back our own words.
        let said = word(&mut stream);
        let theirs = socket_peercred(&stream).is_ok_and(|who| who.uid.as_raw() == uid);
        if !theirs {
            let _ = stream.write_all(b"only whoever was asked may answer\n");
            return None;
        }
        let heard = match said.as_deref() {
            Some("yes") => Heard::Yes,
            Some("no") => Heard::No,
            _ => {
                let _ = stream.write_all(b"expected yes or no\n");
                return None;
            }
        };
        Some((heard, stream))
    }
}

/// The one line that was said.
fn word(stream: &mut UnixStream) -> Option<String> {
    let mut said = [0u8; 64];
    let mut len = 0;
    stream.set_nonblocking(true).ok()?;
    while !said.get(..len)?.contains(&b'\n') {
        let mut fds = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)];
        if poll(&mut fds, Some(&WORD)).ok()? == 0 {
            return None;
        }
        match stream.read(said.get_mut(len..)?) {
            Ok(0) => return None,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
    let line = String::from_utf8_lossy(said.get(..len)?).into_owned();
    line.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[u8], uid: u32) -> (Option<Heard>, String) {
        let folder = tempfile::tempdir().unwrap();
        let door = Door::open(folder.path()).unwrap();
        let mut stream = UnixStream::connect(folder.path().join(ANSWER_SOCKET)).unwrap();
        stream.write_all(words).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let heard = door.knock(uid).map(|(heard, _)| heard);
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        (heard, told)
    }

    #[test]
    fn the_person_says_yes_or_no_and_nobody_else_does() {
        let me = rustix::process::getuid().as_raw();
        assert_eq!(said(b"yes\n", me), (Some(Heard::Yes), String::new()));
        assert_eq!(said(b"no\n", me), (Some(Heard::No), String::new()));
        for bad in [&b"YES\n"[..], b"y\n", b"", b"yes", b"yes please, by all means\n", &[0xff; 9]] {
            assert_eq!(said(bad, me), (None, "expected yes or no\n".to_owned()), "{bad:?}");
        }
        let other = said(b"yes\n", me.wrapping_add(1));
        assert_eq!(other, (None, "only whoever was asked may answer\n".to_owned()));
    }

    #[test]
    fn a_door_that_an_earlier_question_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(Door::open(folder.path()).unwrap());
        assert!(Door::open(folder.path()).is_ok());
        assert!(Door::open(&folder.path().join("nothing")).is_err());
    }
}
