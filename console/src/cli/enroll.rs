//! `salve endpoints enroll` and what goes with it: lines to paste, at a door of this console's own or
//! for the shared desk; who has them, who came under a taken name, machines that were set up anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use desk::catalogue;
use desk::enrol::{Door, ENROL_PORT, EndpointGuest, Joined, NewWave, Place, Turned, WaveToken};
use desk::org::{Desk, renew_certificates};
use protocol::{EndpointName, Label, NamePatterns, Time, limits};
use serde::Serialize;
use store::{EndpointRow, EndpointState, TokenRow};

use crate::cli::signers::Signers;
use crate::cli::typed::{address, label, seconds};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Table, ago, safe};

/// From one look whether the machine has joined to the next.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Life of a line for many machines where none is given, seconds.
const WAVE_SECONDS: u64 = 7 * 86_400;

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
    #[arg(required_unless_present = "names")]
    pub name: Option<EndpointName>,
    /// One line for many machines, each under the name that it calls itself, as in 'lt-*,pc-*'
    #[arg(long, value_name = "PATTERNS", conflicts_with = "name")]
    pub names: Option<NamePatterns>,
    /// For how many machines the line is
    #[arg(long, value_name = "N", default_value_t = 1, requires = "names")]
    pub count: u64,
    /// How long the line counts, as in 30m, 8h, 7d [15m; 7d with --names]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub expires: Option<u64>,
    /// Where machines find the shared desk [where this home finds it]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub desk: Option<String>,
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

/// `salve endpoints replace`
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    /// Its name
    pub name: EndpointName,
    /// Where machines find the shared desk [where this home finds it]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub desk: Option<String>,
    /// Where to wait.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Who signs it.
    #[command(flatten)]
    pub signers: Signers,
}

/// What a line lets in, whoever admits it.
struct Line {
    names: NamePatterns,
    labels: BTreeMap<Label, Label>,
    person: Option<String>,
    count: u64,
    expires: Option<u64>,
    desk: Option<String>,
    waiting: Waiting,
}

/// `salve endpoints enroll`.
///
/// # Errors
/// What the command says.
pub async fn enroll(ctx: &Ctx, args: EnrollArgs) -> Result<Exit, Failure> {
    let names = args.names.or_else(|| args.name.map(NamePatterns::from));
    let names = names.ok_or_else(|| Failure::usage("say which machine").next("--help"))?;
    let line = Line {
        names,
        labels: args.labels.into_iter().collect(),
        person: args.owner,
        count: args.count,
        expires: args.expires,
        desk: args.desk,
        waiting: args.waiting,
    };
    join(ctx, ctx.desk()?, line).await
}

async fn join(ctx: &Ctx, desk: Desk, line: Line) -> Result<Exit, Failure> {
    let shared = desk.store.line().is_some() || line.desk.is_some();
    match line.names.exact() {
        Some(name) if !shared => at_own_door(ctx, desk, name, line).await,
        None if !shared => Err(Failure::usage("a line for many machines needs a shared desk")
            .next(
                "say where machines find it:  --desk HOST:PORT   (salve serve)\n\
             or one by one:  salve endpoints enroll NAME",
            )),
        _ => at_desk(ctx, desk, line).await,
    }
}

async fn at_desk(ctx: &Ctx, desk: Desk, line: Line) -> Result<Exit, Failure> {
    let exact = line.names.exact();
    let usual = if exact.is_some() { limits::ENROL_TOKEN_SECONDS } else { WAVE_SECONDS };
    let wave = NewWave {
        names: line.names,
        labels: line.labels,
        person: line.person,
        count: line.count,
        seconds: line.expires.unwrap_or(usual),
        desk: line.desk,
    };
    let token = wave.make(&desk, ctx.now())?;
    if ctx.json {
        ctx.json(&serde_json::json!({
            "names": wave.names, "token": token.text, "id": token.secret.short(),
            "count": wave.count, "expires": token.expires,
        }))?;
    } else {
        let (until, at) = (token.expires, safe(&token.desk));
        ctx.note(match &exact {
            Some(name) => format!("Paste this line on {name} until {until}; the desk is at {at}:"),
            None => format!(
                "Paste this line on up to {} machines named {} until {until}; the desk is at {at}:",
                wave.count, wave.names
            ),
        });
        ctx.say(format!("sudo salved enroll {}", token.text));
    }
    let Some(name) = exact else {
        ctx.note(format!(
            "Who has joined:  salve endpoints tokens      Void:  salve endpoints tokens \
             --withdraw {}",
            token.secret.short()
        ));
        return Ok(Exit::Fine);
    };
    let row = joined_at_desk(ctx, &desk, &token, &name).await?;
    told(ctx, &name, row.address.as_deref(), row.host.as_deref().unwrap_or_default())
}

/// Waits until the desk has admitted it; ^C makes the line void.
async fn joined_at_desk(
    ctx: &Ctx,
    desk: &Desk,
    token: &WaveToken,
    name: &EndpointName,
) -> Result<EndpointRow, Failure> {
    loop {
        if let Some(row) = desk.store.endpoint_named(name.clone())? {
            return Ok(row);
        }
        if ctx.now() >= token.expires {
            let sentence = format!("{name} has not joined, and the line has expired");
            return Err(
                Failure::needs_person(sentence).next("run the command again for a new line")
            );
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = tokio::signal::ctrl_c() => {
                desk.store.void_token(token.secret, ctx.now())?;
                let sentence = format!("stopped: {name} has not joined, and the line is void");
                return Err(Failure::needs_person(sentence)
                    .next("run the command again for a new line"));
            }
        }
    }
}

async fn at_own_door(
    ctx: &Ctx,
    desk: Desk,
    name: EndpointName,
    line: Line,
) -> Result<Exit, Failure> {
    if line.expires.is_some() {
        return Err(Failure::usage("this console waits 15 minutes, no longer")
            .next("leave out --expires, or name the shared desk:  --desk HOST:PORT"));
    }
    let desk = Arc::new(desk);
    // Whoever joins must find a catalogue and a desk that are fresh.
    catalogue::renew_if_old(&desk.home, ctx.now())?;
    renew_certificates(&desk.home, &desk.organisation.me, ctx.now())?;
    let guest = EndpointGuest { name: name.clone(), labels: line.labels, person: line.person };
    let listen = line.waiting.listen();
    let place = Place { listen: &listen, reach: line.waiting.reach.as_deref() };
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
    told(ctx, &name, address.as_deref(), &host)
}

fn told(
    ctx: &Ctx,
    name: &EndpointName,
    address: Option<&str>,
    host: &str,
) -> Result<Exit, Failure> {
    let joined = serde_json::json!({ "joined": name, "address": address, "host": host });
    ctx.show(&joined, |_| joined_words(name, address, host))?;
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

/// `salve endpoints replace`: the card of the machine as it was is denied, its runs stay under its old
/// id, and what joins next under its name has its labels and its owner.
///
/// # Errors
/// What the command says.
pub async fn replace(ctx: &Ctx, args: ReplaceArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let row = desk.store.endpoint_named(args.name.clone())?;
    let old = desk.store.endpoints_named(args.name.clone())?;
    let row = match row {
        Some(row) => {
            let admins = args.signers.admins(ctx, &desk)?;
            desk.withdraw_endpoint(&row, &admins, ctx.now())?;
            row
        }
        // One that was cut off goes on where it stopped: the old card is denied already.
        None => old.into_iter().next().ok_or_else(|| {
            Failure::usage(format!("there is no endpoint `{}`", args.name))
                .next("salve endpoints list")
        })?,
    };
    desk.store.set_endpoint_state(row.id, EndpointState::Replaced)?;
    if !ctx.json {
        ctx.note(format!(
            "The card of {} as it was ({}) counts no more; its runs stay.",
            row.name,
            row.id.short()
        ));
    }
    let line = Line {
        names: row.name.into(),
        labels: row.labels,
        person: row.person,
        count: 1,
        expires: None,
        desk: args.desk,
        waiting: args.waiting,
    };
    join(ctx, desk, line).await
}

/// `salve endpoints tokens`.
///
/// # Errors
/// What the command says.
pub fn tokens(ctx: &Ctx, withdraw: Option<&str>) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let mut rows = desk.store.tokens()?;
    rows.retain(|row| row.enrolment.is_some());
    if let Some(typed) = withdraw {
        let found: Vec<_> = rows
            .iter()
            .filter(|row| typed.len() >= 4 && row.secret.to_string().starts_with(typed))
            .collect();
        let [row] = found.as_slice() else {
            return Err(Failure::usage(format!("no line, or more than one, has the id `{typed}`"))
                .next("salve endpoints tokens"));
        };
        let void = desk.store.void_token(row.secret, ctx.now())?;
        ctx.show(&serde_json::json!({ "withdrawn": void }), |_| match void {
            true => "The line is void. Whoever has joined with it stays.".to_owned(),
            false => "The line was used up or void already.".to_owned(),
        })?;
        return Ok(Exit::Fine);
    }
    let shown: Vec<Shown> = rows.iter().map(|row| Shown::of(row, ctx.now())).collect();
    ctx.show(&shown, |rows| {
        if rows.is_empty() {
            return "No line was made for the shared desk:  salve endpoints enroll NAME".to_owned();
        }
        let mut table = Table::new(["ID", "NAMES", "JOINED", "UNTIL", "STATE", "LABELS"]);
        for row in rows {
            let joined = format!("{} of {}", row.joined, row.count);
            let until = row.expires.to_string();
            let labels: Vec<String> = row.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let labels = labels.join(" ");
            table.row([&row.id, &safe(&row.names), &joined, &until, row.state, &labels]);
        }
        table.render()
    })?;
    Ok(Exit::Fine)
}

/// A line as it is shown: never its secret.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    names: String,
    joined: u64,
    count: u64,
    made: Time,
    expires: Time,
    state: &'static str,
    labels: BTreeMap<Label, Label>,
    owner: Option<String>,
}

impl Shown {
    fn of(row: &TokenRow, now: Time) -> Self {
        let enrolment = row.enrolment.clone();
        let (joined, count) = enrolment.as_ref().map_or((0, 0), |e| (e.taken, e.places));
        let state = match row.used {
            Some(_) if joined >= count => "used up",
            Some(_) => "void",
            None if row.expires <= now => "expired",
            None => "open",
        };
        Self {
            id: row.secret.short(),
            names: row.name.clone(),
            joined,
            count,
            made: row.made,
            expires: row.expires,
            state,
            owner: enrolment.as_ref().and_then(|e| e.person.clone()),
            labels: enrolment.map(|e| e.labels).unwrap_or_default(),
        }
    }
}

/// `salve endpoints held`.
///
/// # Errors
/// What the command says.
pub fn held(ctx: &Ctx, forget: Option<&EndpointName>) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    if let Some(name) = forget {
        if !desk.store.forget_held(name.clone())? {
            return Err(Failure::usage(format!("nothing is held under `{name}`"))
                .next("salve endpoints held"));
        }
        ctx.show(&serde_json::json!({ "forgotten": name }), |_| format!("{name}: forgotten."))?;
        return Ok(Exit::Fine);
    }
    let rows = desk.store.held()?;
    let now = ctx.now();
    ctx.show(&rows, |rows| {
        if rows.is_empty() {
            return "No machine came under a name that is taken.".to_owned();
        }
        let mut table = Table::new(["NAME", "CALLS ITSELF", "FROM", "CAME"]);
        for row in rows {
            let (host, from) = (safe(&row.host), safe(&row.address));
            table.row([row.name.as_str(), &host, &from, &ago(row.at, now)]);
        }
        format!(
            "{}The same machine, set up anew:  salve endpoints replace NAME\n\
             Another one: give it a name of its own, and paste the line there again.\n\
             Nobody's:  salve endpoints held --forget NAME",
            table.render()
        )
    })?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joined_is_told_with_the_next_step() {
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
