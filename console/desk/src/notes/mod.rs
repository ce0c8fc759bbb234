//! What a ticket is told: the internal note for the help desk, the reply for the person.
//!
//! Plain text, at most 1,500 characters, the outcome first, the key last. Never a parameter's value,
//! never a secret, never text of a script or endpoint that is not made inert.

mod inert;
mod many;
mod one;
mod reply;
#[cfg(test)]
mod tests;

pub use inert::inert;
pub use reply::reply;
pub use surface::words::{amount, happened, size, sums, thing};

use protocol::documents::{Order, Record};
use protocol::{Digest, Outcome, RunId, Time};
use tickets::{Key, KeyKind};

/// Longest note, characters: read at a glance, and below what every ticket system takes.
pub const NOTE_CHARS: usize = 1500;

/// Why there is no record of a run, and will be none as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// It never left this desk: nothing ran.
    NotSent,
    /// It waited and never left, and why: nothing ran.
    NotRun(String),
    /// The endpoint's door says that it never took it, which is not signed; and what that rests on.
    NotTaken(String),
}

impl Absent {
    /// The loud word.
    const fn loud(&self) -> &'static str {
        match self {
            Self::NotSent => "NOT SENT",
            Self::NotRun(_) => "NOT RUN",
            Self::NotTaken(_) => "NOT TAKEN",
        }
    }
    /// What happened, in a few words.
    fn words(&self) -> String {
        match self {
            Self::NotSent => "it never left this desk; nothing ran".to_owned(),
            Self::NotRun(why) | Self::NotTaken(why) => inert(why, 160),
        }
    }
}

/// What is known of one run when its note is written.
#[derive(Debug, Clone)]
pub struct Told {
    /// The run.
    pub run: RunId,
    /// The endpoint's name as the desk knows it.
    pub endpoint: String,
    /// The record and its digest; `None` where what came could not be read.
    pub record: Option<(Record, Digest)>,
    /// Why it did not verify, if it did not.
    pub unverified: Option<String>,
    /// Why there is no record and will be none.
    pub absent: Option<Absent>,
    /// Until when a sealed secret of this run may be opened.
    pub secret_until: Option<Time>,
}

impl Told {
    /// The outcome, as far as it can be believed at all.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.record.as_ref().map(|(record, _)| record.predicate.outcome)
    }
}

/// The key of an order's one note; `None` where it leaves none: check and plan, and orders that
/// name no ticket (P6).
#[must_use]
pub fn note_key(order: &Order, digest: &Digest) -> Option<Key> {
    let noted = order.mode.mutates() && order.ticket.is_some();
    noted.then(|| Key::of_order(digest, KeyKind::Note))
}

/// The internal note of an order, from everything its endpoints answered.
#[must_use]
pub fn internal(key: &Key, order: &Order, told: &[Told]) -> String {
    match told {
        [one] => one::note(key, order, one),
        many => many::note(key, order, many),
    }
}

/// The outcome in the loud word of a note's first line.
pub(crate) const fn loud(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Succeeded) => "FIXED",
        Some(Outcome::Unchanged) => "HEALTHY",
        Some(Outcome::Failed | Outcome::Partial | Outcome::TimedOut | Outcome::Cancelled) => {
            "NOT REPAIRED"
        }
        Some(Outcome::Refused) => "REFUSED",
        Some(Outcome::Interrupted) | None => "UNKNOWN",
    }
}

/// Lines with what may be cut first, so that a note is never longer than [`NOTE_CHARS`].
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    lines: Vec<(String, bool)>,
}

impl Sheet {
    /// Begins with what nobody may overlook.
    pub(crate) fn of(order: &Order) -> Self {
        let mut sheet = Self::default();
        if let Some(key) = &order.break_glass {
            let reason = inert(&order.reason, 120);
            let by = &order.agent;
            sheet.must(format!(
                "BREAK GLASS by {by} with key {key} instead of approvals: \"{reason}\""
            ));
        }
        sheet
    }
    /// A line that stays.
    pub(crate) fn must(&mut self, line: impl Into<String>) {
        self.lines.push((line.into(), true));
    }
    /// A line that goes when room is short, last ones first.
    pub(crate) fn may(&mut self, line: impl Into<String>) {
        self.lines.push((line.into(), false));
    }
    /// The note, its key on the last line.
    pub(crate) fn finish(mut self, key: &Key) -> String {
        let marker = key.marker();
        let length = |lines: &[(String, bool)]| {
            let text: usize = lines.iter().map(|(l, _)| l.chars().count().saturating_add(1)).sum();
            text.saturating_add(marker.chars().count())
        };
        let mut cut = false;
        let cut_mark = "(cut: `salve runs show` has the rest)";
        while length(&self.lines).saturating_add(cut_mark.len()) > NOTE_CHARS {
            let Some(at) = self.lines.iter().rposition(|(_, must)| !must) else { break };
            self.lines.remove(at);
            cut = true;
        }
        // What must stay is shortened, every line by the same measure, until it fits.
        for max in [160, 130, 100, 80, 60] {
            if length(&self.lines).saturating_add(cut_mark.len()) <= NOTE_CHARS {
                break;
            }
            cut = true;
            for (line, _) in &mut self.lines {
                if line.chars().count() > max {
                    let kept: String = line.chars().take(max.saturating_sub(4)).collect();
                    *line = format!("{kept} ...");
                }
            }
        }
        if cut {
            self.must(cut_mark);
        }
        let mut text: String =
            self.lines.into_iter().flat_map(|(line, _)| [line, "\n".to_owned()]).collect();
        text.push_str(&marker);
        text
    }
}

/// What is weak by configuration, in one line: the first, and how many more the record has.
fn weak(all: Vec<&String>) -> Option<String> {
    let first = inert(all.first()?, 120);
    Some(match all.len().saturating_sub(1) {
        0 => format!("WEAK:   {first}"),
        more => format!("WEAK:   {first}; {more} more on the record"),
    })
}

/// `4 ms`, `0.4 s`, `12 s`, `3 min 4 s`.
#[must_use]
pub fn seconds(ms: u64) -> String {
    match ms {
        0..100 => format!("{ms} ms"),
        100..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s", ms / 1000),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}
