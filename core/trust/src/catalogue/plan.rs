//! What a repository is made with: who may sign what, and how long each role lives.

use std::collections::BTreeMap;

use protocol::{PublicKey, Risk};
use serde::{Deserialize, Serialize};

const DAY: u64 = 24 * 3600;

/// Keys of a role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// Who may; each person once.
    pub keys: Vec<PublicKey>,
    /// How many must.
    pub threshold: usize,
}

impl RoleKeys {
    /// `threshold` of `keys`.
    #[must_use]
    pub fn new(threshold: usize, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self { keys: keys.into_iter().collect(), threshold }
    }
}

/// How long each role's file is good, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetimes {
    /// The timestamp: how long a desk may be away.
    pub timestamp: u64,
    /// The snapshot.
    pub snapshot: u64,
    /// The policy.
    pub policy: u64,
    /// Lists of scripts.
    pub scripts: u64,
    /// The top-level targets.
    pub targets: u64,
    /// The root.
    pub root: u64,
}

impl Lifetimes {
    /// Profiles solo and small: a desk may be away for a long weekend.
    #[must_use]
    pub const fn small() -> Self {
        Self {
            timestamp: 7 * DAY,
            snapshot: 30 * DAY,
            policy: 90 * DAY,
            scripts: 180 * DAY,
            targets: 730 * DAY,
            root: 730 * DAY,
        }
    }
    /// Profile regulated: two desks renew daily, everything else lives half as long.
    #[must_use]
    pub const fn regulated() -> Self {
        Self {
            timestamp: DAY,
            snapshot: 15 * DAY,
            policy: 45 * DAY,
            scripts: 90 * DAY,
            targets: 365 * DAY,
            root: 365 * DAY,
        }
    }
    /// Age at which a timestamp or snapshot is renewed: a day, or half a shorter life.
    #[must_use]
    pub(super) const fn renewal_age(life: u64) -> u64 {
        if life / 2 < DAY { life / 2 } else { DAY }
    }
    /// The life of a role's file.
    pub(super) fn of(&self, role: &str) -> u64 {
        match role {
            "timestamp" => self.timestamp,
            "snapshot" => self.snapshot,
            "targets" => self.targets,
            "root" => self.root,
            super::guard::POLICY => self.policy,
            _ => self.scripts,
        }
    }
}

/// A new repository.
#[derive(Debug, Clone)]
pub struct RepositoryPlan {
    /// May change everything.
    pub root: RoleKeys,
    /// Administrators: may change roles (the top-level targets).
    pub targets: RoleKeys,
    /// Administrators: may change the policy.
    pub policy: RoleKeys,
    /// Vetters per risk; a risk that is not there has no role until `Repository::set_roles`.
    pub risks: BTreeMap<Risk, RoleKeys>,
    /// Signs snapshot and timestamp, unattended.
    pub online: PublicKey,
    /// How long each role's file is good.
    pub lifetimes: Lifetimes,
    /// The first policy.
    pub policy_text: String,
}
