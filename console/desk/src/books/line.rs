//! The console's half: a question over a line, and its answer put together again.

use std::fmt;

use link::Connection;
use minicbor::Decode;
use protocol::frames::{DeskAnswer, DeskAsk, decode};
use protocol::{Bytes, limits};

use super::error::{BookError, LineFault, Sorry};
use super::operations::BookAsk;

/// Carries one question (one stream) to the shared desk and brings all frames of its answer.
pub trait Ask: fmt::Debug + Send + Sync {
    /// The desk, as the home names it.
    fn desk(&self) -> &str;
    /// Asks; waits for the last frame.
    ///
    /// # Errors
    /// [`LineFault`]; [`LineFault::Away`] where nothing was asked.
    fn ask(&self, asks: Vec<DeskAsk>) -> Result<Vec<DeskAnswer>, LineFault>;
    /// The connection that carries the questions, for answers that are heard as they come.
    ///
    /// # Errors
    /// [`LineFault`]: it is not reached, or this carrier has none.
    fn connection(&self) -> Result<Connection, LineFault> {
        Err(LineFault::Unexpected { desk: self.desk().to_owned() })
    }
}

/// A line to the shared desk.
#[derive(Debug)]
pub struct Line {
    carrier: Box<dyn Ask>,
}

impl Line {
    /// Over this carrier.
    #[must_use]
    pub fn new(carrier: impl Ask + 'static) -> Self {
        Self { carrier: Box::new(carrier) }
    }

    /// The desk, as the home names it.
    #[must_use]
    pub fn desk(&self) -> &str {
        self.carrier.desk()
    }

    /// The connection to it, for answers that are heard as they come.
    ///
    /// # Errors
    /// [`LineFault`]: it is not reached.
    pub fn connection(&self) -> Result<Connection, LineFault> {
        self.carrier.connection()
    }

    /// One question and all frames of its answer; the desk's no is an error.
    ///
    /// # Errors
    /// [`BookError::Desk`], [`BookError::Line`].
    pub fn ask(&self, asks: Vec<DeskAsk>) -> Result<Vec<DeskAnswer>, BookError> {
        let mut answers = self.carrier.ask(asks)?;
        let place = answers.iter().position(|one| matches!(one, DeskAnswer::Sorry { .. }));
        match place.map(|place| answers.swap_remove(place)) {
            Some(DeskAnswer::Sorry { code, sentence, next }) => {
                Err(Sorry { next, ..Sorry::new(&code, sentence) }.into())
            }
            _ => Ok(answers),
        }
    }

    /// What came was no answer to what was asked.
    #[must_use]
    pub fn unexpected(&self) -> BookError {
        LineFault::Unexpected { desk: self.desk().to_owned() }.into()
    }

    /// One operation on the store over there.
    pub(super) fn book<T: for<'b> Decode<'b, ()>>(&self, ask: &BookAsk) -> Result<T, BookError> {
        let bytes = minicbor::to_vec(ask).map_err(|_| BookError::NoAnswer)?;
        let mut whole = Vec::new();
        let mut ended = false;
        for answer in self.ask(vec![DeskAsk::Book { ask: Bytes(bytes) }])? {
            let DeskAnswer::Book { answer, last } = answer else { return Err(self.unexpected()) };
            let long = whole.len().saturating_add(answer.0.len()) > limits::DESK_ANSWER_BYTES_MAX;
            if ended || long {
                return Err(self.unexpected());
            }
            whole.extend_from_slice(&answer.0);
            ended = last;
        }
        if !ended {
            return Err(self.unexpected());
        }
        decode(&whole).map_err(|_| self.unexpected())
    }
}
