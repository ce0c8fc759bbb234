//! What every command is given: the home, how to speak, how to ask. Never a global.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;

use desk::home::{Held, Home};
use desk::org::Desk;
use protocol::{AgentName, Time};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex};
use serde::Serialize;
use trust::SigningKey;
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::view::safe;

/// Longest passphrase or answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 4096;

/// A passphrase that was read from a descriptor; kept because a pipe can be read only once.
#[derive(Clone, Default)]
pub struct Given(OnceLock<Zeroizing<String>>);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(hidden)")
    }
}

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The console's home folder.
    pub home: PathBuf,
    /// Whether results are printed as JSON.
    pub json: bool,
    /// Where the passphrase is read instead of the terminal.
    pub passphrase_fd: Option<u32>,
    /// What was read from there.
    pub given: Given,
    /// The project's scripts where they lie beside the program.
    pub scripts_beside: Option<PathBuf>,
    /// The wall clock.
    pub now: fn() -> Time,
}

impl Ctx {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        (self.now)()
    }

    /// The home, the organisation and the store.
    ///
    /// # Errors
    /// An empty home, an interrupted set-up, damage: each with its next step.
    pub fn desk(&self) -> Result<Desk, Failure> {
        Ok(Desk::open(Home::new(&self.home))?)
    }

    /// Prints a line of our own words to stdout. Escape foreign text with [`safe`] before.
    pub fn say(&self, line: impl AsRef<str>) {
        // A reader that closed the pipe has seen enough.
        let _ = writeln!(std::io::stdout().lock(), "{}", line.as_ref());
    }

    /// Prints a line beside the result (progress, warnings), to stderr.
    pub fn note(&self, line: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr().lock(), "{}", line.as_ref());
    }

    /// Prints a result as one line of JSON.
    ///
    /// # Errors
    /// A map with keys that are not text.
    pub fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|e| Failure::broken("could not write the result as JSON").because(e))?;
        self.say(text);
        Ok(())
    }

    /// Prints a view: JSON under `--json`, else the words that `words` makes of it.
    ///
    /// # Errors
    /// As [`Ctx::json`].
    pub fn show<T: Serialize>(
        &self,
        view: &T,
        words: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return self.json(view);
        }
        self.say(words(view).trim_end_matches('\n'));
        Ok(())
    }

    /// The passphrase of keys that exist: from `--passphrase-fd`, else asked on the terminal.
    ///
    /// # Errors
    /// No descriptor, no terminal, or nothing was typed.
    pub fn passphrase(&self, what: &str) -> Result<Zeroizing<String>, Failure> {
        match self.passphrase_fd {
            Some(fd) => {
                if let Some(given) = self.given.0.get() {
                    return Ok(given.clone());
                }
                let given = from_descriptor(fd)?;
                Ok(self.given.0.get_or_init(|| given).clone())
            }
            None => hidden(&format!("{what}: ")),
        }
    }

    /// A key that a person of this home holds under a passphrase; asked for only where it is here.
    ///
    /// # Errors
    /// Not here, wrong passphrase.
    pub fn held_key(
        &self,
        desk: &Desk,
        key: Held,
        person: &AgentName,
    ) -> Result<SigningKey, Failure> {
        if !desk.home.held(key, person).is_file() {
            let word = key.word();
            return Err(Failure::usage(format!("this home holds no {word} key of {person}"))
                .next(format!("ask whoever has it, or put it back as keys/{word}/{person}.pem")));
        }
        let passphrase =
            self.passphrase(&format!("Passphrase of {person}'s {} key", key.word()))?;
        Ok(desk.home.held_key(key, person, &passphrase)?)
    }

    /// A new passphrase, asked twice on the terminal.
    ///
    /// # Errors
    /// As [`Ctx::passphrase`]; two different answers; shorter than 8 characters.
    pub fn new_passphrase(&self, what: &str) -> Result<Zeroizing<String>, Failure> {
        let first = self.passphrase(what)?;
        if first.chars().count() < 8 {
            return Err(Failure::usage("the passphrase is shorter than 8 characters")
                .next("run the command again and choose four words or more"));
        }
        if self.passphrase_fd.is_none() && *hidden("again: ")? != *first {
            return Err(Failure::usage("the two passphrases differ").next("run the command again"));
        }
        Ok(first)
    }

    /// Asks a question on the terminal; anything but `y` or `yes` is no. No terminal is no.
    #[must_use]
    pub fn confirm(&self, question: &str) -> bool {
        let Ok(mut terminal) = open_terminal() else { return false };
        let _ = write!(terminal, "{} [y/N] ", safe(question));
        let mut answer = String::new();
        let mut lines = BufReader::new(terminal.take(ANSWER_BYTES_MAX));
        lines.read_line(&mut answer).is_ok()
            && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}

fn open_terminal() -> std::io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

/// The first line of descriptor `fd`, which our parent opened for this.
fn from_descriptor(fd: u32) -> Result<Zeroizing<String>, Failure> {
    let fail = || Failure::usage(format!("could not read a passphrase from descriptor {fd}"));
    let file = File::open(format!("/dev/fd/{fd}")).map_err(|e| fail().because(e))?;
    first_line(file).map_err(|e| fail().because(e))
}

fn first_line(from: impl std::io::Read) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(256));
    BufReader::new(from.take(ANSWER_BYTES_MAX)).read_line(&mut line)?;
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    if line.is_empty() {
        return Err(std::io::Error::other("nothing was given"));
    }
    Ok(line)
}

/// Asks on the terminal without showing what is typed. ^C is read here like any key: whoever stops
/// must not be left with a terminal that shows nothing.
fn hidden(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let no = || {
        Failure::usage("a passphrase is needed and there is no terminal to ask on")
            .next("give it on a descriptor:  salve --passphrase-fd 3 ... 3< FILE")
    };
    let mut terminal = open_terminal().map_err(|e| no().because(e))?;
    let before = termios::tcgetattr(&terminal).map_err(|e| no().because(e))?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
    quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
    termios::tcsetattr(&terminal, OptionalActions::Flush, &quiet).map_err(|e| no().because(e))?;
    let asked = terminal.write_all(prompt.as_bytes()).and_then(|()| typed(&terminal));
    let _ = termios::tcsetattr(&terminal, OptionalActions::Flush, &before);
    let _ = terminal.write_all(b"\n");
    asked.map_err(|e| Failure::usage("no passphrase was given").because(e))
}

/// A line typed key by key: backspace and ^U as everywhere, ^C and ^D stop.
fn typed(from: impl std::io::Read) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::with_capacity(256));
    for byte in BufReader::new(from.take(ANSWER_BYTES_MAX)).bytes() {
        match byte? {
            b'\r' | b'\n' => break,
            3 | 4 => return Err(std::io::Error::other("stopped")),
            8 | 0x7f => {
                // One character may be several bytes: those that continue it go with it.
                while line.pop().is_some_and(|last| last & 0xc0 == 0x80) {}
            }
            0x15 => line.clear(),
            other => line.push(other),
        }
    }
    match std::str::from_utf8(&line) {
        Ok("") => Err(std::io::Error::other("nothing was typed")),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(std::io::Error::other("it was not UTF-8 text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_without_its_break() {
        assert_eq!(*first_line(&b"correct horse \r\nrest"[..]).unwrap(), "correct horse ");
        assert!(first_line(&b"\n"[..]).is_err());
        assert!(first_line(&b""[..]).is_err());
    }

    #[test]
    fn typing_knows_backspace_and_stops_at_control_c() {
        assert_eq!(*typed("pässs\u{7f} x\rrest".as_bytes()).unwrap(), "päss x");
        assert_eq!(*typed("aä\u{7f}b\n".as_bytes()).unwrap(), "ab");
        assert_eq!(*typed(&b"wrong\x15right\n"[..]).unwrap(), "right");
        assert!(typed(&b"abc\x03"[..]).is_err());
        assert!(typed(&b"\x7f\x7f\n"[..]).is_err());
        assert!(typed(&b"\xff\n"[..]).is_err());
    }
}
