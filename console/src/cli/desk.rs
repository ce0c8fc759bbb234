//! `salve desk`: which shared desk this home works with.

use clap::{Args, Subcommand};
use desk::books::Line;
use desk::home::{Home, Organisation, SharedDesk};
use protocol::documents::CatalogueVersions;
use protocol::frames::{DeskAnswer, DeskAsk};
use protocol::{Digest, limits};
use serde::Serialize;

use crate::cli::typed;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;

/// The shared desk that this home works with
#[derive(Debug, Args)]
pub struct DeskArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Work with the shared desk at this address; it is asked before it is set
    Set {
        /// Where it is dialled
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// Take only the desk with this public key (SHA-256, hex)
        #[arg(long, value_name = "DIGEST")]
        key: Option<Digest>,
    },
    /// Show which desk is set and what it says of itself
    Show,
    /// Work without a shared desk again, with this home's own store
    Unset,
}

/// A desk as it says it is.
#[derive(Debug, Serialize)]
struct Seen {
    address: String,
    organisation: String,
    version: String,
    catalogue: CatalogueVersions,
}

/// Sets, shows or unsets it.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: &DeskArgs) -> Result<Exit, Failure> {
    let home = Home::new(&ctx.home);
    match &args.what {
        What::Set { address, key } => {
            if typed::address(address).is_err() {
                let sentence = format!("`{address}` is not HOST:PORT");
                return Err(
                    Failure::usage(sentence).next("as in  salve desk set desk.example:7433")
                );
            }
            let desk = SharedDesk { address: address.clone(), key: *key };
            let seen = ask(&home, &desk)?;
            desk.write(&home)?;
            ctx.show(&seen, |seen| {
                format!("{}\nFrom now on this home works with it.", words(seen))
            })?;
        }
        What::Show => match SharedDesk::read(&home)? {
            Some(desk) => ctx.show(&ask(&home, &desk)?, words)?,
            None => ctx.show(&serde_json::json!({ "address": null }), |_| {
                "No shared desk is set: this home works with its own store.".to_owned()
            })?,
        },
        What::Unset => {
            let was = SharedDesk::unset(&home)?;
            ctx.show(&serde_json::json!({ "unset": was }), |_| match was {
                true => "This home works with its own store again.".to_owned(),
                false => "No shared desk was set.".to_owned(),
            })?;
        }
    }
    Ok(Exit::Fine)
}

fn ask(home: &Home, desk: &SharedDesk) -> Result<Seen, Failure> {
    let organisation = match Organisation::read(home) {
        Err(error) if error.is_missing() => {
            return Err(Failure::usage("this home belongs to no organisation yet")
                .next("an administrator invites you; then:  salve join CODE"));
        }
        other => other?,
    };
    let line: Line = desk.line(home, &organisation);
    let ours = limits::DESK_VERSION;
    let hello = line.ask(vec![DeskAsk::Hello { min: ours, max: ours }])?;
    let Some(DeskAnswer::Hello { organisation, version, catalogue, .. }) = hello.into_iter().next()
    else {
        return Err(line.unexpected().into());
    };
    let (address, organisation) = (desk.address.clone(), organisation.to_string());
    Ok(Seen { address, organisation, version, catalogue })
}

fn words(seen: &Seen) -> String {
    let address = safe(&seen.address);
    let mut out =
        format!("Desk at {address}, of {}, salve {}\n", seen.organisation, safe(&seen.version));
    let roles =
        seen.catalogue.named().into_iter().map(|(role, version)| format!("{role} {version}"));
    out.push_str(&format!("  Catalogue   {}", roles.collect::<Vec<_>>().join(", ")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desk_is_shown_with_its_catalogue() {
        let seen = Seen {
            address: "desk.example:7433\u{1b}".into(),
            organisation: "demo-ltd".into(),
            version: "0.1.0".into(),
            catalogue: CatalogueVersions { root: 1, policy: 3, ..CatalogueVersions::default() },
        };
        assert_eq!(
            words(&seen),
            "Desk at desk.example:7433\\u{1b}, of demo-ltd, salve 0.1.0\n\
             \x20 Catalogue   root 1, timestamp 0, snapshot 0, targets 0, policy 3, risk-low 0, \
             risk-medium 0, risk-high 0"
        );
    }
}
