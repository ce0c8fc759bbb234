//! Cuts a script into tokens with their places, so that faults can point at them. Never decides
//! what a script means: rhai parsed it before, and readers compare with what rhai saw.

use std::iter::Peekable;
use std::str::Chars;

use crate::fault::At;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tok {
    /// A name or a keyword.
    Word(String),
    /// Text without interpolation.
    Text(String),
    /// Where text with interpolation begins; its expressions follow, then [`Tok::TextEnd`].
    TextStart,
    /// Where it ends.
    TextEnd,
    /// A whole number; none where it does not fit.
    Number(Option<i64>),
    /// A character.
    Char,
    /// An operator or bracket; `::` and `#{` are one.
    Mark(&'static str),
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) at: At,
}

impl Token {
    pub(crate) fn is(&self, mark: &str) -> bool {
        matches!(&self.tok, Tok::Mark(m) if *m == mark)
    }
    pub(crate) fn word(&self) -> Option<&str> {
        if let Tok::Word(word) = &self.tok { Some(word) } else { None }
    }
}

/// Longest first.
const MARKS: &[&str] = &[
    "...", "..=", "**=", "<<=", ">>=", "#{", "::", "..", "->", "=>", "==", "!=", "<=", ">=", "&&",
    "||", "??", "?.", "?[", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "**", "<<", ">>", "{",
    "}", "(", ")", "[", "]", "+", "-", "*", "/", "%", "=", "<", ">", "!", "&", "|", "^", "~", ",",
    ";", ":", ".", "?", "#", "@", "$", "\\",
];

/// Most levels of text in text in text.
const NESTING_MAX: u32 = 32;

/// The tokens of a script that rhai has parsed already; what cannot be read ends the list.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer =
        Lexer { rest: source.chars().peekable(), at: At { line: 1, column: 1 }, out: Vec::new() };
    lexer.code(0);
    lexer.out
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    at: At,
    out: Vec<Token>,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.at = At { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }
    fn take(&mut self, wanted: char) -> bool {
        let is = self.rest.peek() == Some(&wanted);
        if is {
            self.next();
        }
        is
    }
    fn second(&self) -> Option<char> {
        self.rest.clone().nth(1)
    }
    fn push(&mut self, tok: Tok, at: At) {
        self.out.push(Token { tok, at });
    }

    /// Code up to the end, or up to the `}` that closes an interpolation.
    fn code(&mut self, nesting: u32) {
        let mut braces = 0_u32;
        while let Some(&c) = self.rest.peek() {
            let at = self.at;
            match c {
                c if c.is_whitespace() => drop(self.next()),
                '/' if matches!(self.second(), Some('/' | '*')) => self.comment(),
                '"' | '`' => self.text(nesting),
                '#' if matches!(self.second(), Some('"' | '#')) => self.raw(),
                '\'' => self.character(),
                '0'..='9' => self.number(),
                c if c.is_alphabetic() || c == '_' => self.name(),
                '}' if nesting > 0 && braces == 0 => return,
                _ => {
                    let Some(mark) = self.mark() else { return };
                    match mark {
                        "{" | "#{" => braces += 1,
                        "}" => braces = braces.saturating_sub(1),
                        _ => {}
                    }
                    self.push(Tok::Mark(mark), at);
                }
            }
        }
    }

    fn mark(&mut self) -> Option<&'static str> {
        let ahead: String = self.rest.clone().take(3).collect();
        let mark = MARKS.iter().find(|mark| ahead.starts_with(**mark))?;
        for _ in mark.chars() {
            self.next();
        }
        Some(mark)
    }

    fn comment(&mut self) {
        self.next();
        if self.next() == Some('/') {
            while self.rest.peek().is_some_and(|c| *c != '\n') {
                self.next();
            }
            return;
        }
        let mut level = 1_u32;
        while level > 0 {
            match self.next() {
                None => return,
                Some('/') if self.take('*') => level += 1,
                Some('*') if self.take('/') => level -= 1,
                Some(_) => {}
            }
        }
    }

    fn name(&mut self) {
        let at = self.at;
        let mut word = String::new();
        while let Some(&c) = self.rest.peek() {
            if !c.is_alphanumeric() && c != '_' {
                break;
            }
            word.push(c);
            self.next();
        }
        self.push(Tok::Word(word), at);
    }

    fn number(&mut self) {
        let at = self.at;
        let mut digits = String::new();
        while let Some(&c) = self.rest.peek() {
            if !c.is_ascii_alphanumeric() && c != '_' {
                break;
            }
            if c != '_' {
                digits.push(c);
            }
            self.next();
        }
        let lower = digits.to_ascii_lowercase();
        let radix = |prefix: &str, radix| {
            lower.strip_prefix(prefix).map(|rest| i64::from_str_radix(rest, radix).ok())
        };
        let value = radix("0x", 16)
            .or_else(|| radix("0o", 8))
            .or_else(|| radix("0b", 2))
            .unwrap_or_else(|| lower.parse().ok());
        self.push(Tok::Number(value), at);
    }

    fn character(&mut self) {
        let at = self.at;
        self.next();
        if self.next() == Some('\\') {
            self.next();
        }
        while self.rest.peek().is_some_and(|c| *c != '\'' && *c != '\n') {
            self.next();
        }
        self.take('\'');
        self.push(Tok::Char, at);
    }

    /// `#"..."#` with any number of `#`.
    fn raw(&mut self) {
        let at = self.at;
        let mut hashes = 0_usize;
        while self.take('#') {
            hashes += 1;
        }
        if !self.take('"') {
            return;
        }
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == '"' && self.rest.clone().take(hashes).filter(|c| *c == '#').count() == hashes {
                for _ in 0..hashes {
                    self.next();
                }
                break;
            }
            text.push(c);
        }
        self.push(Tok::Text(text), at);
    }

    fn text(&mut self, nesting: u32) {
        let at = self.at;
        let Some(quote) = self.next() else { return };
        let verbatim = quote == '`';
        if verbatim {
            // A line break straight after the opening mark does not belong to the text.
            self.take('\n');
        }
        let mut text = String::new();
        let mut pieces = false;
        while let Some(c) = self.next() {
            match c {
                c if c == quote => {
                    if !self.take(quote) {
                        break;
                    }
                    text.push(quote);
                }
                '$' if verbatim && self.rest.peek() == Some(&'{') && nesting < NESTING_MAX => {
                    if !pieces {
                        self.push(Tok::TextStart, at);
                    }
                    pieces = true;
                    self.next();
                    self.code(nesting + 1);
                    self.take('}');
                }
                '\\' if verbatim && self.rest.peek() == Some(&'$') => {
                    let second = self.second();
                    if second != Some('{') {
                        text.push('\\');
                    }
                    text.extend(self.next());
                }
                '\\' if !verbatim => self.escape(&mut text, at.column),
                c => text.push(c),
            }
        }
        let end = if pieces { Tok::TextEnd } else { Tok::Text(text) };
        self.push(end, at);
    }

    fn escape(&mut self, text: &mut String, column: u32) {
        let Some(c) = self.next() else { return };
        let hex = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'n' => return text.push('\n'),
            't' => return text.push('\t'),
            'r' => return text.push('\r'),
            '\n' => {
                // A continued line begins below the text's first character.
                while self.at.column <= column && self.rest.peek().is_some_and(|c| *c == ' ') {
                    self.next();
                }
                return;
            }
            other => return text.push(other),
        };
        let mut code = 0_u32;
        for _ in 0..hex {
            let digit = self.next().and_then(|c| c.to_digit(16)).unwrap_or(0);
            code = code.wrapping_mul(16).wrapping_add(digit);
        }
        text.extend(char::from_u32(code));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<Tok> {
        tokens(source).into_iter().map(|token| token.tok).collect()
    }

    #[test]
    fn comments_text_and_interpolation_are_cut_as_rhai_does() {
        let words = |source: &str| -> Vec<String> {
            let word = |tok| if let Tok::Word(word) = tok { Some(word) } else { None };
            kinds(source).into_iter().filter_map(word).collect()
        };
        assert_eq!(words("a /* b /* c */ d */ e // f\n g"), ["a", "e", "g"]);
        assert_eq!(words("`x ${a + `y ${b}`} z ${#{ c: 1 }.c}` d"), ["a", "b", "c", "c", "d"]);
        assert_eq!(words(r##"#"fs::remove "quoted""# a "b \" c" d"##), ["a", "d"]);
        assert_eq!(words("'\\'' a '\"' b"), ["a", "b"]);
        assert_eq!(kinds(r#""a""b\x41\n""#), [Tok::Text("a\"bA\n".into())]);
        assert_eq!(
            kinds("1_000 0xff -3"),
            [Tok::Number(Some(1000)), Tok::Number(Some(255)), Tok::Mark("-"), Tok::Number(Some(3)),]
        );
    }

    #[test]
    fn places_count_lines_and_characters() {
        let all = tokens("é = 1;\n  fs::remove(x)");
        let at: Vec<_> = all.iter().map(|t| (t.at.line, t.at.column)).collect();
        assert_eq!(at.first(), Some(&(1, 1)));
        assert_eq!(at.get(1), Some(&(1, 3)));
        assert_eq!(at.get(4), Some(&(2, 3)));
        assert_eq!(at.get(5), Some(&(2, 5)));
    }
}
