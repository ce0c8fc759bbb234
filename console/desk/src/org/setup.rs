//! `salve init`: the steps of a new organisation, each of which may be repeated.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use certs::CertError;
use policy::{Initial, Person, PolicyFile, Profile};
use protocol::{AgentName, Label, Risk, Time};
use serde::{Deserialize, Serialize};
use trust::Signer as _;
use trust::catalogue::{Repository, RepositoryPlan};
use zeroize::Zeroizing;

use super::keys;
use super::shape::{HeldKeys, lifetimes, role, shape};
use crate::catalogue::{self, CatalogueTrouble, ScriptFile};
use crate::chance::NoChance;
use crate::home::{self, FileError, Held, Home, HomeError, Online, Organisation, is_there};

/// Written last: where it is, there is a catalogue.
const PUBLISHED: &str = "timestamp.json";

/// What a new organisation is asked for.
#[derive(Debug)]
pub struct Founding {
    /// As people write it.
    pub name: String,
    /// How it is set up.
    pub profile: Profile,
    /// Who founds it.
    pub me: AgentName,
    /// Opens my root, admin and vetter keys.
    pub passphrase: Zeroizing<String>,
    /// Who founds it with me.
    pub others: Vec<Founder>,
    /// systemd units that agents may name to scripts.
    pub units: Vec<String>,
    /// Scripts that are vetted at once, by as many founders as their risks ask for.
    pub scripts: Vec<ScriptFile>,
}

/// Somebody who founds the organisation with me, and who joins later with a console of their own.
#[derive(Debug)]
pub struct Founder {
    /// As in orders.
    pub name: AgentName,
    /// Opens this person's root, admin and vetter keys.
    pub passphrase: Zeroizing<String>,
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
    /// Who holds root, admin and vetter keys, me first.
    pub people: Vec<AgentName>,
    /// Who vetted the scripts that were handed in; nobody where there were none.
    pub vetted_by: Vec<AgentName>,
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
    #[error(
        "a set-up of {name} by {me}{} (profile {profile}) was interrupted in `{path}`",
        with(.others)
    )]
    Other {
        /// The home.
        path: PathBuf,
        /// What it asked for.
        name: String,
        /// By whom.
        me: AgentName,
        /// And with whom.
        others: Vec<AgentName>,
        /// How.
        profile: &'static str,
    },
    /// The profile separates duties that one person cannot separate.
    #[error("profile {0} needs several people")]
    NeedsMorePeople(&'static str),
    /// Another number of people than the profile has.
    #[error("profile {profile} is founded by {wanted} people, {named} are named")]
    People {
        /// Which.
        profile: &'static str,
        /// How many it has.
        wanted: usize,
        /// How many were named, me included.
        named: usize,
    },
    /// One person would count twice.
    #[error("`{0}` is named twice")]
    NamedTwice(AgentName),
    /// Two people of whom one could sign as both.
    #[error("{first} and {second} chose the same passphrase")]
    SamePassphrase {
        /// Who chose first.
        first: AgentName,
        /// Who chose the same.
        second: AgentName,
    },
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
    #[serde(default)]
    others: Vec<AgentName>,
    begun: Time,
}

fn with(others: &[AgentName]) -> String {
    let names = others.iter().map(|name| format!(", {name}"));
    names.collect()
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
    founding.check()?;
    let id = Organisation::id_of(&founding.name)
        .ok_or_else(|| InitError::Name(founding.name.clone()))?;
    let organisation = Organisation {
        name: founding.name.clone(),
        id: id.clone(),
        profile: founding.profile,
        me: founding.me.clone(),
    };
    let _lock = home.lock()?;
    let (resumed, begun) = mark(home, &organisation, founding, now)?;
    let me = &founding.me;
    let mut done = |step| match after(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(InitError::Stopped(step)),
    };
    done(Step::Marked)?;
    let make = !is_there(&home.repository().join(PUBLISHED));
    let mut held = HeldKeys::new();
    for (person, passphrase) in founding.people() {
        held.insert(person.clone(), keys::held(home, person, passphrase, make)?);
    }
    let root = |(person, keys): (&AgentName, &BTreeMap<Held, trust::SigningKey>)| {
        keys.get(&Held::Root).map(|key| (person.clone(), Some(key.public_key())))
    };
    crate::duties::remember_roots(home, held.iter().filter_map(root))?;
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
    let vetted_by = vet(home, founding, &held, now)?;
    done(Step::Scripts)?;
    if !is_there(&home.database()) {
        store::Store::create(&home.database())?;
    }
    done(Step::Store)?;
    let catalogue = catalogue::open(home, now)?;
    organisation.write(home)?;
    done(Step::Ready)?;
    home::remove(&home.init_marker())?;
    let people = founding.people().map(|(name, _)| name.clone()).collect();
    let weaknesses = [catalogue.weaknesses(), catalogue::policy(home, now)?.weaknesses()].concat();
    Ok(Ready { organisation, people, vetted_by, weaknesses, resumed })
}

/// Has the scripts signed by as many founders as the highest threshold among them asks for, and
/// published.
fn vet(
    home: &Home,
    founding: &Founding,
    held: &HeldKeys,
    now: Time,
) -> Result<Vec<AgentName>, InitError> {
    let shape = shape(founding.profile);
    let wanted = founding.scripts.iter().map(|script| shape.of(script.manifest.risk)).max();
    let mut signed = Vec::new();
    for (person, _) in founding.people() {
        let vetter = held.get(person).and_then(|keys| keys.get(&Held::Vetter));
        let Some(vetter) = vetter.filter(|_| signed.len() < wanted.unwrap_or(0)) else { continue };
        catalogue::sign_locked(home, &founding.scripts, vetter, now)?;
        signed.push(person.clone());
    }
    if wanted.is_some() {
        catalogue::publish_locked(home, now)?;
    }
    Ok(signed)
}

/// Writes down what is asked for, or finds that the same was asked for before.
fn mark(
    home: &Home,
    organisation: &Organisation,
    founding: &Founding,
    now: Time,
) -> Result<(bool, Time), InitError> {
    let others: Vec<AgentName> = founding.others.iter().map(|other| other.name.clone()).collect();
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
        Some(marker) if marker.organisation == *organisation && marker.others == others => {
            Ok((true, marker.begun))
        }
        Some(marker) => Err(InitError::Other {
            path: home.path().to_owned(),
            name: marker.organisation.name,
            me: marker.organisation.me,
            others: marker.others,
            profile: profile_word(marker.organisation.profile),
        }),
        None if home.is_ready() => Err(InitError::AlreadyReady {
            path: home.path().to_owned(),
            name: Organisation::read(home)?.name,
        }),
        None => {
            let marker = Marker { organisation: organisation.clone(), others, begun: now };
            let text = toml::to_string(&marker)
                .map_err(|e| FileError::Damaged { path: path.clone(), why: e.to_string() })?;
            home::write_secret(&path, text.as_bytes())?;
            Ok((false, now))
        }
    }
}

/// The first policy: its people are the founders. Those who have not joined yet have no agent's
/// keys; their vetter and admin keys are theirs from the start, so that thresholds count people.
fn first_policy(
    home: &Home,
    id: &Label,
    founding: &Founding,
    held: &HeldKeys,
) -> Result<String, InitError> {
    let me = &founding.me;
    let sealing = home
        .agent_sealing_secret(me)?
        .public()
        .map_err(|e| FileError::Damaged { path: home.agent_sealing(me), why: e.to_string() })?;
    let label = |text: &str| text.parse::<Label>().ok();
    let ca = |kind| home.ca(kind).map(|ca| ca.certificate().to_vec());
    let signing = home.agent_signing_key(me, None)?.public_key();
    let public = |name: &AgentName, kind: Held| {
        held.get(name).and_then(|keys| keys.get(&kind)).map(trust::Signer::public_key)
    };
    let person = |(name, _): (&AgentName, &str)| Person {
        name: name.clone(),
        roles: ["agent", "lead", "vetter", "administrator"].into_iter().filter_map(label).collect(),
        signing_key: (name == me).then_some(signing),
        sealing_key: (name == me).then(|| sealing.clone()),
        vetter_key: public(name, Held::Vetter),
        admin_key: public(name, Held::Admin),
        valid_until: None,
        only_ticket: false,
    };
    let file = PolicyFile::initial(Initial {
        organisation: id.to_string(),
        profile: founding.profile,
        people: founding.people().map(person).collect(),
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
    held: &HeldKeys,
    now: Time,
) -> Result<(), InitError> {
    let folder = home.repository();
    if is_there(&folder.join(PUBLISHED)) {
        catalogue::open(home, now)?;
        return Ok(());
    }
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let shape = shape(founding.profile);
    let vetters = |risk: Risk| (risk, role(held, Held::Vetter, shape.of(risk)));
    let plan = RepositoryPlan {
        root: role(held, Held::Root, shape.root),
        targets: role(held, Held::Admin, shape.admin),
        policy: role(held, Held::Admin, shape.admin),
        risks: Risk::ALL.into_iter().map(vetters).collect(),
        online: online.public_key(),
        lifetimes: lifetimes(founding.profile),
        policy_text: first_policy(home, id, founding, held)?,
    };
    let keys = held.values().flat_map(BTreeMap::values).chain([&online]);
    let signers: Vec<&dyn trust::Signer> = keys.map(|key| key as &dyn trust::Signer).collect();
    Repository::create(&folder, plan, &signers, now).map_err(CatalogueTrouble::from)?;
    Ok(())
}
