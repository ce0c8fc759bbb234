//! The program `salved`: reads its arguments, the clock and the environment, and says how it went.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hatch::spawn::End;
use keeper::config::{self, Config};
use keeper::doctor::Peer;
use keeper::driver::now;
use keeper::enrol::{self, Wish};
use keeper::state::Layout;
use keeper::{answer, doctor, spawn, status};
use lexopt::prelude::*;
use protocol::NamePatterns;
use protocol::documents::Token;
use protocol::error_chain::ErrorChain;

const HELP: &str = "\
salved: the endpoint's daemon; runs vetted, signed scripts and keeps the proof

  salved enroll TOKEN       joins the organisation that printed the token
  salved status             who this machine is, what it trusts, what ran last
  salved doctor [HOST:PORT | TOKEN]
                            the first thing that is wrong, and what to do about it
  salved prepare-image TOKEN
                            before a machine becomes an image: each copy joins at its first start
  salved leave              forgets the organisation; keeps an archive of the account
  salved answer yes|no      answers what the help desk asks you; nobody else can
  salved run                runs in front, as the system's unit does

  --config FILE             instead of /etc/salve/salved.toml
  --version, --help
";

/// Exit codes, as everywhere in the product.
mod exit {
    pub(crate) const PERSON: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const UNREACHED: u8 = 5;
    pub(crate) const REFUSED: u8 = 4;
    pub(crate) const BROKEN: u8 = 6;
}

/// What went wrong, in words, and the exit code.
struct Failure(u8, String);

impl Failure {
    fn of(code: u8, error: &dyn std::error::Error) -> Self {
        Self(code, ErrorChain(error).to_string())
    }
}

#[derive(Debug, Default)]
struct Arguments {
    config: Option<PathBuf>,
    words: Vec<OsString>,
}

fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut found = Arguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("config") => found.config = Some(parser.value()?.into()),
            Long("help") | Short('h') => {
                say(HELP);
                return Ok(None);
            }
            Long("version") | Short('V') => {
                say(concat!("salved ", env!("CARGO_PKG_VERSION"), "\n"));
                return Ok(None);
            }
            Value(word) => found.words.push(word),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(found))
}

/// To stdout; a reader that has gone is no fault.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => return fail(Failure(exit::USAGE, format!("{error}; see salved --help"))),
    };
    let words: Vec<&str> = arguments.words.iter().filter_map(|word| word.to_str()).collect();
    // Whoever was asked may read no configuration.
    if let ["answer", rest @ ..] = words.as_slice() {
        return answer(rest).map_or_else(fail, |()| ExitCode::SUCCESS);
    }
    let usual = arguments.config.is_none();
    let config = match config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(Failure::of(exit::USAGE, &error)),
    };
    let done = match words.as_slice() {
        ["run"] => run(&config, arguments.config.as_deref()),
        ["enroll", token] => enroll(&config, token, usual),
        ["prepare-image", token] => prepare_image(&config, token, usual),
        ["prepare-image"] => Err(Failure(
            exit::USAGE,
            "prepare-image takes the token of a line for many machines".into(),
        )),
        ["leave"] => leave(&config, usual),
        ["status"] => {
            say(&status::status(&config, now().wall));
            Ok(())
        }
        ["doctor"] => examine(&config, None),
        ["doctor", peer] => examine(&config, Some(peer)),
        [] => {
            say(HELP);
            Ok(())
        }
        ["enroll"] => Err(Failure(exit::USAGE, "enroll takes the token that was printed".into())),
        other => {
            Err(Failure(exit::USAGE, format!("unknown: `{}`; see salved --help", other.join(" "))))
        }
    };
    done.map_or_else(fail, |()| ExitCode::SUCCESS)
}

fn fail(Failure(code, words): Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "salved: {words}");
    ExitCode::from(code)
}

fn run(config: &Config, file: Option<&Path>) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
    first_start(config)?;
    // Read again: which desks to dial may have come with the first start.
    let config = config::load(file).map_err(|error| Failure::of(exit::USAGE, &error))?;
    keeper::driver::daemon(&config, &mut |_| {}).map_err(|error| Failure::of(exit::BROKEN, &error))
}

/// Joins where this is the first start of an image's copy.
fn first_start(config: &Config) -> Result<(), Failure> {
    let layout = Layout::new(&config.state);
    let waiting = enrol::first_start(&layout);
    let Some(token) = waiting.map_err(|error| Failure::of(exit::BROKEN, &error))? else {
        return Ok(());
    };
    let mut join = || {
        let host = enrol::host_name();
        enrol::enrol(&Wish { config, token: &token, now: now().wall, host })
    };
    #[expect(clippy::disallowed_methods, reason = "a pause before the network is asked again")]
    let mut again = |error: &enrol::EnrolError| {
        tracing::warn!("not joined yet: {}; asked again in {:?}", ErrorChain(error), enrol::AGAIN);
        std::thread::sleep(enrol::AGAIN);
    };
    let joined = enrol::join_at_first_start(&layout, &mut join, &mut again);
    joined.map_err(|error| Failure::of(exit::PERSON, &error))
}

fn prepare_image(config: &Config, token: &str, usual: bool) -> Result<(), Failure> {
    let token: Token<NamePatterns> =
        token.parse().map_err(|error| Failure::of(exit::USAGE, &error))?;
    let removed = enrol::prepare(&Layout::new(&config.state), &token)
        .map_err(|error| Failure::of(exit::PERSON, &error))?;
    for path in &removed {
        say(&format!("removed {}\n", path.display()));
    }
    if usual && enrol::has_systemd() {
        match spawn::enable_unit() {
            Ok(End::Exited(0)) => {}
            Ok(_) | Err(_) => say("Enable it: systemctl enable salved\n"),
        }
    }
    say(&format!(
        "This machine may become an image now; do not start salved here before. Each copy joins as \
         {} at its first start, under the name that it has then.\n",
        token.name
    ));
    Ok(())
}

fn enroll(config: &Config, token: &str, usual: bool) -> Result<(), Failure> {
    let token: Token<NamePatterns> =
        token.parse().map_err(|error| Failure::of(exit::USAGE, &error))?;
    let host = enrol::host_name();
    let wish = Wish { config, token: &token, now: now().wall, host };
    let name = enrol::enrol(&wish).map_err(|error| {
        let code = match &error {
            enrol::EnrolError::Already(_) => exit::PERSON,
            enrol::EnrolError::Unreached { .. } => exit::UNREACHED,
            enrol::EnrolError::Refused(_) | enrol::EnrolError::Untrusted(_) => exit::REFUSED,
            enrol::EnrolError::Held(_) => exit::PERSON,
            enrol::EnrolError::HostName { .. } => exit::USAGE,
            _ => exit::BROKEN,
        };
        Failure::of(code, &error)
    })?;
    say(&format!("{name} joined. Its keys were made here and never left.\n"));
    // Another configuration than the usual one is not the unit's.
    if usual && enrol::has_systemd() {
        match spawn::start_unit() {
            Ok(End::Exited(0)) => say("salved runs, now and after every start.\n"),
            Ok(_) | Err(_) => say("Start it: systemctl enable --now salved\n"),
        }
    } else {
        say("Run it in front: salved run (with the same --config, if one was given)\n");
    }
    Ok(())
}

fn answer(words: &[&str]) -> Result<(), Failure> {
    let [word @ ("yes" | "no")] = words else {
        return Err(Failure(exit::USAGE, "answer takes yes or no".into()));
    };
    let said = answer::answer(word).map_err(|error| Failure::of(exit::PERSON, &error))?;
    say(&format!("{said}\n"));
    Ok(())
}

fn leave(config: &Config, usual: bool) -> Result<(), Failure> {
    if usual && enrol::has_systemd() {
        // Where the unit cannot be stopped, the ledger's lock says that the daemon runs.
        let _ = spawn::stop_unit();
    }
    let left = enrol::leave(&Layout::new(&config.state), now().wall)
        .map_err(|error| Failure::of(exit::PERSON, &error))?;
    say(&format!(
        "{} has left. Records: {}, the last one {}. Its keys are gone; its account lies in {}\n",
        left.name,
        left.head.counter,
        left.head.hash,
        left.archive.display(),
    ));
    Ok(())
}

fn examine(config: &Config, peer: Option<&str>) -> Result<(), Failure> {
    let peer = peer.map(|text| match text.parse::<Token<NamePatterns>>() {
        Ok(token) => Peer { address: token.desk, key: Some(token.desk_key) },
        Err(_) => Peer { address: text.to_owned(), key: None },
    });
    let found = doctor::doctor(config, peer.as_ref(), now().wall);
    for finding in &found {
        let mark = if finding.ok { "ok   " } else { "WRONG" };
        say(&format!("{mark} {:<11} {}\n", finding.what, finding.detail));
    }
    match found.last() {
        Some(last) if !last.ok => Err(Failure(exit::PERSON, format!("next: {}", last.next))),
        _ => Ok(()),
    }
}
