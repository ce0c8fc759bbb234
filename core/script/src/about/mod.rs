//! Reads `ABOUT` as the catalogue's manifest without running a line. Never guesses: what is not
//! literal, not known or there twice is a fault with line and caret.
//!
//! Two readers must agree: rhai's parser and ours, which knows the places.

mod fields;
mod literal;
mod outline;
mod params;

use protocol::{AgentName, Manifest};

use crate::convert::to_value;
use crate::engine::Script;
use crate::fault::{At, Fault};
use crate::lex::{Token, tokens};
use literal::Literal;
pub(crate) use outline::{Function, Outline, closing, outline};

/// Who wrote this version.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Author<'a> {
    /// The person who adds it; `ABOUT` may name nobody else.
    Named(&'a AgentName),
    /// Whom `ABOUT` names.
    InAbout,
    /// Does not matter: the manifest is only looked at.
    Anybody,
}

/// The value that some tokens are, where they are literal.
pub(crate) fn literal_value(tokens: &[Token], at: At) -> Option<surface::Value> {
    literal::literal(tokens, at).ok().map(|literal| literal.value())
}

/// The manifest of a script. `author` is whoever adds it, where `ABOUT` names nobody.
///
/// # Errors
/// Every fault of the top level and of `ABOUT`, in the order of the file.
pub fn read(source: &str, author: Option<&AgentName>) -> Result<Manifest, Vec<Fault>> {
    let script = Script::compile(source).map_err(|fault| vec![fault])?;
    let author = author.map_or(Author::InAbout, Author::Named);
    read_compiled(source, &script, &tokens(source), author)
}

/// The same for a script that is compiled already.
pub(crate) fn read_compiled(
    source: &str,
    script: &Script,
    tokens: &[Token],
    author: Author<'_>,
) -> Result<Manifest, Vec<Fault>> {
    let top = outline(tokens);
    let mut faults = Vec::new();
    if let Some(at) = top.stray {
        let why = "only `const NAME = literal;` and `fn` may stand at the top level";
        faults.push(Fault::at(source, "top-level", at, why));
    }
    for name in words_bound_to_about(tokens) {
        let why = "`ABOUT` is one `const` at the top level and is set nowhere else";
        faults.push(Fault::at(source, "about-twice", name, why));
    }
    let about = constants(source, script, tokens, &top, &mut faults);
    let Some(about) = about else {
        if !faults.iter().any(|fault| fault.rule.starts_with("about")) {
            let why = "the script has no `const ABOUT = #{ ... };`";
            faults.push(Fault::file("about-missing", why));
        }
        return Err(faults);
    };
    let manifest = fields::manifest(source, &about, author, &mut faults);
    faults.sort_by_key(|fault| (fault.line, fault.column));
    match manifest {
        Some(manifest) if faults.is_empty() => Ok(manifest),
        _ => Err(faults),
    }
}

/// Where `ABOUT` is bound beyond the first `const ABOUT`: again, by `let`, as a parameter's name.
fn words_bound_to_about(tokens: &[Token]) -> Vec<At> {
    let mut bound = Vec::new();
    let mut first = true;
    for (index, token) in tokens.iter().enumerate() {
        if token.word() != Some("ABOUT") {
            continue;
        }
        let before = index.checked_sub(1).and_then(|n| tokens.get(n));
        let by = before.and_then(Token::word);
        let used = tokens.get(index + 1).is_some_and(|next| next.is("="));
        match by {
            Some("const") if first => first = false,
            Some("const" | "let" | "fn" | "for") => bound.push(token.at),
            _ if used => bound.push(token.at),
            _ => {}
        }
    }
    bound
}

/// Checks that all constants are literal and as rhai saw them; gives `ABOUT`.
fn constants(
    source: &str,
    script: &Script,
    tokens: &[Token],
    top: &Outline,
    faults: &mut Vec<Fault>,
) -> Option<Literal> {
    let seen: Vec<_> = script.ast.iter_literal_variables(true, false).collect();
    let mut about = None;
    for constant in &top.constants {
        let is_about = constant.name == "ABOUT";
        let rule = if is_about { "about-literal" } else { "const-literal" };
        let value = tokens.get(constant.value.clone()).unwrap_or_default();
        let value = match literal::literal(value, constant.at) {
            Ok(value) => value,
            Err(at) => {
                let why =
                    "not a literal: only text, whole numbers, true, false, (), [..] and #{..}";
                faults.push(Fault::at(source, rule, at, why));
                continue;
            }
        };
        let mut same = seen.iter().filter(|(name, ..)| *name == constant.name);
        let theirs = same.next().and_then(|(_, _, value)| to_value(value.clone()).ok());
        if theirs != Some(value.value()) {
            let why = format!("`{}` does not read the same in two readers", constant.name);
            let hint = "write it with plain \"text\", numbers, lists and maps";
            faults.push(Fault::at(source, rule, constant.at, why).hint(hint));
            continue;
        }
        if is_about && about.is_none() {
            about = Some(value);
        }
    }
    about
}

#[cfg(test)]
mod tests;
