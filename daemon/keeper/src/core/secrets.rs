//! One-time secrets: made and sealed by the driver, written and synced, and only then handed over.

use hatch::messages::ToExecutor;
use protocol::{Bytes, Mode, RunId, json};

use super::Core;
use super::effect::Effect;
use super::event::{FreshSecret, Stamp};
use super::run::Stage;

/// Secrets that one run may ask for.
const SECRETS_MAX: usize = 4;

impl Core {
    pub(super) fn one_time(
        &mut self,
        run: RunId,
        handle: u32,
        (length, minutes): (u32, u32),
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        let time = self.trusted_time(now);
        let endpoint = self.id.card.endpoint;
        let Some(found) = self.runs.get_mut(&run) else { return };
        let may = found.one_time
            && found.order.mode == Mode::Fix
            && found.secrets.len() < SECRETS_MAX
            && !found.secrets.contains_key(&handle);
        let Some(to) = found.sealing_key.clone().filter(|_| may) else {
            let message = ToExecutor::Secret { handle, clear: None };
            return out.push(Effect::ToExecutor { run, message });
        };
        let until = time.plus(u64::from(minutes.clamp(10, 1440)) * 60);
        found.secrets.insert(handle, until);
        let info = trust::secret::info(&found.accepted.order, &found.order.agent, &endpoint);
        let (length, info) = (length.clamp(12, 64), Bytes(info));
        out.push(Effect::MakeSecret { run, handle, length, to, info });
    }

    /// INVARIANT (escrow-before-clear): the executor's message stands behind the durable file.
    pub(super) fn secret_made(
        &mut self,
        run: RunId,
        handle: u32,
        secret: Option<FreshSecret>,
        out: &mut Vec<Effect>,
    ) {
        let Some(found) = self.runs.get(&run).filter(|run| run.stage == Stage::Running) else {
            return;
        };
        let Some(not_after) = found.secrets.get(&handle).copied() else { return };
        let sealed = secret.as_ref().and_then(|fresh| json::write(&fresh.sealed).ok());
        let clear = match (secret, sealed) {
            (Some(fresh), Some(sealed)) => {
                out.push(Effect::WriteEscrow { run, handle, sealed: Bytes(sealed), not_after });
                Some(Bytes(fresh.clear.to_vec()))
            }
            _ => None,
        };
        out.push(Effect::ToExecutor { run, message: ToExecutor::Secret { handle, clear } });
    }
}
