//! Who is calling: a code to the contact on file, and what the caller says. Never shows or keeps a code.

use std::fs::File;
use std::io::{BufReader, Read as _};

use desk::identity::{CodeAsked, CodeSaid, Masked, SpokenCode};
use protocol::documents::Identified;
use protocol::limits;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::cli::look::Job;
use crate::cli::work::Work;
use crate::ctx::{ANSWER_BYTES_MAX, Ctx, open_terminal};
use crate::exit::{Exit, Failure};
use crate::view::{count, safe};

/// Answers that are no code at all, at most: a descriptor that holds something else.
const ODD_ANSWERS_MAX: u32 = 10;

/// Has the desk send a code and hands in what the caller says, where the order is to rest on it.
///
/// # Errors
/// What is missing, before anything is sent; that the code was not said.
pub async fn identify(
    ctx: &Ctx,
    work: &Work,
    job: &Job,
    (identified, fd): (Option<&Identified>, Option<u32>),
) -> Result<(), Failure> {
    if identified != Some(&Identified::Code) {
        return Ok(());
    }
    let Some((_, row)) = &job.ticket else {
        return Err(Failure::usage("a code goes to whoever a ticket is for, and none is named")
            .next("add --ticket NUMBER"));
    };
    let mut lines = answers(fd)?;
    let (script, me) = (&job.script.manifest.name, &work.agent.name);
    let (books, checks) = (&work.desk.store, &work.desk.home);
    let here = Some(job.endpoint.id);
    let asked = books.ask_code(row.id, script.clone(), me.clone(), here, ctx.now(), checks)?;
    let contact = match asked {
        CodeAsked::Stands { at, masked } => {
            let (masked, at) = (safe(&masked), at.clock());
            ctx.note(format!("  The caller said a code at {at} ({masked}); it still counts."));
            return Ok(());
        }
        CodeAsked::Sent { contact, .. } => contact,
    };
    if let Some(words) = young(&contact, ctx) {
        ctx.note(words);
    }
    let place = format!("{} on file ({})", contact.kind.word(), safe(&contact.masked));
    let mut question = format!("  A code went to the {place}. What does the caller say?");
    for _ in 0..ODD_ANSWERS_MAX {
        let Some(said) = next(ctx, &mut lines, &question).await else { break };
        if !said.is_plausible() {
            question =
                format!("  A code has {} digits. What does the caller say?", limits::CODE_DIGITS);
            continue;
        }
        match books.say_code(row.id, script.clone(), said, me.clone(), ctx.now(), checks)? {
            CodeSaid::Right => {
                ctx.note("  right");
                return Ok(());
            }
            CodeSaid::Wrong { left } if left > 0 => {
                let tries =
                    if left == 1 { "one try is".to_owned() } else { format!("{left} tries are") };
                question = format!("  Wrong; {tries} left. What does the caller say?");
            }
            CodeSaid::Wrong { .. } => {
                return Err(unknown(
                    "wrong, and that was the last try: the caller is not identified",
                ));
            }
            CodeSaid::Over => return Err(unknown("that code is over: its time, or its tries")),
        }
    }
    Err(unknown("no code was said: the caller is not identified"))
}

fn unknown(words: &str) -> Failure {
    Failure::new(Exit::Refused, format!("{words}. Nothing was changed."))
        .next("for another code run it again, or:  --identified callback | manager:NAME | id-card")
}

/// Said loudly: a contact that was changed first, and a code asked for then, is how help desks are robbed.
fn young(contact: &Masked, ctx: &Ctx) -> Option<String> {
    contact.is_young(ctx.now()).then(|| {
        let days = count(ctx.now().since(contact.set_at) / 86_400, "day");
        format!(
            "  CAREFUL  that {} was put on file {days} ago, by {}. Who robs a help desk has it changed first: \
             in doubt call back, or ask {}.",
            contact.kind.word(),
            contact.set_by,
            contact.set_by
        )
    })
}

/// Where answers come from: found before anything is sent.
enum Answers {
    Terminal,
    Descriptor(mpsc::Receiver<Zeroizing<String>>),
}

fn answers(fd: Option<u32>) -> Result<Answers, Failure> {
    let Some(fd) = fd else {
        open_terminal().map_err(|error| {
            Failure::usage("somebody has to type what the caller says, and there is no terminal")
                .because(error)
                .next("give it on a descriptor, a line a try:  --code-fd 3")
        })?;
        return Ok(Answers::Terminal);
    };
    let fail = || Failure::usage(format!("could not read codes from descriptor {fd}"));
    let file = File::open(format!("/dev/fd/{fd}")).map_err(|e| fail().because(e))?;
    let (tell, told) = mpsc::channel(1);
    // Nobody joins this thread: it ends with the descriptor, or with the process.
    let reader = std::thread::Builder::new().spawn(move || {
        let mut file = BufReader::new(file.take(ANSWER_BYTES_MAX));
        while let Some(line) = line(&mut file) {
            if tell.blocking_send(line).is_err() {
                break;
            }
        }
    });
    reader.map_err(|e| fail().because(e))?;
    Ok(Answers::Descriptor(told))
}

/// The next line; nothing at its end.
fn line(from: &mut impl std::io::BufRead) -> Option<Zeroizing<String>> {
    // Room for all of it: a line that grew would leave its old bytes behind.
    let mut line = Zeroizing::new(String::with_capacity(256));
    from.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line)
}

/// What was answered; nothing where nobody did. ^C is no answer.
async fn next(ctx: &Ctx, answers: &mut Answers, question: &str) -> Option<SpokenCode> {
    let line = match answers {
        Answers::Descriptor(lines) => {
            ctx.note(question);
            tokio::select! {
                line = lines.recv() => line,
                _ = tokio::signal::ctrl_c() => None,
            }
        }
        Answers::Terminal => {
            let (tell, mut told) = mpsc::channel(1);
            let question = question.to_owned();
            // As above.
            std::thread::Builder::new()
                .spawn(move || {
                    let Ok(mut terminal) = open_terminal() else { return };
                    let _ =
                        std::io::Write::write_all(&mut terminal, format!("{question} ").as_bytes());
                    if let Some(line) = line(&mut BufReader::new(terminal.take(ANSWER_BYTES_MAX))) {
                        let _ = tell.blocking_send(line);
                    }
                })
                .ok()?;
            tokio::select! {
                line = told.recv() => line,
                _ = tokio::signal::ctrl_c() => None,
            }
        }
    };
    // An empty line is how somebody gives up.
    line.filter(|line| !line.trim().is_empty()).map(|line| SpokenCode::new(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_try_and_the_end_is_none() {
        let mut from = BufReader::new(&b"604118\n\n1\n"[..]);
        let mut all = Vec::new();
        while let Some(line) = line(&mut from) {
            all.push(line.as_str().to_owned());
        }
        assert_eq!(all, ["604118\n", "\n", "1\n"]);
    }
}
