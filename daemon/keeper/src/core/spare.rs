//! A look's two processes, made before its order comes: who says hello, or asks for a challenge, is
//! about to order something, and making processes is most of what a short look takes.
//!
//! They know no script and hold no right of a run; they are gone soon after they were not needed, so
//! that an idle endpoint has gate and keeper only and no wake-up.

use super::Core;
use super::effect::Effect;
use super::event::{Line, Stamp};

/// How long a spare waits for its look, milliseconds: a person reads what the last one found and
/// types the next command.
const SPARE_MS: u64 = 15_000;
/// From so many looks on a session is expected to order another one right behind.
const LOOKS_MANY: u32 = 3;

impl Core {
    /// An order is likely to come soon.
    pub(super) fn want_spare(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        if self.draining {
            return;
        }
        if self.spare.is_none() {
            out.push(Effect::MakeSpare);
        }
        self.spare = Some(now.mono_ms.saturating_add(SPARE_MS));
    }

    /// These lines had their look.
    pub(super) fn looked(&mut self, lines: &[Line]) {
        for line in lines {
            if let Some(session) = self.sessions.get_mut(&line.session) {
                session.looks = session.looks.saturating_add(1);
            }
        }
    }

    /// Whether somebody is here who looks again and again.
    pub(super) fn looks_again(&self) -> bool {
        self.sessions.values().any(|session| session.looks >= LOOKS_MANY)
    }

    /// Nobody is about to order anything.
    pub(super) fn drop_spare(&mut self, out: &mut Vec<Effect>) {
        if self.spare.take().is_some() {
            out.push(Effect::DropSpare);
        }
    }
}
