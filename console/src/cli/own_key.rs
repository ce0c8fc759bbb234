//! `salve keys passphrase` and `salve keys ssh-agent`: where the key that signs your orders lies.

use clap::Args;
use desk::home::{Home, OwnKey, ssh_keys};
use protocol::{AgentName, PublicKey};
use serde::Serialize;
use trust::Signer as _;

use crate::cli::work::Work;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::of_ssh_agent;
use crate::view::safe;

/// `salve keys passphrase`
#[derive(Debug, Args)]
pub struct PassphraseArgs {
    /// Take the passphrase away: the key lies in clear again
    #[arg(long)]
    remove: bool,
}

/// `salve keys ssh-agent`
#[derive(Debug, Args)]
pub struct SshAgentArgs {
    /// The key, where the agent has several (`salve keys ssh-agent --list` shows them)
    #[arg(value_name = "KEY")]
    key: Option<PublicKey>,
    /// Show the keys that would do, and change nothing
    #[arg(long)]
    list: bool,
}

/// Where the own key lies now.
#[derive(Debug, Serialize)]
struct Lies {
    key: PublicKey,
    lies: &'static str,
}

/// Sets, changes or removes the passphrase of the key that signs your orders.
///
/// # Errors
/// It lies in an ssh-agent, or does not open.
pub fn passphrase(ctx: &Ctx, args: &PassphraseArgs) -> Result<Exit, Failure> {
    let home = ctx.home();
    let me = desk::home::Organisation::read(&home)?.me;
    let key = match home.own_key(&me)? {
        OwnKey::Clear(key) => key,
        OwnKey::Locked(_) => {
            let given = ctx.passphrase(&me, &format!("Passphrase of {me}'s signing key"))?;
            home.agent_signing_key(&me, Some(&given))?
        }
        OwnKey::SshAgent(_) => {
            return Err(Failure::usage(
                "your signing key lies in an ssh-agent, which keeps its own",
            )
            .next("change it where the key's file lies:  ssh-keygen -p -f FILE"));
        }
    };
    let new = match args.remove {
        true => None,
        false => Some(ctx.new_passphrase(&me, &format!("New passphrase of {me}'s signing key"))?),
    };
    home.keep_own_key(&me, &key, new.as_ref().map(|words| words.as_str()))?;
    let lies = if new.is_some() { "passphrase" } else { "clear" };
    ctx.show(&Lies { key: key.public_key(), lies }, |view| match view.lies {
        "passphrase" => {
            "Your signing key lies under the new passphrase.\n  Next     salve unlock --for 8h   \
                         asks for it once a day"
                .to_owned()
        }
        _ => "Your signing key lies in clear: whoever reads its file signs as you.".to_owned(),
    })?;
    Ok(Exit::Fine)
}

#[derive(Debug, Serialize)]
struct Found {
    key: PublicKey,
    comment: String,
    yours: bool,
}

/// From now on the ssh-agent signs your orders: with the key that the policy lists for you.
///
/// # Errors
/// No ssh-agent, or none of its keys is yours.
pub fn ssh_agent(ctx: &Ctx, args: &SshAgentArgs) -> Result<Exit, Failure> {
    let work = Work::open_away(ctx)?;
    let (home, agent) = (&work.desk.home, &work.agent);
    let listed = agent.policy.person(&agent.name).and_then(|person| person.signing_key);
    let keys = ssh_keys(home.ssh_agent()).map_err(of_ssh_agent)?;
    let found = |one: &desk::home::Listed| Found {
        key: one.key,
        comment: one.comment.clone(),
        yours: Some(one.key) == listed,
    };
    let all: Vec<Found> = keys.iter().map(found).collect();
    if args.list {
        ctx.show(&all, |all| words(all))?;
        return Ok(Exit::Fine);
    }
    let wanted = args.key.or(listed);
    let key = wanted.filter(|wanted| all.iter().any(|one| one.key == *wanted));
    let key = key.ok_or_else(|| {
        Failure::usage("the ssh-agent does not have the key that the policy lists for you").next(
            format!(
                "{}\nadd yours:  ssh-add FILE;  or have an administrator list another for you \
                 (certs/README.md, `agent signing`)",
                words(&all).trim_end()
            ),
        )
    })?;
    if Some(key) != listed {
        return Err(Failure::refused("the policy lists another key for you: nothing was changed")
            .next("an administrator lists it first (certs/README.md, `agent signing`)"));
    }
    bind(home, &agent.name, key)?;
    ctx.show(&Lies { key, lies: "ssh-agent" }, |_| {
        "The ssh-agent signs your orders from now on; the key's file is gone from this home.\n  \
         Next     salve unlock --for 8h   asks it once a day"
            .to_owned()
    })?;
    Ok(Exit::Fine)
}

/// Proves that the ssh-agent signs with the key, then has it be the own key.
fn bind(home: &Home, me: &AgentName, key: PublicKey) -> Result<(), Failure> {
    let held = desk::home::SshKey::new(home.ssh_agent().map(Into::into), key);
    held.proves().map_err(of_ssh_agent)?;
    Ok(home.keep_in_ssh_agent(me, &key)?)
}

/// Takes up a key of the ssh-agent in a home that is about to join.
///
/// # Errors
/// No ssh-agent, or it does not have the key.
pub fn bind_new(home: &Home, me: &AgentName, key: PublicKey) -> Result<(), Failure> {
    if home.is_ready() {
        return Err(Failure::usage("this home has joined already; its signing key stays")
            .next("salve keys ssh-agent"));
    }
    bind(home, me, key)
}

fn words(all: &[Found]) -> String {
    let mut out = String::new();
    for one in all {
        let mark = if one.yours { "yours  " } else { "       " };
        out.push_str(&format!("{mark}{}  {}\n", one.key, safe(&one.comment)));
    }
    if all.is_empty() {
        out.push_str("the ssh-agent has no plain ed25519 key\n");
    }
    out
}
