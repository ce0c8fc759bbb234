//! Every order of some days, for people and for a spreadsheet, and whether that is all.

use std::collections::BTreeMap;

use desk::audit::{AuditList, Incomplete, Row};
use desk::glass::GlassRow;
use desk::heads::words;
use protocol::Risk;

use crate::view::runs::standing;
use crate::view::{Table, count, safe};

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// One line for what is missing, with what helps.
fn missing(trouble: &Incomplete) -> String {
    match trouble {
        Incomplete::Missing { endpoint, first, last } => {
            let which = match first == last {
                true => format!("record {first} is"),
                false => format!("records {first}-{last} are"),
            };
            format!("{endpoint}: {which} missing here:  salve runs list --on {endpoint}")
        }
        Incomplete::Forked { endpoint, at } => format!(
            "{endpoint}: it showed another record {at} than the one that is here:  salve endpoints \
             show {endpoint}"
        ),
        Incomplete::Unfit { endpoint, doubt } => words(endpoint, doubt),
        Incomplete::Anew { endpoint, last } => format!(
            "{endpoint}: its ledger began anew; what came after record {last} of the one before is \
             not known:  salve endpoints show {endpoint}"
        ),
    }
}

fn cells(row: &Row) -> [String; 12] {
    let run = &row.run;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    [
        run.created.to_string(),
        text(&run.script),
        row.risk.map_or("", Risk::word).to_owned(),
        text(&run.mode),
        run.endpoint_name.clone().unwrap_or_else(|| run.endpoint.to_string()),
        text(&run.agent),
        run.ticket.as_ref().map(ToString::to_string).unwrap_or_default(),
        standing(run),
        match run.verified {
            Some(true) => "verified".to_owned(),
            Some(false) => "NOT VERIFIED".to_owned(),
            None => String::new(),
        },
        run.id.to_string(),
        run.order.to_string(),
        row.glass.as_ref().map(glass).unwrap_or_default(),
    ]
}

/// Which key stood in for approvals, and who has looked at it since.
fn glass(row: &GlassRow) -> String {
    match &row.reviewed_by {
        Some(by) => format!("{}, reviewed by {by}", row.key),
        None => format!("{}, NOT REVIEWED", row.key),
    }
}

const HEADING: [&str; 12] = [
    "ordered",
    "script",
    "risk",
    "mode",
    "endpoint",
    "agent",
    "ticket",
    "outcome",
    "record",
    "run",
    "order",
    "break glass",
];

/// As a spreadsheet reads it (RFC 4180): every cell in quotes, none that it would take for a formula.
#[must_use]
pub fn csv(list: &AuditList) -> String {
    let cell = |text: &str| {
        let inert = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
        format!("\"{inert}{}\"", safe(text).replace('"', "\"\""))
    };
    let line = |cells: &[String]| {
        cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",") + "\r\n"
    };
    let mut out = line(&HEADING.map(str::to_owned));
    for row in &list.rows {
        out.push_str(&line(&cells(row)));
    }
    out
}

/// Every order, how many ended how, and what is missing.
#[must_use]
pub fn list(list: &AuditList) -> String {
    let mut table = Table::new([
        "ORDERED",
        "SCRIPT",
        "RISK",
        "ENDPOINT",
        "AGENT",
        "TICKET",
        "OUTCOME",
        "BREAK GLASS",
    ]);
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for row in &list.rows {
        let [ordered, script, risk, _, endpoint, agent, ticket, outcome, _, _, _, glass] =
            cells(row);
        table.row(
            [&ordered, &script, &risk, &endpoint, &agent, &ticket, &outcome, &glass]
                .map(String::as_str),
        );
        let many = tally.entry(outcome).or_default();
        *many = many.saturating_add(1);
    }
    let mut out = if list.rows.is_empty() { String::new() } else { table.render() };
    let ended: Vec<String> = tally.iter().map(|(word, many)| format!("{many} {word}")).collect();
    let orders = count(number(list.rows.len()), "order");
    let ended = if ended.is_empty() { String::new() } else { format!(": {}", ended.join(", ")) };
    out.push_str(&format!("{orders}{ended}. "));
    // One order may have many runs.
    let broken: BTreeMap<_, _> =
        list.rows.iter().filter_map(|row| row.glass.as_ref().map(|g| (g.order, g))).collect();
    if !broken.is_empty() {
        let open = broken.values().filter(|row| row.reviewed.is_none()).count();
        out.push_str(&format!("Broke glass: {}, {open} not reviewed. ", broken.len()));
    }
    if list.incomplete.is_empty() {
        out.push_str(&format!(
            "Complete: no record is missing; counters and heads of {} agree.",
            count(number(list.endpoints), "endpoint")
        ));
    } else {
        out.push_str("NOT COMPLETE:");
        for trouble in &list.incomplete {
            out.push_str(&format!("\n  {}", missing(trouble)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use desk::inventory::{RunRow, RunState};
    use protocol::{Digest, EndpointId, Outcome, RunId, Time};

    use super::*;

    fn row(ticket: &str) -> Row {
        let run = RunRow {
            id: RunId([1; 16]),
            order: Digest([2; 32]),
            endpoint: EndpointId([3; 16]),
            endpoint_name: Some("lt-4411".to_owned()),
            script: Some("cache.clear".to_owned()),
            mode: Some("fix".to_owned()),
            agent: Some("a.kaya".to_owned()),
            ticket: Some(ticket.parse().unwrap()),
            state: RunState::Ended,
            outcome: Some(Outcome::Succeeded),
            record_hash: None,
            verified: Some(true),
            reason: None,
            sent_at: None,
            carried: None,
            created: Time(1_795_344_127),
            ended: None,
            filed: None,
        };
        Row { run, risk: Some(Risk::Low), glass: None }
    }

    fn listed(rows: Vec<Row>, incomplete: Vec<Incomplete>) -> AuditList {
        AuditList { from: Time(0), to: Time(1), rows, endpoints: 2, incomplete }
    }

    #[test]
    fn a_list_says_how_orders_ended_and_whether_that_is_all() {
        let words = list(&listed(vec![row("1"), row("2")], Vec::new()));
        assert!(words.contains("cache.clear  low   lt-4411"), "{words}");
        let end = "2 orders: 2 fixed. Complete: no record is missing; counters and heads of 2 \
                   endpoints agree.";
        assert!(words.ends_with(end), "{words}");
        let endpoint = || "lt-4411".parse().unwrap();
        let gap = Incomplete::Missing { endpoint: endpoint(), first: 17, last: 19 };
        let words = list(&listed(Vec::new(), vec![gap]));
        assert_eq!(
            words,
            "0 orders. NOT COMPLETE:\n  lt-4411: records 17-19 are missing here:  salve runs list \
             --on lt-4411"
        );
    }

    #[test]
    fn broken_glass_has_a_column_and_is_counted_once_an_order() {
        let mut broken = row("1");
        let glass = GlassRow {
            order: broken.run.order,
            agent: "a.kaya".parse().unwrap(),
            key: "safe-1".to_owned(),
            script: "cache.clear".parse().unwrap(),
            ticket: None,
            created: Time(0),
            reviewed_by: None,
            reviewed: None,
        };
        broken.glass = Some(glass);
        let mut other = broken.clone();
        other.run.id = RunId([9; 16]);
        let words = list(&listed(vec![broken.clone(), other.clone(), row("2")], Vec::new()));
        assert!(words.contains("safe-1, NOT REVIEWED"), "{words}");
        assert!(words.contains("Broke glass: 1, 1 not reviewed. "), "{words}");
        for row in [&mut broken, &mut other] {
            let glass = row.glass.as_mut().unwrap();
            (glass.reviewed_by, glass.reviewed) = ("m.ruiz".parse().ok(), Some(Time(1)));
        }
        let text = csv(&listed(vec![broken.clone(), row("2")], Vec::new()));
        assert!(text.contains("\"safe-1, reviewed by m.ruiz\"\r\n"), "{text}");
        let words = list(&listed(vec![broken, other], Vec::new()));
        assert!(words.contains("Broke glass: 1, 0 not reviewed. "), "{words}");
    }

    #[test]
    fn no_cell_is_a_formula_or_ends_its_line() {
        let mut row = row("1");
        row.run.endpoint_name = Some("=1\"\n".to_owned());
        let text = csv(&listed(vec![row], Vec::new()));
        assert!(text.contains(",\"'=1\"\"\\u{a}\","), "{text}");
        assert_eq!(text.matches("\r\n").count(), 2);
    }
}
