//! Every order of some days, and whether all of them are here: each endpoint counts its records, and
//! its latest hello says how many there are.

use std::collections::BTreeMap;

use protocol::documents::Doubt;
use protocol::{Digest, EndpointName, Risk, ScriptName, Time};
use serde::Serialize;
use store::{Chains, GlassRow, RunRow};

use crate::books::BookError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::heads::{self, HeadsError};
use crate::org::Desk;

/// One order on one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The run.
    #[serde(flatten)]
    pub run: RunRow,
    /// The highest class that any version of its script was ever listed under; none where no list that
    /// is kept here has it.
    pub risk: Option<Risk>,
    /// Set where its order broke glass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glass: Option<GlassRow>,
}

/// Why the list may not be all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum Incomplete {
    /// Records are not here.
    Missing {
        /// Of which endpoint.
        endpoint: EndpointName,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The endpoint showed another record at a place than the one that is here.
    Forked {
        /// Which.
        endpoint: EndpointName,
        /// The place.
        at: u64,
    },
    /// Two heads that somebody saw do not fit.
    Unfit {
        /// Of which endpoint.
        endpoint: EndpointName,
        /// The two.
        #[serde(flatten)]
        doubt: Box<Doubt>,
    },
    /// The endpoint's ledger began anew: what came after the last record of the one before is not known.
    Anew {
        /// Which.
        endpoint: EndpointName,
        /// The last record of the one before.
        last: u64,
    },
}

/// What was ordered, and whether that is all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditList {
    /// The first second.
    pub from: Time,
    /// The last.
    pub to: Time,
    /// Every order, oldest first.
    pub rows: Vec<Row>,
    /// How many endpoints' counters were looked at.
    pub endpoints: usize,
    /// What is missing.
    pub incomplete: Vec<Incomplete>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// The books.
    #[error(transparent)]
    Book(#[from] BookError),
    /// What machines showed of their records.
    #[error(transparent)]
    Heads(#[from] HeadsError),
}

/// Lists every order of these days, of one class where one is named; an order whose class is not known
/// is of every class. Whether all are here is said of all classes, as is known `now`.
///
/// # Errors
/// [`ListError`].
pub fn list(
    desk: &Desk,
    (from, to): (Time, Time),
    risk: Option<Risk>,
    now: Time,
) -> Result<AuditList, ListError> {
    let files = catalogue::files_with_past(&desk.home)?;
    let risks = trust::catalogue::Catalogue::risks(&files);
    let glass: BTreeMap<Digest, GlassRow> =
        desk.store.broken_glass(false)?.into_iter().map(|row| (row.order, row)).collect();
    let rows = desk.store.runs_between(from, to)?.into_iter().map(|run| {
        let name = run.script.as_ref().and_then(|name| name.parse::<ScriptName>().ok());
        let risk = name.and_then(|name| risks.get(&name).copied());
        let glass = glass.get(&run.order).cloned();
        Row { run, risk, glass }
    });
    let wanted = |row: &Row| risk.is_none() || row.risk.is_none() || row.risk == risk;
    let rows = rows.filter(wanted).collect();
    let chains = desk.store.chains()?;
    let mut incomplete: Vec<Incomplete> =
        chains.iter().flat_map(|chains| missing(chains, from, to)).collect();
    let doubts = heads::doubts(desk, &catalogue::policy(&desk.home, now)?)?.into_iter();
    incomplete.extend(
        doubts.map(|row| Incomplete::Unfit { endpoint: row.name, doubt: Box::new(row.doubt) }),
    );
    Ok(AuditList { from, to, rows, endpoints: chains.len(), incomplete })
}

/// What of an endpoint's records is not here and may be of these days.
fn missing(chains: &Chains, from: Time, to: Time) -> Vec<Incomplete> {
    let endpoint = || chains.name.clone();
    let mut found = Vec::new();
    for epoch in &chains.epochs {
        for gap in &epoch.gaps {
            if gap.behind >= from && gap.before.is_none_or(|before| before <= to) {
                let (first, last) = (gap.first, gap.last);
                found.push(Incomplete::Missing { endpoint: endpoint(), first, last });
            }
        }
        let Some(head) = chains.head.filter(|head| head.epoch == epoch.epoch) else {
            if epoch.ended <= to {
                found.push(Incomplete::Anew { endpoint: endpoint(), last: epoch.last });
            }
            continue;
        };
        if head.counter > epoch.last && epoch.ended <= to {
            let (first, last) = (epoch.last.saturating_add(1), head.counter);
            found.push(Incomplete::Missing { endpoint: endpoint(), first, last });
        }
        // A head is older than the records of its session: it may be behind, and never beside them.
        if chains.at_head.is_some_and(|here| here != head.hash) {
            found.push(Incomplete::Forked { endpoint: endpoint(), at: head.counter });
        }
    }
    let known = |epoch| chains.epochs.iter().any(|one| one.epoch == epoch);
    if let Some(head) = chains.head.filter(|head| head.counter > 0 && !known(head.epoch)) {
        found.push(Incomplete::Missing { endpoint: endpoint(), first: 1, last: head.counter });
    }
    found
}

#[cfg(test)]
mod tests {
    use protocol::EndpointId;
    use protocol::documents::Head;
    use store::{Epoch, Gap};

    use super::*;

    const EPOCH: Digest = Digest([2; 32]);
    const LAST: Digest = Digest([9; 32]);

    fn chains(head: Option<(u64, Digest)>, gaps: Vec<Gap>) -> Chains {
        let epoch = Epoch { epoch: EPOCH, last: 20, ended: Time(500), gaps };
        Chains {
            endpoint: EndpointId([1; 16]),
            name: "lt-4411".parse().unwrap(),
            head: head.map(|(counter, hash)| Head { epoch: EPOCH, counter, hash }),
            epochs: vec![epoch],
            at_head: head.filter(|(counter, _)| *counter <= 20).map(|_| LAST),
        }
    }

    fn said(chains: &Chains) -> Vec<Incomplete> {
        missing(chains, Time(100), Time(1000))
    }

    #[test]
    fn a_chain_without_a_gap_up_to_the_head_that_was_shown_is_complete() {
        assert_eq!(said(&chains(Some((20, LAST)), Vec::new())), []);
    }

    #[test]
    fn what_is_missing_is_named_where_it_may_be_of_these_days() {
        let endpoint = || "lt-4411".parse().unwrap();
        let gap = |before, behind| Gap {
            first: 17,
            last: 19,
            before: Some(Time(before)),
            behind: Time(behind),
        };
        let hole = Incomplete::Missing { endpoint: endpoint(), first: 17, last: 19 };
        let good = Some((20, LAST));
        assert_eq!(said(&chains(good, vec![gap(50, 100)])), vec![hole.clone()]);
        assert_eq!(said(&chains(good, vec![gap(1000, 1100)])), [hole]);
        assert_eq!(said(&chains(good, vec![gap(50, 99), gap(1001, 1100)])), [], "other days");
        let tail = Incomplete::Missing { endpoint: endpoint(), first: 21, last: 23 };
        assert_eq!(said(&chains(Some((23, Digest([1; 32]))), Vec::new())), [tail]);
        assert_eq!(
            said(&chains(Some((18, LAST)), Vec::new())),
            [],
            "a head before the last records"
        );
        let forked = Incomplete::Forked { endpoint: endpoint(), at: 20 };
        assert_eq!(said(&chains(Some((20, Digest([1; 32]))), Vec::new())), [forked]);
        let anew = Incomplete::Anew { endpoint: endpoint(), last: 20 };
        assert_eq!(said(&chains(None, Vec::new())), [anew]);
    }

    #[test]
    fn an_endpoint_of_which_nothing_is_here_is_not_passed_over() {
        let mut none = chains(Some((3, LAST)), Vec::new());
        none.epochs.clear();
        none.at_head = None;
        let all = Incomplete::Missing { endpoint: none.name.clone(), first: 1, last: 3 };
        assert_eq!(said(&none), [all]);
        none.head = None;
        assert_eq!(said(&none), []);
    }
}
