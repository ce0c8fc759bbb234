//! The one note of an order that went to several endpoints: counts first, who needs a person next.

use std::collections::BTreeMap;

use protocol::Outcome;
use protocol::documents::Order;
use tickets::Key;

use super::{Absent, Sheet, Told, inert, loud};

/// Worst first: what needs a person stands on top.
fn rank(told: &Told) -> u8 {
    match (&told.absent, told.unverified.is_some(), told.outcome()) {
        (Some(Absent::NotTaken(_)), ..) => 1,
        (Some(Absent::NotSent | Absent::NotRun(_)), ..) => 5,
        (None, true, _) | (None, _, None) => 0,
        (.., Some(Outcome::Interrupted)) => 2,
        (.., Some(Outcome::Partial)) => 3,
        (.., Some(Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled)) => 4,
        (.., Some(Outcome::Refused)) => 6,
        (.., Some(Outcome::Succeeded)) => HEALED,
        (.., Some(Outcome::Unchanged)) => 8,
    }
}

/// The first rank that needs nobody.
const HEALED: u8 = 7;

fn word(told: &Told) -> &'static str {
    told.absent.as_ref().map_or_else(|| loud(told.outcome()), Absent::loud)
}

pub(super) fn note(key: &Key, order: &Order, told: &[Told]) -> String {
    let mut sheet = Sheet::of(order);
    let mut counts: BTreeMap<u8, (&str, usize)> = BTreeMap::new();
    for one in told {
        let word = if one.unverified.is_some() { "NOT VERIFIED" } else { word(one) };
        let place = if word == "NOT REPAIRED" { 3 } else { rank(one) };
        counts.entry(place).or_insert((word, 0)).1 += 1;
    }
    let counts: Vec<String> = counts.values().map(|(word, n)| format!("{n} {word}")).collect();
    sheet.must(format!("{}: {} on {} endpoints", counts.join(", "), order.script.name, told.len()));
    let ticket = order.ticket.as_ref().map_or_else(String::new, |t| format!(" for ticket {t}"));
    sheet.must(format!("Who:    ordered by {}{ticket}", order.agent));
    sheet.must(format!(
        "What:   script {} {} (sha256 {}), {}",
        order.script.name,
        order.script.version,
        order.script.digest.short(),
        order.mode.word()
    ));
    let mut sorted: Vec<&Told> = told.iter().collect();
    sorted.sort_by(|a, b| (rank(a), &a.endpoint).cmp(&(rank(b), &b.endpoint)));
    for one in &sorted {
        let summary = match (&one.unverified, &one.record, &one.absent) {
            (Some(why), ..) => format!("NOT VERIFIED: {}", inert(why, 80)),
            (None, Some((record, _)), _) => inert(&record.predicate.summary, 80),
            (None, None, Some(absent)) => absent.words(),
            (None, None, None) => "its record cannot be read".to_owned(),
        };
        let word = word(one);
        let run = one.run.short();
        sheet.may(format!("{word}  {}  {summary}  ({run})", inert(&one.endpoint, 40)));
    }
    let next = if sorted.first().is_some_and(|worst| rank(worst) < HEALED) {
        "those on top need a person"
    } else {
        "nothing"
    };
    sheet.must(format!("Next:   {next}"));
    let mut weak: Vec<&String> = told
        .iter()
        .filter_map(|one| one.record.as_ref())
        .flat_map(|(record, _)| &record.predicate.weaknesses)
        .collect();
    weak.sort();
    weak.dedup();
    if let Some(line) = super::weak(weak) {
        sheet.must(line);
    }
    sheet.must("Proof:  one record an endpoint; salve runs list shows them");
    sheet.finish(key)
}
