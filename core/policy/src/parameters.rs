//! An order's parameters against the script's manifest. Names the parameter, never its value.

use std::collections::BTreeMap;

use protocol::{
    Choices, Manifest, ParamKind, ParamSpec, ParamValue, Params, Refusal, json, limits,
};
use surface::Noun;

use crate::policy::Policy;

/// The parameters with presets filled in, every value of its kind and in its range.
///
/// # Errors
/// The refusal that names the first parameter which is wrong.
pub fn check_parameters(
    manifest: &Manifest,
    given: &Params,
    policy: &Policy,
) -> Result<Params, Refusal> {
    if let Some(name) = given.keys().find(|name| !manifest.parameters.contains_key(*name)) {
        return Err(Refusal::ParameterUnknown { name: printable(name) });
    }
    let mut out = Params::new();
    for (name, spec) in manifest.parameters.iter().take(limits::PARAMS_MAX) {
        let value = given.get(name).or(spec.preset.as_ref());
        let Some(value) = value else {
            return Err(Refusal::ParameterMissing { name: printable(name) });
        };
        check_one(name, spec, value, policy)?;
        out.insert(name.clone(), value.clone());
    }
    Ok(out)
}

/// The permissions with `{parameter}` filled in; `{homes}` stays, the executor knows the homes. One
/// that is not `allowed` ([`Policy::allows_personal`]) is left out: its call is not permitted.
///
/// # Errors
/// The refusal that names a parameter whose value would widen the permission it fills.
pub fn fill_permissions(
    manifest: &Manifest,
    parameters: &Params,
    allowed: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
    let mut out = BTreeMap::new();
    for (function, nouns) in &manifest.permissions {
        if !allowed(function) {
            continue;
        }
        // `humans` is a word of the vetter's: everybody. No order may say it.
        let accounts = surface::find(function).is_some_and(|row| row.noun == Noun::Accounts);
        let one = |noun: &String| fill(noun, parameters, accounts);
        out.insert(function.clone(), nouns.iter().map(one).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(out)
}

fn fill(noun: &str, parameters: &Params, accounts: bool) -> Result<String, Refusal> {
    let mut out = noun.to_owned();
    for (name, value) in parameters {
        let hole = format!("{{{name}}}");
        if name == "homes" || !out.contains(&hole) {
            continue;
        }
        let ParamValue::Text(text) = value else {
            let wants = "text: it fills a permission".to_owned();
            return Err(Refusal::ParameterType { name: printable(name), wants });
        };
        // A value that fills the whole noun may be a path; a part of one is one name in it.
        let part = out != hole;
        if text.is_empty()
            || text.contains(['*', '?', '[', ']', '{', '}'])
            || part && (text.contains(['/', ',']) || matches!(text.as_str(), "." | ".."))
            || accounts && text == "humans"
        {
            let wants = "one name without wildcards".to_owned();
            return Err(Refusal::ParameterRange { name: printable(name), wants });
        }
        out = out.replace(&hole, text);
    }
    Ok(out)
}

/// A name that may be shown and recorded, whatever somebody put there.
fn printable(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '?' };
    name.chars().take(64).map(plain).collect()
}

fn wants(spec: &ParamSpec) -> String {
    match (spec.kind, &spec.choices) {
        (ParamKind::Bool, _) => "yes or no".to_owned(),
        (ParamKind::Int, _) => match (spec.min, spec.max) {
            (Some(min), Some(max)) => format!("a whole number from {min} to {max}"),
            (Some(min), None) => format!("a whole number of at least {min}"),
            (None, Some(max)) => format!("a whole number of at most {max}"),
            (None, None) => "a whole number".to_owned(),
        },
        (ParamKind::Text, _) => format!(
            "text of at most {} characters in one line, not beginning with -",
            text_max(spec)
        ),
        (ParamKind::Choice, Some(Choices::Of(values))) => format!("one of {}", values.join(", ")),
        (ParamKind::Choice, Some(Choices::From(list))) => {
            format!("a value of policy's list {list}")
        }
        (ParamKind::Choice, None) => "a choice that the script lists".to_owned(),
        (ParamKind::User, _) => "a local account's name".to_owned(),
        (ParamKind::Path, _) => "an absolute path without . and ..".to_owned(),
        (ParamKind::Hostname, _) => "a DNS name".to_owned(),
    }
}

fn text_max(spec: &ParamSpec) -> usize {
    let own = spec.max.and_then(|max| usize::try_from(max).ok());
    own.unwrap_or(limits::PARAM_TEXT_BYTES_MAX).min(limits::PARAM_TEXT_BYTES_MAX)
}

fn check_one(
    name: &str,
    spec: &ParamSpec,
    value: &ParamValue,
    policy: &Policy,
) -> Result<(), Refusal> {
    let wrong_type = || Refusal::ParameterType { name: printable(name), wants: wants(spec) };
    let fits = match (spec.kind, value) {
        (ParamKind::Bool, ParamValue::Bool(_)) => true,
        (ParamKind::Int, ParamValue::Int(n)) => {
            n.unsigned_abs() <= json::INTEGER_MAX
                && spec.min.is_none_or(|min| *n >= min)
                && spec.max.is_none_or(|max| *n <= max)
        }
        (ParamKind::Bool | ParamKind::Int, _) => return Err(wrong_type()),
        (kind, ParamValue::Text(text)) => is_line(text) && text_fits(kind, spec, text, policy),
        _ => return Err(wrong_type()),
    };
    if fits {
        Ok(())
    } else {
        Err(Refusal::ParameterRange { name: printable(name), wants: wants(spec) })
    }
}

/// One line that no terminal, option parser or reader turns into something else.
fn is_line(text: &str) -> bool {
    text.len() <= limits::PARAM_TEXT_BYTES_MAX
        && !text.starts_with('-')
        && !text.chars().any(|c| c.is_control() || is_invisible(c))
}

/// Line and paragraph separators, zero-width and direction marks, tags, the byte-order mark.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn text_fits(kind: ParamKind, spec: &ParamSpec, text: &str, policy: &Policy) -> bool {
    match kind {
        ParamKind::Text => text.chars().count() <= text_max(spec),
        ParamKind::Choice => match &spec.choices {
            Some(Choices::Of(values)) => values.iter().any(|value| value == text),
            Some(Choices::From(list)) => {
                policy.site(list).is_some_and(|values| values.iter().any(|value| value == text))
            }
            None => false,
        },
        ParamKind::User => is_user(text),
        ParamKind::Path => is_path(text),
        ParamKind::Hostname => is_hostname(text),
        ParamKind::Bool | ParamKind::Int => false,
    }
}

fn is_user(text: &str) -> bool {
    let first = |c: u8| c.is_ascii_lowercase() || c == b'_';
    let rest = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_.-".contains(&c);
    text.len() <= 32 && text.bytes().next().is_some_and(first) && text.bytes().all(rest)
}

fn is_path(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    rest.is_empty() || rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_hostname(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        (1..=63).contains(&part.len())
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_names_everybody_or_climbs_or_adds_an_alternative() {
        let filled = |function: &str, noun: &str, value: &str| {
            let permissions = BTreeMap::from([(function.to_owned(), vec![noun.to_owned()])]);
            let manifest = Manifest { permissions, ..manifest() };
            let given = Params::from([("user".to_owned(), ParamValue::Text(value.to_owned()))]);
            fill_permissions(&manifest, &given, |_| true)
        };
        let good = filled("user.set_password", "{user}", "jo").unwrap();
        assert_eq!(good.get("user.set_password"), Some(&vec!["jo".to_owned()]));
        assert!(filled("fs.remove", "/srv/{user}/*", "humans").is_ok(), "a folder of that name");
        for (function, noun, value) in [
            ("user.set_password", "{user}", "humans"),
            ("user.clear_failures", "{user}", "humans"),
            ("fs.remove", "/srv/{user}/*", ".."),
            ("fs.remove", "/srv/{user}/*", "."),
            ("fs.remove", "/srv/*.{{user},old}", "gz,conf"),
        ] {
            let code = filled(function, noun, value).unwrap_err().code();
            assert_eq!(code, "parameter-range", "{function} {noun} {value}");
        }
    }

    fn manifest() -> Manifest {
        let text = r#"{"name":"a.b","version":1,"title":"t","does":"d","author":"a.kaya",
            "risk":"high","consent":"none","platforms":["linux"],"limit_seconds":60,
            "parameters":{},"permissions":{}}"#;
        json::read(text.as_bytes()).unwrap()
    }
}
