//! Machines as the help desk looks for them: whose, when seen, on which way, how they were last.

use desk::inventory::{Health, Listed, Way};
use protocol::Time;

use crate::view::{Table, ago};

/// Longest health in a table, characters.
const HEALTH_CHARS: usize = 60;

/// The worst of its last look, or `unknown`.
#[must_use]
pub fn health(health: Option<&Health>, now: Time) -> String {
    let Some(last) = health else { return "unknown".to_owned() };
    let words: String = last.words.chars().take(HEALTH_CHARS).collect();
    format!("{words}, {}", ago(last.looked, now))
}

/// `now`, `41 d ago`, `never`.
#[must_use]
pub fn seen(row: &Listed, now: Time) -> String {
    match row.last_seen {
        _ if row.here => "now".to_owned(),
        Some(seen) => ago(seen, now),
        None => "never".to_owned(),
    }
}

/// How it is reached at this moment: over the line that it holds to a desk, or by dialling it;
/// none where it would have to dial and has not.
#[must_use]
pub fn path(row: &Listed, desk: &str) -> Option<String> {
    match row.way {
        Some(Way::Kept) if row.here => Some(format!("dialled out to {desk}")),
        Some(Way::Kept) => None,
        _ if row.here || row.address.is_some() => Some("direct".to_owned()),
        _ => None,
    }
}

/// All machines, or those that were not seen for long.
#[must_use]
pub fn listed(rows: &[Listed], desk: &str, now: Time) -> String {
    let mut table = Table::new(["NAME", "PERSON", "SEEN", "PATH", "LABELS"]);
    for row in rows {
        let labels: Vec<String> = row.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        table.row([
            row.name.as_str(),
            row.person.as_deref().unwrap_or_default(),
            &seen(row, now),
            &path(row, desk).unwrap_or_default(),
            &labels.join(" "),
        ]);
    }
    table.render()
}

/// What was seen longer ago is said with its time, seconds.
const JUST_NOW: u64 = 3600;

/// Who is signed in, and whose machine it is.
fn people(row: &Listed, now: Time) -> String {
    let owner = row.person.as_deref();
    let mut all = Vec::new();
    if let Some(signed) = &row.signed_in {
        let when = match now.since(signed.looked) > JUST_NOW {
            true => format!("signed in {}", ago(signed.looked, now)),
            false => "signed in".to_owned(),
        };
        for person in &signed.people {
            let owns = if owner == Some(person) { "owner, " } else { "" };
            all.push(format!("{person} ({owns}{when})"));
        }
    }
    let named = |person: &str| row.signed_in.iter().flat_map(|at| &at.people).any(|p| p == person);
    all.extend(owner.filter(|owner| !named(owner)).map(|owner| format!("{owner} (owner)")));
    all.join(", ")
}

/// The machines that were found.
#[must_use]
pub fn found(rows: &[Listed], desk: &str, now: Time) -> String {
    let mut table = Table::new(["NAME", "PERSON", "SEEN", "PATH", "HEALTH"]);
    for row in rows {
        table.row([
            row.name.as_str(),
            &people(row, now),
            &seen(row, now),
            &path(row, desk).unwrap_or_default(),
            &health(row.health.as_ref(), now),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use desk::inventory::Level;

    use super::*;

    fn row(name: &str, way: Option<Way>, here: bool) -> Listed {
        Listed {
            id: protocol::EndpointId([7; 16]),
            name: name.parse().unwrap(),
            person: Some("jo.meyer".to_owned()),
            host: None,
            address: Some("192.0.2.7:7433".to_owned()),
            labels: [("group".parse().unwrap(), "office".parse().unwrap())].into(),
            enrolled: Time(0),
            last_seen: way.map(|_| Time(100)),
            here,
            way,
            health: None,
            state: store::EndpointState::Active,
            signed_in: None,
        }
    }

    #[test]
    fn who_is_here_and_how_reads_as_promised() {
        let rows = [
            row("lt-1", Some(Way::Kept), true),
            row("lt-2", Some(Way::Kept), false),
            row("lt-3", Some(Way::Dialled), true),
            row("lt-4", None, false),
        ];
        assert_eq!(
            listed(&rows, "desk-1", Time(100 + 41 * 86_400)),
            "NAME  PERSON    SEEN      PATH                   LABELS\n\
             lt-1  jo.meyer  now       dialled out to desk-1  group=office\n\
             lt-2  jo.meyer  41 d ago  -                      group=office\n\
             lt-3  jo.meyer  now       direct                 group=office\n\
             lt-4  jo.meyer  never     direct                 group=office\n"
        );
    }

    #[test]
    fn health_is_the_worst_of_the_last_look_or_unknown_and_escaped() {
        let mut sick = row("lt-1", Some(Way::Kept), true);
        let words = "disk space: / has 0 % free\u{1b}[2J".to_owned();
        sick.health = Some(Health { looked: Time(0), level: Level::Bad, words });
        let table = found(&[sick, row("lt-2", None, false)], "d", Time(7200));
        assert!(table.contains("disk space: / has 0 % free\\u{1b}[2J, 2 h ago"), "{table}");
        assert!(table.contains("jo.meyer (owner)"), "{table}");
        assert!(table.lines().nth(2).unwrap().ends_with("unknown"), "{table}");
    }
}
