//! `salve init`: the steps of a new organisation, each of which may be repeated.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use certs::CertError;
use policy::{Initial, Person, PolicyFile, Profile};
use protocol::{AgentName, Label, Risk, Time};
use serde::{Deserialize, Serialize};
use trust::catalogue::{Lifetimes, Repository, RepositoryPlan, RoleKeys};
use trust::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::keys;
use crate::catalogue::{self, CatalogueTrouble, ScriptFile};
use crate::chance::NoChance;
use crate::home::{self, FileError, Held, Home, HomeError, Online, Organisation, is_there};

/// What a new organisation is asked for.
#[derive(Debug)]
pub struct Founding {
    /// As people write it.
    pub name: String,
    /// How it is set up.
    pub profile: Profile,
    /// Who founds it.
    pub me: AgentName,
    /// Opens root, admin and vetter keys.
    pub passphrase: Zeroizing<String>,
    /// systemd units that agents may name to scripts.
    pub units: Vec<String>,
    /// Scripts that the founder vets at once.
    pub scripts: Vec<ScriptFile>,
}

/// A step of the set-up that is done and durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// What was asked for is written down.
    Marked,
    /// Root, admin and vetter keys.
    HeldKeys,
    /// Keys used without a person.
    OnlineKeys,
    /// Both CAs.
    Authorities,
    /// The desk's certificate.
    DeskCertificate,
    /// The agent's own keys and certificate.
    AgentKeys,
    /// The catalogue with its root, roles and policy.
    Catalogue,
    /// The scripts that were handed in are published.
    Scripts,
    /// The store.
    Store,
    /// The organisation is complete.
    Ready,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Marked,
        Self::HeldKeys,
        Self::OnlineKeys,
        Self::Authorities,
        Self::DeskCertificate,
        Self::AgentKeys,
        Self::Catalogue,
        Self::Scripts,
        Self::Store,
        Self::Ready,
    ];
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The organisation.
    pub organisation: Organisation,
    /// What is weak, one sentence each; records will say the same.
    pub weaknesses: Vec<String>,
    /// Whether an interrupted set-up was completed.
    pub resumed: bool,
}

/// Why there is no organisation.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one.
    #[error("`{path}` already holds the organisation {name}")]
    AlreadyReady {
        /// The home.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// An interrupted set-up asked for something else.
    #[error("a set-up of {name} by {me} (profile {profile}) was interrupted in `{path}`")]
    Other {
        /// The home.
        path: PathBuf,
        /// What it asked for.
        name: String,
        /// By whom.
        me: AgentName,
        /// How.
        profile: &'static str,
    },
    /// The profile separates duties that one person cannot separate.
    #[error("profile {0} needs several people")]
    NeedsMorePeople(&'static str),
    /// No letter or digit in it.
    #[error("`{0}` cannot be an organisation's name: it needs a letter a-z or a digit")]
    Name(String),
    /// Stopped between two steps by the caller.
    #[error("stopped after {0:?}")]
    Stopped(Step),
    /// The home's keys.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The home's files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificates.
    #[error("could not make a certificate")]
    Certificate(#[from] CertError),
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

/// The marker's form.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    organisation: Organisation,
    begun: Time,
}

/// The word of a profile.
#[must_use]
pub const fn profile_word(profile: Profile) -> &'static str {
    match profile {
        Profile::Solo => "solo",
        Profile::Small => "small",
        Profile::Regulated => "regulated",
    }
}

/// Sets an organisation up in an empty home, or completes an interrupted set-up. `after` hears of
/// each step that is done and durable, and may stop.
///
/// # Errors
/// [`InitError`]; what is done stays, and the same call goes on from there.
pub fn init(
    home: &Home,
    founding: &Founding,
    now: Time,
    after: &mut dyn FnMut(Step) -> ControlFlow<()>,
) -> Result<Ready, InitError> {
    if founding.profile != Profile::Solo {
        return Err(InitError::NeedsMorePeople(profile_word(founding.profile)));
    }
    let id = Organisation::id_of(&founding.name)
        .ok_or_else(|| InitError::Name(founding.name.clone()))?;
    let organisation = Organisation {
        name: founding.name.clone(),
        id: id.clone(),
        profile: founding.profile,
        me: founding.me.clone(),
    };
    let _lock = home.lock()?;
    let (resumed, begun) = mark(home, &organisation, now)?;
    let me = &founding.me;
    let mut done = |step| match after(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(InitError::Stopped(step)),
    };
    done(Step::Marked)?;
    let held = keys::held(home, me, &founding.passphrase)?;
    done(Step::HeldKeys)?;
    keys::online(home)?;
    done(Step::OnlineKeys)?;
    keys::cas(home, &id, begun)?;
    done(Step::Authorities)?;
    keys::desk_certificate(home, now)?;
    done(Step::DeskCertificate)?;
    keys::agent(home, me)?;
    keys::agent_certificate(home, me, now)?;
    done(Step::AgentKeys)?;
    repository(home, &id, founding, &held, now)?;
    done(Step::Catalogue)?;
    if let Some(vetter) = held.get(&Held::Vetter).filter(|_| !founding.scripts.is_empty()) {
        catalogue::sign_locked(home, &founding.scripts, vetter, now)?;
        catalogue::publish_locked(home, now)?;
    }
    done(Step::Scripts)?;
    if !is_there(&home.database()) {
        store::Store::create(&home.database())?;
    }
    done(Step::Store)?;
    let catalogue = catalogue::open(home, now)?;
    organisation.write(home)?;
    done(Step::Ready)?;
    home::remove(&home.init_marker())?;
    Ok(Ready { organisation, weaknesses: catalogue.weaknesses(), resumed })
}

/// Writes down what is asked for, or finds that the same was asked for before.
fn mark(home: &Home, organisation: &Organisation, now: Time) -> Result<(bool, Time), InitError> {
    let path = home.init_marker();
    let begun = match home::read_text(&path) {
        Ok(text) => Some(
            toml::from_str::<Marker>(&text)
                .map_err(|e| FileError::Damaged { path: path.clone(), why: e.message().into() })?,
        ),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    match begun {
        Some(marker) if marker.organisation == *organisation => Ok((true, marker.begun)),
        Some(marker) => Err(InitError::Other {
            path: home.path().to_owned(),
            name: marker.organisation.name,
            me: marker.organisation.me,
            profile: profile_word(marker.organisation.profile),
        }),
        None if home.is_ready() => Err(InitError::AlreadyReady {
            path: home.path().to_owned(),
            name: Organisation::read(home)?.name,
        }),
        None => {
            let marker = Marker { organisation: organisation.clone(), begun: now };
            let text = toml::to_string(&marker)
                .map_err(|e| FileError::Damaged { path: path.clone(), why: e.to_string() })?;
            home::write_secret(&path, text.as_bytes())?;
            Ok((false, now))
        }
    }
}

/// The first policy: everybody in it is the founder.
fn first_policy(
    home: &Home,
    id: &Label,
    founding: &Founding,
    held: &BTreeMap<Held, SigningKey>,
) -> Result<String, InitError> {
    let me = &founding.me;
    let sealing = home
        .agent_sealing_secret(me)?
        .public()
        .map_err(|e| FileError::Damaged { path: home.agent_sealing(me), why: e.to_string() })?;
    let label = |text: &str| text.parse::<Label>().ok();
    let ca = |kind| home.ca(kind).map(|ca| ca.certificate().to_vec());
    let public = |kind: Held| held.get(&kind).map(trust::Signer::public_key);
    let person = Person {
        name: me.clone(),
        roles: ["agent", "lead", "vetter", "administrator"].into_iter().filter_map(label).collect(),
        signing_key: home.agent_signing_key(me)?.public_key(),
        sealing_key: Some(sealing),
        vetter_key: public(Held::Vetter),
        admin_key: public(Held::Admin),
        valid_until: None,
    };
    let file = PolicyFile::initial(Initial {
        organisation: id.to_string(),
        profile: founding.profile,
        people: vec![person],
        enroller_key: keys::public(home, Online::Enroller)?,
        ticket_key: keys::public(home, Online::Ticket)?,
        people_ca: ca(certs::Kind::People)?,
        endpoints_ca: ca(certs::Kind::Endpoints)?,
        units: founding.units.clone(),
    });
    Ok(catalogue::policy_text(&file)?)
}

/// The catalogue: made where it is not there whole.
fn repository(
    home: &Home,
    id: &Label,
    founding: &Founding,
    held: &BTreeMap<Held, SigningKey>,
    now: Time,
) -> Result<(), InitError> {
    let folder = home.repository();
    if is_there(&folder.join("timestamp.json")) {
        catalogue::open(home, now)?;
        return Ok(());
    }
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let one = |kind: Held| RoleKeys::new(1, held.get(&kind).map(trust::Signer::public_key));
    let plan = RepositoryPlan {
        root: one(Held::Root),
        targets: one(Held::Admin),
        policy: one(Held::Admin),
        risks: Risk::ALL.into_iter().map(|risk| (risk, one(Held::Vetter))).collect(),
        online: online.public_key(),
        lifetimes: Lifetimes::small(),
        policy_text: first_policy(home, id, founding, held)?,
    };
    let signers: Vec<&dyn trust::Signer> =
        held.values().chain([&online]).map(|key| key as &dyn trust::Signer).collect();
    Repository::create(&folder, plan, &signers, now).map_err(CatalogueTrouble::from)?;
    Ok(())
}
