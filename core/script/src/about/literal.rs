//! Literal values with their places. Never takes anything that would have to be run.

use surface::Value;

use crate::fault::At;
use crate::lex::{Tok, Token};

/// A value that stands there as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Unit,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Literal>),
    Map(Vec<Entry>),
}

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) kind: Kind,
    pub(crate) at: At,
}

/// One entry of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: At,
    pub(crate) value: Literal,
}

/// Deepest nesting; `ABOUT` needs five.
const DEPTH_MAX: u32 = 16;

/// Reads exactly the given tokens as one literal; the error is the place that is not literal.
pub(crate) fn literal(tokens: &[Token], start: At) -> Result<Literal, At> {
    let mut reader = Reader { tokens, index: 0, last: start };
    let value = reader.value(0)?;
    match reader.peek() {
        None => Ok(value),
        Some(token) => Err(token.at),
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    index: usize,
    last: At,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.index)
    }
    fn next(&mut self) -> Result<&'a Token, At> {
        let token = self.peek().ok_or(self.last)?;
        self.index += 1;
        self.last = token.at;
        Ok(token)
    }
    fn take(&mut self, mark: &str) -> bool {
        let is = self.peek().is_some_and(|token| token.is(mark));
        self.index += usize::from(is);
        is
    }

    fn value(&mut self, depth: u32) -> Result<Literal, At> {
        let token = self.next()?;
        let at = token.at;
        if depth > DEPTH_MAX {
            return Err(at);
        }
        let kind = match &token.tok {
            Tok::Text(text) => Kind::Text(text.clone()),
            Tok::Number(Some(n)) => Kind::Int(*n),
            Tok::Word(word) if word == "true" => Kind::Bool(true),
            Tok::Word(word) if word == "false" => Kind::Bool(false),
            Tok::Mark("-") => match self.next()?.tok {
                Tok::Number(Some(n)) => Kind::Int(n.checked_neg().ok_or(at)?),
                _ => return Err(at),
            },
            Tok::Mark("(") if self.take(")") => Kind::Unit,
            Tok::Mark("[") => self.list(depth)?,
            Tok::Mark("#{") => self.map(depth)?,
            _ => return Err(at),
        };
        // What follows may only be the end of this value: `1 + 1` and `"a".len()` are not.
        match self.peek() {
            Some(next) if ![",", "]", "}"].iter().any(|mark| next.is(mark)) => Err(next.at),
            _ => Ok(Literal { kind, at }),
        }
    }

    fn list(&mut self, depth: u32) -> Result<Kind, At> {
        let mut items = Vec::new();
        while !self.take("]") {
            items.push(self.value(depth + 1)?);
            if !self.take(",") && !self.peek().is_some_and(|token| token.is("]")) {
                return Err(self.last);
            }
        }
        Ok(Kind::List(items))
    }

    fn map(&mut self, depth: u32) -> Result<Kind, At> {
        let mut entries: Vec<Entry> = Vec::new();
        while !self.take("}") {
            let token = self.next()?;
            let key = match &token.tok {
                Tok::Word(word) | Tok::Text(word) => word.clone(),
                _ => return Err(token.at),
            };
            let at = token.at;
            if !self.take(":") || entries.iter().any(|entry| entry.key == key) {
                return Err(at);
            }
            entries.push(Entry { key, at, value: self.value(depth + 1)? });
            if !self.take(",") && !self.peek().is_some_and(|token| token.is("}")) {
                return Err(self.last);
            }
        }
        Ok(Kind::Map(entries))
    }
}

impl Literal {
    /// The value without places, to compare with what rhai saw.
    pub(crate) fn value(&self) -> Value {
        match &self.kind {
            Kind::Unit => Value::Unit,
            Kind::Bool(yes) => Value::Bool(*yes),
            Kind::Int(n) => Value::Int(*n),
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Kind::Map(entries) => {
                let pair = |entry: &Entry| (entry.key.clone(), entry.value.value());
                Value::Map(entries.iter().map(pair).collect())
            }
        }
    }
    /// The word for its type in messages.
    pub(crate) fn type_word(&self) -> &'static str {
        self.value().type_word()
    }
}
