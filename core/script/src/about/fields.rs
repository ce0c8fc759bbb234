//! The keys of `ABOUT`. Never fills in what a vetter must read: only `runs_on`, `words` and the
//! deadline have a preset.

use std::collections::BTreeMap;
use std::str::FromStr;

use protocol::{AgentName, Consent, Manifest, Risk, RunsOn, limits};

use super::literal::{Entry, Kind, Literal};
use super::{Author, params};
use crate::fault::{At, Fault};

const KEYS: &[&str] = &[
    "id",
    "version",
    "title",
    "does",
    "author",
    "risk",
    "consent",
    "question",
    "platforms",
    "runs_on",
    "limit",
    "params",
    "permissions",
    "words",
];
const PLATFORMS: &[&str] = &["linux", "macos", "windows"];
/// Numbers in documents lie below 2^53.
const INT_MAX: i64 = (1 << 53) - 1;

/// Faults of `ABOUT`, with the source they point into.
pub(super) struct Faults<'a> {
    source: &'a str,
    list: &'a mut Vec<Fault>,
}

impl Faults<'_> {
    pub(super) fn value(&mut self, at: At, why: impl Into<String>) {
        self.list.push(Fault::at(self.source, "about-value", at, why));
    }
    fn key(&mut self, entry: &Entry, known: &[&str]) {
        let why = format!("unknown key `{}`; there are {}", entry.key, known.join(", "));
        let mut fault = Fault::at(self.source, "about-key", entry.at, why);
        if let Some(near) = crate::lint::nearest(&entry.key, known.iter().copied()) {
            fault = fault.hint(format!("`{near}`"));
        }
        self.list.push(fault);
    }
}

/// A map's entries, each taken once; what is left is unknown.
pub(super) struct Keys<'a> {
    entries: &'a [Entry],
    pub(super) at: At,
}

impl<'a> Keys<'a> {
    pub(super) fn open(value: &'a Literal, known: &[&str], what: &str, f: &mut Faults<'_>) -> Self {
        let entries: &[Entry] = if let Kind::Map(entries) = &value.kind {
            entries
        } else {
            f.value(value.at, format!("{what} must be a map, got {}", value.type_word()));
            &[]
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            f.key(entry, known);
        }
        Self { entries, at: value.at }
    }
    pub(super) fn get(&self, key: &str) -> Option<&'a Literal> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
    fn must(&self, key: &str, f: &mut Faults<'_>) -> Option<&'a Literal> {
        let value = self.get(key);
        if value.is_none() {
            f.value(self.at, format!("key `{key}` is missing"));
        }
        value
    }
    pub(super) fn text(&self, key: &str, max: usize, f: &mut Faults<'_>) -> Option<String> {
        plain(self.must(key, f)?, key, max, f)
    }
    pub(super) fn text_or_none(&self, key: &str, max: usize, f: &mut Faults<'_>) -> Option<String> {
        plain(self.get(key)?, key, max, f)
    }
    fn name<T: FromStr<Err: std::fmt::Display>>(&self, key: &str, f: &mut Faults<'_>) -> Option<T> {
        let value = self.must(key, f)?;
        let text = plain(value, key, 64, f)?;
        text.parse().map_err(|error| f.value(value.at, format!("`{key}`: {error}"))).ok()
    }
    pub(super) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        f: &mut Faults<'_>,
    ) -> Option<T> {
        let value = self.must(key, f)?;
        let text = plain(value, key, 64, f)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, is)| *is);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            f.value(value.at, format!("`{key}` must be one of {}", all.join(", ")));
        }
        found
    }
    pub(super) fn texts(&self, key: &str, f: &mut Faults<'_>) -> Option<Vec<String>> {
        self.get(key).map(|value| texts(value, key, f))
    }
    pub(super) fn int(&self, key: &str, f: &mut Faults<'_>) -> Option<i64> {
        let value = self.get(key)?;
        match value.kind {
            Kind::Int(n) if (-INT_MAX..=INT_MAX).contains(&n) => Some(n),
            _ => {
                f.value(value.at, format!("`{key}` must be a whole number below 2^53"));
                None
            }
        }
    }
}

fn plain(value: &Literal, what: &str, max: usize, f: &mut Faults<'_>) -> Option<String> {
    let Kind::Text(text) = &value.kind else {
        f.value(value.at, format!("`{what}` must be text, got {}", value.type_word()));
        return None;
    };
    let odd = |c: char| {
        c.is_control()
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    if text.trim().is_empty() || text.trim() != text || text.chars().any(odd) {
        f.value(value.at, format!("`{what}` must be one line of visible text"));
        return None;
    }
    if text.chars().count() > max {
        f.value(value.at, format!("`{what}` has more than {max} characters"));
        return None;
    }
    Some(text.clone())
}

fn texts(value: &Literal, what: &str, f: &mut Faults<'_>) -> Vec<String> {
    let Kind::List(items) = &value.kind else {
        f.value(value.at, format!("`{what}` must be a list, got {}", value.type_word()));
        return Vec::new();
    };
    let mut out: Vec<String> = Vec::new();
    for item in items {
        let Some(text) = plain(item, what, 300, f) else { continue };
        if out.contains(&text) {
            f.value(item.at, format!("`{text}` is there twice"));
        }
        out.push(text);
    }
    out
}

/// The manifest, or none with at least one fault more.
pub(super) fn manifest(
    source: &str,
    about: &Literal,
    author: Author<'_>,
    list: &mut Vec<Fault>,
) -> Option<Manifest> {
    let f = &mut Faults { source, list };
    let keys = Keys::open(about, KEYS, "ABOUT", f);
    let name = keys.name("id", f);
    let version = version(&keys, f);
    let title = keys.text("title", 80, f);
    let does = keys.text("does", 200, f);
    let author = writer(&keys, author, f);
    let risks = [("low", Risk::Low), ("medium", Risk::Medium), ("high", Risk::High)];
    let risk = keys.word("risk", &risks, f);
    let consents = [
        ("none", Consent::None),
        ("tell", Consent::Tell),
        ("ask", Consent::Ask),
        ("identity", Consent::Identity),
    ];
    let consent = keys.word("consent", &consents, f);
    let question = question(&keys, consent, f);
    let platforms = platforms(&keys, f);
    let places = [("endpoint", RunsOn::Endpoint), ("management", RunsOn::Management)];
    let runs_on = if keys.get("runs_on").is_some() {
        keys.word("runs_on", &places, f)
    } else {
        Some(RunsOn::Endpoint)
    };
    let limit_seconds = limit(&keys, f);
    let parameters = params::parameters(&keys, f);
    let permissions = permissions(&keys, f);
    let words = keys.texts("words", f).unwrap_or_default();
    let manifest = Manifest {
        name: name?,
        version: version?,
        title: title?,
        does: does?,
        author: author?,
        risk: risk?,
        consent: consent?,
        question,
        platforms,
        runs_on: runs_on?,
        limit_seconds: limit_seconds?,
        parameters,
        permissions,
        words,
    };
    let size = serde_json::to_vec(&manifest).map_or(usize::MAX, |json| json.len());
    if size > limits::MANIFEST_BYTES_MAX {
        f.value(
            about.at,
            format!("the manifest has more than {} bytes", limits::MANIFEST_BYTES_MAX),
        );
    }
    Some(manifest)
}

fn version(keys: &Keys<'_>, f: &mut Faults<'_>) -> Option<u32> {
    let at = keys.must("version", f)?.at;
    let version = u32::try_from(keys.int("version", f)?).ok().filter(|n| *n > 0);
    if version.is_none() {
        f.value(at, "`version` counts from 1");
    }
    version
}

fn writer(keys: &Keys<'_>, author: Author<'_>, f: &mut Faults<'_>) -> Option<AgentName> {
    let Some(value) = keys.get("author") else {
        return match author {
            Author::Named(name) => Some(name.clone()),
            Author::Anybody => "anybody".parse().ok(),
            Author::InAbout => {
                f.value(keys.at, "key `author` is missing");
                None
            }
        };
    };
    let named: AgentName = keys.name("author", f)?;
    match author {
        Author::Named(other) if *other != named => {
            f.value(value.at, format!("`author` is {named}, but {other} adds it"));
            None
        }
        _ => Some(named),
    }
}

fn question(keys: &Keys<'_>, consent: Option<Consent>, f: &mut Faults<'_>) -> Option<String> {
    let question = keys.text_or_none("question", limits::SAY_CHARS_MAX, f);
    let asks = matches!(consent, Some(Consent::Ask | Consent::Identity));
    match keys.get("question") {
        None if asks => f.value(keys.at, "consent `ask` and `identity` need a `question`"),
        Some(value) if consent.is_some() && !asks => {
            f.value(value.at, "a `question` is read only where consent is `ask` or `identity`");
        }
        _ => {}
    }
    question
}

fn platforms(keys: &Keys<'_>, f: &mut Faults<'_>) -> Vec<String> {
    let Some(value) = keys.must("platforms", f) else { return Vec::new() };
    let names = texts(value, "platforms", f);
    if names.is_empty() || names.iter().any(|name| !PLATFORMS.contains(&name.as_str())) {
        f.value(value.at, format!("`platforms` lists some of {}", PLATFORMS.join(", ")));
    }
    names
}

/// `90s`, `5m`, `2h`.
fn limit(keys: &Keys<'_>, f: &mut Faults<'_>) -> Option<u64> {
    let Some(value) = keys.get("limit") else { return Some(limits::RUN_SECONDS_DEFAULT) };
    let text = plain(value, "limit", 20, f)?;
    let unit = [("s", 1), ("m", 60), ("h", 3600)];
    let seconds = unit.into_iter().find_map(|(unit, factor)| {
        let digits = text.strip_suffix(unit)?;
        let digits = Some(digits).filter(|d| d.bytes().all(|c| c.is_ascii_digit()))?;
        digits.parse::<u64>().ok()?.checked_mul(factor)
    });
    let seconds = seconds.filter(|n| (1..=limits::RUN_SECONDS_MAX).contains(n));
    if seconds.is_none() {
        f.value(value.at, "`limit` is a time like 30s, 5m or 2h, at most 12h");
    }
    seconds
}

fn permissions(keys: &Keys<'_>, f: &mut Faults<'_>) -> BTreeMap<String, Vec<String>> {
    let Some(value) = keys.must("permissions", f) else { return BTreeMap::new() };
    let Kind::Map(entries) = &value.kind else {
        f.value(value.at, "`permissions` must be a map of host functions to lists");
        return BTreeMap::new();
    };
    for entry in entries {
        let row = surface::find(&entry.key);
        if row.is_none_or(|row| !row.needs_permission()) {
            let named = surface::REGISTRY.iter().filter(|row| row.needs_permission());
            let named: Vec<_> = named.map(|row| row.name).collect();
            f.key(entry, &named);
        }
    }
    entries.iter().map(|e| (e.key.clone(), texts(&e.value, &e.key, f))).collect()
}
