//! Scripts on the screen: lists, what waits, one script's page, faults. All foreign text escaped.

use std::path::PathBuf;

use desk::catalogue::{Pending, PendingScript};
use desk::runs::can_be_undone;
use protocol::{AgentName, Consent, Manifest};
use serde::Serialize;

use crate::view::{Table, count, safe};

/// One file that was read as a vetter would.
#[derive(Debug, Serialize)]
pub struct LintLine {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is, where it has no faults.
    pub script: Option<String>,
    /// What is wrong.
    pub faults: Vec<String>,
}

/// Files with their faults below them.
#[must_use]
pub fn lint_words(lines: &[LintLine]) -> String {
    let mut out = String::new();
    for line in lines {
        let path = safe(&line.path.to_string_lossy());
        match &line.script {
            Some(script) => out.push_str(&format!("{path}: {script}: no faults\n")),
            None => {
                out.push_str(&format!("{path}: {}\n", count(line.faults.len() as u64, "fault")))
            }
        }
        for text in line.faults.iter().flat_map(|fault| fault.lines()) {
            out.push_str(&format!("  {}\n", safe(text)));
        }
    }
    out
}

/// As in `cache.clear 3 (low risk)`.
#[must_use]
pub fn label(manifest: &Manifest) -> String {
    format!("{} {} ({} risk)", manifest.name, manifest.version, manifest.risk)
}

/// What waits, who signed, what is missing.
#[must_use]
pub fn pending_words(waiting: &[Pending]) -> String {
    if waiting.is_empty() {
        return "Nothing waits: these versions are published already.".to_owned();
    }
    let mut out = String::new();
    let mut missing = false;
    for list in waiting {
        let names: Vec<String> = list.scripts.iter().map(name_version).collect();
        let people: Vec<&str> = list.signed.iter().map(AgentName::as_str).collect();
        let by = if people.is_empty() { "nobody".to_owned() } else { people.join(", ") };
        out.push_str(&format!(
            "{} risk waits: {}; signed by {by} ({})\n",
            list.risk,
            names.join(", "),
            share(list.signed.len(), list.wanted)
        ));
        missing |= list.signed.len() < list.wanted;
    }
    out.push_str(if missing {
        "  Next   another vetter signs what waits:  salve scripts sign --as NAME"
    } else {
        "  Next   salve scripts publish"
    });
    out
}

/// As in `1 of 2`; where more signed than must, both numbers in words that cannot be misread.
fn share(signed: usize, wanted: usize) -> String {
    if signed > wanted {
        return format!("{signed} people, {wanted} must");
    }
    format!("{signed} of {wanted}")
}

/// As in `cache.clear 3`.
#[must_use]
pub fn name_version(script: &PendingScript) -> String {
    format!("{} {}", script.name, script.version)
}

/// One line a script.
#[must_use]
pub fn rows(scripts: &[Manifest]) -> String {
    let mut table = Table::new(["SCRIPT", "VERSION", "RISK", "PERSON", "DOES"]);
    for manifest in scripts {
        table.row([
            manifest.name.as_str(),
            &manifest.version.to_string(),
            manifest.risk.word(),
            consent(manifest.consent),
            &manifest.does,
        ]);
    }
    table.render()
}

const fn consent(consent: Consent) -> &'static str {
    match consent {
        Consent::None => "not asked",
        Consent::Tell => "told",
        Consent::Ask => "asked",
        Consent::Identity => "identified",
    }
}

/// Scripts that were looked for: what each asks of the person, does, and whether it can be undone.
#[must_use]
pub fn hits(scripts: &[Manifest]) -> String {
    let mut table = Table::bare();
    for manifest in scripts {
        let undo = match can_be_undone(manifest) {
            Some(true) => "undo: full",
            Some(false) => "undo: none",
            None => "changes nothing",
        };
        let asks = match manifest.consent {
            Consent::None => "asks nobody",
            Consent::Tell => "tells the user",
            Consent::Ask => "asks the user",
            Consent::Identity => "asks who it is",
        };
        let risk = format!("{} risk", manifest.risk);
        table.row([manifest.name.as_str(), &risk, asks, &manifest.does, undo]);
    }
    table.render()
}

/// One script's page.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of its text.
    pub digest: protocol::Digest,
    /// Who signed the list it stands in.
    pub vetted_by: Vec<String>,
    /// How many must.
    pub wanted: usize,
    /// Its text.
    pub source: String,
}

/// A vetted text keeps its line breaks and nothing else that could move the cursor.
#[must_use]
pub fn text(source: &str) -> String {
    source.lines().map(|line| safe(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

/// The page's words.
#[must_use]
pub fn show_words(shown: &Shown) -> String {
    let m = &shown.manifest;
    let mut lines = vec![
        format!("{} {}: {} ({} risk)", m.name, m.version, safe(&m.title), m.risk),
        format!("  Does       {}", safe(&m.does)),
        format!("  Person     {}", consent(m.consent)),
    ];
    lines.extend(m.question.iter().map(|q| format!("  Question   \"{}\"", safe(q))));
    lines.push(format!("  Written    by {}", m.author));
    let by = shown.vetted_by.join(", ");
    lines.push(format!("  Vetted     by {by} ({})", share(shown.vetted_by.len(), shown.wanted)));
    lines.push(format!("  Limit      {} s on {}", m.limit_seconds, safe(&m.platforms.join(", "))));
    let mut head = "  Arguments";
    for (name, spec) in &m.parameters {
        lines.push(format!("{head:<13}{}: {}", safe(name), safe(&spec.ask)));
        head = "";
    }
    let mut head = "  May use";
    for (function, nouns) in &m.permissions {
        let nouns: Vec<String> = nouns.iter().map(|noun| safe(noun)).collect();
        lines.push(
            format!("{head:<13}{} {}", safe(function), nouns.join(" ")).trim_end().to_owned(),
        );
        head = "";
    }
    if m.permissions.is_empty() {
        lines.push("  May use    nothing beyond looking".to_owned());
    }
    lines.push(format!("  Digest     {}", shown.digest));
    lines.push(format!("  Text       salve scripts show {} --source", m.name));
    lines.join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::Risk;

    use super::*;

    /// A manifest with everything in it.
    pub(crate) fn manifest() -> Manifest {
        serde_json::from_value(serde_json::json!({
            "name": "cache.clear", "version": 3, "title": "Clear caches", "author": "a.kaya",
            "does": "empties package\u{1b}[31m caches", "risk": "low", "consent": "tell",
            "platforms": ["linux"], "limit_seconds": 300,
            "parameters": { "browsers": { "kind": "bool", "ask": "Browser caches too?" } },
            "permissions": { "fs.remove": ["{homes}/.cache/**"], "pkg.clean_cache": [] },
        }))
        .unwrap()
    }

    #[test]
    fn lists_and_pages_read_as_promised_and_hostile_text_stays_text() {
        assert_eq!(
            rows(&[manifest()]),
            "SCRIPT       VERSION  RISK  PERSON  DOES\n\
             cache.clear  3        low   told    empties package\\u{1b}[31m caches\n"
        );
        assert_eq!(
            hits(&[manifest()]),
            "cache.clear  low risk  tells the user  empties package\\u{1b}[31m caches  undo: none\n"
        );
        let shown = Shown {
            manifest: manifest(),
            digest: protocol::Digest::of(b"x"),
            vetted_by: vec!["a.kaya".to_owned()],
            wanted: 1,
            source: "a\tb\n\u{1b}c".to_owned(),
        };
        assert_eq!(
            show_words(&shown),
            "cache.clear 3: Clear caches (low risk)\n\
             \x20 Does       empties package\\u{1b}[31m caches\n\
             \x20 Person     told\n\
             \x20 Written    by a.kaya\n\
             \x20 Vetted     by a.kaya (1 of 1)\n\
             \x20 Limit      300 s on linux\n\
             \x20 Arguments  browsers: Browser caches too?\n\
             \x20 May use    fs.remove {homes}/.cache/**\n\
             \x20            pkg.clean_cache\n\
             \x20 Digest     2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n\
             \x20 Text       salve scripts show cache.clear --source"
        );
        assert_eq!(text(&shown.source), "a    b\n\\u{1b}c");
    }

    #[test]
    fn what_waits_says_who_signed_and_what_is_missing() {
        let mut list = Pending {
            risk: Risk::Medium,
            scripts: vec![PendingScript {
                name: "disk.free".parse().unwrap(),
                version: 4,
                risk: Risk::Medium,
            }],
            signed: vec!["a.kaya".parse().unwrap()],
            wanted: 2,
        };
        assert_eq!(
            pending_words(std::slice::from_ref(&list)),
            "medium risk waits: disk.free 4; signed by a.kaya (1 of 2)\n\
             \x20 Next   another vetter signs what waits:  salve scripts sign --as NAME"
        );
        list.signed.push("m.ruiz".parse().unwrap());
        assert!(pending_words(&[list]).ends_with("Next   salve scripts publish"));
    }
}
