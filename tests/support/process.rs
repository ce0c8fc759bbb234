//! Runs a program and keeps all that it said.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that ended.
#[derive(Debug, Clone)]
pub struct Done {
    /// What was run, for messages.
    pub what: String,
    /// Exit code; -1 where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Asserts the exit code.
    ///
    /// # Panics
    /// Where it is another one; prints all that was said.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n--- out\n{}\n--- err\n{}", self.what, self.out, self.err);
        self
    }
    /// Asserts that something was said, on either stream.
    ///
    /// # Panics
    /// Where it was not.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.out.contains(words) || self.err.contains(words),
            "{} did not say `{words}`\n--- out\n{}\n--- err\n{}",
            self.what,
            self.out,
            self.err
        );
        self
    }
    /// Standard output as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.out.trim()).unwrap_or_else(|e| {
            panic!("{}: {e}\n--- out\n{}\n--- err\n{}", self.what, self.out, self.err)
        })
    }
}

/// Runs a command to its end with this on its standard input.
///
/// # Panics
/// Where it cannot be started.
pub fn run(command: &mut Command, input: &[u8]) -> Done {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    // A program that reads nothing closes the pipe; that is its right.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let out = child.wait_with_output().expect("ended");
    Done {
        what,
        code: out.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&out.stdout).into_owned(),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// Waits until `ready` gives something, for at most `seconds`.
///
/// # Panics
/// Where it never does.
#[track_caller]
pub fn wait_for<T>(what: &str, seconds: u64, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < end, "waited {seconds} s for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
