//! Where a question can be shown.

use std::os::fd::BorrowedFd;
use std::path::Path;

use hatch::messages::{Question, Session};
use protocol::documents::Heard;

use crate::desktop::Desktop;
use crate::terminal::Terminal;

/// One place where the person looks. Opened with the person's rights before the lock.
pub(crate) trait Screen {
    /// As in `terminal tty2`.
    fn name(&self) -> &str;
    /// Shows the question.
    ///
    /// # Errors
    /// Why not, in words.
    fn show(&mut self, question: &Question, command: &str) -> Result<(), String>;
    /// What becomes readable when the person answers here; none where nothing can be answered.
    fn answers(&self) -> Option<BorrowedFd<'_>>;
    /// An answer that came here.
    fn answer(&mut self) -> Option<Heard>;
    /// Says that it is over. What does not arrive is not said again.
    fn close(&mut self, heard: Heard);
}

/// All of a session.
pub(crate) struct Screens {
    /// Those that could be opened.
    pub(crate) open: Vec<Box<dyn Screen>>,
    /// Why others could not, in words.
    pub(crate) closed: Vec<String>,
}

impl Screens {
    /// Opens what this session has: its desktop, else its terminal. Whoever sits at a desktop does
    /// not see the terminal that it was started on.
    pub(crate) fn open(session: &Session, runtime: &Path) -> Self {
        let mut all = Self { open: Vec::new(), closed: Vec::new() };
        if session.desktop {
            let desktop = Desktop::open(runtime, session.ids.0);
            all.add(desktop.map(|desktop| Box::new(desktop) as Box<dyn Screen>));
        } else {
            match &session.terminal {
                Some(name) => all.add(Terminal::open(name).map(|t| Box::new(t) as Box<dyn Screen>)),
                None => all.closed.push("the session has no terminal".to_owned()),
            }
        }
        all
    }

    fn add(&mut self, opened: Result<Box<dyn Screen>, String>) {
        match opened {
            Ok(screen) => self.open.push(screen),
            Err(why) => self.closed.push(why),
        }
    }
}
