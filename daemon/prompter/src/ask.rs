//! Shows the question, waits for the first answer, says that it is over.

use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bus::Deadline;
use hatch::messages::{FromPrompter, Question};
use hatch::pipe::Inbox;
use protocol::documents::Heard;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::answer::Door;
use crate::screen::{Screen, Screens};
use crate::words;

/// One question and where it is put.
pub(crate) struct Asking<'a> {
    pub(crate) question: &'a Question,
    pub(crate) command: &'a str,
    /// Whose answer counts.
    pub(crate) uid: u32,
    /// Its end is the end of the question.
    pub(crate) keeper: &'a Inbox,
    pub(crate) door: Door,
    pub(crate) screens: Screens,
}

/// Asks.
pub(crate) fn ask(asking: Asking<'_>) -> FromPrompter {
    let Asking { question, command, uid, keeper, door, mut screens } = asking;
    let until = Deadline::within(Duration::from_secs(question.seconds));
    let mut shown: Vec<Box<dyn Screen>> = Vec::new();
    for mut screen in screens.open {
        match screen.show(question, command) {
            Ok(()) => shown.push(screen),
            Err(why) => screens.closed.push(why),
        }
    }
    let Some(first) = shown.first().map(|screen| screen.name().to_owned()) else {
        return FromPrompter::not_shown(screens.closed.join("; "));
    };
    let (heard, mut said) = wait(&mut shown, (keeper, &door, uid), until);
    for screen in &mut shown {
        screen.close(heard);
    }
    if let Some(stream) = &mut said {
        let _ = writeln!(stream, "{}", words::over(heard));
    }
    FromPrompter { answer: heard, screen: Some(first), because: None }
}

fn wait(
    shown: &mut [Box<dyn Screen>],
    (keeper, door, uid): (&Inbox, &Door, u32),
    until: Deadline,
) -> (Heard, Option<UnixStream>) {
    let mut quiet = vec![false; shown.len()];
    while !until.over() {
        let watched: Vec<Option<BorrowedFd<'_>>> = shown
            .iter()
            .zip(&quiet)
            .map(|(screen, quiet)| screen.answers().filter(|_| !quiet))
            .collect();
        let mut fds = vec![
            PollFd::from_borrowed_fd(keeper.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(door.0.as_fd(), PollFlags::IN),
        ];
        let live = watched.iter().flatten();
        fds.extend(live.map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
        match poll(&mut fds, Some(&until.timespec(Duration::from_secs(3600)))) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => break,
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let is = |at: usize| ready.get(at).is_some_and(|flags| !flags.is_empty());
        if is(0) {
            // The keeper says nothing more: it is gone, or the question is.
            break;
        }
        if is(1)
            && let Some((heard, stream)) = door.knock(uid)
        {
            return (heard, Some(stream));
        }
        for (at, screen) in shown.iter_mut().enumerate() {
            if let Some(heard) = screen.answer() {
                return (heard, None);
            }
            // A bus that is gone stays readable for ever.
            let gone = screen.answers().is_some_and(hung_up);
            if let Some(quiet) = quiet.get_mut(at) {
                *quiet |= gone;
            }
        }
    }
    (Heard::NoAnswer, None)
}

fn hung_up(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let at_once = rustix::time::Timespec::default();
    poll(&mut fds, Some(&at_once)).is_ok()
        && fds.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}
