//! Nouns of permissions: each of the kind that its host function takes. Never decides whether a
//! noun is wise; that is the vetter's.

use protocol::{Manifest, ParamKind};
use surface::Noun;

use super::Lint;
use super::calls::Target;
use crate::about::literal_value;

pub(super) fn check(lint: &mut Lint<'_>, manifest: &Manifest) {
    for (name, nouns) in &manifest.permissions {
        let Some(row) = surface::find(name) else { continue };
        let bare = matches!(row.noun, Noun::Bare);
        if bare != nouns.is_empty() {
            let why = if bare { "takes no nouns: []" } else { "names what it may touch" };
            lint.fault("noun", lint.place_of(name), format!("permission `{name}` {why}"));
        }
        for noun in nouns {
            if let Some(why) = wrong(row.noun, noun, manifest) {
                lint.fault("noun", lint.place_of(noun), format!("`{noun}`: {why}"));
            }
        }
    }
}

/// A noun that stands literally in a call must be one of the permission's.
pub(super) fn calls(lint: &mut Lint<'_>, manifest: &Manifest) {
    let mut wrong = Vec::new();
    for call in lint.reached.values().flatten() {
        let Target::Host(name) = &call.target else { continue };
        let row = surface::find(name);
        let Some((row, nouns)) = row.zip(manifest.permissions.get(name)) else { continue };
        let arg = row.noun_arg.and_then(|index| call.args.get(index));
        let arg = arg.and_then(|range| lint.tokens.get(range.clone())).unwrap_or_default();
        let value = literal_value(arg, call.at);
        let Some(text) = value.as_ref().and_then(surface::Value::as_text) else { continue };
        let people = row.noun == Noun::Accounts && nouns.iter().any(|noun| noun == "humans");
        if !people && !nouns.iter().any(|noun| noun == text) {
            let at = arg.first().map_or(call.at, |token| token.at);
            wrong.push((at, format!("`{text}` is not among the nouns of permission `{name}`")));
        }
    }
    for (at, why) in wrong {
        lint.fault("noun-call", at, why);
    }
}

fn wrong(kind: Noun, noun: &str, manifest: &Manifest) -> Option<String> {
    if let Some(hole) = unknown_hole(noun, manifest) {
        return Some(format!("there is no parameter `{hole}`"));
    }
    let param = noun.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let param = param.and_then(|name| manifest.parameters.get(name)).map(|spec| spec.kind);
    let ok = match kind {
        Noun::Free | Noun::Bare => true,
        Noun::Paths => return path(noun),
        Noun::Units => {
            param.is_some_and(|kind| kind == ParamKind::Choice)
                || ["service", "timer", "socket", "mount", "path", "target"].iter().any(|end| {
                    noun.strip_suffix(end).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                })
        }
        Noun::Accounts => noun == "humans" || param.is_some_and(|kind| kind == ParamKind::User),
        Noun::Programs => {
            let ok = |c: u8| c.is_ascii_alphanumeric() || b"._+-".contains(&c);
            !noun.starts_with('-') && noun.bytes().all(ok)
        }
        Noun::Words(words) => words.contains(&noun),
    };
    let wants = match kind {
        Noun::Units => "wants a unit as in `cups.service`, or {PARAMETER} of kind choice",
        Noun::Accounts => "wants `humans`, or {PARAMETER} of kind user",
        Noun::Programs => "wants the name of a program, without folders",
        _ => "is not one of this permission's words",
    };
    (!ok).then(|| wants.to_owned())
}

fn path(noun: &str) -> Option<String> {
    let beneath = noun.strip_prefix("{homes}/").or_else(|| noun.strip_prefix('/'));
    let Some(beneath) = beneath else {
        return Some("wants an absolute pattern, or one beneath {homes}/".to_owned());
    };
    let mut parts = beneath.split('/');
    if beneath.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Some("has an empty part, `.` or `..`".to_owned());
    }
    if parts.next().is_none_or(|first| first.starts_with('*')) {
        return Some("must name at least one folder before `*`".to_owned());
    }
    None
}

/// The first `{name}` that is neither a parameter nor a word of the executor's.
fn unknown_hole<'a>(noun: &'a str, manifest: &Manifest) -> Option<&'a str> {
    let known = |name: &str| name == "homes" || manifest.parameters.contains_key(name);
    noun.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .find(|name| !name.contains(',') && !known(name))
}
