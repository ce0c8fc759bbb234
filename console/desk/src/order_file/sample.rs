//! Order files with fixed keys and times, for tests and vectors.

use evidence::fixture::{EFFECTS, Fixture, NOW, bytes, papers, sealed};
use protocol::Bytes;
use zeroize::Zeroizing;

use super::{AnswerPapers, OrderFile, OrderKey};

/// One on its way there, and the same on its way back.
#[must_use]
pub fn files() -> [OrderFile; 2] {
    let f = Fixture::default();
    let papers = papers(&f);
    let card = Bytes(bytes(&sealed(&f.card(), &f.enroller)));
    let there = OrderFile {
        organisation: "demo-ltd".parse().unwrap_or_else(|_| unreachable!("a label")),
        written: NOW,
        order: Bytes(bytes(&sealed(&f.order(), &f.agent))),
        card: card.clone(),
        address: Some("lt-4411:7433".to_owned()),
        key: Some(OrderKey(Zeroizing::new([7; 32]))),
        answer: None,
    };
    let back = there.answered(AnswerPapers {
        record: Bytes(papers.record),
        dispatch: papers.dispatch.map(Bytes),
        effects: Some(Bytes(EFFECTS.to_vec())),
        plan: None,
        card,
    });
    [there, back]
}
