//! Endpoints by what people type or say: where the rows are, so that it is one question over a line.

use minicbor::{Decode, Encode};
use protocol::{EndpointName, Time};
use store::{EndpointRow, Level, ListFilter, Listed, Store};

use super::{PREFIX_MIN, nearest};
use crate::books::BookError;

/// What a typed name came to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Typed {
    /// The one of that name, or all that begin so, at most ten.
    #[n(0)]
    pub found: Vec<EndpointRow>,
    /// The nearest names, at most eight, where none was found.
    #[n(1)]
    pub nearest: Vec<String>,
}

/// Most that a beginning of a name may mean.
const TYPED_MAX: usize = 10;

/// The active endpoint of this name, else those whose name begins so.
pub(crate) fn typed(store: &Store, typed: &str) -> Result<Typed, BookError> {
    let none = |found| Typed { found, nearest: Vec::new() };
    if let Ok(name) = typed.parse::<EndpointName>()
        && let Some(exact) = store.endpoint_named(&name)?
    {
        return Ok(none(vec![exact]));
    }
    let lower = typed.to_lowercase();
    let mut found = Vec::new();
    if lower.len() >= PREFIX_MIN {
        let limit = TYPED_MAX;
        let filter = ListFilter { prefix: Some(lower.clone()), limit, ..ListFilter::default() };
        // Who is here makes no difference to a name.
        for one in store.listed(&filter, Time(0))? {
            found.extend(store.endpoint(&one.id)?);
        }
    }
    if !found.is_empty() {
        return Ok(none(found));
    }
    Ok(Typed { found, nearest: nearest(&lower, store.endpoint_names()?) })
}

/// How alike a part of a name must be.
const ALIKE_MIN: f64 = 0.75;
/// Shorter words have no slips: too much is like them.
const SLIP_CHARS_MIN: usize = 4;

/// Active endpoints of a person, or of which a name, host or label has a part like `words`: whole
/// parts before parts of parts, and slips only where there is nothing better. Of those that fit
/// equally, who is here comes first, then whoever is worst.
pub(crate) fn search(
    store: &Store,
    words: &str,
    limit: usize,
    now: Time,
) -> Result<Vec<Listed>, BookError> {
    let all = store.listed(&ListFilter::default(), now)?;
    let wanted = words.trim().to_lowercase();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let ranked = |rank: fn(&str, &str) -> Option<u8>| -> Vec<(u8, &Listed)> {
        let one = |row| texts(row, |text| rank(text, &wanted)).map(|rank| (rank, row));
        all.iter().filter_map(one).collect()
    };
    let mut found = ranked(part);
    if found.is_empty() {
        found = ranked(slip);
    }
    found.sort_by_key(|(rank, row)| {
        let level = row.health.as_ref().map_or(Level::Unknown, |health| health.level);
        (*rank, !row.here, level, &row.name)
    });
    Ok(found.into_iter().take(limit).map(|(_, row)| row.clone()).collect())
}

/// The best rank among an endpoint's texts.
fn texts(row: &Listed, rank: impl Fn(&str) -> Option<u8>) -> Option<u8> {
    let of = |text: &str| rank(&text.to_lowercase());
    let best = std::iter::once(row.name.as_str())
        .chain(row.person.as_deref())
        .chain(row.host.as_deref())
        .chain(row.signed_in.iter().flat_map(|at| &at.people).map(String::as_str))
        .filter_map(of)
        .min();
    let labels = row.labels.iter().filter_map(|(key, value)| {
        of(value.as_str()).or_else(|| of(&format!("{key}={value}")).filter(|rank| *rank == 0))
    });
    best.into_iter().chain(labels).min()
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(['.', '-', '_', '@', ' '])
}

fn part(text: &str, wanted: &str) -> Option<u8> {
    if text == wanted || parts(text).any(|part| part == wanted) {
        return Some(0);
    }
    text.contains(wanted).then_some(1)
}

fn slip(text: &str, wanted: &str) -> Option<u8> {
    let long = wanted.chars().count();
    let alike = |part: &str| {
        // What differs too much in length cannot be alike; most texts end here.
        let chars = part.chars().count();
        4 * chars >= 3 * long
            && 4 * long >= 3 * chars
            && strsim::normalized_damerau_levenshtein(part, wanted) >= ALIKE_MIN
    };
    (long >= SLIP_CHARS_MIN && parts(text).any(alike)).then_some(2)
}
