//! Tickets as the help desk sees them: one list, one page a ticket.

use desk::inventory::{FileRow, NoteRow, RunRow, TicketRow};
use protocol::Time;
use protocol::documents::TicketState;
use serde::Serialize;

use crate::view::{Table, ago, bytes, count, runs, safe};

/// A ticket in a list.
#[derive(Debug, Serialize)]
pub struct TicketLine {
    /// The ticket.
    #[serde(flatten)]
    pub ticket: TicketRow,
    /// Its endpoint's name.
    pub endpoint_name: Option<String>,
}

/// A file of a ticket and what became of the record in it.
#[derive(Debug, Serialize)]
pub struct FileLine {
    /// The file.
    #[serde(flatten)]
    pub file: FileRow,
    /// Whether every record in it verifies; `None` where it holds none.
    pub verified: Option<bool>,
    /// The first fault.
    pub fault: Option<String>,
    /// Where it parts from the filed record.
    pub difference: Option<String>,
}

/// A ticket with all that hangs on it.
#[derive(Debug, Serialize)]
pub struct TicketPage {
    /// The ticket.
    pub ticket: TicketLine,
    /// Its notes, oldest first.
    pub notes: Vec<NoteRow>,
    /// Its files.
    pub files: Vec<FileLine>,
    /// Its runs, newest first.
    pub runs: Vec<RunRow>,
    /// What it was not told yet, in words.
    pub undelivered: Vec<String>,
}

/// The state in a word.
#[must_use]
pub const fn state(state: TicketState) -> &'static str {
    match state {
        TicketState::Open => "open",
        TicketState::Pending => "pending",
        TicketState::Resolved => "resolved",
        TicketState::Closed => "closed",
    }
}

/// The list, newest first.
#[must_use]
pub fn list(lines: &[TicketLine], now: Time) -> String {
    if lines.is_empty() {
        return "No open tickets. Open one:  salve tickets new \"SUBJECT\" --for PERSON --on NAME"
            .to_owned();
    }
    let mut table =
        Table::new(["TICKET", "STATE", "OPENED", "PERSON", "ENDPOINT", "ASSIGNED", "SUBJECT"]);
    for line in lines {
        let t = &line.ticket;
        let subject: String = t.subject.chars().take(60).collect();
        table.row([
            &t.id.to_string(),
            state(t.state),
            &ago(t.opened, now),
            t.requester.as_deref().unwrap_or_default(),
            line.endpoint_name.as_deref().unwrap_or_default(),
            t.assignee.as_ref().map_or("", |a| a.as_str()),
            &subject,
        ]);
    }
    table.render()
}

/// One ticket's page.
#[must_use]
pub fn page(page: &TicketPage, now: Time) -> String {
    let t = &page.ticket.ticket;
    let mut out =
        format!("Ticket {}, {}, {}: {}\n", t.id, safe(&t.kind), state(t.state), safe(&t.subject));
    let unset = "-".to_owned();
    let person = t.requester.as_ref().map_or_else(|| unset.clone(), |p| safe(p));
    let assignee = t.assignee.as_ref().map_or_else(|| unset.clone(), ToString::to_string);
    let endpoint = page.ticket.endpoint_name.as_ref().map_or_else(|| unset.clone(), |e| safe(e));
    out.push_str(&format!("  Person   {person}   Assigned {assignee}   Endpoint {endpoint}\n"));
    out.push_str(&format!("  Opened   {} ({})", t.opened, ago(t.opened, now)));
    out.push_str(&format!(" by {}", safe(&t.channel)));
    if t.contacts > 1 {
        out.push_str(&format!(", {}", count(t.contacts, "contact")));
    }
    out.push('\n');
    for (word, time) in
        [("Answered", t.first_response), ("Resolved", t.resolved), ("Reopened", t.reopened)]
    {
        if let Some(time) = time {
            out.push_str(&format!("  {word} {time}\n"));
        }
    }
    if t.blocked > 0 {
        let since = t.blocked_since.map_or_else(String::new, |s| format!(" since {s}"));
        let who =
            if t.blocked == 1 { "1 person".to_owned() } else { format!("{} people", t.blocked) };
        out.push_str(&format!("  Blocked  {who}{since}\n"));
    }
    for line in t.body.lines() {
        out.push_str(&format!("  | {}\n", safe(line)));
    }
    for note in &page.notes {
        out.push_str(&format!("\n--- {}, {}\n", note.posted, audience(note, t)));
        for line in note.body.lines() {
            out.push_str(&safe(line));
            out.push('\n');
        }
    }
    files(&mut out, &page.files);
    if !page.runs.is_empty() {
        out.push_str("\n--- runs\n");
        out.push_str(&runs::list(&page.runs, now));
    }
    for line in &page.undelivered {
        out.push_str(&format!("\nNot delivered yet: {}\n", safe(line)));
    }
    out
}

fn audience(note: &NoteRow, ticket: &TicketRow) -> String {
    let by = note.author.as_ref().map_or_else(String::new, |a| format!(" by {a}"));
    if note.public {
        let person = ticket.requester.as_ref().map_or_else(|| "the person".to_owned(), |p| safe(p));
        format!("to {person}{by}")
    } else {
        format!("internal note{by}")
    }
}

fn files(out: &mut String, files: &[FileLine]) {
    if files.is_empty() {
        return;
    }
    out.push_str("\n--- files\n");
    for line in files {
        let verdict = match (line.verified, &line.fault) {
            (Some(true), _) => "verified".to_owned(),
            (Some(false), Some(fault)) => format!("NOT VERIFIED: {}", safe(fault)),
            (Some(false), None) => "NOT VERIFIED".to_owned(),
            (None, _) => String::new(),
        };
        let text = format!("{}  {}  {verdict}", safe(&line.file.name), bytes(line.file.size));
        out.push_str(text.trim_end());
        out.push('\n');
        if let Some(difference) = &line.difference {
            out.push_str(&format!("  {}\n", safe(difference)));
        }
    }
}
