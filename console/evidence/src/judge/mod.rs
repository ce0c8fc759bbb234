//! Judging a bundle with nothing but a root that came another way: whether each run was valid when it
//! was made, what was withdrawn since, and what all of it does not prove.
//!
//! What decided is judged by the lists of then, at the time that the record says; no machine's clock
//! is asked. What was withdrawn is said as of the newest catalogue in the bundle.

mod allowed;
mod run;
mod since;
#[cfg(test)]
mod tests;

use protocol::error_chain::ErrorChain;
use protocol::{RunId, TicketId, Time};
use serde::Serialize;
use trust::catalogue::Files;

use crate::anchors::Anchors;
use crate::bundle::{BadBundle, Bundle, Opened};

/// One line about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The word in front of it.
    pub about: &'static str,
    /// In words. May quote the papers: escape it.
    pub words: String,
}

/// What one run's papers come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunJudgement {
    /// Which run, if its record could be read.
    pub run: Option<RunId>,
    /// Script, machine, time and ticket, as the record says.
    pub title: String,
    /// Line by line.
    pub lines: Vec<Said>,
    /// What does not match, a sentence each.
    pub faults: Vec<String>,
}

/// What a bundle comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Whether every run was valid when it was made, and every part of the bundle matches.
    pub valid: bool,
    /// The last line for people.
    pub verdict: String,
    /// Whose bundle it says it is.
    pub organisation: String,
    /// Which ticket.
    pub ticket: TicketId,
    /// When it says that it was written.
    pub made: Time,
    /// When the newest catalogue in it was issued, where that verifies.
    pub issued: Option<Time>,
    /// Every run.
    pub runs: Vec<RunJudgement>,
    /// What does not match, a sentence each.
    pub faults: Vec<String>,
    /// What a good bundle does not prove either.
    pub not_proven: Vec<String>,
}

/// Judges a bundle by the root of its organisation's catalogue.
///
/// # Errors
/// A file that is no bundle; one that was altered is judged.
pub fn judge(file: &[u8], root: &[u8]) -> Result<Judgement, BadBundle> {
    let Opened { bundle, intact } = Bundle::read(file)?;
    let files: Files =
        bundle.catalogue.iter().map(|(name, bytes)| (name.clone(), bytes.0.clone())).collect();
    let (mut runs, mut faults, mut not_proven) = (Vec::new(), Vec::new(), Vec::new());
    let mut issued = None;
    match Anchors::handed(files, root) {
        Err(error) => faults.push(format!("the catalogue: {}", ErrorChain(&error))),
        Ok((anchors, policy, newest)) => {
            issued = Some(newest);
            if policy.organisation() != bundle.organisation {
                let sentence = "the organisation is not the one of the catalogue's policy";
                faults.push(sentence.to_owned());
            }
            let today = since::Today {
                policy: &policy,
                anchors: &anchors,
                issued: newest,
                made: bundle.made,
            };
            for papers in &bundle.runs {
                let (judged, open) = run::judge(papers, &bundle.ticket, &today);
                faults.extend(judged.faults.iter().cloned());
                runs.push(judged);
                for sentence in open {
                    if !not_proven.contains(&sentence) {
                        not_proven.push(sentence);
                    }
                }
            }
            not_proven.push(format!("what was withdrawn after {}", since::date(newest)));
        }
    }
    let unanswered = bundle.unanswered.iter();
    not_proven.extend(unanswered.map(|run| format!("what run {} did: no record", run.short())));
    not_proven.push("that the ticket had no other orders".to_owned());
    if !intact && faults.is_empty() {
        faults.push("the file is not as it was written, in a part that nobody signed".to_owned());
    }
    Ok(Judgement {
        valid: faults.is_empty(),
        verdict: verdict(&faults, &not_proven),
        organisation: bundle.organisation,
        ticket: bundle.ticket,
        made: bundle.made,
        issued,
        runs,
        faults,
        not_proven,
    })
}

fn verdict(faults: &[String], not_proven: &[String]) -> String {
    match faults {
        [] => format!("VALID WHEN MADE. Not proven: {}.", not_proven.join("; ")),
        [one] => format!("INVALID: {one}. Everything else is good."),
        [first, rest @ ..] => format!("INVALID: {first}; and {} more.", rest.len()),
    }
}
