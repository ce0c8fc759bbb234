//! `salve endpoints`: list, find, show, withdraw, set; joining is in `enroll`.

use clap::{Args, Subcommand};
use desk::books::Books;
use desk::inventory::{ListFilter, Listed, find_endpoint};
use protocol::documents::Card;
use protocol::{EndpointName, Envelope, Time};
use serde::Serialize;
use store::EndpointRow;

use crate::cli::enroll::{EnrollArgs, ReplaceArgs, enroll, held, replace, tokens};
use crate::cli::signers::Signers;
use crate::cli::{facts, typed};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{ago, endpoints as view, safe};

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
    /// Machines by name, who is here now
    List {
        /// Only those that were not seen for so many days [30]
        #[arg(long, value_name = "DAYS", num_args = 0..=1, default_missing_value = "30")]
        stale: Option<u32>,
    },
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
    /// What a machine last said of itself: system, disks, services, packages, who is signed in
    Facts {
        /// Its name
        name: String,
        /// Every package
        #[arg(long)]
        packages: bool,
    },
    /// Asks machines for their facts: those named, or all that can be asked now
    Refresh {
        /// Their names
        names: Vec<String>,
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
        What::List { stale } => list(ctx, stale),
        What::Find { words } => find(ctx, &words),
        What::Show { name } => show(ctx, &name),
        What::Facts { name, packages } => facts::show(ctx, &name, packages),
        What::Refresh { names } => facts::refresh(ctx, &names).await,
        What::Withdraw { name, signers } => withdraw(ctx, &name, &signers),
        What::Set { name, at, owner } => set(ctx, &name, at.as_deref(), owner.as_deref()),
    }
}

fn list(ctx: &Ctx, stale: Option<u32>) -> Result<Exit, Failure> {
    let store = ctx.desk()?.store;
    let now = ctx.now();
    let since = stale.map(|days| Time(now.0.saturating_sub(u64::from(days) * DAY_SECONDS)));
    let rows = store.listed(since, now)?;
    ctx.show(&rows, |rows| match (rows.is_empty(), stale) {
        (true, None) => "No endpoint has joined yet:  salve endpoints enroll NAME".to_owned(),
        (true, Some(days)) => format!("Every endpoint was seen within {days} days."),
        (false, _) => view::listed(rows, desk_name(&store), now).trim_end().to_owned(),
    })?;
    Ok(Exit::Fine)
}

const DAY_SECONDS: u64 = 86_400;
/// Most that are found: whoever gets more says a longer word.
const FOUND_MAX: usize = 50;

/// The desk as its home names it, without the port.
fn desk_name(store: &Books) -> &str {
    let address = store.line().map_or("this desk", |line| line.desk());
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn find(ctx: &Ctx, words: &str) -> Result<Exit, Failure> {
    let store = ctx.desk()?.store;
    let now = ctx.now();
    let found = store.search_endpoints(words.to_owned(), FOUND_MAX, now)?;
    if found.is_empty() {
        return Err(Failure::needs_person(format!("no endpoint of \"{words}\" is known")).next(
            "all of them:  salve endpoints list\nsay whose one is:  salve endpoints set \
                NAME --owner PERSON",
        ));
    }
    ctx.show(&found, |rows| view::found(rows, desk_name(&store), now).trim_end().to_owned())?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct Shown {
    endpoint: EndpointRow,
    /// Whether it is here, how, and how it was.
    line: Option<Listed>,
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
    let (prefix, limit) = (Some(endpoint.name.to_string()), 1);
    let filter = ListFilter { prefix, limit, ..ListFilter::default() };
    let mut listed = desk.store.listed_page(filter, now)?.into_iter();
    let line = listed.find(|line| line.id == endpoint.id);
    let shown = Shown { endpoint, line, card, before };
    ctx.show(&shown, |shown| show_words(shown, desk_name(&desk.store), now))?;
    Ok(Exit::Fine)
}

fn show_words(shown: &Shown, desk: &str, now: Time) -> String {
    let row = &shown.endpoint;
    let text = |value: Option<&str>| value.map_or_else(|| "-".to_owned(), safe);
    let labels: Vec<String> = row.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let seen = match &shown.line {
        Some(line) => view::seen(line, now),
        None => row.last_seen.map_or_else(|| "never".to_owned(), |seen| ago(seen, now)),
    };
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
    if let Some(line) = &shown.line {
        lines.push(format!("  Path       {}", text(view::path(line, desk).as_deref())));
        lines.push(format!("  Health     {}", safe(&view::health(line.health.as_ref(), now))));
    }
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
        if typed::address(at).is_err() {
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

    use store::EndpointState;

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
    fn lists_and_pages_read_as_promised() {
        let first = row("lt-4411", Some("jo.meyer"));
        assert_eq!(
            show_words(
                &Shown { endpoint: first, line: None, card: None, before: Vec::new() },
                "desk-1",
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
