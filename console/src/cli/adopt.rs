//! `salve scripts adopt`: another house's signed release, on one page, into this house's lists under its
//! own vetters' keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use desk::catalogue::{self, PendingScript, Proposal};
use desk::home::{self, Held};
use desk::release::{self, Against, Offer, ReleaseError};
use protocol::{Digest, Time};
use serde::Serialize;

use crate::cli::signers::Signers;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::first;
use crate::view::review::proposal_words;
use crate::view::safe;
use crate::view::script::pending_words;

/// `salve scripts adopt`
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The folder with the release's files, as in org/repository of the home that made it
    release: PathBuf,
    /// The first time: the first root of that house, which came another way
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    #[command(flatten)]
    signers: Signers,
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    organisation: &'a str,
    root: Digest,
    issued: Time,
    listed: usize,
    proposals: &'a [Proposal],
    against: &'a [Against],
    published: Vec<PendingScript>,
    waiting: Vec<catalogue::Pending>,
}

/// Adopts.
///
/// # Errors
/// What the command says.
pub fn run(ctx: &Ctx, args: &AdoptArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let now = ctx.now();
    let root = args.root.as_ref().map(|file| home::read(file)).transpose()?;
    let offer = release::read(&desk.home, &args.release, root.as_deref(), now)?;
    if !ctx.json {
        ctx.say(words(&offer));
    }
    let nothing = offer.proposals.is_empty();
    if !nothing && !args.yes && !ctx.confirm("Adopt exactly this, under this house's own keys?") {
        return Err(Failure::needs_person("nothing was adopted")
            .next("each text:  salve scripts review FILES;  to go without being asked:  --yes"));
    }
    let keys = match nothing {
        true => Vec::new(),
        false => args.signers.duties(ctx, &desk, &BTreeMap::from([(Held::Vetter, 1)]))?,
    };
    let waiting = release::adopt(&desk, &offer, &keys, now)?;
    let enough = waiting.iter().all(|list| list.signed.len() >= list.wanted);
    let (published, waiting) = match waiting.is_empty() || !enough {
        true => (Vec::new(), waiting),
        false => {
            let publish = |home: &home::Home| catalogue::publish(home, now);
            (catalogue::change(&desk, now, publish)?, Vec::new())
        }
    };
    let page = Page {
        organisation: &offer.organisation,
        root: offer.root,
        issued: offer.issued,
        listed: offer.listed,
        proposals: &offer.proposals,
        against: &offer.against,
        published,
        waiting,
    };
    ctx.show(&page, |page| {
        let mut lines = Vec::new();
        if !page.published.is_empty() {
            let many = page.published.len();
            lines.push(format!(
                "Published: {many}. Endpoints take it with the next order or hello."
            ));
        }
        if !page.waiting.is_empty() {
            lines.push("Whoever signed the release counts for nothing here.".to_owned());
            lines.push(pending_words(&page.waiting));
        }
        if nothing {
            lines.push("Nothing in it is new here.".to_owned());
        }
        lines.join("\n")
    })?;
    let settled = page.against.is_empty() && page.waiting.is_empty();
    Ok(if settled { Exit::Fine } else { Exit::NeedsPerson })
}

/// All of it on one page.
fn words(offer: &Offer) -> String {
    let mut lines = vec![format!(
        "Release of {}, issued {}, root {}: {} versions listed; it verifies",
        safe(&offer.organisation),
        offer.issued,
        offer.root.short(),
        offer.listed
    )];
    if !offer.proposals.is_empty() {
        lines.push(proposal_words(&offer.proposals));
    }
    for one in &offer.against {
        let why = if one.denied { "denied by it" } else { "no longer listed in it" };
        lines.push(format!(
            "  ! {} {} is in force here and {why}:  salve scripts withdraw {} --version {}",
            one.name, one.version, one.name, one.version
        ));
    }
    lines.join("\n")
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Here(trouble) => (*trouble).into(),
            ReleaseError::File(error) => error.into(),
            ReleaseError::NoRoot | ReleaseError::Several(_) => first(Exit::Usage, error).next(
                "name it:  --root FILE   (compare its sha256 on another way than the release)",
            ),
            ReleaseError::Empty(_) => first(Exit::Usage, error)
                .next("name the folder that holds 1.root.json and timestamp.json"),
            ReleaseError::Files(_) => {
                first(Exit::Usage, error).next("name a folder of plain files, unpacked")
            }
            ReleaseError::Catalogue(_) | ReleaseError::Policy | ReleaseError::Differs { .. } => {
                first(Exit::NotVerified, error)
                    .next("do not adopt it; fetch it again, and ask whoever made it")
            }
            ReleaseError::Expired { .. } => {
                first(Exit::Refused, error).next("get the newest release")
            }
            ReleaseError::Clash { .. } => first(Exit::Refused, error).next(
                "one name and version is one text for ever: raise yours, or ask whoever made it",
            ),
        }
    }
}
