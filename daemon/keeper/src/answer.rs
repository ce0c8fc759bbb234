//! `salved answer`: the word of the person at the machine, as that person, to the process that asks.
//! Never speaks with the daemon itself.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hatch::messages::{ANSWER_SOCKET, runtime};

/// Longest wait for the other side, seconds.
const WAIT: Duration = Duration::from_secs(5);
/// Longest answer of the other side, bytes.
const SAID_MAX: u64 = 256;

/// Why it was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody asks.
    #[error("nobody asks you anything now")]
    NoQuestion,
    /// The door is there and does not open.
    #[error("could not answer at `{}`", path.display())]
    Line {
        /// The door.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// It was not taken.
    #[error("it was not taken: {0}")]
    NotTaken(String),
    /// The question ended first.
    #[error("the question was over before the answer came")]
    Over,
}

/// Gives the answer of whoever runs this, `yes` or `no`; gives what was said to it.
///
/// # Errors
/// [`NoAnswer`].
pub fn answer(word: &str) -> Result<String, NoAnswer> {
    answer_at(&runtime(rustix::process::getuid().as_raw()), word)
}

fn answer_at(folder: &Path, word: &str) -> Result<String, NoAnswer> {
    let path = folder.join(ANSWER_SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        // The door of a question that is over stays where it was.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => NoAnswer::NoQuestion,
        _ => NoAnswer::Line { path: path.clone(), source },
    })?;
    let line = |source| NoAnswer::Line { path: path.clone(), source };
    stream.set_read_timeout(Some(WAIT)).map_err(line)?;
    stream.write_all(format!("{word}\n").as_bytes()).map_err(line)?;
    let mut said = String::new();
    stream.take(SAID_MAX).read_to_string(&mut said).map_err(line)?;
    let said = said.trim();
    match said {
        "" => Err(NoAnswer::Over),
        taken if taken.starts_with("You said") => Ok(taken.to_owned()),
        other => Err(NoAnswer::NotTaken(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_answer_is_taken_or_it_is_said_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = answer_at(folder.path(), "yes").unwrap_err();
        assert!(matches!(nobody, NoAnswer::NoQuestion));
        let listener = UnixListener::bind(folder.path().join(ANSWER_SOCKET)).unwrap();
        let other = std::thread::spawn(move || {
            for reply in ["You said yes. Thank you.\n", "only whoever was asked may answer\n", ""] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut word = [0u8; 4];
                stream.read_exact(&mut word).unwrap();
                assert_eq!(&word, b"yes\n");
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        assert_eq!(answer_at(folder.path(), "yes").unwrap(), "You said yes. Thank you.");
        let not = answer_at(folder.path(), "yes").unwrap_err();
        assert!(matches!(not, NoAnswer::NotTaken(why) if why.contains("only whoever")));
        assert!(matches!(answer_at(folder.path(), "yes").unwrap_err(), NoAnswer::Over));
        other.join().unwrap();
        assert!(matches!(answer_at(folder.path(), "no").unwrap_err(), NoAnswer::NoQuestion));
    }
}
