//! `salve agents`: who may sign orders, and how a colleague joins.

use std::sync::Arc;

use clap::{Args, Subcommand};
use desk::catalogue;
use desk::enrol::{AgentGuest, Door, Place};
use desk::inventory::AgentSeen;
use desk::org::renew_certificates;
use policy::{Person, Policy};
use protocol::{AgentName, Label, Time};
use serde::Serialize;

use crate::cli::enroll::{Waiting, wait};
use crate::cli::signers::Signers;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{Table, ago};

/// `salve agents`
#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum What {
    /// People of the signed policy and what they may be
    List,
    /// Withdraws a person: nothing that they sign counts any more
    Withdraw {
        /// The name in orders
        name: AgentName,
        /// Who signs it.
        #[command(flatten)]
        signers: Signers,
    },
    /// Prints one line for a colleague, waits, and signs a policy with their keys; for one who has
    /// joined, renews certificate and catalogue
    Invite {
        /// The colleague's name in orders, as in m.ruiz
        name: AgentName,
        /// Where to wait.
        #[command(flatten)]
        waiting: Waiting,
        /// What rules call the person; may be repeated [agent]
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<Label>,
        /// Who signs it.
        #[command(flatten)]
        signers: Signers,
    },
}

/// Runs `salve agents ...`.
///
/// # Errors
/// What the subcommand says.
pub async fn run(ctx: &Ctx, args: AgentsArgs) -> Result<Exit, Failure> {
    match args.what {
        What::List => list(ctx),
        What::Withdraw { name, signers } => withdraw(ctx, &name, &signers),
        What::Invite { name, waiting, roles, signers } => {
            invite(ctx, name, &waiting, roles, &signers).await
        }
    }
}

#[derive(Debug, Serialize)]
struct Line {
    name: AgentName,
    roles: Vec<Label>,
    joined: bool,
    vets: bool,
    administers: bool,
    state: &'static str,
    me: bool,
    /// When the desk last had a console of theirs.
    last_seen: Option<Time>,
    /// Whether one is there at this moment.
    here: bool,
}

fn line(policy: &Policy, person: &Person, me: &AgentName, seen: &[AgentSeen], now: Time) -> Line {
    let seen = seen.iter().find(|seen| seen.name == person.name);
    Line {
        name: person.name.clone(),
        roles: person.roles.clone(),
        joined: person.signing_key.is_some(),
        vets: person.vetter_key.is_some(),
        administers: person.admin_key.is_some(),
        state: match person.signing_key {
            _ if policy.is_withdrawn(person, now) => "withdrawn",
            Some(_) => "may sign orders",
            None => "has not joined",
        },
        me: person.name == *me,
        last_seen: seen.map(|seen| seen.seen),
        here: person.name == *me || seen.is_some_and(|seen| seen.here),
    }
}

fn list(ctx: &Ctx) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let policy = catalogue::policy(&desk.home, ctx.now())?;
    let me = &desk.organisation.me;
    let people = policy.file().people.iter();
    let now = ctx.now();
    let seen = desk.store.agents_seen(now)?;
    let lines: Vec<Line> = people.map(|person| line(&policy, person, me, &seen, now)).collect();
    ctx.show(&lines, |lines| words(lines, now))?;
    Ok(Exit::Fine)
}

fn words(lines: &[Line], now: Time) -> String {
    let mut table = Table::new(["NAME", "ROLES", "KEYS", "SEEN", "STATE"]);
    for line in lines {
        let roles: Vec<&str> = line.roles.iter().map(Label::as_str).collect();
        let mut keys = Vec::new();
        keys.extend(line.joined.then_some("agent"));
        keys.extend(line.vets.then_some("vetter"));
        keys.extend(line.administers.then_some("admin"));
        let name = if line.me { format!("{} (you)", line.name) } else { line.name.to_string() };
        let seen = match line.last_seen {
            _ if line.here => "now".to_owned(),
            Some(seen) => ago(seen, now),
            None => "never".to_owned(),
        };
        table.row([&name, &roles.join(" "), &keys.join(" "), &seen, line.state]);
    }
    table.render()
}

fn withdraw(ctx: &Ctx, name: &AgentName, signers: &Signers) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let admins = signers.admins(ctx, &desk)?;
    let policy = catalogue::policy(&desk.home, ctx.now())?;
    let signs = |p: &Person| p.vetter_key.is_some() || p.admin_key.is_some();
    let vets = policy.person(name).is_some_and(signs);
    desk.withdraw_agent(name, &admins, ctx.now())?;
    ctx.show(&serde_json::json!({ "withdrawn": name }), |_| withdrawn_words(name, vets))?;
    Ok(Exit::Fine)
}

async fn invite(
    ctx: &Ctx,
    name: AgentName,
    waiting: &Waiting,
    roles: Vec<Label>,
    signers: &Signers,
) -> Result<Exit, Failure> {
    let desk = Arc::new(ctx.desk()?);
    let me = desk.organisation.me.clone();
    catalogue::renew_if_old(&desk.home, ctx.now())?;
    renew_certificates(&desk.home, &me, ctx.now())?;
    let policy = catalogue::policy(&desk.home, ctx.now())?;
    let known = policy.person(&name).is_some_and(|person| person.signing_key.is_some());
    let admins = if known {
        ctx.note(format!(
            "{name} has joined: this renews certificate and catalogue for the same keys."
        ));
        Vec::new()
    } else {
        signers.admins(ctx, &desk)?
    };
    let roles = if roles.is_empty() { vec![agent_role()?] } else { roles };
    let guest = AgentGuest { name: name.clone(), roles, admins };
    let listen = waiting.listen();
    let place = Place { listen: &listen, reach: waiting.reach.as_deref() };
    let mut door = Door::for_agent(desk, place, guest, ctx.now)?;
    if ctx.json {
        ctx.json(&serde_json::json!({ "name": name, "token": door.token() }))?;
    } else {
        let at = door.reach();
        ctx.note(format!("Give {name} this line within 15 minutes; waiting at {at}:"));
        ctx.say(format!("salve join {}", door.token()));
    }
    wait(ctx, &mut door, name.as_str()).await?;
    if ctx.json {
        ctx.json(&serde_json::json!({ "joined": name }))?;
    } else {
        ctx.say(if known {
            format!(
                "{name} is renewed: certificate for 30 days, newest catalogue and address book."
            )
        } else {
            joined_words(&name)
        });
    }
    Ok(Exit::Fine)
}

fn withdrawn_words(name: &AgentName, vets: bool) -> String {
    let also = if vets {
        "\n  The vetter and admin keys stay listed, and this desk takes no signature by them: take its \
         keys/online\n  out of that person's reach too, then the keys alone publish nothing."
    } else {
        ""
    };
    format!(
        "{name} is withdrawn: no order signed by {name} counts from now on.\n  \
         Each endpoint learns of it with the next order or check that reaches it.{also}"
    )
}

fn joined_words(name: &AgentName) -> String {
    format!(
        "{name} joined and may sign orders; the keys were made there and never left.\n  \
             Endpoints learn of it with the next order that reaches them."
    )
}

fn agent_role() -> Result<Label, Failure> {
    "agent".parse().map_err(|e| Failure::broken("no role").because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_listed_with_what_they_hold() {
        let line = |name: &str, vets, me| Line {
            name: name.parse().unwrap(),
            roles: vec!["agent".parse().unwrap()],
            joined: name != "s.okafor",
            vets,
            administers: vets,
            state: if name == "s.okafor" { "has not joined" } else { "may sign orders" },
            me,
            last_seen: (name == "m.ruiz").then_some(Time(0)),
            here: me,
        };
        let lines = [
            line("a.kaya", true, true),
            line("m.ruiz", false, false),
            line("s.okafor", true, false),
        ];
        assert_eq!(
            words(&lines, Time(7200)),
            "NAME          ROLES  KEYS                SEEN     STATE\n\
             a.kaya (you)  agent  agent vetter admin  now      may sign orders\n\
             m.ruiz        agent  agent               2 h ago  may sign orders\n\
             s.okafor      agent  vetter admin        never    has not joined\n"
        );
    }
}
