//! The state of a home on one page: what needs a person first, then what ends when.

use desk::audit::RetentionRow;
use desk::inventory::{OutboxState, Status};
use protocol::{AgentName, Retention, Time};

use crate::view::{Table, count, safe};

/// Erasures that a page shows; all of them:  salve audit retention.
const ERASURES_SHOWN: usize = 3;

/// The page.
#[must_use]
pub fn page(status: &Status, now: Time) -> String {
    let mut out = format!(
        "{} (profile {}), you are {}\n",
        safe(&status.organisation),
        safe(&status.profile),
        status.me
    );
    if status.needs_person.is_empty() {
        out.push_str("Nothing needs a person.\n");
    }
    for need in &status.needs_person {
        out.push_str(&format!("  ! {}\n", safe(need)));
    }
    endpoints(&mut out, status);
    tickets(&mut out, status, now);
    out.push_str(&retention(&status.retention, ERASURES_SHOWN));
    endings(&mut out, status, now);
    keys(&mut out, status);
    for weakness in &status.weaknesses {
        out.push_str(&format!("weak: {}\n", safe(weakness)));
    }
    out
}

/// How long bodies are kept and what was erased, the newest first.
#[must_use]
pub fn retention(row: &RetentionRow, most: usize) -> String {
    let days =
        |rule: &Retention| format!("{} days, those of high risk {}", rule.days, rule.high_days);
    let mut out = format!("bodies are kept {}", days(&row.rule));
    if let (Some(by), Some(at)) = (&row.set_by, row.set_at) {
        out.push_str(&format!("; set by {by} {at}"));
    }
    out.push('\n');
    if let Some(next) = &row.next {
        out.push_str(&format!("  shortened: {} from {}\n", days(&next.rule), next.from));
    }
    for one in row.erasures.iter().take(most) {
        let by = one.by.as_ref().map_or("by default", AgentName::as_str);
        let (runs, notes) = (count(one.done.runs, "run"), count(one.done.notes, "note"));
        let what = match &one.ticket {
            Some(ticket) => format!("ticket {}, asked by {by}", safe(ticket.as_str())),
            None => format!("rule, set {}{by}", if one.by.is_some() { "by " } else { "" }),
        };
        out.push_str(&format!("  erased {}: {runs}, {notes}; {what}\n", one.at));
    }
    out
}

fn endpoints(out: &mut String, status: &Status) {
    if status.endpoints == 0 {
        out.push_str("\nNo endpoints yet. Enrol one:  salve endpoints enroll NAME\n");
    } else {
        out.push_str(&format!("\n{}", count(status.endpoints as u64, "endpoint")));
        let stale = status.stale.len() as u64;
        if stale > 0 {
            out.push_str(&format!(", {stale} not seen for 30 days"));
        }
        out.push('\n');
    }
    if let Some(restored) = status.restored {
        out.push_str(&format!(
            "  this desk was put back {}, from a copy made {}\n",
            restored.restored, restored.made
        ));
    }
    for behind in status.behind.iter().take(10) {
        out.push_str(&format!(
            "  {} is behind: {} {} there, {} here; the next command brings it\n",
            behind.endpoint, behind.role, behind.have, behind.want
        ));
    }
    if status.behind.len() > 10 {
        out.push_str(&format!("  and {} more are behind\n", status.behind.len() - 10));
    }
    for token in &status.tokens {
        out.push_str(&format!("  token for {} is open until {}\n", safe(&token.name), token.until));
    }
}

fn tickets(out: &mut String, status: &Status, now: Time) {
    for one in &status.undelivered {
        let why = match (&one.state, &one.last_error) {
            (OutboxState::Waiting, _) => "waits for its record".to_owned(),
            (_, Some(error)) => {
                format!("tried {}, last: {}", count(one.tries, "time"), safe(error))
            }
            (_, None) => "due".to_owned(),
        };
        out.push_str(&format!(
            "ticket {}: {} not delivered, {}: {why}\n",
            one.ticket,
            one.kind.word(),
            crate::view::ago(one.since, now)
        ));
    }
    if !status.unanswered.is_empty() {
        let runs: Vec<String> = status.unanswered.iter().take(8).map(|run| run.short()).collect();
        out.push_str(&format!("no record yet of: {}\n", runs.join(" ")));
    }
    for secret in &status.secrets {
        out.push_str(&format!(
            "secret of run {} is unopened, until {}\n",
            secret.run.short(),
            secret.until
        ));
    }
}

/// `in 6 d`, `in 3 h`, `ended`.
fn left(ends: Time, now: Time) -> String {
    match ends.since(now) {
        0 => "ended".to_owned(),
        s @ 1..7200 => format!("in {} min", s / 60),
        s @ 7200..172_800 => format!("in {} h", s / 3600),
        s => format!("in {} d", s / 86_400),
    }
}

fn endings(out: &mut String, status: &Status, now: Time) {
    let mut table = Table::new(["ENDS", "", "WHAT", "RENEWED BY"]);
    for ending in &status.endings {
        let mark = if ending.urgent { "!" } else { " " };
        table.row([&left(ending.ends, now), mark, &ending.what, &ending.renewed_by]);
    }
    out.push('\n');
    out.push_str(&table.render());
}

fn keys(out: &mut String, status: &Status) {
    let mut table = Table::new(["KEY", "NAME", "PASSPHRASE", "FILE"]);
    for key in &status.keys {
        let passphrase = if key.encrypted { "yes" } else { "no" };
        table.row([&key.kind, &key.name, passphrase, &key.path.to_string_lossy()]);
    }
    out.push('\n');
    out.push_str(&table.render());
}
