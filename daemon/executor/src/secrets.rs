//! Secrets: bytes stay here, the interpreter has numbers. Never printed, never in an error.
//!
//! The order's own secrets have the handles 0, 1, ... in the order of their names; one-time ones
//! follow in the order they are made.

use std::collections::BTreeMap;

use hatch::messages::{FromExecutor, ToExecutor};
use protocol::{Bytes, EffectState};
use surface::Value;
use zeroize::Zeroizing;

use crate::book;
use crate::fail::Fail;
use crate::guard::Checked;
use crate::run::{Go, Run, lost};

/// Most secrets of one run.
const SECRETS_MAX: usize = 32;
/// The plan key of one-time secrets.
const KEY: &str = "one_time";

/// One secret's place.
enum Slot {
    Held(Zeroizing<Vec<u8>>),
    /// Mode plan: there will be one.
    Planned,
}

/// All secrets of a run, by handle. Wiped when dropped; `Debug` tells how many there are.
pub(crate) struct Vault {
    slots: Vec<Slot>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({} secrets)", self.slots.len())
    }
}

impl Vault {
    /// Takes the order's secrets.
    pub(crate) fn new(secrets: BTreeMap<String, Bytes>) -> Self {
        let held = |bytes: Bytes| Slot::Held(Zeroizing::new(bytes.0));
        Self { slots: secrets.into_values().map(held).collect() }
    }
    /// Whether there is such a secret, or will be.
    pub(crate) fn has(&self, handle: u32) -> bool {
        self.slot(handle).is_some()
    }
    /// A secret's bytes; none in a plan.
    pub(crate) fn open(&self, handle: u32) -> Option<&[u8]> {
        match self.slot(handle)? {
            Slot::Held(bytes) => Some(bytes),
            Slot::Planned => None,
        }
    }
    fn slot(&self, handle: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(handle).ok()?)
    }
}

/// `secret.one_time`.
pub(crate) fn one_time(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let length = call.int_option("length", 12, 64)?.unwrap_or(16);
    let minutes = call.int_option("minutes", 10, 1440)?.unwrap_or(60);
    if run.vault.slots.len() >= SECRETS_MAX {
        return Err(Fail::failed(format!("a run has at most {SECRETS_MAX} secrets")));
    }
    let handle = u32::try_from(run.vault.slots.len()).unwrap_or(u32::MAX);
    let want = book::exact("secret.one_time", KEY, "one-time secret");
    let n = match run.begin(&want, KEY)? {
        Go::Planned => {
            run.vault.slots.push(Slot::Planned);
            return Ok(Value::Secret(handle));
        }
        Go::Act(n) => n,
    };
    let [length, minutes] = [length, minutes].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    run.keeper.tell(&FromExecutor::OneTime { handle, length, minutes }).map_err(lost)?;
    let answer = run.keeper.hear(run.clock.end()).map_err(lost)?;
    let clear = match answer {
        ToExecutor::Secret { handle: named, clear } if named == handle => {
            clear.map(|bytes| Zeroizing::new(bytes.0))
        }
        _ => return Err(Fail::fatal("interrupted", "the keeper answered something else")),
    };
    match clear {
        Some(bytes) => {
            run.vault.slots.push(Slot::Held(bytes));
            run.ended(n, &want, KEY, EffectState::Done)?;
            Ok(Value::Secret(handle))
        }
        None => {
            run.ended(n, &want, KEY, EffectState::Failed)?;
            Err(Fail::failed("the secret could not be sealed to the order's signer"))
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing;

    const GRANT: &[(&str, &[&str])] = &[("secret.one_time", &[])];

    #[test]
    fn handles_follow_the_orders_secrets_and_bytes_stay_here() {
        let tree = testing::machine();
        let mut start = testing::start(Mode::Fix, GRANT, &[]);
        start.secrets.insert("b".into(), Bytes(b"second".to_vec()));
        start.secrets.insert("a".into(), Bytes(b"first".to_vec()));
        let mut made = testing::open(&tree, start);
        made.remediate();
        let options = Value::map([("length", Value::Int(20))]);
        assert_eq!(made.call("secret.one_time", &[options]), Ok(Value::Secret(2)));
        let vault = &made.run.vault;
        assert_eq!(vault.open(0), Some(&b"first"[..]));
        assert_eq!(vault.open(1), Some(&b"second"[..]));
        assert_eq!(vault.open(2), Some(&b"Correct-Horse-7"[..]));
        assert!(!vault.has(3));
        let asked = FromExecutor::OneTime { handle: 2, length: 20, minutes: 60 };
        assert!(made.heard.borrow().contains(&asked));
        let all = format!("{:?} {:?} {}", made.run, made.heard.borrow(), made.effects());
        assert!(!all.contains("Correct-Horse") && !all.contains("second"));
        let short = Value::map([("length", Value::Int(3))]);
        assert_eq!(made.code("secret.one_time", &[short]), "bad_argument");
    }

    #[test]
    fn a_plan_asks_the_keeper_for_nothing() {
        let tree = testing::machine();
        let mut made = testing::open(&tree, testing::start(Mode::Plan, GRANT, &[]));
        made.remediate();
        assert_eq!(made.call("secret.one_time", &[]), Ok(Value::Secret(0)));
        assert!(made.run.vault.has(0) && made.run.vault.open(0).is_none());
        let asked = |m: &FromExecutor| matches!(m, FromExecutor::OneTime { .. });
        assert!(!made.heard.borrow().iter().any(asked) && made.effects().is_empty());
        assert_eq!(made.lines().len(), 1);
    }
}
