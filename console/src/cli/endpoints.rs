//! `salve endpoints`: list, find, show, withdraw, set; joining is in `enroll`.

use clap::{Args, Subcommand};
use desk::books::Books;
use desk::inventory::{RunFilter, find_endpoint};
use protocol::documents::Card;
use protocol::{EndpointName, Envelope, Time};
use serde::Serialize;
use store::{EndpointRow, EndpointState};

use crate::cli::enroll::{EnrollArgs, ReplaceArgs, enroll, held, replace, tokens};
use crate::cli::signers::Signers;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Table, ago, endpoints as view, safe};

/// `salve endpoints`
#[derive(Debug, Args)]
pub struct EndpointsArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Prints one line to paste on a machine, or on many, and waits until it has joined
    Enroll(EnrollArgs),
    /// Lines to paste at the shared desk: for whom, how many have joined, until when
    Tokens {
        /// Makes one void
        #[arg(long, value_name = "ID")]
        withdraw: Option<String>,
    },
    /// Machines that came under a name that is taken
    Held {
        /// Forgets one
        #[arg(long, value_name = "NAME")]
        forget: Option<EndpointName>,
    },
    /// A machine was set up anew: withdraws its old card and prints a line with its labels and owner
    Replace(ReplaceArgs),
    /// Machines by name
    List,
    /// Machines of a person, or by a part of their name
    Find {
        /// As in meyer
        words: String,
    },
    /// One machine with its card
    Show {
        /// Its name
        name: String,
    },
    /// Withdraws a machine: its card is denied, its name is free again, its records stay
    Withdraw {
        /// Its name
        name: EndpointName,
        /// Who signs it.
        #[command(flatten)]
        signers: Signers,
    },
    /// Changes what the desk knows of a machine
    Set {
        /// Its name
        name: String,
        /// Where it can be dialled
        #[arg(long, value_name = "HOST:PORT")]
        at: Option<String>,
        /// Whose machine it is
        #[arg(long, value_name = "PERSON")]
        owner: Option<String>,
    },
}

/// Runs `salve endpoints ...`.
///
/// # Errors
/// What the subcommand says.
pub async fn run(ctx: &Ctx, args: EndpointsArgs) -> Result<Exit, Failure> {
    match args.what {
        What::Enroll(args) => enroll(ctx, args).await,
        What::Tokens { withdraw } => tokens(ctx, withdraw.as_deref()),
        What::Held { forget } => held(ctx, forget.as_ref()),
        What::Replace(args) => replace(ctx, args).await,
        What::List => list(ctx),
        What::Find { words } => find(ctx, &words),
        What::Show { name } => show(ctx, &name),
        What::Withdraw { name, signers } => withdraw(ctx, &name, &signers),
        What::Set { name, at, owner } => set(ctx, &name, at.as_deref(), owner.as_deref()),
    }
}

fn active(ctx: &Ctx) -> Result<Vec<EndpointRow>, Failure> {
    let rows = ctx.desk()?.store.endpoints()?;
    Ok(rows.into_iter().filter(|row| row.state == EndpointState::Active).collect())
}

fn list(ctx: &Ctx) -> Result<Exit, Failure> {
    let rows = active(ctx)?;
    let now = ctx.now();
    ctx.show(&rows, |rows| {
        if rows.is_empty() {
            return "No endpoint has joined yet:  salve endpoints enroll NAME".to_owned();
        }
        table(rows, now)
    })?;
    Ok(Exit::Fine)
}

fn table(rows: &[EndpointRow], now: Time) -> String {
    let mut table = Table::new(["NAME", "PERSON", "SEEN", "ADDRESS", "LABELS"]);
    for row in rows {
        let labels: Vec<String> = row.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        table.row([
            row.name.as_str(),
            row.person.as_deref().unwrap_or_default(),
            &row.last_seen.map(|seen| ago(seen, now)).unwrap_or_default(),
            row.address.as_deref().unwrap_or_default(),
            &labels.join(" "),
        ]);
    }
    table.render()
}

fn find(ctx: &Ctx, words: &str) -> Result<Exit, Failure> {
    let found = matching(active(ctx)?, words);
    if found.is_empty() {
        return Err(Failure::needs_person(format!("no endpoint of \"{words}\" is known")).next(
            "all of them:  salve endpoints list\nsay whose one is:  salve endpoints set \
                NAME --owner PERSON",
        ));
    }
    let now = ctx.now();
    if ctx.json {
        ctx.show(&found, |_| String::new())?;
        return Ok(Exit::Fine);
    }
    let store = ctx.desk()?.store;
    let with = |row: EndpointRow| Ok::<_, Failure>((health(&store, &row)?, row));
    let rows: Vec<_> = found.into_iter().map(with).collect::<Result<_, _>>()?;
    let rows: Vec<_> = rows.into_iter().map(|(health, row)| (row, health)).collect();
    ctx.say(view::found(&rows, now).trim_end());
    Ok(Exit::Fine)
}

/// What the last health check said whose record verified.
fn health(store: &Books, row: &EndpointRow) -> Result<Option<view::Health>, Failure> {
    let filter = RunFilter { endpoint: Some(row.id), limit: LOOK_BACK, ..RunFilter::default() };
    for run in store.runs(&filter)? {
        let looked = run.script.as_deref() == Some("health.check") && run.verified == Some(true);
        let (true, Some(outcome)) = (looked, run.outcome) else { continue };
        let record = store.run_record(run.id)?.and_then(|bytes| desk::verify::peek_record(&bytes));
        let summary = record.map(|(record, _)| record.predicate.summary).unwrap_or_default();
        return Ok(Some(view::Health { at: run.created, outcome, summary }));
    }
    Ok(None)
}

/// How many runs of a machine are looked through for its last health check.
const LOOK_BACK: usize = 50;

/// How alike a part of a name must be, hundredths.
const ALIKE_MIN: f64 = 0.75;

/// Endpoints whose person, name or host has a part like `words`; whole parts before parts of parts,
/// parts before slips.
fn matching(rows: Vec<EndpointRow>, words: &str) -> Vec<EndpointRow> {
    let wanted = words.to_lowercase();
    let rank = |row: &EndpointRow| -> Option<u32> {
        let texts = [Some(row.name.as_str()), row.person.as_deref(), row.host.as_deref()];
        let of = |text: &str| {
            let text = text.to_lowercase();
            let mut parts = text.split(['.', '-', '_', '@', ' ']);
            if text == wanted || parts.clone().any(|part| part == wanted) {
                return Some(0);
            }
            if text.contains(&wanted) {
                return Some(1);
            }
            let alike = |part: &str| strsim::normalized_damerau_levenshtein(part, &wanted);
            (wanted.len() > 3 && parts.any(|part| alike(part) >= ALIKE_MIN)).then_some(2)
        };
        texts.into_iter().flatten().filter_map(of).min()
    };
    let mut found: Vec<(u32, EndpointRow)> =
        rows.into_iter().filter_map(|row| rank(&row).map(|rank| (rank, row))).collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, row)| row).collect()
}

#[derive(Debug, Serialize)]
struct Shown {
    endpoint: EndpointRow,
    card: Option<Card>,
    /// What had its name before, the newest first.
    before: Vec<Before>,
}

#[derive(Debug, Serialize)]
struct Before {
    id: protocol::EndpointId,
    joined: Time,
}

fn show(ctx: &Ctx, name: &str) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let endpoint = find_endpoint(&desk.store, name)?;
    // Shown to people only; whoever relies on a card opens its seal.
    let card = Envelope::read(&endpoint.card)
        .ok()
        .and_then(|envelope| trust::seal::peek::<Card>(&envelope).ok());
    let now = ctx.now();
    let all = desk.store.endpoints_named(endpoint.name.clone())?;
    let before = all.into_iter().filter(|row| row.id != endpoint.id);
    let before = before.map(|row| Before { id: row.id, joined: row.enrolled }).collect();
    ctx.show(&Shown { endpoint, card, before }, |shown| show_words(shown, now))?;
    Ok(Exit::Fine)
}

fn show_words(shown: &Shown, now: Time) -> String {
    let row = &shown.endpoint;
    let text = |value: Option<&str>| value.map_or_else(|| "-".to_owned(), safe);
    let labels: Vec<String> = row.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let seen = row.last_seen.map_or_else(|| "never".to_owned(), |seen| ago(seen, now));
    let mut lines = vec![
        format!("{} ({})", row.name, row.id),
        format!("  Person     {}", text(row.person.as_deref())),
        format!("  Address    {}", text(row.address.as_deref())),
        format!("  Host       {} ({})", text(row.host.as_deref()), text(row.platform.as_deref())),
        format!(
            "  Labels     {}",
            if labels.is_empty() { "-".to_owned() } else { labels.join(" ") }
        ),
        format!("  Joined     {}", row.enrolled),
        format!("  Seen       {seen}"),
    ];
    if let Some(daemon) = &row.daemon {
        lines.push(format!("  Daemon     salved {}", safe(daemon)));
    }
    if let Some(head) = &row.head {
        lines.push(format!("  Records    {} in epoch {}", head.counter, head.epoch.short()));
    }
    lines.extend(shown.before.iter().map(|before| {
        format!("  Before     {} since {}; its runs stay", before.id, before.joined)
    }));
    if let Some(card) = &shown.card {
        lines.push(format!("  Card       {} until {}", card.serial, card.not_after));
        lines.push(format!("  Record key {}", card.record_key));
    }
    lines.join("\n")
}

fn withdraw(ctx: &Ctx, name: &EndpointName, signers: &Signers) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    // The whole name: a beginning of it must not withdraw another machine.
    let row = desk.store.endpoint_named(name.clone())?.ok_or_else(|| {
        Failure::usage(format!("there is no endpoint `{name}`")).next("salve endpoints list")
    })?;
    let admins = signers.admins(ctx, &desk)?;
    desk.withdraw_endpoint(&row, &admins, ctx.now())?;
    ctx.show(&serde_json::json!({ "withdrawn": name, "id": row.id }), |_| {
        format!(
            "{name} is withdrawn: nobody here accepts its card any more. Its records stay.\n  \
             Again  salve endpoints enroll {name}   (on the machine: remove /var/lib/salve first)"
        )
    })?;
    Ok(Exit::Fine)
}

fn set(ctx: &Ctx, name: &str, at: Option<&str>, owner: Option<&str>) -> Result<Exit, Failure> {
    if at.is_none() && owner.is_none() {
        return Err(Failure::usage("nothing to set").next(
            "salve endpoints set NAME --at HOST:PORT\nsalve endpoints set NAME --owner PERSON",
        ));
    }
    let desk = ctx.desk()?;
    let row = find_endpoint(&desk.store, name)?;
    if let Some(at) = at {
        let port = at.rsplit_once(':').and_then(|(host, port)| {
            port.parse::<u16>().ok().filter(|port| *port != 0 && !host.is_empty())
        });
        if port.is_none() {
            return Err(Failure::usage(format!("`{at}` is not HOST:PORT")));
        }
        desk.store.set_address(row.id, at.to_owned())?;
    }
    if let Some(owner) = owner {
        desk.store.set_person(row.id, owner.to_owned())?;
    }
    show(ctx, row.name.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(name: &str, person: Option<&str>) -> EndpointRow {
        EndpointRow {
            id: protocol::EndpointId([7; 16]),
            name: name.parse().unwrap(),
            card: Vec::new(),
            address: Some("192.0.2.7:7433".to_owned()),
            person: person.map(str::to_owned),
            labels: BTreeMap::from([("group".parse().unwrap(), "office".parse().unwrap())]),
            host: Some("LAPTOP\u{1b}".to_owned()),
            platform: Some("linux".to_owned()),
            enrolled: Time(1_795_000_000),
            last_seen: None,
            versions: None,
            head: None,
            daemon: None,
            state: EndpointState::Active,
        }
    }

    #[test]
    fn callers_are_found_by_their_name_and_by_a_slip_of_it() {
        let rows = || {
            vec![
                row("lt-2093", Some("jo.meyer")),
                row("lt-4411", Some("a.kaya")),
                row("pc-1", None),
            ]
        };
        let names = |words: &str| -> Vec<String> {
            matching(rows(), words).iter().map(|row| row.name.to_string()).collect()
        };
        assert_eq!(names("meyer"), ["lt-2093"]);
        assert_eq!(names("Meier"), ["lt-2093"]);
        assert_eq!(names("mayer"), ["lt-2093"]);
        assert_eq!(names("lt"), ["lt-2093", "lt-4411"]);
        assert_eq!(names("4411"), ["lt-4411"]);
        assert_eq!(names("nobody"), Vec::<String>::new());
    }

    #[test]
    fn lists_and_pages_read_as_promised() {
        let rows = [row("lt-4411", Some("jo.meyer")), row("pc-1", None)];
        assert_eq!(
            table(&rows, Time(1_795_000_100)),
            "NAME     PERSON    SEEN  ADDRESS         LABELS\n\
             lt-4411  jo.meyer  -     192.0.2.7:7433  group=office\n\
             pc-1     -         -     192.0.2.7:7433  group=office\n"
        );
        let [first, _] = rows;
        assert_eq!(
            show_words(
                &Shown { endpoint: first, card: None, before: Vec::new() },
                Time(1_795_000_100)
            ),
            "lt-4411 (0w1r1rf1ps70z3r3gf0w7r71ry)\n\
             \x20 Person     jo.meyer\n\
             \x20 Address    192.0.2.7:7433\n\
             \x20 Host       LAPTOP\\u{1b} (linux)\n\
             \x20 Labels     group=office\n\
             \x20 Joined     2026-11-18T12:26:40Z\n\
             \x20 Seen       never"
                .replace("0w1r1rf1ps70z3r3gf0w7r71ry", &protocol::EndpointId([7; 16]).to_string())
                .replace("2026-11-18T12:26:40Z", &Time(1_795_000_000).to_string())
        );
    }
}
