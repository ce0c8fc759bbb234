//! A program that is still running: watched, answered, waited for.

use std::io::{Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::{Done, wait_for};

type Said = Arc<Mutex<Vec<u8>>>;

/// A program under way. Killed when dropped.
#[derive(Debug)]
pub struct Going {
    what: String,
    child: Child,
    input: Option<ChildStdin>,
    out: Said,
    err: Said,
    readers: Vec<JoinHandle<()>>,
}

impl Going {
    /// Starts it.
    ///
    /// # Panics
    /// Where there is no such program.
    pub fn start(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let (out, err) = (Said::default(), Said::default());
        let readers = vec![
            keep(child.stdout.take().expect("piped"), &out),
            keep(child.stderr.take().expect("piped"), &err),
        ];
        let input = child.stdin.take();
        Self { what, child, input, out, err, readers }
    }

    /// Standard output so far.
    pub fn out(&self) -> String {
        text(&self.out)
    }

    /// Waits until standard output has these words.
    ///
    /// # Panics
    /// Where they do not come, or the program ends without them.
    #[track_caller]
    pub fn says(&mut self, words: &str) {
        wait_for(words, 30, || {
            let ended = self.child.try_wait().expect("wait").is_some();
            let said = text(&self.out).contains(words);
            assert!(
                said || !ended,
                "{} ended without `{words}`\n--- out\n{}\n--- err\n{}",
                self.what,
                text(&self.out),
                text(&self.err)
            );
            said.then_some(())
        });
    }

    /// Types a line.
    ///
    /// # Panics
    /// Where nobody reads it.
    pub fn answer(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it still reads");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("typed");
    }

    /// Pulls the plug: SIGKILL, at once.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Whether it has ended by itself.
    ///
    /// # Panics
    /// Where the kernel does not say.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// Standard error so far.
    pub fn err(&self) -> String {
        text(&self.err)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it does not end within two minutes.
    pub fn end(mut self) -> Done {
        self.input = None;
        let status = wait_for("a program's end", 120, || self.child.try_wait().expect("wait"));
        for reader in self.readers.drain(..) {
            reader.join().expect("read");
        }
        Done {
            what: self.what.clone(),
            code: status.code().unwrap_or(-1),
            out: text(&self.out),
            err: text(&self.err),
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(said: &Said) -> String {
    String::from_utf8_lossy(&said.lock().expect("whole")).into_owned()
}

fn keep(mut from: impl Read + Send + 'static, into: &Said) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut part = [0u8; 4096];
        while let Ok(len) = from.read(&mut part) {
            if len == 0 {
                break;
            }
            into.lock().expect("whole").extend_from_slice(&part[..len]);
        }
    })
}
