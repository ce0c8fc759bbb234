//! Whether a session key is good for what it signed, as far as its paper says. Never opens a seal; which
//! rule lets it sign is for `decide`.

use protocol::documents::SessionKey;
use protocol::{Refusal, Risk, Time, limits};

/// What a session key signs lives within the key's own life: what has not expired was signed while the
/// key was good, and whoever finds the key later can date nothing back. An order `begins` and `ends`; a
/// recall is issued and arrives.
///
/// # Errors
/// [`Refusal::SessionKey`].
pub fn check_session_life(session: &SessionKey, begins: Time, ends: Time) -> Result<(), Refusal> {
    let life = session.not_after.since(session.not_before);
    let because = match () {
        () if session.risk > Risk::Medium => "it is lent for high risk, which none is",
        () if life == 0 || life > limits::SESSION_KEY_SECONDS_MAX => "it lives longer than allowed",
        () if begins < session.not_before => "it was not good yet",
        () if ends > session.not_after => "what it signed would outlive it",
        () => return Ok(()),
    };
    Err(Refusal::SessionKey { because: because.to_owned() })
}
