//! `salve keys`: who holds which key of the catalogue, a new one for somebody, thresholds.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use desk::duties::{self, Duty, DutyChange, DutyError, Role};
use desk::home::{Held, Home};
use desk::org::Desk;
use protocol::{AgentName, Label, PublicKey, Risk, Time};
use serde::Serialize;
use trust::{Signer as _, SigningKey};

use crate::cli::own_key::{self, PassphraseArgs, SshAgentArgs};
use crate::cli::signers::Signers;
use crate::cli::{glass, typed};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::first;
use crate::view::Table;

/// Who holds which key of the catalogue, and how many must sign
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    what: What,
}

/// A kind of key that a person holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Names all other keys
    Root,
    /// Signs the policy, and who may sign what
    Admin,
    /// Signs scripts
    Vetter,
    /// Stands in for approvals, from a safe; nobody's own
    BreakGlass,
}

impl Kind {
    /// As people hold it; none of a key that nobody holds.
    const fn held(self) -> Option<Held> {
        match self {
            Self::Root => Some(Held::Root),
            Self::Admin => Some(Held::Admin),
            Self::Vetter => Some(Held::Vetter),
            Self::BreakGlass => None,
        }
    }
}

/// What a number of signatures is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// New roots
    Root,
    /// The policy, and who may sign what
    Admin,
    /// Scripts of low risk
    Low,
    /// Scripts of medium risk
    Medium,
    /// Scripts of high risk
    High,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every role: how many must sign, and whose keys it lists
    List,
    /// Make a key for somebody in this home; it counts when it is given
    Make {
        /// Which kind
        kind: Kind,
        /// What a break-glass key is called
        #[arg(
            value_name = "NAME",
            required_if_eq("kind", "break-glass"),
            conflicts_with = "person"
        )]
        name: Option<Label>,
        /// For whom [you]
        #[arg(long = "for", value_name = "NAME")]
        person: Option<AgentName>,
        /// The new file of a break-glass key, as on a stick [NAME.pem]
        #[arg(long, value_name = "FILE", requires = "name")]
        to: Option<PathBuf>,
    },
    /// Give somebody a key, in place of the one before; that one counts for nothing any more
    Give {
        /// Which kind
        kind: Kind,
        /// To whom, or what a break-glass key is called
        person: AgentName,
        /// After this day a break-glass key counts no more, as in 2027-01-01 (UTC)
        #[arg(long, value_name = "DATE", value_parser = typed::day)]
        until: Option<Time>,
        /// The key, where it was made elsewhere (`salve keys make` prints it) [the one made here]
        #[arg(long, value_name = "KEY")]
        key: Option<PublicKey>,
        #[command(flatten)]
        signers: Signers,
    },
    /// Take somebody's key away: lost, stolen, or another duty
    Take {
        /// Which kind
        kind: Kind,
        /// From whom, or what a break-glass key is called
        person: AgentName,
        /// The key, where this home does not know whose it is
        #[arg(long, value_name = "KEY")]
        key: Option<PublicKey>,
        #[command(flatten)]
        signers: Signers,
    },
    /// Put the key that signs your orders under a passphrase, or change it
    Passphrase(PassphraseArgs),
    /// Have a key in your ssh-agent sign your orders (plain ed25519; no hardware types)
    SshAgent(SshAgentArgs),
    /// Set how many must sign
    Threshold {
        /// What
        of: Of,
        /// How many
        number: usize,
        #[command(flatten)]
        signers: Signers,
    },
    /// Replace the key that keeps the catalogue fresh (in clear at the desk)
    Online {
        #[command(flatten)]
        signers: Signers,
    },
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: KeysArgs) -> Result<Exit, Failure> {
    let change = match args.what {
        What::Passphrase(args) => return own_key::passphrase(ctx, &args),
        What::SshAgent(args) => return own_key::ssh_agent(ctx, &args),
        What::List => return list(ctx, &ctx.desk()?),
        What::Make { kind, name, person, to } => {
            return match (kind.held(), name) {
                (Some(held), None) => make(ctx, &ctx.desk()?, held, person),
                (None, Some(name)) => glass::make(ctx, &name, to),
                _ => Err(Failure::usage("only a break-glass key has a name of its own")
                    .next("for a person:  --for NAME")),
            };
        }
        What::Give { kind, person, until, key, signers } => {
            return match kind.held() {
                Some(_) if until.is_some() => {
                    Err(Failure::usage("only a break-glass key ends on a day")
                        .next("a person's own end:  valid_until in the policy"))
                }
                Some(held) => give(ctx, &ctx.desk()?, (held, person, key), &signers),
                None => glass::give(ctx, &ctx.desk()?, (&person, key, until), &signers),
            };
        }
        What::Take { kind, person, key, signers } => match kind.held() {
            Some(kind) => (DutyChange::Take { kind, person, key }, signers),
            None => return glass::take(ctx, &ctx.desk()?, &person, &signers),
        },
        What::Threshold { of, number, signers } => {
            let duty = match of {
                Of::Root => Duty::Root,
                Of::Admin => Duty::Admin,
                Of::Low => Duty::Vetter(Risk::Low),
                Of::Medium => Duty::Vetter(Risk::Medium),
                Of::High => Duty::Vetter(Risk::High),
            };
            (DutyChange::Threshold { duty, wanted: number }, signers)
        }
        What::Online { signers } => (DutyChange::Online, signers),
    };
    let (change, signers) = change;
    go(ctx, &ctx.desk()?, &change, &signers, None)
}

fn list(ctx: &Ctx, desk: &Desk) -> Result<Exit, Failure> {
    let roles = duties::roles(&desk.home, ctx.now())?;
    ctx.show(&roles, |roles| words(roles))?;
    Ok(Exit::Fine)
}

fn words(roles: &[Role]) -> String {
    let mut table = Table::new(["ROLE", "MUST SIGN", "KEYS OF", "ENDS"]);
    for role in roles {
        let holders: Vec<String> = role
            .holders
            .iter()
            .map(|holder| match &holder.person {
                Some(person) => person.to_string(),
                None => trust::key_id(&holder.key).chars().take(8).collect(),
            })
            .collect();
        table.row([
            &role.name,
            &format!("{} of {}", role.threshold, role.holders.len()),
            &holders.join(", "),
            &role.ends.map(|ends| ends.to_string()).unwrap_or_default(),
        ]);
    }
    table.render()
}

#[derive(Debug, Serialize)]
struct Made {
    kind: &'static str,
    person: AgentName,
    key: PublicKey,
}

fn make(ctx: &Ctx, desk: &Desk, held: Held, person: Option<AgentName>) -> Result<Exit, Failure> {
    let person = person.unwrap_or_else(|| desk.organisation.me.clone());
    let word = held.word();
    let passphrase =
        ctx.new_passphrase(&person, &format!("New passphrase of {person}'s {word} key"))?;
    let key = duties::make(&desk.home, held, &person, &passphrase)?;
    ctx.show(&Made { kind: word, person, key }, |made| {
        let Made { person, key, .. } = made;
        format!(
            "Made a {word} key for {person}; nothing counts it yet.   {key}\n  \
             Next     those who hold keys give it:  salve keys give {word} {person} --as NAME --as NAME\n           \
             from another home:  add --key {key}"
        )
    })?;
    Ok(Exit::Fine)
}

/// Gives a key that was made here, which signs where that is asked for, or one that is named.
fn give(
    ctx: &Ctx,
    desk: &Desk,
    (held, person, key): (Held, AgentName, Option<PublicKey>),
    signers: &Signers,
) -> Result<Exit, Failure> {
    let (key, new) = match key {
        Some(key) => (key, None),
        None => {
            let word = held.word();
            let asked = format!("Passphrase of {person}'s new {word} key");
            let passphrase = ctx.passphrase(&person, &asked)?;
            let open = |path: &std::path::Path| Ok(Home::open_held_key(path, &passphrase)?);
            let made = duties::made(&desk.home, held, &person, open)?.ok_or_else(|| {
                Failure::usage(format!("no {word} key was made for {person} in this home")).next(
                    format!("salve keys make {word} --for {person};  or name one:  --key KEY"),
                )
            })?;
            (made.public_key(), Some(made))
        }
    };
    let change = DutyChange::Give { kind: held, person, key };
    go(ctx, desk, &change, signers, new)
}

/// Asks those who must sign, makes the change and shows what is in force.
fn go(
    ctx: &Ctx,
    desk: &Desk,
    change: &DutyChange,
    signers: &Signers,
    new: Option<SigningKey>,
) -> Result<Exit, Failure> {
    let asked = duties::asked(desk, change, ctx.now())?;
    let mut keys = signers.duties(ctx, desk, &asked)?;
    keys.extend(new);
    duties::apply(desk, change, &keys, ctx.now())?;
    let roles = duties::roles(&desk.home, ctx.now())?;
    ctx.show(&roles, |roles| {
        format!(
            "Done; endpoints take it with the next order or hello.\n{}",
            words(roles).trim_end()
        )
    })?;
    Ok(Exit::Fine)
}

impl From<DutyError> for Failure {
    fn from(error: DutyError) -> Self {
        match error {
            DutyError::Catalogue(trouble) => (*trouble).into(),
            DutyError::Home(error) => error.into(),
            DutyError::File(error) => error.into(),
            DutyError::Nobody(ref name) => {
                let step = format!("salve agents invite {name}");
                first(Exit::Usage, error).next(step)
            }
            DutyError::NoKey { .. } | DutyError::NotListed => first(Exit::Usage, error)
                .next("salve keys list --json   shows every key;  --key KEY"),
            DutyError::Threshold { .. } | DutyError::Nothing | DutyError::Listed => {
                first(Exit::Usage, error).next("salve keys list")
            }
            DutyError::Chance(_) => first(Exit::Broken, error),
        }
    }
}
