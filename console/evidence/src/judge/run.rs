//! One run of a bundle: its papers by the one judge of papers, and what they say in words.

use protocol::documents::{Card, Decision, Order, Record};
use protocol::{EffectLine, Envelope, PayloadType, Plan, TicketId, json};

use super::allowed;
use super::since::{Today, moment};
use super::{RunJudgement, Said};
use crate::bundle::{RunPapers, lines_of};
use crate::checks::verify_record;
use crate::papers::{Papers, peek_record};
use crate::report::{About, Report, Standing};

/// What is said of a run while it is judged.
pub(super) struct Sheet<'a> {
    pub(super) record: &'a Record,
    pub(super) order: Option<Order>,
    pub(super) card: Option<Card>,
    pub(super) today: &'a Today<'a>,
    pub(super) lines: Vec<Said>,
    pub(super) faults: Vec<String>,
    pub(super) open: Vec<String>,
}

impl Sheet<'_> {
    pub(super) fn say(&mut self, about: &'static str, words: impl Into<String>) {
        self.lines.push(Said { about, words: words.into() });
    }

    pub(super) fn fault(&mut self, part: &str, words: &str) {
        let run = self.record.predicate.run.short();
        self.faults.push(format!("{part} of record {run}: {words}"));
    }
}

fn peek<T: PayloadType>(bytes: Option<&Vec<u8>>) -> Option<T> {
    trust::seal::peek(&Envelope::read(bytes?).ok()?).ok()
}

/// Judges a run; beside it, what its papers leave open.
pub(super) fn judge(
    given: &RunPapers,
    ticket: &TicketId,
    today: &Today<'_>,
) -> (RunJudgement, Vec<String>) {
    let mut papers = given.papers();
    // Nobody knew then what was erased later.
    papers.erased = papers.erased.filter(|erased| erased.at <= today.made);
    let report = verify_record(&papers, today.anchors);
    let Some((record, _)) = peek_record(&papers.record) else {
        let fault = report.fault.unwrap_or_else(|| "it cannot be read".to_owned());
        let title = "a record that cannot be read".to_owned();
        let faults = vec![format!("a {fault}")];
        return (RunJudgement { run: None, title, lines: Vec::new(), faults }, Vec::new());
    };
    let mut sheet = Sheet {
        order: peek(papers.order.as_ref()),
        card: peek(papers.card.as_ref()),
        record: &record,
        today,
        lines: Vec::new(),
        faults: Vec::new(),
        open: Vec::new(),
    };
    faults_of(&mut sheet, &report, given, &papers);
    let here = &record.predicate;
    if here.ticket.as_ref() != Some(ticket) {
        sheet.fault("the ticket", "it is another one than the bundle's");
    }
    person(&mut sheet);
    ordered(&mut sheet);
    // The lists of then; the bundle has them, or what was allowed cannot be judged at all.
    match today.anchors.generation(&here.catalogue) {
        Some((policy, then)) => allowed::judge(&mut sheet, given, &policy, &then),
        None => {
            let words = format!("policy {} is not in the bundle", here.catalogue.policy);
            sheet.fault("the catalogue that decided", &words);
        }
    }
    did(&mut sheet, &papers);
    log(&mut sheet, &report);
    let title = format!(
        "{} {} on {}, {}, ticket {ticket}",
        here.script.name,
        here.script.version,
        here.endpoint.name,
        moment(here.accepted)
    );
    let Sheet { lines, faults, open, .. } = sheet;
    (RunJudgement { run: Some(here.run), title, lines, faults }, open)
}

/// What the judge of papers found, each with its part of the run; an altered effect by its number.
fn faults_of(sheet: &mut Sheet<'_>, report: &Report, given: &RunPapers, papers: &Papers) {
    for line in &report.lines {
        let must = matches!(line.about, About::Record | About::Card | About::Order);
        let missing = line.standing == Standing::Absent && must;
        if line.standing != Standing::Bad && !missing {
            continue;
        }
        let name = &sheet.record.predicate.endpoint.name;
        let run = sheet.record.predicate.run.short();
        let effect = match line.about {
            About::Effects => altered(&given.effect_lines, papers.effects.as_deref()),
            _ => None,
        };
        match (line.about, effect) {
            (_, Some(effect)) => {
                let sentence =
                    format!("{effect} of record {run} does not match what {name} signed");
                sheet.faults.push(sentence);
            }
            (About::Record, None) if line.standing == Standing::Bad => {
                sheet.faults.push(format!("record {run}: {}", line.words));
            }
            // Its key is the card's: that one is named.
            (About::Record, None) => {}
            (about, None) => sheet.fault(&format!("the {}", about.word()), &line.words),
        }
    }
    for line in report.lines.iter().filter(|line| line.standing == Standing::Erased) {
        let run = sheet.record.predicate.run.short();
        sheet.say("erased", format!("{}: {}", line.about.word(), line.words));
        sheet.open.push(format!("what the {} of run {run} said: it was erased", line.about.word()));
    }
    let lost = report.lines.iter().find(|l| l.about == About::Effects);
    if lost.is_some_and(|line| line.standing == Standing::Absent) {
        let run = sheet.record.predicate.run.short();
        sheet.open.push(format!("what run {run} did, line by line: the effects are not here"));
    }
}

/// The first line that is not the one that was written, as people count: `effect 2`. The digests of
/// lines are nobody's word and only point.
fn altered(marks: &[protocol::Digest], effects: Option<&[u8]>) -> Option<String> {
    let effects = effects?;
    let found = lines_of(effects).zip(marks).position(|(line, mark)| line != *mark)?;
    let lines = || effects.split(|byte| *byte == b'\n');
    let number = |line: &[u8]| json::read::<EffectLine>(line).ok().map(|line| line.n);
    let own = lines().nth(found).and_then(number);
    // One that is not readable any more stands between others of its action.
    let before = || lines().take(found).filter_map(number).last();
    Some(match own.or_else(before) {
        Some(n) => format!("effect {n}"),
        None => format!("line {} of the effects", found.saturating_add(1)),
    })
}

fn person(sheet: &mut Sheet<'_>) {
    let here = &sheet.record.predicate;
    let Some(how) = &here.identified else {
        return sheet.say("person", "not identified");
    };
    let (words, open) = match &here.identity_checked {
        Some(check) => {
            let (who, by, at) = (&check.person, &here.agent, moment(check.at));
            let words = format!("{who}, identified {check} {at}; handed in by {by}");
            (words, format!("that whoever read that {} was {who}", check.contact.word()))
        }
        None => {
            let words = format!("identified {how}; stated by {}", here.agent);
            (words, "that the person was who they said".to_owned())
        }
    };
    sheet.say("person", words);
    sheet.open.push(open);
}

fn ordered(sheet: &mut Sheet<'_>) {
    let agent = &sheet.record.predicate.agent;
    let (_, then) = sheet.today.anchors.at(&sheet.record.predicate.catalogue);
    let words = match then.agents.get(agent) {
        None => format!("{agent}: not in the policy of then"),
        Some(known) if known.counted(sheet.record.predicate.accepted) => {
            match sheet.today.person(agent, &known.key) {
                None => format!("{agent}: key valid then and now"),
                Some(gone) => format!("{agent}: key valid then, {gone}"),
            }
        }
        Some(_) => format!("{agent}: withdrawn already then"),
    };
    sheet.say("ordered", words);
}

fn did(sheet: &mut Sheet<'_>, papers: &Papers) {
    let here = &sheet.record.predicate;
    let mut words = match &here.decision {
        Decision::Refuse { .. } => "nothing: it was refused".to_owned(),
        Decision::Permit { .. } => {
            let sums = here.effects.by_function.values();
            let (done, failed) = sums.fold((0_u64, 0_u64), |(done, failed), sum| {
                (done.saturating_add(sum.done), failed.saturating_add(sum.failed))
            });
            let mut words = format!("{}: {done} actions", here.outcome.word());
            if failed > 0 {
                words.push_str(&format!(", {failed} failed"));
            }
            if planned(papers) == Some(true) {
                words.push_str(", all in the plan");
            }
            words
        }
    };
    words.push_str(&format!("; signed by {}", here.endpoint.name));
    let gone = sheet.card.as_ref().and_then(|card| sheet.today.card(card.serial));
    words.extend(gone.map(|gone| format!(" ({gone})")));
    sheet.say("did", words);
    sheet.open.push(format!("that nobody had taken over {}", here.endpoint.name));
}

/// Whether every effect falls under a key of the plan; nothing where one of the two is not here.
fn planned(papers: &Papers) -> Option<bool> {
    let plan: Plan = json::read(papers.plan.as_ref()?).ok()?;
    let effects = papers.effects.as_ref()?.split(|byte| *byte == b'\n');
    let effects = effects.filter(|line| !line.is_empty()).map(json::read::<EffectLine>);
    let covers = |effect: &EffectLine| {
        plan.lines.iter().any(|line| line.function == effect.function && line.key == effect.key)
    };
    let mut effects = effects;
    Some(effects.all(|line| line.is_ok_and(|effect| covers(&effect))))
}

fn log(sheet: &mut Sheet<'_>, report: &Report) {
    if let Some(line) = report.lines.iter().find(|line| line.about == About::Chain) {
        let head = report.lines.iter().find(|line| line.about == About::Head);
        let entry = sheet.record.predicate.counter;
        match head {
            Some(head) => sheet.say("log", format!("entry {entry}, {}", head.words)),
            None => sheet.say(
                "log",
                format!("{}; no head that somebody countersigned since is here", line.words),
            ),
        }
        let seen = head.is_some_and(|head| head.standing == Standing::Good);
        if line.standing == Standing::Absent && !seen {
            sheet.open.push("that no record beside it was taken away".to_owned());
        }
    }
    let used = &sheet.record.predicate.catalogue;
    let newest = sheet.today.anchors.versions.unwrap_or_default();
    if newest.root != used.root {
        let (then, now) = (used.root, newest.root);
        sheet.say("root", format!("{then} then, {now} at the end; each signed by the one before"));
    }
}
