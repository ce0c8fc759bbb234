//! The program `salve-verify`: one evidence bundle, one root, a verdict. No network, no store, no clock.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use evidence::{Judgement, judge, root_version, safe};
use lexopt::prelude::*;
use protocol::error_chain::ErrorChain;
use protocol::limits::EVIDENCE_BYTES_MAX;

const HELP: &str = "\
salve-verify: was what this bundle shows valid when it was made?

  salve-verify FILE --root ROOT.json [--json]

  FILE          an evidence bundle, as `salve audit export TICKET --out FILE` writes it
  --root FILE   a root of the organisation's catalogue that you got another way than the bundle
  --json        the whole judgement as JSON
  --version, --help

Exit code: 0 valid when made, 2 usage, 3 invalid.
";

const USAGE: u8 = 2;
const INVALID: u8 = 3;

/// Largest root that is read, bytes: keys of some hundred people.
const ROOT_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Arguments {
    file: Option<PathBuf>,
    root: Option<PathBuf>,
    json: bool,
}

/// What the command line asks for; `Err` has the exit code and what to print.
fn arguments(mut parser: lexopt::Parser) -> Result<Arguments, (u8, String)> {
    let mut given = Arguments::default();
    let usage = |error: lexopt::Error| (USAGE, format!("{error}; see salve-verify --help"));
    while let Some(next) = parser.next().map_err(usage)? {
        match next {
            Long("root") => given.root = Some(parser.value().map_err(usage)?.into()),
            Long("json") => given.json = true,
            Long("version") => return Err((0, env!("CARGO_PKG_VERSION").to_owned())),
            Long("help") | Short('h') => return Err((0, HELP.trim_end().to_owned())),
            Value(file) if given.file.is_none() => given.file = Some(file.into()),
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(given)
}

fn read(path: &Path, most: usize) -> Result<Vec<u8>, (u8, String)> {
    let failed = |error: std::io::Error| {
        let shown = safe(&path.to_string_lossy());
        (USAGE, format!("could not read `{shown}`: {error}"))
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One more than it takes, so that what is too large is seen to be.
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn words(judged: &Judgement) -> String {
    let mut out = String::new();
    for run in &judged.runs {
        let _ = writeln!(out, "{}", safe(&run.title));
        for line in &run.lines {
            let _ = writeln!(out, "  {:<10}{}", line.about, safe(&line.words));
        }
    }
    let _ = writeln!(out, "{}", safe(&judged.verdict));
    out
}

fn go(given: &Arguments) -> Result<(bool, String), (u8, String)> {
    let (Some(file), Some(root)) = (&given.file, &given.root) else {
        let sentence = "a bundle and a root are needed: salve-verify FILE --root ROOT.json";
        return Err((USAGE, sentence.to_owned()));
    };
    let root_bytes = read(root, ROOT_BYTES_MAX)?;
    if root_version(&root_bytes).is_none() {
        let shown = safe(&root.to_string_lossy());
        return Err((USAGE, format!("`{shown}` is not a root of a catalogue")));
    }
    let judged = judge(&read(file, EVIDENCE_BYTES_MAX)?, &root_bytes);
    let judged = judged.map_err(|error| (INVALID, format!("INVALID: {}.", ErrorChain(&error))))?;
    let shown = if given.json {
        let json = serde_json::to_string_pretty(&judged);
        json.map_err(|error| (INVALID, error.to_string()))?
    } else {
        words(&judged)
    };
    Ok((judged.valid, shown))
}

fn main() -> ExitCode {
    let (code, shown) = match arguments(lexopt::Parser::from_env()).and_then(|given| go(&given)) {
        Ok((valid, shown)) => (if valid { 0 } else { INVALID }, shown),
        Err((0, shown)) => (0, shown),
        Err((code, shown)) => {
            let _ = writeln!(std::io::stderr(), "{shown}");
            return ExitCode::from(code);
        }
    };
    // Who is not told the verdict is not told that all is well.
    match writeln!(std::io::stdout(), "{}", shown.trim_end()) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(INVALID),
    }
}
