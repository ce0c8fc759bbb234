//! Random bytes of the operating system: the only place of the desk that asks for them.

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoChance(#[source] getrandom::Error);

/// `N` fresh random bytes.
///
/// # Errors
/// [`NoChance`].
pub fn fresh<const N: usize>() -> Result<[u8; N], NoChance> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoChance)?;
    Ok(bytes)
}
