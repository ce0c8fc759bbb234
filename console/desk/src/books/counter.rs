//! The shared desk's counter: the questions that need the store and the catalogue and no endpoint.
//!
//! Never decides what a catalogue is worth: the same verification as on an endpoint does.

use protocol::documents::CatalogueVersions;
use protocol::frames::{DeskAnswer, DeskAsk, sorry};
use protocol::{Bytes, Label, Time, limits};
use store::Store;
use trust::catalogue::{Catalogue, Files, RepositoryError, is_plain};

use super::answer::answer;
use super::error::Sorry;
use super::peer::{Peer, People};
use crate::catalogue::{self, CatalogueTrouble};
use crate::home::Home;
use crate::identity::Checks;

/// What the desk answers from. The server keeps catalogue and files read and reads them again when
/// [`Publication::end`] gave a new one.
#[derive(Debug, Clone, Copy)]
pub struct Counter<'a> {
    /// The shared store.
    pub store: &'a Store,
    /// The organisation, as certificates name it.
    pub organisation: &'a Label,
    /// What the desk's catalogue is.
    pub versions: CatalogueVersions,
    /// All of its files.
    pub files: &'a Files,
    /// What the desk checks callers with.
    pub checks: &'a dyn Checks,
    /// Whose seals it opens.
    pub people: &'a dyn People,
}

impl From<Sorry> for DeskAnswer {
    fn from(no: Sorry) -> Self {
        Self::Sorry { code: no.code, sentence: no.sentence, next: no.next }
    }
}

/// Files in parts that frames carry: name, part, whether the file ends there.
pub fn in_parts(files: &Files) -> impl Iterator<Item = (String, Bytes, bool)> {
    files.iter().flat_map(|(name, bytes)| {
        let parts: Vec<&[u8]> = if bytes.is_empty() {
            // An empty file has one empty part.
            vec![bytes]
        } else {
            bytes.chunks(limits::CHUNK_BYTES_MAX).collect()
        };
        let count = parts.len();
        let part = move |(place, part): (usize, &[u8])| {
            (name.to_owned(), Bytes(part.to_vec()), place + 1 == count)
        };
        parts.into_iter().enumerate().map(part).collect::<Vec<_>>()
    })
}

impl Counter<'_> {
    /// All frames of the answer to a question of one frame that needs no endpoint: Hello, Book,
    /// Catalogue. `None` for every other question.
    ///
    /// # Errors
    /// [`Sorry`] with what the desk's journal should keep; send it as [`DeskAnswer::Sorry`].
    #[must_use]
    pub fn answer(
        &self,
        peer: &Peer,
        ask: &DeskAsk,
        now: Time,
    ) -> Option<Result<Vec<DeskAnswer>, Sorry>> {
        Some(match ask {
            DeskAsk::Hello { min, max } => self.hello(*min, *max).map(|hello| vec![hello]),
            DeskAsk::Book { ask } => {
                answer(self.store, peer, &ask.0, now, self.checks, self.people)
                    .map(|bytes| book(&bytes))
            }
            DeskAsk::Catalogue { have } => Ok(self.catalogue(*have)),
            _ => return None,
        })
    }

    fn hello(&self, min: u32, max: u32) -> Result<DeskAnswer, Sorry> {
        let ours = limits::DESK_VERSION;
        if !(min..=max).contains(&ours) {
            let words = format!("the desk speaks version {ours}, the console {min} to {max}");
            return Err(Sorry::new(sorry::STATE, words).next("install the desk's version of salve"));
        }
        Ok(DeskAnswer::Hello {
            min: ours,
            max: ours,
            organisation: self.organisation.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            catalogue: self.versions,
        })
    }

    fn catalogue(&self, have: CatalogueVersions) -> Vec<DeskAnswer> {
        let missing = trust::catalogue::delta(have, self.files);
        let file = |(name, part, last)| DeskAnswer::CatalogueFile { name, part, last };
        let end = DeskAnswer::CatalogueEnd { versions: self.versions };
        in_parts(&missing).map(file).chain([end]).collect()
    }
}

/// What judging by these generations takes, of a desk that has `all` and where `now` is in force.
///
/// # Errors
/// [`Sorry`] where that is more than one answer gives.
pub fn past(
    all: &Files,
    generations: &[CatalogueVersions],
    now: CatalogueVersions,
) -> Result<Vec<DeskAnswer>, Sorry> {
    let most = limits::PAST_GENERATIONS_MAX;
    let kept = Catalogue::evidence(all, generations);
    if generations.len() > most || kept.bytes() > limits::CATALOGUE_BYTES_MAX {
        let words = format!("the lists of {most} generations at most are given at once");
        return Err(Sorry::new(sorry::LIMIT, words));
    }
    let file = |(name, part, last)| DeskAnswer::CatalogueFile { name, part, last };
    let end = DeskAnswer::CatalogueEnd { versions: now };
    Ok(in_parts(&kept).map(file).chain([end]).collect())
}

/// An operation's answer in frames.
fn book(bytes: &[u8]) -> Vec<DeskAnswer> {
    let parts: Vec<&[u8]> = bytes.chunks(limits::DESK_PART_BYTES_MAX).collect();
    let count = parts.len();
    let frame = |(place, part): (usize, &[u8])| DeskAnswer::Book {
        answer: Bytes(part.to_vec()),
        last: place + 1 == count,
    };
    parts.into_iter().enumerate().map(frame).collect()
}

/// A publication that comes in parts, on one stream.
#[derive(Debug, Default)]
pub struct Publication {
    files: Files,
    open: Option<(String, Vec<u8>)>,
    bytes: usize,
}

impl Publication {
    /// Takes one part.
    ///
    /// # Errors
    /// [`Sorry`]: too large, a name that is no file's, parts of two files mixed.
    pub fn take(&mut self, name: &str, part: &[u8], last: bool) -> Result<(), Sorry> {
        let limit = |words: &str| Err(Sorry::new(sorry::LIMIT, words));
        self.bytes = self.bytes.saturating_add(part.len());
        if part.len() > limits::CHUNK_BYTES_MAX || self.bytes > limits::CATALOGUE_BYTES_MAX {
            return limit("the publication is too large");
        }
        if self.files.len() >= limits::CATALOGUE_FILES_MAX {
            return limit("the publication has too many files");
        }
        if !is_plain(name) {
            return limit("a file of the publication has no plain name");
        }
        let (held, mut bytes) = self.open.take().unwrap_or_else(|| (name.to_owned(), Vec::new()));
        if held != name || self.files.get(name).is_some() {
            let words = "the files of the publication came mixed";
            return Err(Sorry::new(sorry::STATE, words));
        }
        bytes.extend_from_slice(part);
        if last {
            self.files.insert(held, bytes);
        } else {
            self.open = Some((held, bytes));
        }
        Ok(())
    }

    /// Verifies it whole over what is published, as an endpoint would, and makes it current.
    ///
    /// # Errors
    /// [`Sorry`]; what was published before is published still.
    pub fn end(self, home: &Home, base: CatalogueVersions, now: Time) -> Result<Catalogue, Sorry> {
        if self.open.is_some() || self.files.is_empty() {
            return Err(Sorry::new(sorry::STATE, "the publication is not complete"));
        }
        catalogue::take(home, &self.files, base, now).map_err(|trouble| match trouble {
            CatalogueTrouble::Repository(RepositoryError::OutOfDate { .. }) => {
                let words = "somebody else published in between; nothing was changed";
                Sorry::new(sorry::MOVED, words).next("run the command again")
            }
            CatalogueTrouble::Repository(RepositoryError::Refused(why)) => {
                Sorry::new(sorry::CATALOGUE, format!("the publication does not verify: {why}"))
            }
            other => Sorry {
                fault: Some(protocol::error_chain::ErrorChain(&other).to_string()),
                ..Sorry::new(sorry::STORE, "the desk could not keep the publication")
            },
        })
    }
}
