//! Setting an organisation up: keys, CAs, catalogue, policy, store, in steps that can be repeated.
//!
//! Never overwrites a key; an interrupted set-up is completed by the same command again.

mod keys;
mod open;
mod setup;
mod shape;
mod withdraw;

pub(crate) use keys::{agent as make_agent_keys, agent_certificate_by_desk, not_before};
pub use open::{Desk, OpenError};
pub use setup::{Founder, Founding, InitError, Ready, Step, init, profile_word};
pub use shape::{Shape, check_founders, lifetimes, shape};
pub use withdraw::WithdrawError;

/// Renews this home's own certificates where they are close to their end and the CA is here.
///
/// # Errors
/// [`InitError`] of the home's files.
pub fn renew_certificates(
    home: &crate::home::Home,
    me: &protocol::AgentName,
    now: protocol::Time,
) -> Result<(), InitError> {
    if !crate::home::is_there(&home.online(crate::home::Online::PeopleCa)) {
        return Ok(());
    }
    let _lock = home.lock()?;
    keys::desk_certificate(home, now)?;
    keys::agent_certificate(home, me, now)
}

/// Renews the desk's own certificate where it is close to its end and the CA is here; reads nobody's
/// own keys. True where there is a new one.
///
/// # Errors
/// [`InitError`] of the home's files.
pub fn renew_desk_certificate(
    home: &crate::home::Home,
    now: protocol::Time,
) -> Result<bool, InitError> {
    if !crate::home::is_there(&home.online(crate::home::Online::PeopleCa)) {
        return Ok(false);
    }
    let _lock = home.lock()?;
    let before = home.desk_identity().ok().map(|identity| identity.certificates);
    keys::desk_certificate(home, now)?;
    Ok(before != Some(home.desk_identity()?.certificates))
}

#[cfg(test)]
pub(crate) mod team_tests;
#[cfg(test)]
pub(crate) mod tests;
