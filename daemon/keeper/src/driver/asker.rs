//! The process that asks the person at the machine, at most one; and whom it asks. Never decides
//! whether: the core does.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use hatch::cgroup::Folder;
use hatch::messages::{FromPrompter, Question, Session, ToPrompter};
use hatch::pipe::Polled;
use hatch::spawn::Child;
use protocol::documents::{Asked, Heard};
use protocol::error_chain::ErrorChain;
use protocol::{RunId, Time};
use rustix::event::PollFlags;

use super::{Source, World};
use crate::core::Event;
use crate::spawn::{self, Line};

/// Where logind keeps one file a session (sd-login(3)).
const SESSIONS: &str = "/run/systemd/sessions";
/// Sessions that are looked at.
const SESSIONS_MAX: usize = 1000;

/// One question that is out.
#[derive(Debug)]
pub(super) struct Asker {
    run: RunId,
    person: String,
    line: Line,
    /// Its own: a folder whose processes were ended once is no place to be born in. Linux counts the
    /// ends (`kill_seq`) and takes the newcomer for one that was to be ended.
    folder: Option<Folder>,
}

/// One that was told to end. It runs as a person and in that person's folders, where a file system of
/// their own may hold it for as long as they like: nobody waits for it.
#[derive(Debug)]
pub(super) struct Ending {
    run: RunId,
    child: Child,
    folder: Option<Folder>,
    /// It had said nothing.
    silent: bool,
}

/// Processes that were told to end and have not: with so many nobody is asked any more.
const ENDING_MAX: usize = 3;

impl Ending {
    /// Whether it is gone, and its folder with it.
    fn gone(&self) -> bool {
        let end = match self.child.try_wait() {
            Ok(None) => return false,
            Ok(Some(end)) => Some(end),
            Err(error) => {
                tracing::error!("{}", ErrorChain(&error));
                None
            }
        };
        if self.silent {
            tracing::error!("run {}: the process that asks ended: {end:?}", self.run.short());
        }
        if let Some(Err(error)) = self.folder.as_ref().map(Folder::remove) {
            tracing::error!("{}", ErrorChain(&error));
        }
        true
    }
}

/// Why nobody is asked.
fn nobody(answer: Heard, because: Option<String>) -> Asked {
    Asked::nobody(answer, because, Time(0))
}

impl World {
    /// Starts asking; an event where that is over already.
    pub(super) fn ask(&mut self, run: RunId, question: Question) -> Vec<Event> {
        match self.try_ask(run, question) {
            Ok(()) => Vec::new(),
            Err(asked) => vec![Event::Heard { run, asked }],
        }
    }

    fn try_ask(&mut self, run: RunId, question: Question) -> Result<(), Box<Asked>> {
        self.end_asking(false);
        let not_shown = |because: &str| Box::new(nobody(Heard::NotShown, Some(because.to_owned())));
        if self.ending.len() >= ENDING_MAX {
            return Err(not_shown("the processes of earlier questions have not ended"));
        }
        let sessions = sessions(Path::new(SESSIONS), self.prepare.nobody.1);
        let sessions =
            sessions.ok_or_else(|| not_shown("this machine keeps no list of sessions"))?;
        let session = match whom(sessions) {
            Whom::One(session) => session,
            Whom::Several => return Err(not_shown("several people are signed in")),
            Whom::Nobody => return Err(Box::new(nobody(Heard::NobodyThere, None))),
        };
        let person = session.person.clone();
        let exceptions = self.prepare.exceptions;
        let message = ToPrompter { session, question, command: self.answer.clone(), exceptions };
        let not_started = |why: String| {
            tracing::error!("run {}: nobody was asked: {why}", run.short());
            not_shown("the process that asks could not be started")
        };
        let folder = self.folder(&format!("ask-{run}")).map_err(|error| not_started(error.why))?;
        match spawn::prompter(&self.programs, folder.as_ref(), &message) {
            Ok(line) => {
                self.asker = Some(Asker { run, person, line, folder });
                Ok(())
            }
            Err(error) => {
                if let Some(Err(error)) = folder.as_ref().map(Folder::remove) {
                    tracing::error!("{}", ErrorChain(&error));
                }
                Err(not_started(ErrorChain(&error).to_string()))
            }
        }
    }

    /// Ends it, whatever it is doing, and does not wait for that.
    pub(super) fn end_asking(&mut self, silent: bool) {
        let Some(Asker { run, line, folder, .. }) = self.asker.take() else { return };
        let killed = line.child.kill().map_err(|error| ErrorChain(&error).to_string());
        let all = folder.as_ref().map_or(Ok(()), Folder::kill);
        for why in [killed.err(), all.err().map(|error| ErrorChain(&error).to_string())] {
            why.into_iter().for_each(|why| tracing::error!("{why}"));
        }
        self.ending.push(Ending { run, child: line.child, folder, silent });
        self.reap_askers();
    }

    pub(super) fn reap_askers(&mut self) {
        self.ending.retain(|ending| !ending.gone());
    }

    pub(super) fn watch_asker<'f>(&'f self, all: &mut Vec<(Source, BorrowedFd<'f>, PollFlags)>) {
        if let Some(asker) = &self.asker {
            all.push((Source::Asker, asker.line.inbox.as_fd(), PollFlags::IN));
        }
        let ending = self.ending.iter();
        all.extend(ending.map(|one| (Source::AskerEnd, one.child.as_fd(), PollFlags::IN)));
    }

    /// What it said, or that it ended without a word.
    pub(super) fn hear_asker(&mut self, events: &mut VecDeque<Event>) {
        let Some(asker) = &mut self.asker else { return };
        let said = match asker.line.inbox.poll_recv::<FromPrompter>() {
            Ok(Polled::Empty) => return,
            Ok(Polled::Message(said)) => Some(said),
            Ok(Polled::Closed) | Err(_) => None,
        };
        let (run, person) = (asker.run, Some(asker.person.clone()));
        self.end_asking(said.is_none());
        let said = said.unwrap_or_else(|| {
            // What it could not do it has said above, in this log.
            FromPrompter::not_shown("the process that asks ended too early".to_owned())
        });
        let (because, screen) = (said.because.map(plain), said.screen.map(plain));
        // One process told which of these it was; that nobody is there is not its to say.
        let answer = if said.answer == Heard::NobodyThere { Heard::NotShown } else { said.answer };
        let asked = Asked { person, screen, ..nobody(answer, because) };
        events.push_back(Event::Heard { run, asked: Box::new(asked) });
    }
}

/// Longest words of an asking process, characters.
const WORDS_MAX: usize = 200;

/// It runs as the person who is asked: what it says stands in what this endpoint signs.
fn plain(text: String) -> String {
    let is = |c: &char| c.is_ascii_alphanumeric() || " .,:;/-()".contains(*c);
    text.chars().filter(is).take(WORDS_MAX).collect()
}

/// From afar, not the active one, nothing to show it on, without a desktop: each sorts behind its
/// opposite.
type Rank = (bool, bool, bool, bool);

/// Whom to ask.
#[derive(Debug, PartialEq, Eq)]
enum Whom {
    One(Session),
    /// As good as each other: whoever answers would not be known to be the one who is meant.
    Several,
    Nobody,
}

/// Who sits at the machine before who came from afar, who is at it now before who is not.
fn whom(mut all: Vec<(Rank, Session)>) -> Whom {
    all.sort_by_key(|(rank, _)| *rank);
    let Some((best, session)) = all.first() else { return Whom::Nobody };
    // By where they are; whether it can be shown there is no reason to ask somebody else.
    let place = |rank: &Rank| (rank.0, rank.1);
    let near = all.iter().filter(|(rank, _)| place(rank) == place(best));
    match near.clone().all(|(_, other)| other.ids.0 == session.ids.0) {
        true => Whom::One(session.clone()),
        false => Whom::Several,
    }
}

/// People's open sessions. None where nobody keeps a list. `group` is nobody's: what is asked of is the
/// person's own, and nothing below the person's folders is looked at from here.
fn sessions(folder: &Path, group: u32) -> Option<Vec<(Rank, Session)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.filter_map(Result::ok).take(SESSIONS_MAX) {
        // Beside each session lies a pipe that ends with it.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        found.extend(session(&text, group));
    }
    Some(found)
}

fn session(text: &str, group: u32) -> Option<(Rank, Session)> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    // One that is opening has its person already: logind waits for their user manager, and may for long.
    let open = ["active", "online", "opening"];
    let state = field("STATE").filter(|state| open.contains(state))?;
    let uid: u32 = field("UID")?.parse().ok()?;
    if field("CLASS") != Some("user") || uid == 0 {
        return None;
    }
    let desktop = matches!(field("TYPE"), Some("x11" | "wayland" | "mir"));
    let terminal = field("TTY").map(str::to_owned);
    let blank = !desktop && terminal.is_none();
    let rank = (field("REMOTE") == Some("1"), state == "online", blank, !desktop);
    let person = field("USER")?.to_owned();
    Some((rank, Session { person, ids: (uid, group), terminal, desktop }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state;

    #[test]
    fn who_sits_at_the_machine_is_asked_and_root_and_greeters_never() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("sessions");
        assert_eq!(sessions(&folder, 9), None, "no logind");
        std::fs::create_dir_all(&folder).unwrap();
        let ask = || whom(sessions(&folder, 9).unwrap());
        assert_eq!(ask(), Whom::Nobody);
        let put =
            |name: &str, text: &str| state::write(&folder.join(name), text.as_bytes()).unwrap();
        let of = |user: &str, uid: u32, rest: &str| {
            format!("# private\nUID={uid}\nUSER={user}\n{rest}\n")
        };
        let name = |asked: Whom| match asked {
            Whom::One(session) => session.person,
            other => format!("{other:?}"),
        };
        put("1", &of("gdm", 112, "STATE=active\nCLASS=greeter"));
        put("2", &of("gone", 1009, "STATE=closing\nCLASS=user"));
        put("3", &of("root", 0, "STATE=active\nCLASS=user"));
        put("4", "\u{0}");
        assert_eq!(ask(), Whom::Nobody);
        put("5", &of("zoe", 1001, "STATE=active\nCLASS=user\nREMOTE=1\nTTY=pts/3"));
        assert_eq!(name(ask()), "zoe");
        // The alphabet decides nothing, nor that one of them cannot be shown anything.
        put("6", &of("aaron", 1002, "STATE=active\nCLASS=user\nREMOTE=1"));
        assert_eq!(ask(), Whom::Several);
        put("7", &of("away", 1003, "STATE=online\nCLASS=user\nTTY=tty3"));
        assert_eq!(name(ask()), "away", "who is at the machine");
        put("8", &of("kim", 1004, "STATE=active\nCLASS=user\nTTY=tty2\nTYPE=tty"));
        put("9", &of("kim", 1004, "STATE=active\nCLASS=user\nTTY=tty4\nTYPE=wayland"));
        let Whom::One(session) = ask() else { panic!("kim") };
        assert_eq!(
            (session.person.as_str(), session.ids, session.desktop),
            ("kim", (1004, 9), true)
        );
    }

    #[test]
    fn what_a_persons_process_says_is_words_and_nothing_else() {
        let said = plain("jo\u{1b}[2J said \"yes\"\n; <b>\u{202e}".repeat(40));
        assert!(said.chars().count() <= WORDS_MAX);
        assert!(!said.chars().any(|c| c.is_control() || "<>\"\u{202e}[".contains(c)), "{said}");
    }
}
