//! The words of tickets, runs, verdicts and status, with fixed times: what people are promised.

use std::collections::BTreeMap;

use desk::audit::{Erasure, ErasureRow, NextRule, RetentionRow};
use desk::inventory::{
    Behind, Ending, FileRow, KeyPlace, NoteRow, OpenToken, OutboxKind, OutboxState, RunRow,
    RunState, Status, TicketRow, Undelivered, Unopened,
};
use desk::verify::fixture::{EFFECTS, Fixture, NOW, bytes, sealed, versions};
use desk::verify::{CopyReport, Papers, verify_copy};
use protocol::documents::{InFlight, TicketState};
use protocol::{Digest, Outcome, Plan, PlanLine, PlanReach, Retention, RunId, Time};

use crate::view::runs::RunPage;
use crate::view::ticket::{FileLine, TicketLine, TicketPage};
use crate::view::{runs, status, ticket, verdict::verdict};

const NASTY: &str = "\u{1b}[2J\u{202e}evil";

fn row(state: RunState, outcome: Option<Outcome>, verified: Option<bool>) -> RunRow {
    RunRow {
        id: RunId([0x22; 16]),
        order: Digest([0x33; 32]),
        endpoint: Fixture::id(),
        endpoint_name: Some("lt-4411".to_owned()),
        script: Some("cache.clear".to_owned()),
        mode: Some("fix".to_owned()),
        agent: Some("a.kaya".to_owned()),
        ticket: Some("1".parse().unwrap()),
        state,
        outcome,
        record_hash: verified.map(|_| Digest([0x9a; 32])),
        reason: (verified == Some(false)).then(|| format!("record: not signed {NASTY}")),
        sent_at: None,
        carried: None,
        verified,
        created: NOW,
        ended: outcome.map(|_| NOW.plus(1)),
        filed: outcome.map(|_| NOW.plus(2)),
    }
}

fn ended() -> RunRow {
    row(RunState::Ended, Some(Outcome::Succeeded), Some(true))
}

fn run_page(run: RunRow) -> RunPage {
    let f = Fixture::default();
    RunPage {
        run,
        record: Some(f.record(&f.order())),
        plan: None,
        effects: None,
        others: 0,
        secret: None,
        at_desk: false,
    }
}

#[test]
fn a_run_reads_like_this() {
    let mut page = run_page(ended());
    page.plan = Some(Plan {
        endpoint: Fixture::id(),
        script: "cache.clear".parse().unwrap(),
        script_digest: Digest([0x3f; 32]),
        parameters: Digest([0; 32]),
        made: NOW,
        found: String::new(),
        lines: vec![PlanLine {
            function: "fs.remove".to_owned(),
            key: "/var/cache/apt/*".to_owned(),
            reach: PlanReach::Within,
            count: 214,
            bytes: 812 << 20,
            label: "package cache".to_owned(),
        }],
        skipped: Vec::new(),
        unknowable: None,
        asked: None,
    });
    page.secret = Some((NOW.plus(3600), None));
    assert_eq!(
        runs::page(&page),
        "\
FIXED  cache.clear on lt-4411: / has 38.6 GiB free (16 %)
  Ordered  a.kaya for ticket 1, fix
  Script   cache.clear 3 (sha256 3f3f3f3f)
  Person   identified by a call back to the number on file; stated by a.kaya
  Consent  spoken yes; stated by a.kaya: \"May I delete caches? Your own files stay.\"
  Allowed  rule low: any agent
  Found    / has 0 B of 237 GiB free
  Plan     made 2026-11-22T10:42:07Z
           package cache     214 files    812 MiB
  Did      214 files removed, 812 MiB
  Say      \"There is room again, please save your work.\"
  Secret   salve secrets open 1248h248    (once, until 2026-11-22T11:42:07Z)
  WEAK     scripts of every risk need one signature of one
  Classes  files, held by the kernel
  Ran      2026-11-22T10:42:07Z to 2026-11-22T10:42:08Z, salved 0.1.0
  Record   1248h248h248h248h248h248h2, number 1, sha256 9a9a9a9a (verified)
"
    );
}

#[test]
fn a_record_that_does_not_verify_says_so_first_and_shows_nothing_raw() {
    let mut page = run_page(row(RunState::Ended, Some(Outcome::Succeeded), Some(false)));
    let here = &mut page.record.as_mut().unwrap().predicate;
    here.summary = NASTY.to_owned();
    here.say = Some(NASTY.to_owned());
    here.found = Some(NASTY.to_owned());
    here.reason = Some(NASTY.to_owned());
    here.skipped = vec![NASTY.to_owned()];
    here.weaknesses = vec![NASTY.to_owned()];
    here.classes = vec![NASTY.to_owned()];
    here.limits_hit = vec![NASTY.to_owned()];
    here.version = NASTY.to_owned();
    here.consent.as_mut().unwrap().question = NASTY.to_owned();
    here.in_flight = Some(InFlight { function: NASTY.to_owned(), noun: NASTY.to_owned() });
    here.outcome = Outcome::Interrupted;
    page.effects = Some(vec![NASTY.to_owned()]);
    page.others = 1;
    let text = runs::page(&page);
    assert!(text.starts_with("NOT VERIFIED: record: not signed"), "{text}");
    assert!(text.contains("Everything below is what was sent, not what is proved."), "{text}");
    assert!(text.contains("(NOT VERIFIED)"), "{text}");
    assert!(text.contains("STRAY    1 other record for this run"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains('\u{202e}'));
}

#[test]
fn a_run_without_a_record_is_never_called_anything_else() {
    let mut page = run_page(row(RunState::Sent, None, None));
    page.record = None;
    assert_eq!(
        runs::page(&page),
        "\
SENT, NO ANSWER  cache.clear on lt-4411
  Run      1248h248h248h248h248h248h2, ordered 2026-11-22T10:42:07Z
  Record   none here yet; it is fetched when the endpoint answers again:  salve runs follow 1248h248
"
    );
    page.run.state = RunState::NotSent;
    let text = runs::page(&page);
    assert!(text.starts_with("NOT SENT  cache.clear on lt-4411\n"), "{text}");
    assert!(text.contains("Record   none: the order never left this desk, nothing ran"), "{text}");
    page.at_desk = true;
    let text = runs::page(&page);
    assert!(text.contains("the desk says that the order never left it; nobody signed"), "{text}");
    page.run.state = RunState::NotTaken;
    page.run.reason = Some(format!("its door says so; not signed {NASTY}"));
    let text = runs::page(&page);
    assert!(text.starts_with("NOT TAKEN, UNSIGNED  cache.clear on lt-4411\n"), "{text}");
    assert!(text.contains("Record   none: its door says so; not signed \\u{1b}"), "{text}");
}

#[test]
fn lists_read_like_this() {
    let rows = [ended(), row(RunState::Ended, None, Some(false)), row(RunState::Sent, None, None)];
    assert_eq!(
        runs::list(&rows, NOW.plus(300)),
        "\
RUN       WHEN       SCRIPT       MODE  ENDPOINT  ENDED            RECORD        TICKET
1248h248  5 min ago  cache.clear  fix   lt-4411   fixed            verified      1
1248h248  5 min ago  cache.clear  fix   lt-4411   unknown          NOT VERIFIED  1
1248h248  5 min ago  cache.clear  fix   lt-4411   sent, no answer  -             1
"
    );
    let lines = [TicketLine { ticket: a_ticket(), endpoint_name: Some("lt-4411".to_owned()) }];
    assert_eq!(
        ticket::list(&lines, NOW.plus(300)),
        "\
TICKET  STATE  OPENED     PERSON    ENDPOINT  ASSIGNED  SUBJECT
1       open   5 min ago  jo.meyer  lt-4411   a.kaya    Laptop full, cannot save
"
    );
    assert!(ticket::list(&[], NOW).starts_with("No open tickets."));
    assert!(runs::list(&[], NOW).starts_with("No runs yet."));
}

fn a_ticket() -> TicketRow {
    TicketRow {
        id: 1,
        subject: "Laptop full, cannot save".to_owned(),
        body: "since this morning\nfan is loud".to_owned(),
        state: TicketState::Open,
        kind: "incident".to_owned(),
        category: None,
        channel: "phone".to_owned(),
        requester: Some("jo.meyer".to_owned()),
        assignee: Some("a.kaya".parse().unwrap()),
        endpoint: Some(Fixture::id()),
        opened: NOW,
        first_response: Some(NOW),
        resolved: None,
        closed: None,
        reopened: None,
        reopens: 0,
        contacts: 2,
        blocked: 3,
        blocked_since: Some(NOW),
        satisfaction: None,
    }
}

#[test]
fn a_ticket_reads_like_this() {
    let note = |public: bool, body: &str| NoteRow {
        id: 1,
        key: "k".to_owned(),
        public,
        author: None,
        body: body.to_owned(),
        posted: NOW.plus(2),
    };
    let file = FileRow {
        id: 1,
        key: "f".to_owned(),
        public: false,
        name: "records.jsonl".to_owned(),
        media: "application/jsonl".to_owned(),
        digest: Digest([1; 32]),
        size: 4096,
        added: NOW,
    };
    let page = TicketPage {
        ticket: TicketLine { ticket: a_ticket(), endpoint_name: Some("lt-4411".to_owned()) },
        notes: vec![
            note(false, &format!("FIXED: cache.clear on lt-4411\n{NASTY}\n[salve:k]")),
            note(true, "There is room again."),
        ],
        files: vec![FileLine {
            file,
            verified: Some(false),
            fault: Some("record: it is not what lt-4411 signed".to_owned()),
            difference: Some("byte 7 (line 1): filed `a`, given `b`".to_owned()),
        }],
        runs: vec![ended()],
        undelivered: vec!["reply, 2 tries, last: no answer".to_owned()],
    };
    assert_eq!(
        ticket::page(&page, NOW.plus(300)),
        "\
Ticket 1, incident, open: Laptop full, cannot save
  Person   jo.meyer   Assigned a.kaya   Endpoint lt-4411
  Opened   2026-11-22T10:42:07Z (5 min ago) by phone, 2 contacts
  Answered 2026-11-22T10:42:07Z
  Blocked  3 people since 2026-11-22T10:42:07Z
  | since this morning
  | fan is loud

--- 2026-11-22T10:42:09Z, internal note
FIXED: cache.clear on lt-4411
\\u{1b}[2J\\u{202e}evil
[salve:k]

--- 2026-11-22T10:42:09Z, to jo.meyer
There is room again.

--- files
records.jsonl  4.0 KiB  NOT VERIFIED: record: it is not what lt-4411 signed
  byte 7 (line 1): filed `a`, given `b`

--- runs
RUN       WHEN       SCRIPT       MODE  ENDPOINT  ENDED  RECORD    TICKET
1248h248  5 min ago  cache.clear  fix   lt-4411   fixed  verified  1

Not delivered yet: reply, 2 tries, last: no answer
"
    );
}

fn copy(change: impl FnOnce(&mut Papers)) -> CopyReport {
    let f = Fixture::default();
    let order = f.order();
    let mut papers = Papers {
        record: bytes(&sealed(&f.record(&order), &f.endpoint)),
        order: Some(bytes(&sealed(&order, &f.agent))),
        effects: Some(EFFECTS.to_vec()),
        card: Some(bytes(&sealed(&f.card(), &f.enroller))),
        ..Papers::default()
    };
    change(&mut papers);
    verify_copy(None, papers, &f.anchors()).unwrap()
}

#[test]
fn verdicts_read_like_this() {
    let good = verdict(&copy(|_| ()));
    let lines: Vec<&str> = good.lines().collect();
    assert!(lines[0].starts_with("  record    good  sealed by lt-4411, sha256 "), "{good}");
    assert_eq!(
        lines[1],
        "  card      good  lt-4411 (248h248h), serial 7, until 2027-02-20T10:42:07Z"
    );
    assert!(lines[2].starts_with("  order     good  signed by a.kaya, sha256 "), "{good}");
    assert_eq!(
        lines[3..],
        [
            "  script    good  cache.clear 3, sha256 3f3f3f3f",
            "  effects   good  2 lines, as signed",
            "  chain     good  record 1 of epoch 09090909, the first",
            "  catalogue good  timestamp 5, policy 3",
            "VERIFIED."
        ]
    );
    let bad = verdict(&copy(|papers| papers.effects = Some(b"other\n".to_vec())));
    assert!(
        bad.contains("\n  effects   BAD   the file has 1 line, the endpoint signed 2\n"),
        "{bad}"
    );
    assert!(bad.ends_with(
        "NOT VERIFIED: effects: the file has 1 line, the endpoint signed 2. Everything else is good.\n"
    ));
}

fn a_status() -> Status {
    Status {
        organisation: "Demo Ltd".to_owned(),
        profile: "solo".to_owned(),
        me: "a.kaya".parse().unwrap(),
        catalogue: versions(),
        endings: vec![
            ending("catalogue role policy", NOW.plus(3 * 86_400), true),
            ending("your certificate", NOW.plus(29 * 86_400), false),
        ],
        keys: vec![KeyPlace {
            kind: "root".to_owned(),
            name: "a.kaya".to_owned(),
            path: "/home/a/keys/root/a.kaya.pem".into(),
            encrypted: true,
        }],
        endpoints: 2,
        ahead: Vec::new(),
        restored: None,
        behind: vec![Behind {
            endpoint: "lt-4411".parse().unwrap(),
            role: "policy".to_owned(),
            have: 2,
            want: 3,
        }],
        asking: 0,
        doubts: Vec::new(),
        glass: Vec::new(),
        stale: vec!["pc-7".parse().unwrap()],
        undelivered: vec![Undelivered {
            ticket: "1".parse().unwrap(),
            kind: OutboxKind::Note,
            state: OutboxState::Due,
            since: NOW.minus(300),
            tries: 2,
            last_error: Some("no answer".to_owned()),
        }],
        unknown: Vec::new(),
        unanswered: vec![RunId([0x22; 16])],
        secrets: vec![Unopened { run: RunId([0x22; 16]), until: NOW.plus(60) }],
        tokens: vec![OpenToken { name: "pc-9".to_owned(), until: NOW.plus(60) }],
        retention: retained(),
        weaknesses: vec!["scripts of every risk need one signature of one".to_owned()],
        needs_person: vec!["a root key lies on this desk: move it".to_owned()],
    }
}

/// A rule that was shortened, and two erasures.
fn retained() -> RetentionRow {
    let (long, short) =
        (Retention { days: 400, high_days: 400 }, Retention { days: 30, high_days: 60 });
    let erased = |ticket: Option<&str>, by: Option<&str>, runs| ErasureRow {
        ticket: ticket.map(|ticket| ticket.parse().unwrap()),
        by: by.map(|by| by.parse().unwrap()),
        at: NOW.minus(86_400),
        done: Erasure { runs, notes: 2 },
    };
    RetentionRow {
        rule: long,
        next: Some(NextRule { rule: short, from: NOW.plus(86_400) }),
        set_by: Some("m.ruiz".parse().unwrap()),
        set_at: Some(NOW.minus(6 * 86_400)),
        erasures: vec![erased(Some("7"), Some("m.ruiz"), 1), erased(None, None, 40)],
    }
}

fn ending(what: &str, ends: Time, urgent: bool) -> Ending {
    Ending { what: what.to_owned(), ends, renewed_by: "an administrator".to_owned(), urgent }
}

#[test]
fn the_status_reads_like_this() {
    assert_eq!(
        status::page(&a_status(), NOW),
        "\
Demo Ltd (profile solo), you are a.kaya
  ! a root key lies on this desk: move it

2 endpoints, 1 not seen for 30 days
  lt-4411 is behind: policy 2 there, 3 here; the next command brings it
  token for pc-9 is open until 2026-11-22T10:43:07Z
ticket 1: note not delivered, 5 min ago: tried 2 times, last: no answer
no record yet of: 1248h248
secret of run 1248h248 is unopened, until 2026-11-22T10:43:07Z
bodies are kept 400 days, those of high risk 400; set by m.ruiz 2026-11-16T10:42:07Z
  shortened: 30 days, those of high risk 60 from 2026-11-23T10:42:07Z
  erased 2026-11-21T10:42:07Z: 1 run, 2 notes; ticket 7, asked by m.ruiz
  erased 2026-11-21T10:42:07Z: 40 runs, 2 notes; rule, set by default

ENDS        WHAT                   RENEWED BY
in 3 d   !  catalogue role policy  an administrator
in 29 d     your certificate       an administrator

KEY   NAME    PASSPHRASE  FILE
root  a.kaya  yes         /home/a/keys/root/a.kaya.pem
weak: scripts of every risk need one signature of one
"
    );
    let mut quiet = a_status();
    quiet.needs_person.clear();
    quiet.endpoints = 0;
    let text = status::page(&quiet, NOW);
    assert!(text.contains("\nNothing needs a person.\n"), "{text}");
    assert!(text.contains("No endpoints yet. Enrol one:  salve endpoints enroll NAME"), "{text}");
}

#[test]
fn every_view_has_a_json_form_with_the_same_facts() {
    let page = serde_json::to_value(run_page(ended())).unwrap();
    assert_eq!(page["run"]["verified"], true);
    assert_eq!(page["record"]["predicate"]["outcome"], "succeeded");
    let status = serde_json::to_value(a_status()).unwrap();
    assert_eq!(status["undelivered"][0]["last_error"], "no answer");
    let copy = serde_json::to_value(copy(|_| ())).unwrap();
    assert_eq!(copy["report"]["verified"], true);
    let line = TicketLine { ticket: a_ticket(), endpoint_name: None };
    let line: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(serde_json::to_value(line).unwrap()).unwrap();
    assert_eq!(line["state"], "open");
}
