//! Parameters of `ABOUT`: typed and bounded, so that an order's values can be checked where they
//! arrive. Never a default that nobody wrote: without `preset` a parameter is required.

use std::collections::BTreeMap;

use protocol::{Choices, ParamKind, ParamSpec, ParamValue, limits};

use super::fields::{Faults, Keys};
use super::literal::{Kind, Literal};

const PARAM_KEYS: &[&str] = &["kind", "ask", "preset", "min", "max", "of", "from"];

/// `params`: names to what they take.
pub(super) fn parameters(keys: &Keys<'_>, f: &mut Faults<'_>) -> BTreeMap<String, ParamSpec> {
    let Some(value) = keys.get("params") else { return BTreeMap::new() };
    let Kind::Map(entries) = &value.kind else {
        f.value(value.at, "`params` must be a map of names to maps");
        return BTreeMap::new();
    };
    if entries.len() > limits::PARAMS_MAX {
        f.value(value.at, format!("more than {} parameters", limits::PARAMS_MAX));
    }
    let mut out = BTreeMap::new();
    for entry in entries {
        let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let name = &entry.key;
        if !name.bytes().all(ok)
            || name.len() > 32
            || name.starts_with(|c: char| !c.is_alphabetic())
        {
            f.value(entry.at, "a parameter's name is at most 32 of a-z 0-9 _, a letter first");
        }
        if let Some(spec) = parameter(&entry.value, f) {
            out.insert(name.clone(), spec);
        }
    }
    out
}

fn parameter(value: &Literal, f: &mut Faults<'_>) -> Option<ParamSpec> {
    let keys = Keys::open(value, PARAM_KEYS, "a parameter", f);
    let kinds = [
        ("bool", ParamKind::Bool),
        ("int", ParamKind::Int),
        ("text", ParamKind::Text),
        ("choice", ParamKind::Choice),
        ("user", ParamKind::User),
        ("path", ParamKind::Path),
        ("hostname", ParamKind::Hostname),
    ];
    let kind = keys.word("kind", &kinds, f)?;
    let ask = keys.text("ask", 120, f)?;
    let (min, max) = (keys.int("min", f), keys.int("max", f));
    let bounded = match kind {
        ParamKind::Int => min.zip(max).is_some_and(|(min, max)| min <= max),
        ParamKind::Text => min.is_none() && max.is_none_or(|max| (1..=4096).contains(&max)),
        _ => min.is_none() && max.is_none(),
    };
    if !bounded {
        let why =
            "kind `int` needs min <= max; `text` may have max (1..=4096); others have neither";
        f.value(value.at, why);
    }
    let choices = choices(&keys, kind, f);
    let preset = keys.get("preset").and_then(|literal| {
        let preset = preset(literal, kind, min.zip(max), max, choices.as_ref());
        if preset.is_none() {
            f.value(literal.at, "`preset` is not a value that this parameter takes");
        }
        preset
    });
    Some(ParamSpec { kind, ask, preset, min, max, choices })
}

fn choices(keys: &Keys<'_>, kind: ParamKind, f: &mut Faults<'_>) -> Option<Choices> {
    let of = keys.texts("of", f);
    let from = keys.text_or_none("from", 64, f);
    let choices = match (kind, of, from) {
        (ParamKind::Choice, Some(of), None) if !of.is_empty() => Some(Choices::Of(of)),
        (ParamKind::Choice, None, Some(from))
            if from.strip_prefix("site.").is_some_and(|name| {
                !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
            }) =>
        {
            Some(Choices::From(from))
        }
        _ => None,
    };
    let named = keys.get("of").is_some() || keys.get("from").is_some();
    if (kind == ParamKind::Choice) != choices.is_some() || (named && choices.is_none()) {
        f.value(
            keys.at,
            "kind `choice`, and no other, has either `of: [..]` or `from: \"site.NAME\"`",
        );
    }
    choices
}

fn preset(
    literal: &Literal,
    kind: ParamKind,
    range: Option<(i64, i64)>,
    max: Option<i64>,
    choices: Option<&Choices>,
) -> Option<ParamValue> {
    match (&literal.kind, kind) {
        (Kind::Bool(yes), ParamKind::Bool) => Some(ParamValue::Bool(*yes)),
        (Kind::Int(n), ParamKind::Int) => {
            range.filter(|(min, max)| (min..=max).contains(&n)).map(|_| ParamValue::Int(*n))
        }
        (Kind::Text(text), _) if !text.chars().any(char::is_control) => {
            let ok = match kind {
                ParamKind::Bool | ParamKind::Int => false,
                ParamKind::Choice => match choices {
                    Some(Choices::Of(of)) => of.contains(text),
                    _ => false,
                },
                ParamKind::Path => {
                    text.starts_with('/')
                        && !text.split('/').any(|part| part == "." || part == "..")
                }
                ParamKind::Text => {
                    let most = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(4096);
                    text.chars().count() <= most
                }
                ParamKind::User | ParamKind::Hostname => !text.is_empty(),
            };
            ok.then(|| ParamValue::Text(text.clone()))
        }
        _ => None,
    }
}
