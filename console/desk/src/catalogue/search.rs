//! Finds scripts by the words people use in tickets; small typing errors do not matter.

use std::collections::BTreeMap;

use protocol::{Manifest, ScriptName};

/// A script that may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its newest manifest.
    pub manifest: Manifest,
    /// How well it fits; only the order counts.
    pub score: u32,
}

/// Words shorter than this must match exactly: `dns` and `dnf` are different things.
const TYPO_LETTERS_MIN: usize = 4;
/// How alike two words must be, hundredths (Damerau-Levenshtein, normalised).
const ALIKE_MIN: u32 = 75;

/// Scripts for some words, best first; `newest` holds one manifest a script. No words: all of them
/// by name.
pub fn search<'a>(newest: impl IntoIterator<Item = &'a Manifest>, words: &str) -> Vec<Hit> {
    let wanted = split(words);
    let mut best: BTreeMap<ScriptName, Hit> = BTreeMap::new();
    for manifest in newest {
        let score = score(manifest, &wanted);
        if score > 0 || wanted.is_empty() {
            best.insert(manifest.name.clone(), Hit { manifest: manifest.clone(), score });
        }
    }
    let mut hits: Vec<Hit> = best.into_values().collect();
    // Stable: scripts that fit equally well stay in the order of their names.
    hits.sort_by_key(|hit| std::cmp::Reverse(hit.score));
    hits
}

fn split(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn score(manifest: &Manifest, wanted: &[String]) -> u32 {
    let fields = [
        (6, split(manifest.name.as_str())),
        (5, manifest.words.iter().flat_map(|word| split(word)).collect()),
        (3, split(&manifest.title)),
        (1, split(&manifest.does)),
    ];
    let one = |word: &String| -> u32 {
        let field = |(weight, words): &(u32, Vec<String>)| {
            words.iter().map(|have| weight * alike(have, word)).max().unwrap_or(0)
        };
        fields.iter().map(field).sum()
    };
    let whole = {
        let phrase = wanted.join(" ");
        let said = manifest.words.iter().any(|w| split(w).join(" ") == phrase);
        if said && !phrase.is_empty() { 2000 } else { 0 }
    };
    let found: Vec<u32> = wanted.iter().map(one).collect();
    // Every word that is found at all counts more than one word found everywhere.
    let breadth: u32 = found.iter().map(|score| if *score > 0 { 1000 } else { 0 }).sum();
    let depth: u32 = found.iter().sum();
    if breadth == 0 { whole } else { whole + breadth + depth }
}

/// Hundredths, zero where two words are different words.
fn alike(have: &str, word: &str) -> u32 {
    if have == word {
        return 100;
    }
    let letters = |text: &str| text.chars().count();
    if letters(word) < TYPO_LETTERS_MIN || letters(have) < TYPO_LETTERS_MIN {
        return 0;
    }
    if have.starts_with(word) || word.starts_with(have) {
        return 85;
    }
    let same = strsim::normalized_damerau_levenshtein(have, word);
    // Between 0 and 1, so that the cast keeps it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let hundredths = (same * 100.0) as u32;
    if hundredths >= ALIKE_MIN { hundredths * 4 / 5 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, title: &str, does: &str, words: &[&str]) -> Manifest {
        serde_json::from_value(serde_json::json!({
            "name": name, "version": 1, "title": title, "does": does, "author": "x",
            "risk": "low", "consent": "none", "platforms": ["linux"], "limit_seconds": 60,
            "parameters": {}, "permissions": {}, "words": words,
        }))
        .unwrap()
    }

    fn found(words: &str) -> Vec<String> {
        let all = [
            manifest(
                "cache.clear",
                "Clear caches",
                "empties package caches",
                &["slow", "disk full"],
            ),
            manifest(
                "disk.free",
                "Free a disk",
                "frees one file system",
                &["disk full", "no space"],
            ),
            manifest("net.dns.flush", "Flush DNS", "forgets cached names", &["dns", "website"]),
            manifest("user.password.reset", "Reset a password", "sets a new one", &["forgot"]),
        ];
        search(&all, words).into_iter().map(|hit| hit.manifest.name.to_string()).collect()
    }

    #[test]
    fn the_words_of_a_ticket_find_the_script() {
        assert_eq!(found("disk full"), ["disk.free", "cache.clear"]);
        assert_eq!(found("Password"), ["user.password.reset"]);
        assert_eq!(found("forgot my pasword!"), ["user.password.reset"]);
        assert_eq!(found("websiet"), ["net.dns.flush"]);
        assert_eq!(found("printer"), Vec::<String>::new());
    }

    #[test]
    fn short_words_must_be_right_and_no_words_list_everything() {
        assert_eq!(found("dnf"), Vec::<String>::new());
        assert_eq!(found("").len(), 4);
    }
}
