//! What stands at the top level of a script: constants and functions, by name and place. Never
//! looks into a function's body; lint does.

use std::ops::Range;

use crate::fault::At;
use crate::lex::{Tok, Token};

/// A constant: its value is the tokens of `value`.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) value: Range<usize>,
}

/// A function.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) params: Vec<String>,
    pub(crate) body: Range<usize>,
}

/// The top level.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outline {
    pub(crate) constants: Vec<Constant>,
    pub(crate) functions: Vec<Function>,
    /// Where the first statement begins that is neither.
    pub(crate) stray: Option<At>,
}

/// Reads the top level.
pub(crate) fn outline(tokens: &[Token]) -> Outline {
    let mut out = Outline::default();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let next = match token.word() {
            Some("const") => constant(tokens, index, &mut out),
            Some("fn") => function(tokens, index, &mut out),
            Some("private") if tokens.get(index + 1).and_then(Token::word) == Some("fn") => {
                function(tokens, index + 1, &mut out)
            }
            _ if token.is(";") => Some(index + 1),
            _ => None,
        };
        index = next.unwrap_or_else(|| {
            out.stray = out.stray.or(Some(token.at));
            behind(tokens, index)
        });
    }
    out
}

/// The index where the top level goes on behind a stray statement.
fn behind(tokens: &[Token], start: usize) -> usize {
    let mut index = start;
    loop {
        index = match tokens.get(index) {
            None => return index,
            Some(token) if token.is(";") => return index + 1,
            Some(token) if ["{", "#{", "(", "["].iter().any(|mark| token.is(mark)) => {
                closing(tokens, index).map_or(tokens.len(), |end| end + 1)
            }
            Some(_) => index + 1,
        };
        if tokens.get(index).and_then(Token::word).is_some_and(|w| w == "fn" || w == "const") {
            return index;
        }
    }
}

/// `const NAME = ... ;`
fn constant(tokens: &[Token], start: usize, out: &mut Outline) -> Option<usize> {
    let name = tokens.get(start + 1)?;
    if !tokens.get(start + 2)?.is("=") {
        return None;
    }
    let mut end = start + 3;
    let mut depth = 0_u32;
    while let Some(token) = tokens.get(end) {
        match &token.tok {
            Tok::Mark("{" | "#{" | "(" | "[" | "?[") | Tok::TextStart => depth += 1,
            Tok::Mark("}" | ")" | "]") | Tok::TextEnd => depth = depth.saturating_sub(1),
            Tok::Mark(";") if depth == 0 => break,
            _ => {}
        }
        end += 1;
    }
    let (word, at) = (name.word()?.to_owned(), name.at);
    out.constants.push(Constant { name: word, at, value: start + 3..end });
    Some(end + 1)
}

/// `fn NAME(A, B) { ... }`
fn function(tokens: &[Token], start: usize, out: &mut Outline) -> Option<usize> {
    let name = tokens.get(start + 1)?;
    if !tokens.get(start + 2)?.is("(") {
        return None;
    }
    let mut index = start + 3;
    let mut params = Vec::new();
    while let Some(token) = tokens.get(index).filter(|token| !token.is(")")) {
        params.extend(token.word().map(str::to_owned));
        index += 1;
    }
    if !tokens.get(index + 1)?.is("{") {
        return None;
    }
    let end = closing(tokens, index + 1)?;
    let (word, at) = (name.word()?.to_owned(), name.at);
    out.functions.push(Function { name: word, at, params, body: index + 2..end });
    Some(end + 1)
}

/// The index of the bracket that closes the one at `open`.
pub(crate) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_u32;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match &token.tok {
            Tok::Mark("{" | "#{" | "(" | "[" | "?[") => depth += 1,
            Tok::Mark("}" | ")" | "]") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}
