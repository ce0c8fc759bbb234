//! A terminal of the person's: written to, never read. Its shell reads it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileTypeExt as _;

use hatch::messages::Question;
use protocol::documents::Heard;
use protocol::error_chain::ErrorChain;
use rustix::fs::{Mode, OFlags, open};

use crate::screen::Screen;
use crate::words;

/// An open terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    name: String,
    file: File,
}

impl Terminal {
    /// Opens `/dev/NAME` as whoever this process is.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) fn open(name: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '/';
        if name.is_empty() || name.starts_with('/') || !name.chars().all(plain) {
            return Err("the session's terminal has no name of a terminal".to_owned());
        }
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = open(format!("/dev/{name}"), flags | OFlags::NOFOLLOW, Mode::empty());
        let file = opened.map(File::from).map_err(|error| format!("terminal {name}: {error}"))?;
        let is = file.metadata().is_ok_and(|found| found.file_type().is_char_device());
        match is {
            true => Ok(Self { name: format!("terminal {name}"), file }),
            false => Err(format!("{name} is no terminal")),
        }
    }
}

impl Screen for Terminal {
    fn name(&self) -> &str {
        &self.name
    }
    fn show(&mut self, question: &Question, command: &str) -> Result<(), String> {
        let written = self.file.write_all(words::page(question, command).as_bytes());
        written.map_err(|error| format!("{}: {}", self.name, ErrorChain(&error)))
    }
    fn answers(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn answer(&mut self) -> Option<Heard> {
        None
    }
    fn close(&mut self, heard: Heard) {
        let _ = self.file.write_all(format!("{}\r\n", words::over(heard)).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terminals_are_opened() {
        assert!(Terminal::open("null").is_ok(), "a device of characters is what it may be");
        for bad in ["", "/etc/passwd", "../etc/passwd", "shm", "no-such", "tty 2"] {
            assert!(Terminal::open(bad).is_err(), "{bad}");
        }
    }
}
