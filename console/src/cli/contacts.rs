//! `salve contacts`: where people are reached, for codes that find out who is calling.

use clap::{Args, Subcommand};
use desk::identity::Contact;
use desk::org::Desk;
use protocol::documents::ContactKind;
use serde_json::json;

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::{contacts, safe};

/// Where people are reached, for codes that find out who is calling:  salve run ... --identified code
///
/// How codes leave the desk stands in mail.toml in its home:
///
///   send = "smtp://mail.example.com:587"   # with TLS; smtps://HOST:465; or file:DIR
///   from = "helpdesk@example.com"
///   login = "mail-login"                   # optional: a file (chmod 600) with user and password, a line each
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ContactsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List who has a contact on file, who set it and when; addresses are masked
    List,
    /// Set a person's contact, in place of the one before; administrators only
    Set {
        /// The person, as tickets name them: jo.meyer
        person: String,
        /// Their mail address
        #[arg(long, value_name = "ADDRESS")]
        mail: String,
    },
    /// Remove a person's contact; administrators only
    Remove {
        /// The person, as tickets name them
        person: String,
    },
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: ContactsArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    match args.what {
        What::List => {
            let all = desk.store.contacts()?;
            let now = ctx.now();
            ctx.show(&all, |all| contacts::list(all, now))?;
        }
        What::Set { person, mail } => {
            only_administrators(ctx, &desk)?;
            let contact = Contact { kind: ContactKind::Mail, address: mail };
            let me = desk.organisation.me.clone();
            desk.store.set_contact(person.clone(), contact, me, ctx.now())?;
            ctx.show(&json!({ "person": person, "kind": ContactKind::Mail }), |_| {
                format!(
                    "{}'s mail is on file. For 7 days whoever sends a code there is told that it is new.",
                    safe(&person)
                )
            })?;
        }
        What::Remove { person } => {
            only_administrators(ctx, &desk)?;
            if !desk.store.remove_contact(person.clone())? {
                let sentence = format!("no contact is on file for `{}`", safe(&person));
                return Err(Failure::usage(sentence).next("salve contacts list"));
            }
            ctx.show(&json!({ "person": person, "removed": true }), |_| {
                format!("{} has no contact on file any more.", safe(&person))
            })?;
        }
    }
    Ok(Exit::Fine)
}

/// A shared desk holds everybody to it; here it is this home's own policy.
///
/// # Errors
/// Refused to everybody else; a catalogue that does not verify.
pub fn only_administrators(ctx: &Ctx, desk: &Desk) -> Result<(), Failure> {
    let policy = desk::catalogue::policy(&desk.home, ctx.now())?;
    let me = policy.person(&desk.organisation.me);
    if me.is_some_and(|me| me.admin_key.is_some() && !policy.is_withdrawn(me, ctx.now())) {
        return Ok(());
    }
    Err(Failure::refused("only an administrator may do this")
        .next("who is one:  salve agents list"))
}
