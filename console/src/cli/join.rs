//! `salve join CODE`: a colleague's console becomes part of the organisation.

use clap::Args;
use desk::home::{Organisation, OwnKey};
use protocol::PublicKey;
use protocol::documents::Invitation;

use crate::cli::own_key::bind_new;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;

/// `salve join`
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The code from your colleague's `salve agents invite`
    pub code: String,
    /// Sign with this key of your ssh-agent instead of one that is made here
    #[arg(long, value_name = "KEY")]
    pub ssh_key: Option<PublicKey>,
}

/// Joins the organisation that the code names.
///
/// # Errors
/// A damaged code, nobody there, a token that is used, an answer that does not verify.
pub async fn run(ctx: &Ctx, args: JoinArgs) -> Result<Exit, Failure> {
    let invitation: Invitation = args.code.parse().map_err(|_| {
        Failure::usage("this is not a whole code")
            .next("paste the line again, from `salve` to its end")
    })?;
    let home = ctx.home();
    let me = &invitation.name;
    if let Some(key) = args.ssh_key {
        bind_new(&home, me, key)?;
    }
    // A home that has joined before may have its key under a passphrase.
    let passphrase = match home.own_key(me) {
        Ok(OwnKey::Locked(_)) => {
            Some(ctx.passphrase(me, &format!("Passphrase of {me}'s signing key"))?)
        }
        _ => None,
    };
    let passphrase = passphrase.as_ref().map(|words| words.as_str());
    let organisation = desk::enrol::join(&home, &invitation, passphrase, ctx.now()).await?;
    ctx.show(&organisation, |organisation| words(organisation, &home.path().to_string_lossy()))?;
    Ok(Exit::Fine)
}

fn words(organisation: &Organisation, home: &str) -> String {
    let me = &organisation.me;
    format!(
        "You are {me} of {}. Your keys were made here and never left: {}/agents/{me}/\n  \
         Next   salve keys passphrase   before anybody else reads them\n         \
         salve scripts search WORDS\n         salve endpoints list",
        organisation.id,
        safe(home)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_ends_with_who_you_are_and_where_your_keys_lie() {
        let organisation = Organisation {
            name: "Demo Ltd".to_owned(),
            id: "demo-ltd".parse().unwrap(),
            profile: policy::Profile::Solo,
            me: "m.ruiz".parse().unwrap(),
        };
        assert_eq!(
            words(&organisation, "/tmp/x"),
            "You are m.ruiz of demo-ltd. Your keys were made here and never left: \
                /tmp/x/agents/m.ruiz/\n\
             \x20 Next   salve keys passphrase   before anybody else reads them\n\
             \x20        salve scripts search WORDS\n\
             \x20        salve endpoints list"
        );
    }
}
