//! Finds the calls of a function and looks at their arguments. Sees calls wherever they stand, in
//! closures, interpolations and conditions alike: it reads tokens, not meaning.

use std::ops::Range;

use surface::{Row, Ty};

use crate::about::{closing, literal_value};
use crate::fault::At;
use crate::lex::{Tok, Token};

/// Words of the language and of this project that may be called.
pub(crate) const BUILT_IN: &[&str] =
    &["needed", "healthy", "print", "debug", "range", "min", "max", "parse_int", "type_of", "abs"];
/// Methods of texts, lists, maps and numbers.
pub(crate) const METHODS: &[&str] = &[
    "abs",
    "all",
    "append",
    "call",
    "chars",
    "chop",
    "clear",
    "contains",
    "dedup",
    "drain",
    "ends_with",
    "extract",
    "fill_with",
    "filter",
    "find",
    "find_map",
    "for_each",
    "get",
    "index_of",
    "insert",
    "is_empty",
    "is_even",
    "is_odd",
    "is_zero",
    "join",
    "keys",
    "len",
    "lines",
    "lower",
    "map",
    "mixin",
    "order",
    "order_by",
    "order_desc",
    "pad",
    "pop",
    "push",
    "reduce",
    "reduce_rev",
    "remove",
    "retain",
    "reverse",
    "set",
    "shift",
    "some",
    "sort",
    "sort_by",
    "sort_desc",
    "splice",
    "split",
    "start",
    "starts_with",
    "to_debug",
    "to_string",
    "trimmed",
    "truncate",
    "values",
    "zip",
];
/// Words before a bracket that call nothing.
const KEYWORDS: &[&str] = &[
    "if", "while", "until", "for", "switch", "return", "throw", "catch", "in", "else", "loop",
    "do", "try", "let", "const", "break", "continue", "fn",
];

/// What a call names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `fs::remove` as `fs.remove`.
    Host(String),
    /// `global::NAME`.
    Constant(String),
    /// `x.name()`.
    Method(String),
    /// `name()`.
    Own(String),
}

/// One call and the tokens of its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    pub(crate) target: Target,
    pub(crate) at: At,
    pub(crate) args: Vec<Range<usize>>,
}

/// A fault that is not yet one: rule, place, why.
pub(crate) type Said = (&'static str, At, String);

/// All calls in a range of tokens.
pub(crate) fn collect(tokens: &[Token], range: Range<usize>) -> Vec<Reached> {
    let mut out = Vec::new();
    let get = |index: usize| tokens.get(index);
    let is = |index: usize, mark: &str| get(index).is_some_and(|token| token.is(mark));
    for index in range {
        let Some(token) = get(index) else { break };
        let Some(word) = token.word() else { continue };
        let before = index.checked_sub(1);
        let after = |mark: &str| before.is_some_and(|n| is(n, mark));
        if is(index + 1, "::") {
            let Some(name) = get(index + 2).and_then(Token::word) else { continue };
            let (target, args) = if word == "global" {
                (Target::Constant(name.to_owned()), Vec::new())
            } else {
                (Target::Host(format!("{word}.{name}")), arguments(tokens, index + 3))
            };
            out.push(Reached { target, at: token.at, args });
        } else if is(index + 1, "(") && !after("::") && !KEYWORDS.contains(&word) {
            let method = after(".") || after("?.");
            let name = word.to_owned();
            let target = if method { Target::Method(name) } else { Target::Own(name) };
            out.push(Reached { target, at: token.at, args: arguments(tokens, index + 1) });
        }
    }
    out
}

/// The arguments of the bracket at `open`.
fn arguments(tokens: &[Token], open: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    if !tokens.get(open).is_some_and(|token| token.is("(")) {
        return out;
    }
    let Some(end) = closing(tokens, open) else { return out };
    let mut start = open + 1;
    let mut index = start;
    while index < end {
        let Some(token) = tokens.get(index) else { break };
        match &token.tok {
            // The parameters of a closure have commas of their own.
            Tok::Mark("|") if index == start => {
                let rest = tokens.iter().enumerate().skip(index + 1);
                index = rest.take(end - index).find(|(_, t)| t.is("|")).map_or(index, |(n, _)| n);
            }
            Tok::Mark("(" | "[" | "{" | "#{" | "?[") => {
                index = closing(tokens, index).unwrap_or(end);
            }
            Tok::Mark(",") => {
                out.push(start..index);
                start = index + 1;
            }
            _ => {}
        }
        index += 1;
    }
    if start < end {
        out.push(start..end);
    }
    out
}

/// What is wrong with one argument of a host call, as far as it stands there literally.
pub(crate) fn argument(shown: &str, row: &Row, index: usize, arg: &[Token], at: At) -> Vec<Said> {
    let at = arg.first().map_or(at, |token| token.at);
    let Some(spec) = row.args.get(index) else {
        return options(shown, row, arg, at);
    };
    let Some(value) = literal_value(arg, at) else { return Vec::new() };
    let fits = match spec.ty {
        Ty::Bool => value.as_bool().is_some(),
        Ty::Int => value.as_int().is_some(),
        Ty::Text => value.as_text().is_some(),
        Ty::List => value.as_list().is_some(),
        Ty::Map => matches!(value, surface::Value::Map(_)),
        Ty::Secret => false,
        Ty::Any => true,
    };
    if fits {
        return Vec::new();
    }
    let (wants, got) = (spec.ty.word(), value.type_word());
    vec![("argument", at, format!("`{shown}`: `{}` must be {wants}, got {got}", spec.name))]
}

/// Keys of a literal map of options.
fn options(shown: &str, row: &Row, arg: &[Token], at: At) -> Vec<Said> {
    if !arg.first().is_some_and(|token| token.is("#{")) {
        let why = format!("`{shown}`: write the options as a map: #{{ .. }}");
        return vec![("options", at, why)];
    }
    let mut out = Vec::new();
    let mut depth = 0_u32;
    for (index, token) in arg.iter().enumerate() {
        match &token.tok {
            Tok::Mark("{" | "#{" | "(" | "[") => depth += 1,
            Tok::Mark("}" | ")" | "]") => depth = depth.saturating_sub(1),
            Tok::Word(key) | Tok::Text(key)
                if depth == 1
                    && arg.get(index + 1).is_some_and(|next| next.is(":"))
                    && !row.options.iter().any(|spec| spec.name == key) =>
            {
                let known: Vec<_> = row.options.iter().map(|spec| spec.name).collect();
                let known = known.join(", ");
                let why = format!("`{shown}` has no option `{key}`; it has {known}");
                out.push(("options", token.at, why));
            }
            _ => {}
        }
    }
    out
}

/// Forms that hide what a script does.
pub(crate) fn forms(tokens: &[Token], range: Range<usize>) -> Vec<Said> {
    let mut out = Vec::new();
    let is = |index: usize, mark: &str| tokens.get(index).is_some_and(|token| token.is(mark));
    for index in range {
        let Some(token) = tokens.get(index) else { break };
        match token.word() {
            Some("break") if !is(index + 1, ";") && !is(index + 1, "}") => {
                let why = "`break` with a value hides calls; set a variable and break";
                out.push(("break-value", token.at, why.to_owned()));
            }
            Some("catch") => {
                let open = if is(index + 1, "(") { index + 4 } else { index + 1 };
                if is(open, "{") && is(open + 1, "}") {
                    let why = "an empty `catch` hides an error from the ticket; note or throw it";
                    out.push(("empty-catch", token.at, why.to_owned()));
                }
            }
            _ => {}
        }
    }
    out
}
