//! Watches one run: tells what happens live, and asks what ^C means. Never kills by surprise.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::pin::pin;

use desk::notes::happened;
use desk::runs::{News, RunError, RunResult, recall};
use desk::session::Session;
use protocol::frames::{Event, Phase};
use protocol::{Digest, RunId};
use tokio::sync::oneshot;

use crate::cli::work::Work;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{joined, safe};

/// Progress shown on a terminal, characters: one line of the narrowest.
const PROGRESS_CHARS: usize = 70;

/// How watching ended.
#[derive(Debug)]
pub enum Watched {
    /// With the record.
    Ended(Box<RunResult>),
    /// With no record.
    Failed(RunError),
    /// The agent stopped watching; the run goes on.
    Left(RunId),
}

/// What is known of the run while it goes on.
#[derive(Debug, Default)]
pub struct Watch {
    current: Cell<Option<(RunId, Digest)>>,
    taken: Cell<bool>,
    /// A progress line stands on the terminal and is to be written over.
    standing: Cell<bool>,
    /// A question stands on the terminal: progress keeps quiet.
    asking: Cell<bool>,
}

impl Watch {
    /// For a run that was sent before.
    #[must_use]
    pub const fn of(run: RunId, order: Digest) -> Self {
        Self {
            current: Cell::new(Some((run, order))),
            taken: Cell::new(true),
            standing: Cell::new(false),
            asking: Cell::new(false),
        }
    }

    /// Tells a piece of news: output to stdout, the rest beside it.
    pub fn tell(&self, ctx: &Ctx, news: &News<'_>) {
        self.wipe();
        match news {
            News::Stored { run, order } => self.current.set(Some((*run, *order))),
            News::Lost(error) => ctx.note(format!(
                "  the line was lost ({}); the run goes on, asking again ...",
                safe(&error.to_string())
            )),
            News::Watching([]) => ctx.note("  nobody else watches any more"),
            News::Watching(others) => ctx.note(format!("  {} watches too", joined(others, ", "))),
            News::Event(Event::Accepted { ahead, .. }) => {
                self.taken.set(true);
                if *ahead > 0 {
                    ctx.note(format!("  waits behind {ahead} on that machine ..."));
                }
            }
            _ if ctx.json => {}
            News::Event(Event::Progress { text }) => self.stand(&safe(text)),
            News::Event(Event::Phase { phase: Phase::Verify }) => self.stand("looking again"),
            News::Event(event) => live(ctx, event),
        }
    }

    /// Progress is one line on a terminal, written over by the next; elsewhere it is left out.
    fn stand(&self, words: &str) {
        let mut err = std::io::stderr();
        if err.is_terminal() && !self.asking.get() {
            let words: String = words.chars().take(PROGRESS_CHARS).collect();
            self.standing.set(write!(err, "  ... {words}").is_ok());
        }
    }
    fn wipe(&self) {
        if self.standing.replace(false) {
            // To the left edge, and clear the line.
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }

    /// Waits for `work`, and asks when ^C comes. `session` is where a recall goes.
    ///
    /// # Errors
    /// A recall could not be signed.
    pub async fn over(
        &self,
        ctx: &Ctx,
        desk: &Work,
        session: Option<&Session>,
        name: &str,
        work: impl Future<Output = Result<RunResult, RunError>>,
    ) -> Result<Watched, Failure> {
        let mut work = pin!(work);
        loop {
            let asked = tokio::select! {
                done = &mut work => {
                    self.wipe();
                    return Ok(ended(done));
                }
                _ = tokio::signal::ctrl_c() => match self.current.get() {
                    Some(run) if self.taken.get() => run,
                    // Nothing was taken yet: there is nothing to leave behind.
                    _ => {
                        ctx.note("^C  not taken yet; waiting for the answer, a few seconds");
                        continue;
                    }
                },
            };
            let (run, _) = asked;
            self.wipe();
            self.asking.set(true);
            let answer = tokio::select! {
                done = &mut work => return Ok(ended(done)),
                answer = ask(name) => answer,
            };
            self.asking.set(false);
            match answer {
                Answer::Watch => {}
                Answer::Leave => return Ok(Watched::Left(run)),
                Answer::Cancel => self.cancel(ctx, desk, session, asked).await?,
            }
        }
    }

    async fn cancel(
        &self,
        ctx: &Ctx,
        desk: &Work,
        session: Option<&Session>,
        (run, order): (RunId, Digest),
    ) -> Result<(), Failure> {
        let row = desk.desk.store.run(run)?;
        let own = row.and_then(|row| row.agent).as_deref() == Some(desk.agent.name.as_str());
        let signing = &desk.agent.signing;
        // The machine would not wait while somebody types a passphrase.
        let locked = signing.is_locked() && (!own || signing.session().is_none());
        let Some(session) = session.filter(|_| !locked) else {
            ctx.note("  cancel it with:  salve cancel last");
            return Ok(());
        };
        let signed = recall(&desk.agent, (order, own), "cancelled at the console", ctx.now())
            .map_err(|e| Failure::broken("could not sign the recall").because(e))?;
        match session.recall(&signed).await {
            Ok(true) => ctx.note("  cancelling; waiting for its record ..."),
            Ok(false) => ctx.note("  it had ended already; waiting for its record ..."),
            Err(error) => {
                ctx.note(format!("  the recall did not arrive: {}", safe(&error.to_string())))
            }
        }
        Ok(())
    }
}

fn ended(done: Result<RunResult, RunError>) -> Watched {
    match done {
        Ok(result) => Watched::Ended(Box::new(result)),
        Err(error) => Watched::Failed(error),
    }
}

fn live(ctx: &Ctx, event: &Event) {
    match event {
        Event::Line { text } => ctx.say(format!("           {}", safe(text))),
        Event::Effect { function, key, count, bytes: size, ok } => {
            let mark = if *ok { "" } else { "NOT all done: " };
            ctx.note(format!("  {mark}{}", safe(&happened(function, key, *count, *size))));
        }
        Event::Asking { question, seconds } => ctx.note(format!(
            "  Asking the person at the machine, {seconds} s: \"{}\" ...",
            safe(question)
        )),
        Event::Skipped { text } => ctx.note(format!("  left alone: {}", safe(text))),
        Event::Progress { .. }
        | Event::Phase { .. }
        | Event::Found { .. }
        | Event::Ended { .. }
        | Event::Accepted { .. } => {}
    }
}

enum Answer {
    Watch,
    Cancel,
    Leave,
}

/// Asks on the terminal in a thread of its own, so that the run is watched meanwhile. Without a
/// terminal ^C means: leave it running.
async fn ask(name: &str) -> Answer {
    let mut err = std::io::stderr();
    let Ok(mut terminal) = std::fs::File::options().read(true).write(true).open("/dev/tty") else {
        return Answer::Leave;
    };
    if !terminal.is_terminal() {
        return Answer::Leave;
    }
    let words = format!(
        "\n^C  The run goes on on {}. [Enter] keep watching   [c] cancel it   \
         [d] leave; later: salve runs follow last ",
        safe(name)
    );
    if terminal.write_all(words.as_bytes()).is_err() {
        let _ = err.write_all(words.as_bytes());
    }
    let (tell, told) = oneshot::channel();
    // Nobody joins this thread: it ends with the line, or with the process.
    let reader = std::thread::Builder::new().spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(terminal).read_line(&mut line);
        let _ = tell.send(read.map(|_| line));
    });
    if reader.is_err() {
        return Answer::Watch;
    }
    match told.await {
        Ok(Ok(line)) => match line.trim() {
            "c" | "C" => Answer::Cancel,
            "d" | "D" => Answer::Leave,
            _ => Answer::Watch,
        },
        _ => Answer::Watch,
    }
}

/// Asks a question whose answer is no at ^C: after the first watched run ^C does not end the
/// process by itself any more.
pub async fn confirm(ctx: &Ctx, question: &str) -> bool {
    let (tell, told) = oneshot::channel();
    let (asking, question) = (ctx.clone(), question.to_owned());
    // Nobody joins this thread: it ends with the answer, or with the process.
    let asked = std::thread::Builder::new().spawn(move || {
        let _ = tell.send(asking.confirm(&question));
    });
    if asked.is_err() {
        return false;
    }
    tokio::select! {
        answer = told => answer.unwrap_or(false),
        _ = tokio::signal::ctrl_c() => {
            ctx.note("");
            false
        }
    }
}

/// What leaving means, in one line and an exit code.
pub fn left(ctx: &Ctx, run: RunId, name: &str) -> Exit {
    ctx.note(format!(
        "The run goes on on {}. Later:  salve runs follow {}",
        safe(name),
        run.short()
    ));
    Exit::Unknown
}
