//! Keys: what makes a note the one note. `<id of the order's digest>:<what>`, unique for ever.

use std::fmt;
use std::str::FromStr;

use protocol::{Digest, RunId};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// The internal note.
    Note,
    /// A file.
    File,
    /// A change of state.
    State,
    /// The public reply.
    Reply,
    /// A new ticket.
    Ticket,
}

impl KeyKind {
    const ALL: [Self; 5] = [Self::Note, Self::File, Self::State, Self::Reply, Self::Ticket];

    /// The word behind the colon.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::File => "file",
            Self::State => "state",
            Self::Reply => "reply",
            Self::Ticket => "ticket",
        }
    }
}

/// A key. Its letters can neither be markup nor end the marker early.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

/// A text that is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a key like 01k9f2qx...:note")]
pub struct BadKey;

impl Key {
    /// The key of an order: the first 16 bytes of its digest, written as an id. The order's own id
    /// is chosen by its agent; its digest is not.
    #[must_use]
    pub fn of_order(order: &Digest, kind: KeyKind) -> Self {
        Self::from_digest(order, kind)
    }

    /// A key from any digest, as for a ticket made from what was typed.
    #[must_use]
    pub fn from_digest(digest: &Digest, kind: KeyKind) -> Self {
        let mut id = [0u8; 16];
        id.iter_mut().zip(digest.0).for_each(|(slot, byte)| *slot = byte);
        Self(format!("{}:{}", RunId(id), kind.word()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Option<KeyKind> {
        let (_, word) = self.0.rsplit_once(':')?;
        KeyKind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The last line of a note: `[salve:KEY]`.
    #[must_use]
    pub fn marker(&self) -> String {
        format!("[salve:{self}]")
    }

    /// Whether the last line of `body` is this key's marker. A marker quoted further up is not.
    #[must_use]
    pub fn marks(&self, body: &str) -> bool {
        body.trim_end().lines().next_back().is_some_and(|line| line.trim() == self.marker())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = BadKey;
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let (id, word) = text.rsplit_once(':').ok_or(BadKey)?;
        id.parse::<RunId>().map_err(|_| BadKey)?;
        let known = KeyKind::ALL.into_iter().any(|kind| kind.word() == word);
        if known { Ok(Self(text.to_owned())) } else { Err(BadKey) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_spelling_of_one_order() {
        let key = Key::of_order(&Digest::of(b"order"), KeyKind::Note);
        assert_eq!(key.as_str().parse(), Ok(key.clone()));
        assert_eq!(key.kind(), Some(KeyKind::Note));
        assert_ne!(key, Key::of_order(&Digest::of(b"other"), KeyKind::Note));
        assert_ne!(key, Key::of_order(&Digest::of(b"order"), KeyKind::Reply));
        for bad in ["", "x:note", "note", "0000000000000000000000000a:other", "a]b:note"] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_last_line_marks() {
        let key = Key::of_order(&Digest::of(b"order"), KeyKind::Note);
        assert!(key.marks(&format!("text\n{}", key.marker())));
        assert!(key.marks(&format!("text\r\n{}\n", key.marker())));
        assert!(!key.marks(&format!("> {}\nthanks", key.marker())));
        assert!(!key.marks("text"));
    }
}
