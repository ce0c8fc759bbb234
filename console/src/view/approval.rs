//! What an approver is shown: every word from papers that this console verified.

use desk::approvals::{Asked, RequestRow};
use protocol::Time;
use protocol::documents::ConsentAnswer;

use super::{Heading, Table, ago, plan_words, safe};

/// What asks.
#[must_use]
pub fn list(rows: &[RequestRow], now: Time) -> String {
    if rows.is_empty() {
        return "No order asks you.".to_owned();
    }
    let mut table =
        Table::new(["ORDER", "SCRIPT", "ON", "BY", "SINCE", "UNTIL", "APPROVED", "TICKET"]);
    for row in rows {
        let yes = row.answers.iter().filter(|answer| answer.yes).count();
        table.row([
            &row.order.short(),
            row.script.as_str(),
            &row.endpoint_name.clone().unwrap_or_else(|| row.endpoint.short()),
            row.agent.as_str(),
            &ago(row.asked, now),
            &row.until.clock(),
            &format!("{yes} of {}", row.wanted),
            row.ticket.as_ref().map_or("", |ticket| ticket.as_str()),
        ]);
    }
    table.render()
}

/// One order that asks.
#[must_use]
pub fn asked(asked: &Asked) -> String {
    let order = &asked.order;
    let agent = &order.agent;
    let name = asked.endpoint.as_str();
    let ticket = order.ticket.as_ref().map_or_else(String::new, |t| format!(", for ticket {t}"));
    let mut lines = vec![
        format!("Order {} of {agent}{ticket}:", order.digest().short()),
        Heading::of(&asked.script, name, None).words(),
        format!("  Does     {}", safe(&asked.script.manifest.does)),
    ];
    for (name, value) in &order.parameters {
        lines.push(format!("  With     {} = {}", safe(name), safe(&value.to_string())));
    }
    lines.push(format!("  Why      {}", safe(&order.reason)));
    lines.push(match &order.identified {
        Some(how) => {
            format!("  Caller   identified {}, as {agent} states", safe(&how.to_string()))
        }
        None => "  Caller   not identified".to_owned(),
    });
    if let Some(consent) = &order.consent {
        let question = safe(&consent.question);
        lines.push(match consent.answer {
            ConsentAnswer::Spoken => {
                format!("  Person   said yes, as {agent} states: \"{question}\"")
            }
            ConsentAnswer::Waived => format!("  Person   not asked: \"{question}\""),
            ConsentAnswer::Ask => format!("  Person   to be asked at the machine: \"{question}\""),
        });
    }
    lines.push(format!("  Found    {}", safe(&asked.plan.found)));
    lines.push(plan_words(&asked.plan, name));
    lines.push(format!("  Proof    {} signed that plan; the order is bound to it", safe(name)));
    for person in asked.answers.yes.keys() {
        lines.push(format!("  Approved by {person}"));
    }
    for person in &asked.answers.no {
        lines.push(format!("  Declined by {person}"));
    }
    lines.push(format!("  Until    {}", order.not_after));
    lines.join("\n")
}
