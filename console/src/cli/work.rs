//! What `run`, `plan`, `check`, `cancel` and `runs follow` share: what was meant, who is reached,
//! and every failure with its next step. Never prints a result.

use desk::audit;
use desk::books::{BookError, Sorry};
use desk::heads;
use desk::home::{OwnKey, Stranger};
use desk::inventory::{find_endpoint, find_ticket};
use desk::org::Desk;
use desk::runs::{EndpointRow, RunError, RunRow, ScriptEntry, TicketRow, Wish, wants_own_key};
use desk::session::{
    Agent, BadPeer, DialError, LinkError, NoAgent, Objection, Session, SessionError,
};
use protocol::error_chain::ErrorChain;
use protocol::frames::Stop;
use protocol::{EndpointId, EndpointName, RunId, ScriptName, TicketId, Time};

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::failures::{of_signing, of_ssh_agent};
use crate::view::{ago, safe};

/// An open home and its owner's keys.
#[derive(Debug)]
pub struct Work {
    /// The home.
    pub desk: Desk,
    /// Its owner at work.
    pub agent: Agent,
}

impl Work {
    /// Opens the home.
    ///
    /// # Errors
    /// There is none, or its keys or catalogue cannot be used.
    pub fn open(ctx: &Ctx) -> Result<Self, Failure> {
        Self::over(ctx, ctx.desk()?)
    }

    /// Opens the home beside a machine: where the shared desk is not reached, by the lists that this
    /// home has.
    ///
    /// # Errors
    /// As [`Work::open`].
    pub fn open_away(ctx: &Ctx) -> Result<Self, Failure> {
        match ctx.desk() {
            Err(failure) if failure.exit == Exit::Unreachable => {
                ctx.note("The desk is not reached; this goes by the lists that this home has.");
                Self::over(ctx, Desk::open(ctx.home())?)
            }
            other => Self::over(ctx, other?),
        }
    }

    fn over(ctx: &Ctx, desk: Desk) -> Result<Self, Failure> {
        let agent = Agent::load(&desk, ctx.now()).map_err(|error| match error {
            NoAgent::Catalogue(trouble) => trouble.into(),
            NoAgent::Renew { source, .. } => (*source).into(),
            NoAgent::Keys { agent, source } => {
                Failure::broken(format!("could not take up the keys of {agent}")).because(source)
            }
        })?;
        // Where a shared desk keeps the store, it does this by itself.
        if let Err(error) = audit::retain(&desk, ctx.now()) {
            ctx.note(format!(
                "note: nothing was erased: {}",
                safe(&ErrorChain(&error).to_string())
            ));
        }
        Ok(Self { desk, agent })
    }

    /// Opens the agent's own key where it lies under a passphrase; before a machine is met, which would
    /// not wait while somebody types.
    ///
    /// # Errors
    /// Nobody is there to give the passphrase, it is another, or the ssh-agent lacks the key.
    pub fn open_own_key(&self, ctx: &Ctx) -> Result<(), Failure> {
        let (signing, me) = (&self.agent.signing, &self.agent.name);
        if let OwnKey::SshAgent(key) = signing.own() {
            return match key.is_there() {
                Ok(true) => Ok(()),
                Ok(false) => Err(of_ssh_agent(desk::home::SshAgentError::Refused)),
                Err(error) => Err(of_ssh_agent(error)),
            };
        }
        if !signing.is_locked() {
            return Ok(());
        }
        let passphrase = ctx.passphrase(me, &format!("Passphrase of {me}'s signing key"));
        let passphrase = passphrase.map_err(|failure| {
            failure.next(
                "on a terminal, once a day:  salve unlock --for 8h
                 or give it on a descriptor:  salve --passphrase-fd 3 ... 3< FILE",
            )
        })?;
        Ok(signing.open(&self.desk.home, me, &passphrase)?)
    }

    /// As [`Self::open_own_key`], where one of these wishes asks for it: a session signs the others.
    ///
    /// # Errors
    /// As [`Self::open_own_key`].
    pub fn ready(&self, ctx: &Ctx, wishes: &[&Wish], wait: Option<u64>) -> Result<(), Failure> {
        let own = |wish: &&Wish| wants_own_key(&self.agent, wish, wait, ctx.now());
        if wishes.iter().any(own) { self.open_own_key(ctx) } else { Ok(()) }
    }

    /// The newest version of a script that is not withdrawn.
    ///
    /// # Errors
    /// There is none of that name, and says which come near; all of them are withdrawn.
    pub fn script(&self, typed: &str) -> Result<ScriptEntry, Failure> {
        let name: Option<ScriptName> = typed.parse().ok();
        let listed = |entry: &&ScriptEntry| Some(&entry.manifest.name) == name.as_ref();
        let versions: Vec<&ScriptEntry> = self.agent.catalogue.scripts().filter(listed).collect();
        let counts = |entry: &&&ScriptEntry| !self.agent.policy.is_denied_script(&entry.digest);
        if let Some(entry) = versions.iter().rev().find(counts) {
            return Ok((*entry).clone());
        }
        if !versions.is_empty() {
            return Err(Failure::refused(format!("every version of {typed} is withdrawn"))
                .next("salve scripts list   shows what may run"));
        }
        let near = |name: &str| strsim::jaro_winkler(name, typed) > 0.7 || name.contains(typed);
        let mut names: Vec<String> = self
            .agent
            .catalogue
            .scripts()
            .map(|entry| entry.manifest.name.to_string())
            .filter(|name| near(name))
            .collect();
        names.dedup();
        names.truncate(5);
        let next = if names.is_empty() {
            "salve scripts list   shows them all".to_owned()
        } else {
            format!("did you mean {}?", names.join(" or "))
        };
        Err(Failure::usage(format!("the catalogue has no script `{typed}`")).next(next))
    }

    /// The ticket, if one is named.
    ///
    /// # Errors
    /// There is none of that number.
    pub fn ticket(&self, typed: Option<&str>) -> Result<Option<(TicketId, TicketRow)>, Failure> {
        Ok(typed.map(|typed| find_ticket(&self.desk.store, typed)).transpose()?)
    }

    /// The machine: named by `--on`, or by the ticket; both must agree.
    ///
    /// # Errors
    /// None is named, or two different ones.
    pub fn endpoint(
        &self,
        on: Option<&str>,
        ticket: Option<&(TicketId, TicketRow)>,
    ) -> Result<EndpointRow, Failure> {
        let named = on.map(|typed| find_endpoint(&self.desk.store, typed)).transpose()?;
        let by_ticket = match ticket.and_then(|(id, row)| row.endpoint.map(|e| (id, e))) {
            Some((id, endpoint)) => {
                let row = self.desk.store.endpoint(endpoint)?;
                row.filter(|row| row.id == endpoint).map(|row| (id, row))
            }
            None => None,
        };
        match (named, by_ticket) {
            (Some(named), Some((id, row))) if named.id != row.id => {
                let sentence = format!("ticket {id} names {}, not {}", row.name, named.name);
                Err(Failure::usage(sentence).next("leave out --on, or name the right ticket"))
            }
            (Some(named), _) => Ok(named),
            (None, Some((_, row))) => Ok(row),
            (None, None) => {
                let sentence = match ticket {
                    Some((id, _)) => format!("ticket {id} names no machine"),
                    None => "no machine is named".to_owned(),
                };
                Err(Failure::usage(sentence).next("add --on NAME   (salve endpoints list)"))
            }
        }
    }

    /// A session with the endpoint.
    ///
    /// # Errors
    /// In words: away, not itself, or not willing.
    pub async fn meet(&self, ctx: &Ctx, to: &EndpointRow) -> Result<Session, Failure> {
        self.session(ctx, to).await.map_err(|error| of_session(error, to, ctx))
    }

    /// As [`Self::meet`], for whoever has something of their own to say where it is away.
    ///
    /// # Errors
    /// As they come.
    pub async fn session(&self, ctx: &Ctx, to: &EndpointRow) -> Result<Session, SessionError> {
        let session = match self.desk.store.line() {
            None => Session::open(&self.agent, to, ctx.now()).await,
            Some(line) => Session::open_at_desk(line, &self.agent, to, ctx.now()).await,
        }?;
        self.compare(ctx, &session);
        Ok(session)
    }

    /// Says loudly what the machine shows and what somebody saw there before, where that does not fit.
    /// An order runs at most once all the same: the work goes on.
    pub fn compare(&self, ctx: &Ctx, session: &Session) {
        let name = &session.card().name;
        let compared = heads::compare(&self.desk.store, &self.agent, session);
        if let Some(doubt) = &compared.doubt {
            ctx.note(format!("! {}", safe(&heads::words(name, doubt))));
        }
        for trouble in &compared.troubles {
            ctx.note(format!(
                "note: what {name} shows was not wholly compared with what was seen before: {}",
                safe(&ErrorChain(trouble).to_string())
            ));
        }
    }
}

/// The machine of a run.
///
/// # Errors
/// It is not in the address book.
pub fn endpoint_of(work: &Work, run: &RunRow) -> Result<EndpointRow, Failure> {
    machine(work, run.endpoint, &format!("run {}", run.id.short()))
}

/// The machine that a run or an order names by its id: another one's row is no answer.
///
/// # Errors
/// It is not in the address book.
pub fn machine(work: &Work, id: EndpointId, of: &str) -> Result<EndpointRow, Failure> {
    let row = work.desk.store.endpoint(id)?.filter(|row| row.id == id);
    row.ok_or_else(|| Failure::usage(format!("the machine of {of} is not in the address book")))
}

fn last_seen(to: &EndpointRow, ctx: &Ctx) -> String {
    to.last_seen.map_or_else(
        || "it was never seen yet".to_owned(),
        |seen| format!("last seen {}", ago(seen, ctx.now())),
    )
}

fn away(error: &DialError, to: &EndpointRow, ctx: &Ctx) -> Failure {
    let seen = last_seen(to, ctx);
    let sentence = format!("{} is not reachable: {error}; {seen}. Nothing was sent.", to.name);
    let next = match error {
        DialError::NothingListens { .. } => {
            "on that machine:  sudo systemctl start salved;  salved doctor".to_owned()
        }
        DialError::Name { .. } | DialError::Address { .. } => {
            format!("salve endpoints set {} --at HOST:PORT", to.name)
        }
        _ => format!(
            "on that machine:  salved doctor\n\
             if it has moved:  salve endpoints set {} --at HOST:PORT",
            to.name
        ),
    };
    let failure = Failure::unreachable(sentence).next(next);
    match std::error::Error::source(error) {
        Some(cause) => failure.because(cause.to_string()),
        None => failure,
    }
}

/// The shared desk has no line to it.
fn gone(to: &EndpointRow, seen: Option<Time>, in_order: Option<bool>, ctx: &Ctx) -> Failure {
    let name = &to.name;
    let seen = seen.map_or_else(
        || "it was never seen yet".to_owned(),
        |at| format!("last seen {} ({})", at.clock(), ago(at, ctx.now())),
    );
    let how = match in_order {
        Some(true) => ", it signed off normally",
        Some(false) => ", its line broke",
        None => "",
    };
    Failure::unreachable(format!("{name} is not connected: {seen}{how}. Nothing was sent."))
        .next("on that machine:  salved doctor")
}

/// A card that contradicts what this console has met.
fn stranger_at(name: &EndpointName, stranger: &Stranger) -> Failure {
    let next = match stranger {
        Stranger::Keys { .. } => {
            "do not go on; tell an administrator: an enroller's key is in other hands, and the \
             machine's papers of both kinds prove it (certs/README.md, `enroller`)"
                .to_owned()
        }
        Stranger::Machine { .. } => {
            format!(
                "if the machine was set up anew, an administrator:  salve endpoints replace {name}"
            )
        }
    };
    Failure::not_verified(format!("whoever answers to {name} is a stranger. Nothing was sent."))
        .because(stranger.clone())
        .next(next)
}

/// A session that did not come about, or ended before anything was ordered.
pub fn of_session(error: SessionError, to: &EndpointRow, ctx: &Ctx) -> Failure {
    let name = &to.name;
    match error {
        SessionError::NoAddress { .. } => {
            Failure::unreachable(format!("no address is known for {name}. Nothing was sent."))
                .next(format!("salve endpoints set {name} --at HOST:PORT"))
        }
        SessionError::Dial(dial @ DialError::Expired { .. }) => {
            Failure::unreachable(format!("{name} could not be trusted now. Nothing was sent."))
                .because(dial)
                .next("compare the clocks: `date -u` here and there; then renew its certificate")
        }
        SessionError::Dial(dial @ DialError::Certificate { .. }) => {
            Failure::not_verified(format!("whoever answered is not {name}. Nothing was sent."))
                .because(dial)
                .next("do not go on; ask an administrator whether that machine was set up anew")
        }
        SessionError::Dial(DialError::Refused { source, .. }) => line(source, to, ctx),
        SessionError::Dial(
            dial @ (DialError::Identity(_) | DialError::Ca(_) | DialError::Local(_)),
        ) => Failure::broken("could not dial from here").because(dial),
        SessionError::Dial(dial) => away(&dial, to, ctx),
        SessionError::Away { last_seen, left_in_order, .. } => {
            gone(to, last_seen.or(to.last_seen), left_in_order, ctx)
        }
        SessionError::NoDesk(fault) => BookError::from(fault).into(),
        SessionError::Desk(no) => BookError::from(no).into(),
        SessionError::Line(error) => line(error, to, ctx),
        SessionError::Stopped(stop) => stopped(stop, to),
        SessionError::Machines(error) => error.into(),
        SessionError::Peer(BadPeer::Stranger(stranger)) => stranger_at(name, &stranger),
        SessionError::Peer(peer) => {
            Failure::not_verified(format!("whoever answered is not {name}. Nothing was sent."))
                .because(peer)
                .next("salve endpoints show NAME; ask an administrator if it was enrolled anew")
        }
        SessionError::Catalogue { .. } => {
            Failure::refused(format!("{name} did not take the newer catalogue. Nothing ran."))
                .because(error)
                .next("salve status   says whether the catalogue here is whole and fresh")
        }
        other => Failure::broken(format!("{name} and this console do not understand each other"))
            .because(other)
            .next("compare versions: `salve --version` here, `salved --version` there"),
    }
}

fn line(error: LinkError, to: &EndpointRow, ctx: &Ctx) -> Failure {
    let name = &to.name;
    match error {
        LinkError::Stopped(stop) => stopped(stop, to),
        LinkError::Refused(Objection::Expired) => {
            Failure::refused(format!("{name} did not let us in. Nothing was sent."))
                .because(error)
                .next(
                    "compare the clocks: `date -u` here and there; where they agree, salve status \
                     says what must be renewed",
                )
        }
        LinkError::Refused(_) => {
            Failure::refused(format!("{name} did not let us in. Nothing was sent."))
                .because(error)
                .next("ask an administrator for a new certificate: `salve agents invite NAME`")
        }
        other => {
            let seen = last_seen(to, ctx);
            Failure::unreachable(format!("the line to {name} broke; {seen}. Nothing was ordered."))
                .because(other)
                .next("try again")
        }
    }
}

fn stopped(stop: Stop, to: &EndpointRow) -> Failure {
    let name = &to.name;
    let sentence = format!("{name} did not go on: {stop}. Nothing ran.");
    // Every one by its name: a new one has to find its next step here.
    match stop {
        Stop::Drain | Stop::Rate | Stop::Late => {
            Failure::unreachable(sentence).next("try again in a minute")
        }
        Stop::Fault => Failure::unreachable(sentence)
            .next("on that machine:  journalctl -u salved -n 50;  salved doctor"),
        Stop::Version => Failure::broken(sentence)
            .next("compare versions: `salve --version` here, `salved --version` there"),
        Stop::Stale => Failure::refused(sentence).next("salve status   says what must be renewed"),
        Stop::NoRun => Failure::new(Exit::Usage, sentence).next("salve runs list"),
        Stop::Frame | Stop::State => Failure::broken(sentence)
            .next("compare versions: `salve --version` here, `salved --version` there"),
        Stop::Role | Stop::Withdrawn | Stop::Seal => Failure::refused(sentence)
            .next("ask an administrator whether policy lists you: `salve agents list`"),
        Stop::NotYours => Failure::refused(sentence)
            .next("ask whoever ordered it, or an administrator: `salve runs show last`"),
        Stop::Held => Failure::refused(sentence).next("salve endpoints held"),
        Stop::Token => Failure::refused(sentence)
            .next("make a new line to paste: `salve endpoints enroll NAME`"),
    }
}

/// When nobody takes an order any more.
fn end_of(expires: Time, ctx: &Ctx) -> String {
    match ctx.now() < expires {
        true => format!("it expires at {}", expires.clock()),
        false => "it has expired".to_owned(),
    }
}

/// An order that the shared desk says it kept. It may say so of one that runs: nobody signed that.
fn not_passed(run: RunId, (no, expires): (Sorry, Time), to: &EndpointRow, ctx: &Ctx) -> Failure {
    let (name, end) = (&to.name, end_of(expires, ctx));
    let said = Failure::from(BookError::from(no));
    let sentence = format!(
        "UNKNOWN  {}. Nothing runs on {name} as far as known; {end}.",
        said.sentence.trim_end_matches('.')
    );
    let known = format!("ask again after that:  salve runs follow {}", run.short());
    let next = match &said.next_step {
        Some(step) => format!("{step}\n{known}"),
        None => known,
    };
    Failure { sentence, exit: Exit::Unknown, ..said }.next(next)
}

/// An order that the door did not take. It may say so of one that runs: nobody signed that.
fn not_taken(run: RunId, (stop, expires): (Stop, Time), to: &EndpointRow, ctx: &Ctx) -> Failure {
    let end = end_of(expires, ctx);
    let sentence = format!(
        "{} did not take it, as its door says: {stop}. Nothing runs as far as known; {end}.",
        to.name
    );
    match stop {
        // Asked for again, and not known there.
        Stop::NoRun => Failure::new(Exit::Unknown, sentence).next(format!(
            "what is known here:  salve runs show {0}\nask again after that:  salve runs follow {0}",
            run.short()
        )),
        // The everyday reasons keep their exit code and their next step.
        other => Failure { sentence, ..stopped(other, to) },
    }
}

/// An order that has no record to show.
pub fn of_run(error: RunError, to: &EndpointRow, ctx: &Ctx) -> Failure {
    if let Some(failure) = of_signing(&error) {
        return failure;
    }
    match error {
        RunError::NotSent(session) => of_session(session, to, ctx),
        RunError::Store(error) => error.into(),
        RunError::Book(error) => error.into(),
        RunError::NotTaken { run, stop, expires } => not_taken(run, (stop, expires), to, ctx),
        RunError::NotPassed { run, no, expires } => not_passed(run, (no, expires), to, ctx),
        RunError::Unknown { run, source: source @ SessionError::Stopped(Stop::NoRun), .. } => {
            let sentence = format!(
                "UNKNOWN  {} took the order and knows nothing of it now: its ledger was lost or \
                 put back; it may have run",
                to.name
            );
            Failure::new(Exit::Unknown, sentence).because(source).next(format!(
                "look at the machine first:  salve check SCRIPT --on {}\nwhat is known here:  \
                 salve runs show {}",
                to.name,
                run.short()
            ))
        }
        RunError::Unknown { run, ended_by, by_desk, source } => {
            let what = match by_desk {
                true => format!("the desk was given the order for {}", to.name),
                false => format!("the order was sent to {}", to.name),
            };
            let sentence = format!(
                "UNKNOWN  {what}, and no record came back; it may run there, and has ended by \
                 {ended_by} at the latest"
            );
            let failure = Failure::new(Exit::Unknown, sentence).because(source);
            failure.next(format!("salve runs follow {}", run.short()))
        }
        RunError::NoRecord { run } => {
            Failure::not_verified(format!("what came back for {} is no record", to.name))
                .next(format!("salve runs show {}", run.short()))
        }
        other => Failure::broken("could not run it").because(other),
    }
}

#[cfg(test)]
mod tests;
