//! `salve endpoints`: enroll, list, find, show, set.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, Subcommand};
use desk::books::Books;
use desk::catalogue;
use desk::enrol::{Door, ENROL_PORT, EndpointGuest, Joined, Place, Turned};
use desk::inventory::{RunFilter, find_endpoint};
use desk::org::renew_certificates;
use protocol::documents::Card;
use protocol::{EndpointName, Envelope, Label, Time};
use serde::Serialize;
use store::{EndpointRow, EndpointState};

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
    /// Prints one line to paste on a machine, and waits until it has joined
    Enroll(EnrollArgs),
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

/// Where a console waits for somebody.
#[derive(Debug, Clone, Args)]
pub struct Waiting {
    /// Where to wait (UDP) [all addresses, port 7434]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// The name or address by which the other side reaches this machine
    #[arg(long, value_name = "HOST")]
    pub reach: Option<String>,
}

impl Waiting {
    /// The address to listen on.
    #[must_use]
    pub fn listen(&self) -> String {
        self.listen.clone().unwrap_or_else(|| format!("0.0.0.0:{ENROL_PORT}"))
    }
}

/// `salve endpoints enroll`
#[derive(Debug, Args)]
pub struct EnrollArgs {
    /// The name the machine will have, as in lt-4411
    pub name: EndpointName,
    /// Where to wait.
    #[command(flatten)]
    pub waiting: Waiting,
    /// A label on its card; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(Label, Label)>,
    /// Whose machine it is, as in jo.meyer
    #[arg(long, value_name = "PERSON")]
    pub owner: Option<String>,
}

fn label(text: &str) -> Result<(Label, Label), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, as in group=office")?;
    let read = |part: &str| part.parse::<Label>().map_err(|e| e.to_string());
    Ok((read(key)?, read(value)?))
}

/// Runs `salve endpoints ...`.
///
/// # Errors
/// What the subcommand says.
pub async fn run(ctx: &Ctx, args: EndpointsArgs) -> Result<Exit, Failure> {
    match args.what {
        What::Enroll(args) => enroll(ctx, args).await,
        What::List => list(ctx),
        What::Find { words } => find(ctx, &words),
        What::Show { name } => show(ctx, &name),
        What::Withdraw { name, signers } => withdraw(ctx, &name, &signers),
        What::Set { name, at, owner } => set(ctx, &name, at.as_deref(), owner.as_deref()),
    }
}

async fn enroll(ctx: &Ctx, args: EnrollArgs) -> Result<Exit, Failure> {
    let desk = Arc::new(ctx.desk()?);
    // Whoever joins must find a catalogue and a desk that are fresh.
    catalogue::renew_if_old(&desk.home, ctx.now())?;
    renew_certificates(&desk.home, &desk.organisation.me, ctx.now())?;
    let name = args.name.clone();
    let labels: BTreeMap<Label, Label> = args.labels.into_iter().collect();
    let guest = EndpointGuest { name: args.name, labels, person: args.owner };
    let listen = args.waiting.listen();
    let place = Place { listen: &listen, reach: args.waiting.reach.as_deref() };
    let mut door = Door::for_endpoint(desk, place, guest, ctx.now)?;
    if ctx.json {
        ctx.json(&serde_json::json!({ "name": name, "token": door.token() }))?;
    } else {
        ctx.note(format!(
            "Paste this line on {name} within 15 minutes; waiting at {}:",
            door.reach()
        ));
        ctx.say(format!("sudo salved enroll {}", door.token()));
    }
    let joined = wait(ctx, &mut door, name.as_str()).await?;
    let Joined::Endpoint { address, host, .. } = joined else {
        return Err(Failure::broken("somebody else joined"));
    };
    if ctx.json {
        let joined = serde_json::json!({ "joined": name, "address": address, "host": host });
        ctx.json(&joined)?;
    } else {
        ctx.say(joined_words(&name, address.as_deref(), &host));
    }
    Ok(Exit::Fine)
}

fn joined_words(name: &EndpointName, address: Option<&str>, host: &str) -> String {
    let at = address.map_or_else(String::new, |address| format!(" at {address}"));
    format!(
        "{name} joined{at}; it calls itself {}.\n  Next   salve check health.check --on {name}",
        safe(host)
    )
}

/// Waits at a door until somebody joined; ^C closes it.
///
/// # Errors
/// Nobody came, or the person at the keyboard stopped.
pub async fn wait(ctx: &Ctx, door: &mut Door, name: &str) -> Result<Joined, Failure> {
    let mut hear = |turned: &Turned| ctx.note(turned_words(turned));
    tokio::select! {
        joined = door.wait(&mut hear) => Ok(joined?),
        _ = tokio::signal::ctrl_c() => {
            door.close();
            Err(Failure::needs_person(format!("stopped: {name} has not joined, and the line is \
                void"))
                .next("run the command again for a new line"))
        }
    }
}

fn turned_words(turned: &Turned) -> String {
    let who = turned.address.ip();
    match &turned.ours {
        Some(ours) => format!("note: {who} came and could not be answered: {ours}"),
        None => format!("note: {who} was turned away: {}", turned.stop),
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
}

fn show(ctx: &Ctx, name: &str) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let endpoint = find_endpoint(&desk.store, name)?;
    // Shown to people only; whoever relies on a card opens its seal.
    let card = Envelope::read(&endpoint.card)
        .ok()
        .and_then(|envelope| trust::seal::peek::<Card>(&envelope).ok());
    let now = ctx.now();
    ctx.show(&Shown { endpoint, card }, |shown| show_words(shown, now))?;
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
            show_words(&Shown { endpoint: first, card: None }, Time(1_795_000_100)),
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
        assert_eq!(
            joined_words(&"lt-4411".parse().unwrap(), Some("192.0.2.7:7433"), "x\n"),
            "lt-4411 joined at 192.0.2.7:7433; it calls itself x\\u{a}.\n\
             \x20 Next   salve check health.check --on lt-4411"
        );
    }

    #[test]
    fn labels_are_written_key_equals_value() {
        assert!(label("group=office").is_ok());
        for bad in ["group", "=x", "group=", "a b=c", "a=b=c/"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }
}
