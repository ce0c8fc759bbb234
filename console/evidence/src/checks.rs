//! The checks, one function a paper. Every one says what is good or what is wrong, in one sentence.

use policy::check_session_life;
use protocol::documents::{
    Card, Decision, Dispatch, Head, Identified, IdentityCheck, Order, PREDICATE_TYPE, Record,
    STATEMENT_TYPE,
};
use protocol::error_chain::ErrorChain;
use protocol::{
    AgentName, Digest, EndpointId, Envelope, Erased, ErasedBy, PublicKey, Retention, RunId,
};
use trust::{ByPerson, Verified, chain, open_by_person, seal};

use crate::anchors::{Anchors, Judged, KnownAgent};
use crate::heads::BadHead;
use crate::met::recognise;
use crate::papers::{Papers, names_secret, peek_record};
use crate::report::{About, Line, Report, Standing};

fn good(about: About, words: impl Into<String>) -> Line {
    Line { about, standing: Standing::Good, words: words.into() }
}
fn bad(about: About, words: impl Into<String>) -> Line {
    Line { about, standing: Standing::Bad, words: words.into() }
}
fn absent(about: About, words: impl Into<String>) -> Line {
    Line { about, standing: Standing::Absent, words: words.into() }
}

fn erased(about: About, words: impl Into<String>) -> Line {
    Line { about, standing: Standing::Erased, words: words.into() }
}

/// When and why what is missing was erased, where that can be: by rule only after the least days of any
/// rule.
fn gone(papers: &Papers, claimed: &Record) -> Option<Erased> {
    let least = u64::from(Retention::DAYS_MIN).saturating_mul(86_400);
    let from = match papers.erased?.by {
        ErasedBy::Rule => claimed.predicate.ended.plus(least),
        ErasedBy::Request => claimed.predicate.ended,
    };
    papers.erased.filter(|erased| erased.at >= from)
}

fn envelope(about: About, bytes: &[u8]) -> Result<Envelope, Line> {
    Envelope::read(bytes).map_err(|e| bad(about, ErrorChain(&e).to_string()))
}

/// Verifies the papers that somebody says are this run's: another run's good record is no answer.
#[must_use]
pub fn verify_run(run: &RunId, papers: &Papers, anchors: &Anchors) -> Report {
    let report = verify_record(papers, anchors);
    if report.run.is_none_or(|named| named == *run) {
        return report;
    }
    let mut lines = report.lines;
    lines.insert(0, bad(About::Record, format!("it is not that of run {}", run.short())));
    Report::of(report.run, report.record, lines)
}

/// Verifies one run from its papers.
#[must_use]
pub fn verify_record(papers: &Papers, anchors: &Anchors) -> Report {
    let sealed = match envelope(About::Record, &papers.record) {
        Ok(sealed) => sealed,
        Err(line) => return Report::of(None, None, vec![line]),
    };
    let digest = sealed.digest();
    let claimed = match seal::peek::<Record>(&sealed) {
        Ok(claimed) => claimed,
        Err(e) => {
            let line = bad(About::Record, ErrorChain(&e).to_string());
            return Report::of(None, Some(digest), vec![line]);
        }
    };
    let run = claimed.predicate.run;
    let (judged, then) = anchors.at(&claimed.predicate.catalogue);
    let view = View { judged, then: &then, today: anchors, claimed: &claimed };
    let mut lines = Vec::new();
    let card = card(papers, &view);
    let record = match &card {
        Ok((card, _)) => record(&sealed, card),
        Err(_) => Err(absent(About::Record, "its key is not known: see the card")),
    };
    lines.push(match &record {
        Ok(record) => {
            let endpoint = &record.predicate.endpoint.name;
            good(About::Record, format!("sealed by {endpoint}, sha256 {}", digest.short()))
        }
        Err(line) => line.clone(),
    });
    let card_key = card.as_ref().ok().map(|(card, _)| card.record_key);
    lines.push(match card {
        Ok((_, line)) | Err(line) => line,
    });
    lines.push(order(papers, &view));
    lines.extend(script(&view));
    lines.extend(dispatch(papers, &claimed));
    lines.push(effects(papers, &claimed));
    lines.extend(plan(papers, &claimed));
    lines.extend(secret(papers, &claimed));
    if let Ok(record) = &record {
        lines.push(neighbours(papers, record));
        let key = card_key.filter(|_| papers.head.is_some());
        lines.extend(key.and_then(|key| head(papers, record, &key, &view)));
    }
    lines.push(catalogue(papers, &view));
    Report::of(Some(run), Some(digest), lines)
}

/// A record, and whom to believe of it: of then, as far as that is known, and of today.
struct View<'a> {
    judged: Judged,
    then: &'a Anchors,
    today: &'a Anchors,
    claimed: &'a Record,
}

impl View<'_> {
    /// What is said of something that counted `then` or did not, and does or does not `today`. A
    /// refusal says only what was refused, so it needs nothing that counted.
    fn standing(&self, then: bool, today: bool) -> Result<&'static str, &'static str> {
        let permitted = matches!(self.claimed.predicate.decision, Decision::Permit { .. });
        match self.judged {
            _ if then && today => Ok(""),
            Judged::Today => Ok("; withdrawn today, and what was in force then is not kept here"),
            _ if then => Ok("; valid then, withdrawn since"),
            _ if permitted => Err("it was withdrawn already when this was decided"),
            _ => Ok("; withdrawn already then"),
        }
    }
}

fn card(papers: &Papers, view: &View<'_>) -> Result<(Verified<Card>, Line), Line> {
    let here = &view.claimed.predicate;
    let then = view.then;
    let Some(bytes) = &papers.card else {
        return Err(absent(About::Card, "the endpoint's card is not here"));
    };
    let sealed = envelope(About::Card, bytes)?;
    if sealed.signatures.len() != 1 {
        return Err(bad(About::Card, "it does not carry exactly one signature"));
    }
    let keys: Vec<PublicKey> = then.enrollers.iter().map(|enroller| enroller.key).collect();
    let card = seal::open::<Card>(&sealed, &keys, 1).map_err(|e| {
        let why = ErrorChain(&e).to_string();
        bad(About::Card, format!("no enroller of {} signed it: {why}", then.source))
    })?;
    if card.digest() != here.endpoint.card {
        return Err(bad(About::Card, "it is not the card that the record names"));
    }
    if card.endpoint != here.endpoint.id || card.name != here.endpoint.name {
        return Err(bad(About::Card, "it names another endpoint than the record"));
    }
    let today = &view.today.denied_cards;
    recognise(&view.today.machines, &card, |serial| today.contains(&serial))
        .map_err(|stranger| bad(About::Card, stranger.to_string()))?;
    let words = format!(
        "{} ({}), serial {}, until {}",
        card.name,
        card.endpoint.short(),
        card.serial,
        card.not_after
    );
    // The endpoint's own clock wrote these times; skew of two minutes is honest.
    let skew = protocol::limits::CLOCK_SKEW_SECONDS;
    if here.accepted > card.not_after.plus(skew) || here.accepted.plus(skew) < card.issued {
        return Err(bad(About::Card, format!("not valid at {}: {words}", here.accepted)));
    }
    let enrolled = |anchors: &Anchors| {
        anchors.enrollers.iter().any(|e| e.key == card.signer() && !e.withdrawn)
    };
    let revoked = |anchors: &Anchors| anchors.denied_cards.contains(&card.serial);
    let card_stands = view.standing(!revoked(then), !revoked(view.today));
    let enroller_stands = view.standing(enrolled(then), enrolled(view.today));
    match (card_stands, enroller_stands) {
        (Err(why), _) => Err(bad(About::Card, format!("{words}: {why}"))),
        (_, Err(why)) => Err(bad(About::Card, format!("{words}; its enroller: {why}"))),
        (Ok(""), Ok("")) => Ok((card, good(About::Card, words))),
        (Ok(""), Ok(suffix)) => {
            Ok((card, good(About::Card, format!("{words}; its enroller{suffix}"))))
        }
        (Ok(suffix), _) => Ok((card, good(About::Card, format!("{words}{suffix}")))),
    }
}

fn record(sealed: &Envelope, card: &Card) -> Result<Verified<Record>, Line> {
    let record = seal::open_one::<Record>(sealed, &card.record_key)
        .map_err(|_| bad(About::Record, format!("it is not what {} signed", card.name)))?;
    if record.statement_type != STATEMENT_TYPE || record.predicate_type != PREDICATE_TYPE {
        return Err(bad(About::Record, "it is another kind of statement"));
    }
    let names: Vec<&str> = record.subject.iter().map(|s| s.name.as_str()).collect();
    if names != ["order", "effects"] {
        return Err(bad(About::Record, "its subjects are not order and effects"));
    }
    Ok(record)
}

/// A subject's SHA-256.
pub(crate) fn subject(record: &Record, name: &str) -> Option<Digest> {
    let mut named = record.subject.iter().filter(|s| s.name == name);
    named.next().and_then(|s| s.digest.get("sha256")).copied()
}

/// Whether a check of who was calling is of this order: an endpoint takes no other.
fn of(check: &IdentityCheck, order: &Order, here: &EndpointId) -> bool {
    order.identified == Some(Identified::Code)
        && check.agent == order.agent
        && check.script == order.script.name
        && check.supports(order.not_before)
        && check.endpoint.is_none_or(|named| named == *here)
}

fn order(papers: &Papers, view: &View<'_>) -> Line {
    let (claimed, then) = (view.claimed, view.then);
    let here = &claimed.predicate;
    let Some(bytes) = &papers.order else {
        // Why it is not here is the desk's word, and replaces nothing that the agent signed.
        let why = gone(papers, claimed).map(|gone| format!("; {gone}, by the desk's word"));
        let words = "the order is not here, so who ordered this is not proven; the record names \
                     its digest only";
        return absent(About::Order, format!("{words}{}", why.unwrap_or_default()));
    };
    let sealed = match envelope(About::Order, bytes) {
        Ok(sealed) => sealed,
        Err(line) => return line,
    };
    let digest = sealed.digest();
    if subject(claimed, "order") != Some(digest) {
        return bad(About::Order, "it is not the order that the record names");
    }
    let Some(agent) = then.agents.get(&here.agent) else {
        let words = format!("{} is not in {}", here.agent, then.source);
        return bad(About::Order, words);
    };
    let opened = open_by_person::<Order>(&sealed, &agent.key);
    let ByPerson { document: order, session } = match opened {
        Ok(ordered) => ordered,
        Err(e) => {
            let why = ErrorChain(&e).to_string();
            return bad(About::Order, format!("{} did not sign it: {why}", here.agent));
        }
    };
    let pairs = [
        ("agent", order.agent == here.agent),
        ("id", order.id == here.order),
        ("script", order.script == here.script),
        ("mode", order.mode == here.mode),
        ("ticket", order.ticket == here.ticket),
        ("identity statement", order.identified == here.identified),
        (
            "identity check",
            here.identity_checked.as_ref().is_none_or(|check| of(check, &order, &here.endpoint.id)),
        ),
        ("consent", order.consent == here.consent),
        ("endpoint", order.targets.contains(&here.endpoint.id)),
        ("run id", here.run_fits(&digest)),
        ("plan", order.plan.is_none() || order.plan == here.plan),
    ];
    if let Some((what, _)) = pairs.iter().find(|(_, same)| !same) {
        return bad(About::Order, format!("order and record disagree about the {what}"));
    }
    let mut words = format!("signed by {}, sha256 {}", order.agent, digest.short());
    if let Some(session) = &session {
        words.push_str(&format!("; by a session key until {}", session.not_after));
        let permitted = matches!(here.decision, Decision::Permit { .. });
        let lent = check_session_life(session, order.not_before, order.not_after);
        if let (true, Err(refusal)) = (permitted, lent) {
            return bad(About::Order, format!("{words}: {}", refusal.sentence()));
        }
    }
    let lent = |anchors: &Anchors| {
        session.as_ref().is_none_or(|session| !anchors.denied_keys.contains(&session.key))
    };
    let counts = |agent: &KnownAgent| !agent.withdrawn;
    let today = view.today.agents.get(&here.agent).filter(|today| today.key == agent.key);
    let stands =
        (agent.counted(here.accepted) && lent(then), today.is_some_and(counts) && lent(view.today));
    match view.standing(stands.0, stands.1) {
        Ok(suffix) => good(About::Order, format!("{words}{suffix}")),
        Err(why) => bad(About::Order, format!("{words}: {why}")),
    }
}

/// Whether the catalogue listed what ran; nothing where no catalogue is at hand.
fn script(view: &View<'_>) -> Option<Line> {
    let ran = &view.claimed.predicate.script;
    let key = (ran.name.clone(), ran.version);
    let listed = |anchors: &Anchors| {
        anchors.scripts.as_ref().is_some_and(|all| all.get(&key) == Some(&ran.digest))
    };
    view.then.scripts.as_ref()?;
    let words = format!("{} {}, sha256 {}", ran.name, ran.version, ran.digest.short());
    if view.judged == Judged::Today && !listed(view.today) {
        let why = "not listed today, and the catalogue of then is not kept here: that it was \
                   vetted is not proven";
        return Some(absent(About::Script, format!("{words}; {why}")));
    }
    Some(match view.standing(listed(view.then), listed(view.today)) {
        Ok(suffix) => good(About::Script, format!("{words}{suffix}")),
        Err(_) => bad(About::Script, format!("{words}: the catalogue of then did not list it")),
    })
}

fn dispatch(papers: &Papers, claimed: &Record) -> Option<Line> {
    let about = About::Dispatch;
    let sealed = match envelope(about, papers.dispatch.as_ref()?) {
        Ok(sealed) => sealed,
        Err(line) => return Some(line),
    };
    // The order's own seal is judged in its line; here it only says which key dispatches.
    let order = Envelope::read(papers.order.as_ref()?).ok()?;
    let key = seal::peek::<Order>(&order).ok()?.dispatch_key;
    let Ok(dispatch) = seal::open_one::<Dispatch>(&sealed, &key) else {
        return Some(bad(about, "the order's dispatch key did not sign it"));
    };
    let fits =
        dispatch.order == order.digest() && dispatch.endpoint == claimed.predicate.endpoint.id;
    Some(if fits {
        good(about, format!("for this endpoint, signed {}", dispatch.issued))
    } else {
        bad(about, "it is for another order or endpoint")
    })
}

fn effects(papers: &Papers, claimed: &Record) -> Line {
    let here = &claimed.predicate.effects;
    let about = About::Effects;
    if subject(claimed, "effects") != Some(here.digest) {
        return bad(about, "the record names two different effects files");
    }
    let Some(bytes) = &papers.effects else {
        let none = here.lines == 0 && here.digest == Digest::of(b"");
        if let Some(gone) = gone(papers, claimed).filter(|_| !none) {
            return erased(about, format!("{} lines, {gone}", here.lines));
        }
        return if none {
            good(about, "none")
        } else {
            absent(about, format!("{} lines, the file is not here", here.lines))
        };
    };
    if here.dropped_bytes > 0 {
        let words = format!(
            "{} bytes lay beyond the limit and were hashed only: the file cannot be checked whole",
            here.dropped_bytes
        );
        return absent(about, words);
    }
    let lines = u64::try_from(bytes.split_inclusive(|b| *b == b'\n').count()).unwrap_or(u64::MAX);
    if Digest::of(bytes) != here.digest {
        let words = match lines.cmp(&here.lines) {
            std::cmp::Ordering::Equal => "the file was altered".to_owned(),
            _ => {
                let word = if lines == 1 { "line" } else { "lines" };
                format!("the file has {lines} {word}, the endpoint signed {}", here.lines)
            }
        };
        return bad(about, words);
    }
    good(about, format!("{lines} lines, as signed"))
}

fn plan(papers: &Papers, claimed: &Record) -> Option<Line> {
    let bytes = papers.plan.as_ref()?;
    let digest = Digest::of(bytes);
    Some(if claimed.predicate.plan == Some(digest) {
        good(About::Plan, format!("sha256 {}", digest.short()))
    } else {
        bad(About::Plan, "it is not the plan that the record names")
    })
}

fn secret(papers: &Papers, claimed: &Record) -> Option<Line> {
    let about = About::Secret;
    let named = claimed.predicate.secrets.len();
    Some(match &papers.escrow {
        None if named == 0 => return None,
        None => absent(about, format!("{named} sealed, not here; the record names its digest")),
        Some((sealed, not_after)) if names_secret(claimed, sealed, *not_after) => {
            good(about, format!("sealed, sha256 {}", Digest::of(sealed).short()))
        }
        Some(_) => bad(about, "the sealed bytes are not those that the record names"),
    })
}

fn neighbours(papers: &Papers, record: &Verified<Record>) -> Line {
    let about = About::Chain;
    let here = &record.predicate;
    if here.counter == 0 {
        return bad(about, "its place is 0; records count from 1");
    }
    if here.counter == 1 && here.previous != here.epoch {
        return bad(about, "it is the first of its epoch and names another record before it");
    }
    let mut found = Vec::new();
    if let Some(before) = &papers.before {
        let Ok(before) = Envelope::read(before) else {
            return bad(about, "the record before it cannot be read");
        };
        let head = Head {
            epoch: here.epoch,
            counter: here.counter.saturating_sub(1),
            hash: before.digest(),
        };
        if let Err(e) = chain::follow(&head, record) {
            return bad(about, e.to_string());
        }
        found.push("the one before");
    }
    if let Some(after) = &papers.after {
        let head = Head { epoch: here.epoch, counter: here.counter, hash: record.digest() };
        let follows = Envelope::read(after)
            .ok()
            .and_then(|e| seal::peek::<Record>(&e).ok())
            .is_some_and(|next| next.predicate.previous == head.hash);
        if !follows {
            return bad(about, "the record after it names another one before it");
        }
        found.push("the one after");
    }
    let place = format!("record {} of epoch {}", here.counter, here.epoch.short());
    match found.as_slice() {
        [] if here.counter == 1 => good(about, format!("{place}, the first")),
        [] => absent(about, format!("{place}; its neighbours are not here")),
        some => good(about, format!("{place}, fits {}", some.join(" and "))),
    }
}

/// Whether the chain goes on from this record to a head that a person saw; nothing where there is none.
fn head(
    papers: &Papers,
    record: &Verified<Record>,
    record_key: &PublicKey,
    view: &View<'_>,
) -> Option<Line> {
    let about = About::Head;
    let here = &record.predicate;
    let key = |name: &AgentName| {
        let known = view.today.agents.get(name).or_else(|| view.then.agents.get(name));
        known.map(|agent| agent.key)
    };
    let seen = match papers.head.as_ref()?.open(&here.endpoint.id, record_key, key) {
        Ok(seen) => seen,
        Err(BadHead::Unknown) => {
            return Some(absent(about, "somebody who is not in the policy countersigned it"));
        }
        Err(error) => return Some(bad(about, error.to_string())),
    };
    if seen.head.epoch != here.epoch || seen.head.counter < here.counter {
        return Some(absent(about, "the head that is here is of another part of its records"));
    }
    let by = seen.by.as_ref().map_or("nobody", |name| name.as_str());
    let day: String = seen.seen.to_string().chars().take(10).collect();
    let words = format!("head {} seen by {by} on {day}", seen.head.counter);
    let mut at = Head { epoch: here.epoch, counter: here.counter, hash: record.digest() };
    for link in papers.after.iter().chain(&papers.links) {
        if at.counter == seen.head.counter {
            break;
        }
        let Some((next, hash)) = peek_record(link) else {
            return Some(bad(about, format!("a record before {words} cannot be read")));
        };
        let next = next.predicate;
        let counter = at.counter.saturating_add(1);
        if (next.epoch, next.counter, next.previous) != (at.epoch, counter, at.hash) {
            return Some(bad(about, format!("record {counter} does not follow, before {words}")));
        }
        at = Head { counter, hash, ..at };
    }
    Some(if at == seen.head {
        good(about, format!("{words}, chain unbroken"))
    } else if at.counter == seen.head.counter {
        bad(about, format!("{words}, and that was of other records than these"))
    } else {
        let next = at.counter.saturating_add(1);
        absent(about, format!("{words}; record {next} on the way there is not here"))
    })
}

fn catalogue(papers: &Papers, view: &View<'_>) -> Line {
    let about = About::Catalogue;
    let (claimed, anchors) = (view.claimed, view.today);
    let used = &claimed.predicate.catalogue;
    let order = papers.order.as_ref().and_then(|bytes| Envelope::read(bytes).ok());
    let order = order.and_then(|sealed| seal::peek::<Order>(&sealed).ok());
    let refused = matches!(claimed.predicate.decision, Decision::Refuse { .. });
    if let Some((role, have, want)) = order.and_then(|o| used.behind(&o.catalogue)) {
        let words = format!("{role} was at {have} there, the agent had seen {want}");
        return if refused { good(about, words) } else { bad(about, words) };
    }
    let words = format!("timestamp {}, policy {}", used.timestamp, used.policy);
    let Some(ours) = anchors.versions else {
        return absent(about, format!("{words}; what was published is not known here"));
    };
    if let Some((role, have, want)) = ours.behind(used) {
        return bad(
            about,
            format!("{role} {want} there, {have} is the newest in {}", anchors.source),
        );
    }
    match view.judged {
        Judged::Same => good(about, words),
        Judged::Then => {
            good(about, format!("{words}; judged by that, {} is in force", ours.policy))
        }
        Judged::Today if ours.policy == used.policy && anchors.scripts.is_none() => {
            good(about, words)
        }
        Judged::Today => {
            let words = format!(
                "{words}; that catalogue is not kept here, judged by policy {}",
                ours.policy
            );
            good(about, words)
        }
    }
}
