//! What verifying came to, line by line.

use protocol::{Digest, RunId};
use serde::Serialize;

/// What a line of the report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The record's own seal.
    Record,
    /// Whose key that is.
    Card,
    /// What was ordered, and by whom.
    Order,
    /// Whether the catalogue listed what ran.
    Script,
    /// The live half of the order.
    Dispatch,
    /// What was done.
    Effects,
    /// What was planned.
    Plan,
    /// A one-time secret that was made.
    Secret,
    /// The place among the endpoint's other records.
    Chain,
    /// How far on somebody saw that chain.
    Head,
    /// What decided.
    Catalogue,
}

impl About {
    /// The word in front of its line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Card => "card",
            Self::Order => "order",
            Self::Script => "script",
            Self::Dispatch => "dispatch",
            Self::Effects => "effects",
            Self::Plan => "plan",
            Self::Secret => "secret",
            Self::Chain => "chain",
            Self::Head => "head",
            Self::Catalogue => "catalogue",
        }
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Checked and right.
    Good,
    /// Not checked: the paper is not here. Nothing contradicts.
    Absent,
    /// Not checked: the paper was erased after its time, or on request, by the desk's word. Never said of
    /// an order: without one nothing proves who ordered. Nothing contradicts.
    Erased,
    /// Checked and wrong.
    Bad,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it is about.
    pub about: About,
    /// How it went.
    pub standing: Standing,
    /// In words. May quote the papers: escape it.
    pub words: String,
}

/// What verifying came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The run, if the record could be read.
    pub run: Option<RunId>,
    /// SHA-256 of the record's payload, if there was an envelope.
    pub record: Option<Digest>,
    /// Whether everything that must be good is good.
    pub verified: bool,
    /// One sentence: the first fault, or nothing.
    pub fault: Option<String>,
    /// Line by line.
    pub lines: Vec<Line>,
}

impl Report {
    /// From its lines: bad ones, and missing papers that everything rests on, are faults. The order is
    /// one of those: without it the record's own word is all that says who ordered the run.
    pub(crate) fn of(run: Option<RunId>, record: Option<Digest>, lines: Vec<Line>) -> Self {
        let must = |line: &&Line| match line.standing {
            Standing::Good | Standing::Erased => false,
            Standing::Bad => true,
            Standing::Absent => matches!(line.about, About::Record | About::Card | About::Order),
        };
        // What is bad says more than what is missing because of it.
        let bad = lines.iter().find(|line| line.standing == Standing::Bad);
        let first = bad.or_else(|| lines.iter().find(must));
        let fault = first.map(|l| format!("{}: {}", l.about.word(), l.words));
        Self { run, record, verified: fault.is_none(), fault, lines }
    }

    /// The last line for people.
    #[must_use]
    pub fn verdict(&self) -> String {
        let Some(fault) = &self.fault else {
            let erased = self.lines.iter().any(|line| line.standing == Standing::Erased);
            let but = if erased { ", but for what was erased" } else { "" };
            return format!("VERIFIED{but}.");
        };
        let others = self.lines.iter().filter(|l| l.standing == Standing::Bad).count();
        let missing = self.lines.iter().any(|l| l.standing == Standing::Absent);
        match (others, missing) {
            (0 | 1, false) => format!("NOT VERIFIED: {fault}. Everything else is good."),
            (0 | 1, true) => format!("NOT VERIFIED: {fault}."),
            (n, _) => format!("NOT VERIFIED: {fault}; and {} more.", n.saturating_sub(1)),
        }
    }
}
