//! `salve verify`: is this record what the endpoint signed, for an order that the agent signed?

use std::path::{Path, PathBuf};

use clap::Args;
use desk::heads;
use desk::inventory::find_run;
use desk::verify::{self, Anchors, Papers};

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;
use crate::view::verdict::verdict;

/// Verify a run's papers: a run, a record's file, or an exported folder
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A file, a folder, a run's id or its beginning, or `last`
    what: String,
    /// Believe these keys and nothing of this home (keys.json that you got another way)
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Verifies.
///
/// # Errors
/// What the command says; a record that does not verify is a result, exit code 3.
pub fn run(ctx: &Ctx, args: VerifyArgs) -> Result<Exit, Failure> {
    let path = Path::new(&args.what);
    if let Some(lines) = many(path)? {
        return each(ctx, &args, &lines);
    }
    // A bare word may be both; a file that is there is what was meant.
    let given = if path.exists() { Some(verify::read_folder(path)?) } else { None };
    let looks_like_path = args.what.contains('/') || args.what.contains(".json");
    if given.is_none() && looks_like_path {
        return Err(Failure::usage(format!("there is no file `{}`", args.what))
            .next("a run of this desk:  salve verify last"));
    }
    let copy = match (given, &args.keys) {
        // With keys that came another way nothing of this home is needed or asked.
        (Some(papers), Some(keys)) => verify::verify_copy(None, papers, &anchors_from(keys)?)?,
        (given, keys) => {
            let desk = ctx.desk()?;
            let anchors = match keys {
                Some(keys) => anchors_from(keys)?,
                None => verify::own_anchors(&desk.home, ctx.now())?,
            };
            let papers = match given {
                Some(papers) => papers,
                None => filed(&desk, &args.what)?,
            };
            let mut copy = verify::verify_copy(Some(&desk.store), papers.clone(), &anchors)?;
            copy.doubt = doubt(&desk, &papers, &anchors)?;
            copy
        }
    };
    let verified = copy.report.verified;
    ctx.show(&copy, verdict)?;
    Ok(if verified { Exit::Fine } else { Exit::NotVerified })
}

/// The records of a file that holds several, one a line, as tickets carry it.
fn many(path: &Path) -> Result<Option<Vec<Papers>>, Failure> {
    if !path.is_file() {
        return Ok(None);
    }
    Ok(lines(&verify::read_folder(path)?.record))
}

/// Every line of such a file: one that does not look like a record is one that does not verify, and
/// not one that was never there.
fn lines(bytes: &[u8]) -> Option<Vec<Papers>> {
    let lines: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    let records = lines.iter().any(|line| line.starts_with(b"{\"payload\""));
    let paper = |line: &&[u8]| Papers { record: line.to_vec(), ..Papers::default() };
    (records && lines.len() > 1).then(|| lines.iter().map(paper).collect())
}

/// Verifies several records; one that does not verify is enough to say no.
fn each(ctx: &Ctx, args: &VerifyArgs, lines: &[Papers]) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let anchors = match &args.keys {
        Some(keys) => anchors_from(keys)?,
        None => verify::own_anchors(&desk.home, ctx.now())?,
    };
    let copies = lines
        .iter()
        .map(|papers| verify::verify_copy(Some(&desk.store), papers.clone(), &anchors))
        .collect::<Result<Vec<_>, _>>()?;
    ctx.show(&copies, |copies| copies.iter().map(verdict).collect::<Vec<_>>().join("\n"))?;
    let all = copies.iter().all(|copy| copy.report.verified);
    Ok(if all { Exit::Fine } else { Exit::NotVerified })
}

/// What is wrong with the ledger of the record's machine as a whole.
fn doubt(
    desk: &desk::org::Desk,
    papers: &Papers,
    anchors: &Anchors,
) -> Result<Option<String>, Failure> {
    let Some((record, _)) = verify::peek_record(&papers.record) else { return Ok(None) };
    let machine = record.predicate.endpoint;
    let doubt = heads::doubt_of(desk, &machine.id, anchors)?;
    Ok(doubt.map(|doubt| heads::words(&machine.name, &doubt)))
}

fn filed(desk: &desk::org::Desk, typed: &str) -> Result<Papers, Failure> {
    let run = find_run(&desk.store, typed)?;
    let papers = verify::papers_of(&desk.store, &run.id)?;
    let named = papers.as_ref().and_then(|papers| verify::peek_record(&papers.record));
    // Another run's good record would verify, and be no answer.
    if let Some((record, _)) = named
        && record.predicate.run != run.id
    {
        let sentence = format!("what is filed for run {} is another run's record", run.id.short());
        return Err(Failure::not_verified(sentence).next("salve runs list"));
    }
    papers.ok_or_else(|| {
        let short = run.id.short();
        Failure::new(Exit::Unknown, format!("run {short} has no record yet"))
            .next(format!("bring it home:  salve runs follow {short}"))
    })
}

fn anchors_from(path: &Path) -> Result<Anchors, Failure> {
    let shown = path.to_string_lossy();
    let bytes = desk::home::read(path)?;
    Anchors::from_json(&bytes, &format!("`{}`", safe(&shown)))
        .map_err(|e| Failure::usage(format!("`{shown}` is not a keys.json")).because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_file_of_records_is_passed_over() {
        let count = |text: &str| lines(text.as_bytes()).map(|papers| papers.len());
        assert_eq!(count("{\"payload\":1}\n{\"payload\":2}\n"), Some(2));
        assert_eq!(count("{\"payload\":1}\n {\"payload\":2}\n{\"x\":3}\r\n\n"), Some(3));
        assert_eq!(count("{\"payload\":1}\n"), None, "one record");
        assert_eq!(count("{\n  \"payload\": 1\n}\n"), None, "one record, laid out");
    }
}
