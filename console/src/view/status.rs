//! The state of a home on one page: what needs a person first, then what ends when.

use desk::inventory::{OutboxState, Status};
use protocol::Time;

use crate::view::{Table, count, safe};

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
    endings(&mut out, status, now);
    keys(&mut out, status);
    for weakness in &status.weaknesses {
        out.push_str(&format!("weak: {}\n", safe(weakness)));
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
