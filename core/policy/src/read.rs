//! Reads `policy.toml`: every fault at once, each with its key, line, reason and cure.
//!
//! Never guesses: an unknown key is a fault, and a file with one fault is no policy.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::file::PolicyFile;
use crate::policy::Policy;
use crate::semantics;

/// One thing that is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, `{key}`: {why}; {try_this}")]
pub struct Fault {
    /// Where, as in `rules[2].risk`.
    pub key: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
    /// What would be right.
    pub try_this: String,
}

const KEYS: &[&str] = &[
    "organisation",
    "profile",
    "limits",
    "ticket_keys",
    "cas",
    "denied",
    "groups",
    "sites",
    "least_risk",
    "personal",
    "people",
    "enrollers",
    "break_glass",
    "rules",
];

/// Collects faults while it reads.
pub(crate) struct Reader {
    /// Where lines end: asked for each key and fault, so that nobody counts through the text again.
    ends: Vec<usize>,
    pub(crate) faults: Vec<Fault>,
    /// Lines of the elements that were read, by key.
    lines: Vec<(String, usize)>,
}

impl Reader {
    fn line_at(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end < offset) + 1
    }
    fn fault(&mut self, key: &str, span: Option<Range<usize>>, why: &str, try_this: &str) {
        let line = self.line_at(span.map_or(0, |s| s.start));
        let (key, why, try_this) = (key.to_owned(), why.to_owned(), try_this.to_owned());
        self.faults.push(Fault { key, line, why, try_this });
    }
    /// A fault found after reading, at the line of the element that `key` names.
    pub(crate) fn later(&mut self, key: &str, why: String, try_this: &str) {
        let at = |wanted: &str| self.lines.iter().find(|(k, _)| k == wanted).map(|(_, line)| *line);
        let parent = key.split(['.', '[']).next().unwrap_or(key);
        let element = key.split_once('.').map_or(key, |(element, _)| element);
        let line = at(key).or_else(|| at(element)).or_else(|| at(parent)).unwrap_or(1);
        self.faults.push(Fault { key: key.to_owned(), line, why, try_this: try_this.to_owned() });
    }

    /// Where an entry and what is in it stand, for what is found after reading.
    fn remember(&mut self, key: &str, value: &Spanned<DeValue<'_>>) {
        self.lines.push((key.to_owned(), self.line_at(value.span().start)));
        if let DeValue::Table(table) = value.get_ref() {
            for name in table.keys() {
                self.lines
                    .push((format!("{key}.{}", name.get_ref()), self.line_at(name.span().start)));
            }
        }
    }

    /// One value; on a fault its guilty part is cut out and the rest is read again for more.
    fn value<T: DeserializeOwned>(&mut self, key: &str, value: Spanned<DeValue<'_>>) -> Option<T> {
        let mut value = value;
        self.remember(key, &value);
        let mut cut: Vec<String> = Vec::new();
        let mut clean = true;
        loop {
            let error = match T::deserialize(toml::de::ValueDeserializer::from(value.clone())) {
                Ok(read) if clean => return Some(read),
                Ok(_) => return None,
                Err(error) => error,
            };
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            let span = error.span().unwrap_or_else(|| value.span());
            let missing = message.strip_prefix("missing field `").and_then(|m| m.split('`').next());
            if let Some(field) = missing {
                if !cut.iter().any(|c| c == field) {
                    let name = format!("{key}.{field}");
                    let span = Some(value.span());
                    self.fault(&name, span, "it is missing", "add it, or remove the whole entry");
                }
                return None;
            }
            clean = false;
            let found = cut_at(&mut value, &span);
            let name = found.as_ref().map_or_else(|| key.to_owned(), |f| format!("{key}.{f}"));
            let cure = if message.starts_with("unknown field") {
                "remove the key or correct its spelling"
            } else {
                "correct the value"
            };
            self.fault(&name, Some(span), &message, cure);
            match found {
                Some(field) => cut.push(field),
                None => return None,
            }
        }
    }

    fn required<T: DeserializeOwned>(&mut self, table: &mut DeTable<'_>, key: &str) -> Option<T> {
        match table.remove(key) {
            Some(value) => self.value(key, value),
            None => {
                self.fault(key, None, "it is missing", "add it");
                None
            }
        }
    }
    fn optional<T: DeserializeOwned + Default>(
        &mut self,
        table: &mut DeTable<'_>,
        key: &str,
    ) -> Option<T> {
        table.remove(key).map_or_else(|| Some(T::default()), |value| self.value(key, value))
    }
    /// A list of tables, element by element, so that a fault in one hides none in the next.
    fn list<T: DeserializeOwned>(&mut self, table: &mut DeTable<'_>, key: &str) -> Vec<T> {
        let Some(value) = table.remove(key) else { return Vec::new() };
        let span = value.span();
        self.lines.push((key.to_owned(), self.line_at(span.start)));
        let DeValue::Array(items) = value.into_inner() else {
            let cure = format!("write each entry under [[{key}]]");
            self.fault(key, Some(span), "expected a list of tables", &cure);
            return Vec::new();
        };
        let mut out = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            out.extend(self.value::<T>(&format!("{key}[{index}]"), item));
        }
        out
    }
}

/// Removes the entry of a table whose key or value covers the span; gives its name.
fn cut_at(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    let DeValue::Table(table) = value.get_mut() else { return None };
    let covers = |s: Range<usize>| s.start <= span.start && span.end <= s.end;
    let name = table
        .iter()
        .find(|(key, value)| covers(key.span()) || covers(value.span()))
        .map(|(key, _)| key.get_ref().to_string())?;
    table.remove(name.as_str());
    Some(name)
}

impl PolicyFile {
    /// The policy that a file's text means.
    ///
    /// # Errors
    /// Every fault that was found, in the order of the file.
    pub fn read(text: &str) -> Result<Policy, Vec<Fault>> {
        let (table, broken) = DeTable::parse_recoverable(text);
        let ends =
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect();
        let mut reader = Reader { ends, faults: Vec::new(), lines: Vec::new() };
        for error in broken {
            let why = error.message().to_owned();
            reader.fault("policy.toml", error.span(), &why, "correct the TOML at this line");
        }
        if !reader.faults.is_empty() {
            return Err(reader.faults);
        }
        let mut table = table.into_inner();
        let unknown: Vec<_> = table
            .keys()
            .filter(|key| !KEYS.contains(&key.get_ref().as_ref()))
            .map(|key| (key.get_ref().to_string(), key.span()))
            .collect();
        for (key, span) in unknown {
            reader.fault(&key, Some(span), "unknown key", "remove it or correct its spelling");
            table.remove(key.as_str());
        }
        let file = shape(&mut reader, &mut table);
        let policy = file.and_then(|file| semantics::check(file, &mut reader));
        reader.faults.sort_by_key(|fault| fault.line);
        match policy {
            Some(policy) if reader.faults.is_empty() => Ok(policy),
            _ => Err(reader.faults),
        }
    }
}

fn shape(reader: &mut Reader, table: &mut DeTable<'_>) -> Option<PolicyFile> {
    let organisation = reader.required(table, "organisation");
    let profile = reader.required(table, "profile");
    let limits = reader.optional(table, "limits");
    let ticket_keys = reader.optional(table, "ticket_keys");
    let cas = reader.required(table, "cas");
    let denied = reader.optional(table, "denied");
    let groups = reader.optional(table, "groups");
    let sites = reader.optional(table, "sites");
    let least_risk = reader.optional(table, "least_risk");
    let personal = reader.optional(table, "personal");
    let people = reader.list(table, "people");
    let enrollers = reader.list(table, "enrollers");
    let break_glass = reader.list(table, "break_glass");
    let rules = reader.list(table, "rules");
    Some(PolicyFile {
        organisation: organisation?,
        profile: profile?,
        limits: limits?,
        ticket_keys: ticket_keys?,
        cas: cas?,
        denied: denied?,
        groups: groups?,
        sites: sites?,
        least_risk: least_risk?,
        personal: personal?,
        people,
        enrollers,
        break_glass,
        rules,
    })
}
