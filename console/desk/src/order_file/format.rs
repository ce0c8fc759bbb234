//! The file: one line, `salve order 1 sha256 HEX`, then strict JSON of [`OrderFile`]: see
//! [`protocol::headed`]. One that is not to the byte what was written is not read.

use std::fmt;

use protocol::limits::ORDER_FILE_BYTES_MAX;
use protocol::{Bytes, Label, Time, headed, json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

const MAGIC: &str = "salve order 1 sha256 ";

/// The seed of the key that signs the dispatch of one order and nothing else. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderKey(pub Zeroizing<[u8; 32]>);

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrderKey(..)")
    }
}

impl Serialize for OrderKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        Bytes(self.0.to_vec()).serialize(s)
    }
}

impl<'de> Deserialize<'de> for OrderKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let bytes = Zeroizing::new(Bytes::deserialize(d)?.0);
        let seed = bytes.as_slice().try_into();
        seed.map(|seed| Self(Zeroizing::new(seed)))
            .map_err(|_| serde::de::Error::custom("expected 32 bytes"))
    }
}

/// An order under way without a line, or its record on the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderFile {
    /// Whose.
    pub organisation: Label,
    /// When it was first written, by the clock of whoever did.
    pub written: Time,
    /// The order's envelope.
    pub order: Bytes,
    /// The envelope of its endpoint's card, as the address book has it.
    pub card: Bytes,
    /// Where that is dialled, where the address book knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The key of its dispatch; gone when the answer is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<OrderKey>,
    /// What the endpoint answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerPapers>,
}

/// What an endpoint answered, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerPapers {
    /// The record's envelope.
    pub record: Bytes,
    /// The dispatch that it was sent with; none where an earlier one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<Bytes>,
    /// The effects file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Bytes>,
    /// The plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Bytes>,
    /// The envelope of the card that it showed.
    pub card: Bytes,
}

/// Why a file is no order file.
#[derive(Debug, thiserror::Error)]
pub enum BadOrderFile {
    /// Larger than any.
    #[error("a file of {0} bytes is larger than any order file ({ORDER_FILE_BYTES_MAX})")]
    TooLarge(usize),
    /// Another file, or a version that is not known here.
    #[error("it does not begin as an order file of version 1")]
    Head,
    /// Altered or cut off since it was written.
    #[error("it is not what was written: damaged or cut off")]
    Altered,
    /// Not the JSON of an order file.
    #[error("what it holds cannot be read")]
    Shape(#[source] json::BadJson),
    /// Both or neither.
    #[error("it holds either the key of an order or its record, and this has not one of them")]
    Neither,
}

impl OrderFile {
    /// The file.
    ///
    /// # Errors
    /// [`BadOrderFile`] where no reader would take it.
    pub fn write(&self) -> Result<Zeroizing<Vec<u8>>, BadOrderFile> {
        self.check()?;
        let body = Zeroizing::new(json::write(self).map_err(BadOrderFile::Shape)?);
        let file = Zeroizing::new(headed::write(MAGIC, &body));
        if file.len() > ORDER_FILE_BYTES_MAX {
            return Err(BadOrderFile::TooLarge(file.len()));
        }
        Ok(file)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BadOrderFile`].
    pub fn read(file: &[u8]) -> Result<Self, BadOrderFile> {
        if file.len() > ORDER_FILE_BYTES_MAX {
            return Err(BadOrderFile::TooLarge(file.len()));
        }
        let (body, intact) = headed::read(MAGIC, file).ok_or(BadOrderFile::Head)?;
        if !intact {
            return Err(BadOrderFile::Altered);
        }
        let read: Self = json::read(body).map_err(BadOrderFile::Shape)?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), BadOrderFile> {
        match self.key.is_some() == self.answer.is_some() {
            true => Err(BadOrderFile::Neither),
            false => Ok(()),
        }
    }

    /// The same with what the endpoint answered, and without the key.
    #[must_use]
    pub fn answered(&self, answer: AnswerPapers) -> Self {
        Self { key: None, answer: Some(answer), ..self.clone() }
    }
}
