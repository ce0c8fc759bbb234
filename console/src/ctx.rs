//! What every command is given: the home, how to speak, how to ask. Never a global.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use desk::catalogue::Refreshed;
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
pub(crate) const ANSWER_BYTES_MAX: u64 = 4096;

/// Passphrases that were given to this command: a pipe can be read only once, and a person with two
/// keys is asked once.
#[derive(Clone, Default)]
pub struct Given(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// The descriptor's lines that nobody has taken yet, one a person.
    lines: Option<VecDeque<Zeroizing<String>>>,
    people: BTreeMap<AgentName, Zeroizing<String>>,
}

impl Given {
    fn of(&self, person: &AgentName) -> Option<Zeroizing<String>> {
        self.known().people.get(person).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is in it is whole after every line: a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next line of the descriptor; read whole at the first call.
    fn next_line(&self, fd: u32, whose: &dyn fmt::Display) -> Result<Zeroizing<String>, Failure> {
        let mut known = self.known();
        let lines = match &mut known.lines {
            Some(lines) => lines,
            none => none.insert(from_descriptor(fd)?),
        };
        lines.pop_front().ok_or_else(|| {
            Failure::usage(format!("descriptor {fd} holds no passphrase of {whose}"))
                .next("give one line a person, in the order in which they are named")
        })
    }
}

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
    /// Folders that hold keys which lie elsewhere than in the home.
    pub keys: Vec<PathBuf>,
    /// The socket of the ssh-agent, where the environment names one.
    pub ssh_agent: Option<PathBuf>,
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

    /// The home's folder, with the ssh-agent that may hold a key of it.
    #[must_use]
    pub fn home(&self) -> Home {
        Home::new(&self.home).with_ssh_agent(self.ssh_agent.clone())
    }

    /// The home, the organisation and the store. With a shared desk its catalogue is brought first:
    /// whatever the command does, it does with what is in force.
    ///
    /// # Errors
    /// An empty home, an interrupted set-up, damage, a desk that is away: each with its next step.
    pub fn desk(&self) -> Result<Desk, Failure> {
        let desk = Desk::open(self.home())?;
        match desk::catalogue::refresh(&desk, self.now())? {
            Refreshed::Same | Refreshed::Brought => {}
            Refreshed::GivenBack => {
                self.note("The desk had an older catalogue and took ours again.");
            }
            Refreshed::NotTaken { role, there, here } => self.note(format!(
                "The desk has an older catalogue and did not take ours: {role} {there} there, {here} \
                 here. Orders may be refused as catalogue behind until whoever runs the desk has seen to \
                 it:  salve status"
            )),
        }
        Ok(desk)
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

    /// A person's passphrase: the next line of `--passphrase-fd`, else asked on the terminal.
    ///
    /// # Errors
    /// No descriptor, no terminal, or nothing was typed.
    pub fn passphrase(&self, person: &AgentName, what: &str) -> Result<Zeroizing<String>, Failure> {
        let given = self.passphrase_of(person, what)?;
        self.given.known().people.insert(person.clone(), given.clone());
        Ok(given)
    }

    /// As [`Ctx::passphrase`], of a key that is nobody's own; not remembered.
    ///
    /// # Errors
    /// As [`Ctx::passphrase`].
    pub fn passphrase_of(
        &self,
        whose: &dyn fmt::Display,
        what: &str,
    ) -> Result<Zeroizing<String>, Failure> {
        match self.passphrase_fd {
            Some(fd) => self.given.next_line(fd, whose),
            None => hidden(&format!("{what}: ")),
        }
    }

    /// Where a key that a person holds lies: in this home or in a folder of `--keys`.
    #[must_use]
    pub fn held_key_file(&self, desk: &Desk, key: Held, person: &AgentName) -> Option<PathBuf> {
        let elsewhere = |folder: &PathBuf| folder.join(key.word()).join(format!("{person}.pem"));
        let mut places =
            std::iter::once(desk.home.held(key, person)).chain(self.keys.iter().map(elsewhere));
        places.find(|path| path.is_file())
    }

    /// A key that a person holds under a passphrase, in this home or in a folder of `--keys`; the
    /// passphrase is asked for only where the key is here.
    ///
    /// # Errors
    /// Not here, wrong passphrase.
    pub fn held_key(
        &self,
        desk: &Desk,
        key: Held,
        person: &AgentName,
    ) -> Result<SigningKey, Failure> {
        let word = key.word();
        let path = self.held_key_file(desk, key, person).ok_or_else(|| {
            Failure::usage(format!("this home holds no {word} key of {person}")).next(format!(
                "put it back as keys/{word}/{person}.pem, or name the folder that holds \
                 {word}/{person}.pem:  --keys DIR"
            ))
        })?;
        if let Some(given) = self.given.of(person) {
            match Home::open_held_key(&path, &given) {
                // Somebody who has changed one key's passphrase is asked for it.
                Err(error) if error.is_passphrase() && self.passphrase_fd.is_none() => {}
                other => return Ok(other?),
            }
        }
        let passphrase =
            self.passphrase(person, &format!("Passphrase of {person}'s {word} key"))?;
        Ok(Home::open_held_key(&path, &passphrase)?)
    }

    /// A person's new passphrase, asked twice on the terminal.
    ///
    /// # Errors
    /// As [`Ctx::passphrase`]; two different answers; shorter than 8 characters.
    pub fn new_passphrase(
        &self,
        person: &AgentName,
        what: &str,
    ) -> Result<Zeroizing<String>, Failure> {
        let first = self.new_passphrase_of(person, what)?;
        self.given.known().people.insert(person.clone(), first.clone());
        Ok(first)
    }

    /// As [`Ctx::new_passphrase`], of a key that is nobody's own; not remembered.
    ///
    /// # Errors
    /// As [`Ctx::new_passphrase`].
    pub fn new_passphrase_of(
        &self,
        whose: &dyn fmt::Display,
        what: &str,
    ) -> Result<Zeroizing<String>, Failure> {
        let first = self.passphrase_of(whose, what)?;
        if first.chars().count() < 8 {
            return Err(Failure::usage(format!(
                "the passphrase of {whose} is shorter than 8 characters"
            ))
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

/// The terminal of whoever sits here, whatever the command's streams are.
///
/// # Errors
/// There is none.
pub(crate) fn open_terminal() -> std::io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

/// The lines of descriptor `fd`, which our parent opened for this.
fn from_descriptor(fd: u32) -> Result<VecDeque<Zeroizing<String>>, Failure> {
    let fail = || Failure::usage(format!("could not read a passphrase from descriptor {fd}"));
    let file = File::open(format!("/dev/fd/{fd}")).map_err(|e| fail().because(e))?;
    lines(file).map_err(|e| fail().because(e))
}

/// One passphrase a line; an empty first line is none.
fn lines(from: impl std::io::Read) -> std::io::Result<VecDeque<Zeroizing<String>>> {
    // Room for all of it: a buffer that grew would leave its old bytes behind.
    let mut text = Zeroizing::new(String::with_capacity(ANSWER_BYTES_MAX as usize + 1));
    from.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
    let lines = text.lines().map(|line| Zeroizing::new(line.to_owned()));
    let lines: VecDeque<_> = lines.take_while(|line| !line.is_empty()).collect();
    if lines.is_empty() { Err(std::io::Error::other("nothing was given")) } else { Ok(lines) }
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
    fn a_passphrase_is_a_line_without_its_break() {
        let given = lines(&b"correct horse \r\nbattery\n"[..]).unwrap();
        let given: Vec<&str> = given.iter().map(|line| line.as_str()).collect();
        assert_eq!(given, ["correct horse ", "battery"]);
        assert!(lines(&b"\n"[..]).is_err());
        assert!(lines(&b""[..]).is_err());
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
