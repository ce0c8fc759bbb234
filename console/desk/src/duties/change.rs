//! One change of who holds what, from what is in force to what is published.

use std::collections::{BTreeMap, BTreeSet};

use policy::PolicyFile;
use protocol::{AgentName, PublicKey, Risk, Time};
use trust::catalogue::{Catalogue, RoleKeys};
use trust::{Signer, SigningKey};

use super::holders::{holder_of, promote, remember_roots};
use crate::catalogue::{self, CatalogueTrouble};
use crate::chance::{NoChance, fresh};
use crate::home::{self, FileError, Held, Home, HomeError, Online, is_there};
use crate::org::Desk;

/// What a threshold is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// New roots.
    Root,
    /// The policy, and who may sign what.
    Admin,
    /// Scripts of one risk.
    Vetter(Risk),
}

impl Duty {
    /// The roles of the catalogue that it is.
    const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Root => &["root"],
            Self::Admin => &["targets", "policy"],
            Self::Vetter(Risk::Low) => &["risk-low"],
            Self::Vetter(Risk::Medium) => &["risk-medium"],
            Self::Vetter(Risk::High) => &["risk-high"],
        }
    }
}

/// The lists of scripts.
const LISTS: [&str; 3] = ["risk-low", "risk-medium", "risk-high"];

/// The roles that list keys of a kind.
const fn roles_of(kind: Held) -> &'static [&'static str] {
    match kind {
        Held::Root => &["root"],
        Held::Admin => &["targets", "policy"],
        Held::Vetter => &LISTS,
    }
}

/// What is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DutyChange {
    /// Somebody gets a key of a kind, in place of the one before where there is one.
    Give {
        /// Which kind.
        kind: Held,
        /// Who.
        person: AgentName,
        /// The key.
        key: PublicKey,
    },
    /// Somebody's key of a kind counts no more.
    Take {
        /// Which kind.
        kind: Held,
        /// Whose.
        person: AgentName,
        /// The key, where this home does not know whose it is.
        key: Option<PublicKey>,
    },
    /// Another number must sign.
    Threshold {
        /// What.
        duty: Duty,
        /// How many.
        wanted: usize,
    },
    /// The key that keeps the catalogue fresh is replaced by a new one.
    Online,
}

/// Why nothing was changed, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum DutyError {
    /// Nobody of that name.
    #[error("`{0}` is not in the policy")]
    Nobody(AgentName),
    /// The person has no such key.
    #[error("{person} has no {kind} key that is known here")]
    NoKey {
        /// Who.
        person: AgentName,
        /// Which kind.
        kind: &'static str,
    },
    /// No role lists it.
    #[error("no role lists that key")]
    NotListed,
    /// It is somebody's already.
    #[error("that key is listed already")]
    Listed,
    /// More signatures than there are keys, or none.
    #[error("{wanted} of {keys} keys cannot be asked for in {role}")]
    Threshold {
        /// Of which role.
        role: String,
        /// How many were asked for.
        wanted: usize,
        /// How many keys it has.
        keys: usize,
    },
    /// It is as asked for already.
    #[error("it is so already")]
    Nothing,
    /// The catalogue.
    #[error(transparent)]
    Catalogue(Box<CatalogueTrouble>),
    /// A key of the home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file of the home.
    #[error(transparent)]
    File(#[from] FileError),
    /// No random bytes.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// All that the catalogue lists, by role.
type Roles = BTreeMap<String, RoleKeys>;

fn listed(open: &Catalogue) -> Roles {
    let role = |(role, (threshold, _)): (String, (usize, usize))| {
        let keys = open.role_keys(&role);
        (role, RoleKeys::new(threshold, keys))
    };
    open.thresholds().into_iter().map(role).collect()
}

/// The key that a change takes away, where it takes one; it may be gone from the roles already, where
/// the change was cut.
fn gone(
    home: &Home,
    change: &DutyChange,
    roles: &Roles,
    now: Time,
) -> Result<Option<PublicKey>, DutyError> {
    let (kind, person, given) = match change {
        DutyChange::Give { kind, person, .. } => (*kind, person, None),
        DutyChange::Take { kind, person, key } => (*kind, person, *key),
        DutyChange::Threshold { .. } | DutyChange::Online => return Ok(None),
    };
    let known = holder_of(home, kind, person, now)?;
    let lists = |key: &PublicKey| {
        let mut of = roles_of(kind).iter().filter_map(|role| roles.get(*role));
        of.any(|role| role.keys.contains(key))
    };
    match (change, given, known) {
        (DutyChange::Take { .. }, Some(key), _) if lists(&key) => Ok(Some(key)),
        (DutyChange::Take { .. }, Some(_), _) => Err(DutyError::NotListed),
        (DutyChange::Take { .. }, None, None) => {
            Err(DutyError::NoKey { person: person.clone(), kind: kind.word() })
        }
        (DutyChange::Give { key, .. }, ..) if known == Some(*key) => Ok(None),
        _ => Ok(known),
    }
}

/// The roles after a change.
fn after(
    change: &DutyChange,
    gone: Option<PublicKey>,
    online: PublicKey,
    before: &Roles,
) -> Result<Roles, DutyError> {
    let mut roles = before.clone();
    let mut each = |names: &[&str], work: &mut dyn FnMut(&mut RoleKeys)| {
        names.iter().for_each(|name| {
            if let Some(role) = roles.get_mut(*name) {
                work(role);
            }
        });
    };
    match change {
        DutyChange::Give { kind, key, .. } => {
            let elsewhere = |(name, role): (&String, &RoleKeys)| {
                role.keys.contains(key) && !roles_of(*kind).contains(&name.as_str())
            };
            if before.iter().any(elsewhere) {
                return Err(DutyError::Listed);
            }
            each(roles_of(*kind), &mut |role| {
                role.keys.retain(|listed| Some(*listed) != gone);
                if !role.keys.contains(key) {
                    role.keys.push(*key);
                }
            });
        }
        DutyChange::Take { kind, .. } => each(roles_of(*kind), &mut |role| {
            role.keys.retain(|listed| Some(*listed) != gone);
        }),
        DutyChange::Threshold { duty, wanted } => {
            each(duty.roles(), &mut |role| role.threshold = *wanted);
        }
        DutyChange::Online => {
            each(&["snapshot", "timestamp"], &mut |role| role.keys = vec![online]);
        }
    }
    for (name, role) in &roles {
        if role.threshold == 0 || role.threshold > role.keys.len() {
            let (wanted, keys) = (role.threshold, role.keys.len());
            return Err(DutyError::Threshold { role: name.clone(), wanted, keys });
        }
    }
    Ok(roles)
}

/// Of which kinds keys must sign a change, and how many of each at least.
///
/// # Errors
/// [`DutyError`] where the change makes no sense.
pub fn asked(
    desk: &Desk,
    change: &DutyChange,
    now: Time,
) -> Result<BTreeMap<Held, usize>, DutyError> {
    let home = &desk.home;
    let before = listed(&catalogue::open(home, now)?);
    let gone = gone(home, change, &before, now)?;
    // Which online key comes does not matter to who signs.
    let after = after(change, gone, PublicKey([0; 32]), &before)?;
    let threshold = |role: &str| {
        let of = |roles: &Roles| roles.get(role).map_or(1, |role| role.threshold);
        of(&before).max(of(&after))
    };
    let differs = |role: &&str| before.get(*role) != after.get(*role);
    let mut asked = BTreeMap::new();
    if ["root", "targets", "snapshot"].iter().any(differs) {
        asked.insert(Held::Root, threshold("root"));
    }
    let delegated = ["targets", "policy"].iter().chain(&LISTS).any(differs);
    let said_by_policy = matches!(
        change,
        DutyChange::Give { kind: Held::Admin | Held::Vetter, .. }
            | DutyChange::Take { kind: Held::Admin | Held::Vetter, .. }
    );
    if delegated || said_by_policy {
        asked.insert(Held::Admin, threshold("targets").max(threshold("policy")));
    }
    // A list that keeps enough signatures of its own people need not be signed again: whether it
    // does is found out when it is.
    let vetters = LISTS.into_iter().filter(|role| differs(role));
    if let Some(most) = vetters.map(threshold).max() {
        asked.insert(Held::Vetter, most);
    }
    Ok(asked)
}

/// Makes a change and publishes it. `signers` are keys of every kind that [`asked`] names, and a new
/// key where it must sign what its role has signed. The same call again completes one that was cut.
///
/// # Errors
/// [`DutyError`]; where too few signed, nothing has changed.
pub fn apply(
    desk: &Desk,
    change: &DutyChange,
    signers: &[SigningKey],
    now: Time,
) -> Result<(), DutyError> {
    let home = &desk.home;
    let open = catalogue::open(home, now)?;
    let before = listed(&open);
    let gone = gone(home, change, &before, now)?;
    let online = home.online_key(Online::SnapshotTimestamp)?;
    let fresh_online = match change {
        DutyChange::Online => Some(next_online(home)?),
        _ => None,
    };
    let online_key = fresh_online.as_ref().unwrap_or(&online).public_key();
    let after = after(change, gone, online_key, &before)?;
    let file = policy_after(home, change, gone, now)?;
    if before == after && file.is_none() {
        return Err(DutyError::Nothing);
    }
    let keys = signers.iter().chain([&online]).chain(&fresh_online);
    let keys: Vec<&dyn Signer> = keys.map(|key| key as &dyn Signer).collect();
    publish(home, &before, &after, online_key, &keys, now)?;
    if let Some(file) = file {
        let text = catalogue::policy_text(&file)?;
        catalogue::publish_policy(home, &text, signers, now)?;
    }
    match change {
        DutyChange::Give { kind, person, key } => {
            if *kind == Held::Root {
                remember_roots(home, [(person.clone(), Some(*key))])?;
            }
            promote(home, *kind, person)?;
        }
        DutyChange::Take { kind: Held::Root, person, .. } => {
            remember_roots(home, [(person.clone(), None)])?;
        }
        DutyChange::Online => promote_online(home)?,
        DutyChange::Take { .. } | DutyChange::Threshold { .. } => {}
    }
    Ok(())
}

/// Root and lists, as far as they differ.
fn publish(
    home: &Home,
    before: &Roles,
    after: &Roles,
    online: PublicKey,
    keys: &[&dyn Signer],
    now: Time,
) -> Result<(), DutyError> {
    let none = || RoleKeys::new(1, []);
    let role = |name: &str| after.get(name).cloned().unwrap_or_else(none);
    let differs = |names: &[&str]| names.iter().any(|name| before.get(*name) != after.get(*name));
    let _lock = home.lock()?;
    let mut repository = catalogue::repository(home)?;
    if differs(&["root", "targets", "snapshot"]) {
        let rotated = repository.rotate_root(role("root"), role("targets"), online, keys, now);
        rotated.map_err(CatalogueTrouble::from)?;
    }
    if differs(&["policy"]) || differs(&LISTS) {
        let risks = Risk::ALL.into_iter().map(|risk| (risk, role(risk.role()))).collect();
        let set = repository.set_roles(role("policy"), risks, keys, now);
        set.map_err(CatalogueTrouble::from)?;
    }
    Ok(())
}

/// The policy that says whose the new key is, and that the old one counts for nothing.
fn policy_after(
    home: &Home,
    change: &DutyChange,
    gone: Option<PublicKey>,
    now: Time,
) -> Result<Option<PolicyFile>, DutyError> {
    let (kind, person, new) = match change {
        DutyChange::Give { kind, person, key } => (*kind, person, Some(*key)),
        DutyChange::Take { kind, person, .. } => (*kind, person, None),
        DutyChange::Threshold { .. } | DutyChange::Online => return Ok(None),
    };
    let before = catalogue::policy(home, now)?.file().clone();
    let mut file = before.clone();
    let listed = file.people.iter_mut().find(|listed| listed.name == *person);
    match (kind, listed) {
        (Held::Admin, Some(listed)) => listed.admin_key = new,
        (Held::Vetter, Some(listed)) => listed.vetter_key = new,
        // Whose a root key is, no policy says.
        (Held::Root, _) => return Ok(None),
        (_, None) => return Err(DutyError::Nobody(person.clone())),
    }
    if let Some(key) = gone {
        let denied: BTreeSet<PublicKey> = file.denied.keys.iter().copied().collect();
        if !denied.contains(&key) {
            file.denied.keys.push(key);
            file.denied.since.insert(key.to_string(), now);
        }
    }
    Ok((file != before).then_some(file))
}

fn next_path(home: &Home) -> std::path::PathBuf {
    home.online(Online::SnapshotTimestamp).with_extension("next.pem")
}

/// The online key that comes; one that an interrupted change made is taken up.
fn next_online(home: &Home) -> Result<SigningKey, DutyError> {
    let path = next_path(home);
    if !is_there(&path) {
        let key = SigningKey::from_seed(fresh()?);
        home::write_secret(&path, key.to_pem().as_bytes())?;
    }
    let pem = zeroize::Zeroizing::new(home::read_text(&path)?);
    Ok(SigningKey::from_pem(&pem, None).map_err(|source| HomeError::Key { path, source })?)
}

fn promote_online(home: &Home) -> Result<(), DutyError> {
    let path = home.online(Online::SnapshotTimestamp);
    let fail = |source| FileError::Write { path: path.clone(), source };
    Ok(std::fs::rename(next_path(home), &path).map_err(fail)?)
}
