//! The person at the machine, as the simulation has one.

use hatch::messages::Question;
use keeper::core::Event;
use protocol::documents::{Asked, Heard};
use protocol::{RunId, Time};

/// Who sits there.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// What is said to a question; none: nothing.
    pub(crate) answer: Option<Heard>,
    /// Every question that was put.
    pub(crate) questions: Vec<Question>,
    /// Questions that were taken off the screen.
    pub(crate) unasked: u32,
}

impl Screen {
    /// Puts one; gives what comes of it at once.
    pub(crate) fn ask(&mut self, run: RunId, question: Question) -> Option<Event> {
        self.questions.push(question);
        self.answer.map(|answer| heard(run, answer))
    }
}

/// Somebody answers.
pub(crate) fn heard(run: RunId, answer: Heard) -> Event {
    let person = (answer != Heard::NobodyThere).then(|| "jo".to_owned());
    let screen = (answer == Heard::Yes).then(|| "terminal tty2".to_owned());
    let asked = Asked { person, screen, ..Asked::nobody(answer, None, Time(0)) };
    Event::Heard { run, asked: Box::new(asked) }
}
