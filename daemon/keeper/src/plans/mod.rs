//! Plans this endpoint made and may be held to: 16 of them, for an hour. Never made elsewhere.

use std::collections::BTreeMap;

use protocol::{Bytes, Digest, Plan, Time, json, limits};

/// Kept plans by digest.
#[derive(Debug, Default)]
pub struct Plans {
    kept: BTreeMap<Digest, (Plan, Bytes)>,
}

impl Plans {
    /// Plans read back after a restart; what is no plan is passed over.
    #[must_use]
    pub fn load(files: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut plans = Self::default();
        for bytes in files {
            if let Ok(plan) = json::read::<Plan>(&bytes) {
                plans.kept.insert(Digest::of(&bytes), (plan, Bytes(bytes)));
            }
        }
        plans
    }
    /// Keeps a plan; gives the digests of those that had to go.
    pub fn keep(&mut self, plan: Plan, bytes: Bytes, now: Time) -> Vec<Digest> {
        let mut gone = self.expire(now);
        self.kept.insert(Digest::of(&bytes.0), (plan, bytes));
        while self.kept.len() > limits::PLANS_KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, (plan, _))| plan.made);
            let Some(digest) = oldest.map(|(digest, _)| *digest) else { break };
            self.kept.remove(&digest);
            gone.push(digest);
        }
        gone
    }
    /// Forgets plans older than an hour; gives their digests.
    pub fn expire(&mut self, now: Time) -> Vec<Digest> {
        let old = self.kept.iter().filter(|(_, (plan, _))| is_old(plan, now));
        let old: Vec<Digest> = old.map(|(digest, _)| *digest).collect();
        self.kept.retain(|digest, _| !old.contains(digest));
        old
    }
    /// Forgets one plan: what its person said yes to was ordered. True where it was kept.
    pub fn spend(&mut self, digest: &Digest) -> bool {
        self.kept.remove(digest).is_some()
    }
    /// A plan that may still be named.
    #[must_use]
    pub fn get(&self, digest: &Digest, now: Time) -> Option<&Plan> {
        self.kept.get(digest).map(|(plan, _)| plan).filter(|plan| !is_old(plan, now))
    }
}

const fn is_old(plan: &Plan, now: Time) -> bool {
    now.since(plan.made) > limits::PLAN_KEPT_SECONDS
}
