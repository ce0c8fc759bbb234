//! The process that asks the person at the machine, at most one; and whom it asks. Never decides
//! whether: the core does.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hatch::cgroup::Folder;
use hatch::messages::{FromPrompter, Question, Session, ToPrompter};
use hatch::pipe::Polled;
use hatch::spawn::End;
use protocol::documents::{Asked, Heard};
use protocol::error_chain::ErrorChain;
use protocol::{RunId, Time};
use rustix::event::PollFlags;

use super::{Source, World};
use crate::core::Event;
use crate::spawn::{self, Line};

/// Where logind keeps one file a session (sd-login(3)).
const SESSIONS: &str = "/run/systemd/sessions";
/// Where it keeps one folder a person.
const RUNTIME: &str = "/run/user";
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

impl Asker {
    /// Ends it and whatever it started; how it had ended, where it had.
    fn end(self) -> Option<End> {
        let end = self.line.child.kill().and_then(|()| self.line.child.wait());
        if let Some(folder) = &self.folder
            && let Err(error) = folder.kill().and_then(|()| folder.remove())
        {
            tracing::error!("{}", ErrorChain(&error));
        }
        end.map_err(|error| tracing::error!("{}", ErrorChain(&error))).ok()
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
            Err(asked) => vec![Event::Heard { run, asked: Box::new(asked) }],
        }
    }

    fn try_ask(&mut self, run: RunId, question: Question) -> Result<(), Asked> {
        self.end_asking();
        let not_shown = |because: &str| nobody(Heard::NotShown, Some(because.to_owned()));
        let sessions = sessions(Path::new(SESSIONS), Path::new(RUNTIME));
        let sessions =
            sessions.ok_or_else(|| not_shown("this machine keeps no list of sessions"))?;
        let Some(session) = sessions.into_iter().next() else {
            return Err(nobody(Heard::NobodyThere, None));
        };
        let person = session.person.clone();
        let exceptions = self.prepare.exceptions;
        let message = ToPrompter { session, question, command: self.answer.clone(), exceptions };
        let not_started = |why: String| {
            tracing::error!("run {}: nobody was asked: {why}", run.short());
            not_shown("the process that asks could not be started")
        };
        let folder = self.folder(&format!("ask-{run}")).map_err(|error| not_started(error.why))?;
        let started = spawn::prompter(&self.programs, folder.as_ref(), &message);
        let line = started.map_err(|error| not_started(ErrorChain(&error).to_string()))?;
        self.asker = Some(Asker { run, person, line, folder });
        Ok(())
    }

    /// Ends it, whatever it is doing.
    pub(super) fn end_asking(&mut self) {
        self.asker.take().and_then(Asker::end);
    }

    pub(super) fn watch_asker<'f>(&'f self, all: &mut Vec<(Source, BorrowedFd<'f>, PollFlags)>) {
        if let Some(asker) = &self.asker {
            all.push((Source::Asker, asker.line.inbox.as_fd(), PollFlags::IN));
        }
    }

    /// What it said, or that it ended without a word.
    pub(super) fn hear_asker(&mut self, events: &mut VecDeque<Event>) {
        let Some(asker) = &mut self.asker else { return };
        let said = match asker.line.inbox.poll_recv::<FromPrompter>() {
            Ok(Polled::Empty) => return,
            Ok(Polled::Message(said)) => Some(said),
            Ok(Polled::Closed) | Err(_) => None,
        };
        let Some(asker) = self.asker.take() else { return };
        let (run, person) = (asker.run, asker.person.clone());
        let end = asker.end();
        let said = said.unwrap_or_else(|| {
            // What it could not do it has said above, in this log.
            tracing::error!("run {}: the process that asks ended: {end:?}", run.short());
            FromPrompter::not_shown("the process that asks ended too early".to_owned())
        });
        let person = Some(person);
        let because = said.because.map(|text| text.chars().take(WORDS_MAX).collect());
        let screen = said.screen.map(|text| text.chars().take(WORDS_MAX).collect());
        // One process told which of these it was; that nobody is there is not its to say.
        let answer = if said.answer == Heard::NobodyThere { Heard::NotShown } else { said.answer };
        let asked = Asked { answer, person, screen, because, at: Time(0) };
        events.push_back(Event::Heard { run, asked: Box::new(asked) });
    }
}

/// Longest words of an asking process, characters.
const WORDS_MAX: usize = 200;

/// People's open sessions, whom to ask first: who sits at the machine before who came from afar, who
/// is at it now before who is not. None where nobody keeps a list.
pub(super) fn sessions(folder: &Path, runtime: &Path) -> Option<Vec<Session>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.filter_map(Result::ok).take(SESSIONS_MAX) {
        // Beside each session lies a pipe that ends with it.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        found.extend(session(&text, runtime));
    }
    found.sort_by_key(|(rank, session): &(Rank, Session)| (*rank, session.person.clone()));
    Some(found.into_iter().map(|(_, session)| session).collect())
}

/// From afar, not the active one, without a desktop: each sorts behind its opposite.
type Rank = (bool, bool, bool);

fn session(text: &str, runtime: &Path) -> Option<(Rank, Session)> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let state = field("STATE").filter(|state| matches!(*state, "active" | "online"))?;
    let uid: u32 = field("UID")?.parse().ok()?;
    if field("CLASS") != Some("user") || uid == 0 {
        return None;
    }
    // Its owner's group, whatever directory the account comes from; and nobody else's folder.
    let own = std::fs::symlink_metadata(runtime.join(uid.to_string())).ok()?;
    if !own.is_dir() || own.uid() != uid {
        return None;
    }
    let desktop = matches!(field("TYPE"), Some("x11" | "wayland" | "mir"));
    let session = Session {
        person: field("USER")?.to_owned(),
        ids: (uid, own.gid()),
        terminal: field("TTY").map(str::to_owned),
        desktop,
    };
    Some(((field("REMOTE") == Some("1"), state != "active", !desktop), session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state;

    #[test]
    fn who_sits_at_the_machine_is_asked_first_and_root_and_greeters_never() {
        let tree = tempfile::tempdir().unwrap();
        let (folder, runtime) = (tree.path().join("sessions"), tree.path().join("user"));
        assert_eq!(sessions(&folder, &runtime), None, "no logind");
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(sessions(&folder, &runtime), Some(Vec::new()));
        // The folders' owner is whoever runs this test: each session needs one of its own user's.
        let me = rustix::process::getuid().as_raw();
        let uid = if me == 0 { 1000 } else { me };
        std::fs::create_dir_all(runtime.join(uid.to_string())).unwrap();
        if me == 0 {
            std::os::unix::fs::chown(runtime.join("1000"), Some(1000), Some(1001)).unwrap();
        }
        let put =
            |name: &str, text: &str| state::write(&folder.join(name), text.as_bytes()).unwrap();
        let of = |user: &str, rest: &str| format!("# private\nUID={uid}\nUSER={user}\n{rest}\n");
        put("1", &of("far", "STATE=active\nCLASS=user\nREMOTE=1\nTTY=pts/3"));
        put("2", &of("away", "STATE=online\nCLASS=user\nTTY=tty3"));
        put("3", &of("jo", "STATE=active\nCLASS=user\nTTY=tty2\nTYPE=tty"));
        put("4", &of("kim", "STATE=active\nCLASS=user\nTTY=tty2\nTYPE=wayland"));
        put("5", &of("gdm", "STATE=active\nCLASS=greeter"));
        put("6", &of("gone", "STATE=closing\nCLASS=user"));
        put("7", "UID=0\nUSER=root\nSTATE=active\nCLASS=user");
        put("8", "UID=4242\nUSER=nofolder\nSTATE=active\nCLASS=user");
        put("9", "\u{0}");
        let all = sessions(&folder, &runtime).unwrap();
        let names: Vec<&str> = all.iter().map(|session| session.person.as_str()).collect();
        assert_eq!(names, ["kim", "jo", "away", "far"]);
        assert!(all[0].desktop && !all[1].desktop);
        assert_eq!(all[1].terminal.as_deref(), Some("tty2"));
        if me == 0 {
            assert_eq!(all[0].ids, (1000, 1001));
        }
    }
}
