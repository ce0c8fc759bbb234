//! Who said so: seals, signers, keys, catalogue, sealed secrets, hash chains. Yields [`Verified`].
//!
//! Never reads a clock, never makes chance, never touches the network; the only files it touches
//! are a catalogue's (`FolderStore`, `Repository`). What comes out as `Verified` or `Catalogue` was
//! checked here and nowhere else.
#![forbid(unsafe_code)]

mod by_person;
pub mod catalogue;
pub mod chain;
pub mod keys;
mod pem;
pub mod seal;
pub mod secret;
mod verified;

pub use by_person::{ByPerson, open_by_person};
pub use keys::{SignError, Signer, SigningKey, is_weak, key_id, verify};
pub use pem::KeyError;
pub use secret::SealingSecret;
pub use verified::Verified;
