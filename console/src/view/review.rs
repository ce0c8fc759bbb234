//! What a vetter looks at before signing: what a version may do now and could not, what else it
//! changed, its text beside the one in force. All foreign text escaped.

use desk::catalogue::{Added, PermissionChange, Proposal};
use desk::runs::can_be_undone;
use protocol::Manifest;
use similar::{ChangeTag, TextDiff};

use crate::view::safe;

/// Lines of text shown around a change.
const AROUND: usize = 3;

/// How the cases of a script came out.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cases {
    /// How many there are.
    pub all: usize,
    /// What came otherwise than expected: the case, and what it was.
    pub wrong: Vec<(String, String)>,
}

/// What a signature would mean: every version it adds, and what that may do now that it could not.
#[must_use]
pub fn proposal_words(proposals: &[Proposal]) -> String {
    let mut out = Vec::new();
    for list in proposals {
        out.push(format!("{} risk, in force until {}: this signature", list.risk, list.ends));
        for added in &list.added {
            let m = &added.manifest;
            out.push(format!("  adds     {} {}: {}", m.name, m.version, safe(&m.does)));
            changes(added, &mut out);
        }
        out.extend(list.withdrawn.iter().map(|path| format!("  removes  {}", safe(path))));
        if list.added.is_empty() && list.withdrawn.is_empty() {
            out.push("  changes no script, only the list's end".to_owned());
        }
    }
    out.join("\n")
}

/// The whole of it: what changed, how the cases came out, and the text. `cases` is of the script of the
/// same place, none where no file of cases lies beside it.
#[must_use]
pub fn review_words(proposals: &[Proposal], cases: &dyn Fn(&Manifest) -> Option<Cases>) -> String {
    let mut out = Vec::new();
    for list in proposals {
        for added in &list.added {
            let m = &added.manifest;
            out.push(format!("{} {} ({} risk), by {}", m.name, m.version, m.risk, m.author));
            out.push(format!("  does     {}", safe(&m.does)));
            changes(added, &mut out);
            let least = added.least_risk();
            if least < m.risk {
                out.push(format!("  risk     {} declared; its permissions take {least}", m.risk));
            }
            out.push(format!("  undo     {}", undo(m)));
            out.push(format!("  cases    {}", cases_words(cases(m).as_ref())));
            out.push(String::new());
            out.push(text(added));
        }
        out.extend(list.withdrawn.iter().map(|path| format!("removes  {}", safe(path))));
    }
    if out.is_empty() {
        out.push("Nothing to look at: these versions are published already.".to_owned());
    }
    out.join("\n")
}

fn undo(manifest: &Manifest) -> &'static str {
    match can_be_undone(manifest) {
        Some(true) => "full",
        Some(false) => "none, or not of all",
        None => "it changes nothing",
    }
}

fn cases_words(cases: Option<&Cases>) -> String {
    let Some(Cases { all, wrong }) = cases else {
        return "none beside it".to_owned();
    };
    let good = all.saturating_sub(wrong.len());
    let mut words = format!("{good} of {all} as expected");
    for (name, why) in wrong {
        words.push_str(&format!("\n           NOT {}:", safe(name)));
        for line in why.lines() {
            words.push_str(&format!("\n             {}", safe(line)));
        }
    }
    words
}

/// Permissions gained and lost, and what else differs from the version in force.
fn changes(added: &Added, out: &mut Vec<String>) {
    for change in added.permissions() {
        out.push(permission(&change));
    }
    let Some(before) = &added.before else { return };
    let mut differs = |what: &str, old: String, new: String| {
        if old != new {
            out.push(format!("  changes  {what}: {} -> {}", safe(&old), safe(&new)));
        }
    };
    let m = &added.manifest;
    differs("risk", before.risk.to_string(), m.risk.to_string());
    differs("person", format!("{:?}", before.consent), format!("{:?}", m.consent));
    let question = |m: &Manifest| m.question.clone().unwrap_or_else(|| "none".to_owned());
    differs("question", question(before), question(m));
    differs("limit", format!("{} s", before.limit_seconds), format!("{} s", m.limit_seconds));
    differs("platforms", before.platforms.join(", "), m.platforms.join(", "));
    differs("runs on", format!("{:?}", before.runs_on), format!("{:?}", m.runs_on));
    let names = before.parameters.keys().chain(m.parameters.keys());
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let spec = |m: &Manifest| {
            let spec = m.parameters.get(name).and_then(|spec| serde_json::to_string(spec).ok());
            spec.unwrap_or_else(|| "none".to_owned())
        };
        differs(&format!("argument {name}"), spec(before), spec(m));
    }
    out.push(format!("           compared with version {}", before.version));
}

fn permission(change: &PermissionChange) -> String {
    let verb = if change.gained { "may now" } else { "no more" };
    let nouns: Vec<String> = change.nouns.iter().map(|noun| safe(noun)).collect();
    let what = format!("{} {}", safe(&change.function), nouns.join(" "));
    let class = match change.action {
        true => format!("   changes things, at least {} risk", change.least_risk),
        false => String::new(),
    };
    format!("  {verb}  {}{}", what.trim_end(), if change.gained { class } else { String::new() })
}

/// The text beside the one in force; whole where there is none.
fn text(added: &Added) -> String {
    let new = String::from_utf8_lossy(&added.source);
    let Some(before) = &added.source_before else {
        let lines = new.lines().map(|line| format!("  + {}", safe(&line.replace('\t', "    "))));
        return lines.collect::<Vec<_>>().join("\n");
    };
    let old = String::from_utf8_lossy(before);
    let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
    let mut out = Vec::new();
    for (place, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if place > 0 {
            out.push("    ...".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let mark = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let line = change.value().trim_end_matches(['\n', '\r']).replace('\t', "    ");
            out.push(format!("  {mark} {}", safe(&line)).trim_end().to_owned());
        }
    }
    if out.is_empty() {
        out.push("  the text is the same".to_owned());
    }
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use protocol::{Risk, Time};

    use super::*;
    use crate::view::script::tests::manifest;

    fn added() -> Added {
        let before = manifest();
        let mut new = Manifest { version: 4, limit_seconds: 600, ..before.clone() };
        new.permissions.insert("pkg.clean_cache".into(), Vec::new());
        new.permissions.insert("fs.remove".into(), vec!["{homes}/.config/x\u{1b}".into()]);
        new.permissions.insert("service.restart".into(), vec!["cups.service".into()]);
        new.parameters.clear();
        let source_before = b"fn detect(p) {\n    old()\n}\n".to_vec();
        let source = b"fn detect(p) {\n    new(\"\x1b[2J\")\n}\n".to_vec();
        Added { manifest: new, before: Some(before), source, source_before: Some(source_before) }
    }

    fn proposal(added: Added) -> [Proposal; 1] {
        let ends = Time(1_795_000_000);
        [Proposal { risk: Risk::Low, added: vec![added], withdrawn: Vec::new(), ends }]
    }

    #[test]
    fn a_review_says_what_is_gained_lost_and_changed_and_shows_the_text() {
        let cases =
            |_: &Manifest| Some(Cases { all: 3, wrong: vec![("full".into(), "x\ny".into())] });
        assert_eq!(
            review_words(&proposal(added()), &cases),
            "cache.clear 4 (low risk), by a.kaya\n\
             \x20 does     empties package\\u{1b}[31m caches\n\
             \x20 may now  fs.remove {homes}/.config/x\\u{1b}   changes things, at least low risk\n\
             \x20 may now  service.restart cups.service   changes things, at least medium risk\n\
             \x20 no more  fs.remove {homes}/.cache/**\n\
             \x20 changes  limit: 300 s -> 600 s\n\
             \x20 changes  argument browsers: {\"kind\":\"bool\",\"ask\":\"Browser caches too?\"} -> none\n\
             \x20          compared with version 3\n\
             \x20 undo     none, or not of all\n\
             \x20 cases    2 of 3 as expected\n\
             \x20          NOT full:\n\
             \x20            x\n\
             \x20            y\n\
             \n\
             \x20   fn detect(p) {\n\
             \x20 -     old()\n\
             \x20 +     new(\"\\u{1b}[2J\")\n\
             \x20   }"
        );
        let first = Added { before: None, source_before: None, ..added() };
        let words = review_words(&proposal(first), &|_| None);
        assert!(words.contains("cases    none beside it"), "{words}");
        assert!(words.contains("  + fn detect(p) {"), "{words}");
        assert!(!words.contains("no more"), "{words}");
    }

    #[test]
    fn a_signature_says_the_same_without_the_text() {
        let words = proposal_words(&proposal(added()));
        assert!(words.contains("  no more  fs.remove {homes}/.cache/**\n"), "{words}");
        assert!(words.contains("compared with version 3"), "{words}");
        assert!(!words.contains("fn detect"), "{words}");
    }
}
