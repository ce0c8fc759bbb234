//! Machines as the help desk looks for them: whose, when seen, on which way, how they were last.

use protocol::{Outcome, Time};
use store::EndpointRow;

use crate::view::{Table, ago};

/// How a machine was when `health.check` last looked, by a record that verified.
#[derive(Debug, Clone)]
pub struct Health {
    /// When.
    pub at: Time,
    /// How it ended.
    pub outcome: Outcome,
    /// The script's sentence.
    pub summary: String,
}

/// Longest first sentence of a health check that still fits a table, characters.
const HEALTH_CHARS: usize = 48;

fn health(health: Option<&Health>, now: Time) -> String {
    let Some(last) = health else { return "unknown".to_owned() };
    let when = ago(last.at, now);
    let first = last.summary.split(". ").next().unwrap_or_default().trim_end_matches('.');
    match last.outcome {
        Outcome::Unchanged => format!("healthy, {when}"),
        Outcome::Succeeded => {
            let short: String = first.chars().take(HEALTH_CHARS).collect();
            format!("{short}, {when}")
        }
        _ => "unknown".to_owned(),
    }
}

/// The machines that were found.
#[must_use]
pub fn found(rows: &[(EndpointRow, Option<Health>)], now: Time) -> String {
    let mut table = Table::new(["NAME", "PERSON", "SEEN", "PATH", "HEALTH"]);
    for (row, last) in rows {
        let person = row.person.as_ref().map(|person| format!("{person} (owner)"));
        table.row([
            row.name.as_str(),
            &person.unwrap_or_default(),
            &row.last_seen.map(|seen| ago(seen, now)).unwrap_or_default(),
            &row.address.as_ref().map(|at| format!("dialled at {at}")).unwrap_or_default(),
            &health(last.as_ref(), now),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_the_last_verified_look_or_unknown() {
        let at = |outcome, summary: &str| {
            let last = Health { at: Time(0), outcome, summary: summary.to_owned() };
            health(Some(&last), Time(7200))
        };
        assert_eq!(at(Outcome::Unchanged, "all good"), "healthy, 2 h ago");
        assert_eq!(at(Outcome::Succeeded, "1 bad, 4 good. load: x"), "1 bad, 4 good, 2 h ago");
        assert_eq!(at(Outcome::Refused, "busy"), "unknown");
        assert_eq!(health(None, Time(0)), "unknown");
    }
}
