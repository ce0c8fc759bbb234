//! What the desk's errors mean to the person at the keyboard: the exit code and the next step.

use desk::books::{BookError, LineFault, Sorry};
use desk::catalogue::CatalogueTrouble;
use desk::enrol::{EnrolError, JoinError};
use desk::heads::HeadsError;
use desk::home::{FileError, HomeError, KeepError, SshAgentError};
use desk::inventory::Unclear;
use desk::org::{InitError, OpenError, WithdrawError};
use desk::serve::ServeError;
use desk::session::Locked;
use protocol::frames::{Stop, sorry};
use protocol::limits;

use crate::exit::{Exit, Failure};
use crate::view::safe;

/// The words of the first error in a chain; the rest becomes the cause.
pub(crate) fn first<E: std::error::Error + Send + Sync + 'static>(exit: Exit, error: E) -> Failure {
    let exit = if busy(&error) { Exit::Unreachable } else { exit };
    let mut failure = Failure::new(exit, error.to_string());
    // A transparent error prints its source's words itself; only what lies deeper is the cause.
    let mut words = Vec::new();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        words.push(deeper.to_string());
        cause = deeper.source();
    }
    words.retain(|word| *word != failure.sentence);
    if !words.is_empty() {
        failure = failure.because(words.join(": "));
    }
    failure
}

/// A key that did not sign: what its holder says, and what to do. None where the fault is another.
pub(crate) fn of_signing(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    let mut chain = Some(error);
    while let Some(link) = chain {
        if let Some(error) = link.downcast_ref::<SshAgentError>() {
            return Some(ssh_agent(error.to_string(), link.source().map(ToString::to_string)));
        }
        if link.downcast_ref::<Locked>().is_some() {
            let words = "your signing key lies under a passphrase and was not opened";
            return Some(Failure::usage(words).next("salve unlock --for 8h"));
        }
        chain = link.source();
    }
    None
}

/// An ssh-agent that is of no use.
pub(crate) fn of_ssh_agent(error: SshAgentError) -> Failure {
    use std::error::Error as _;
    let cause = error.source().map(ToString::to_string);
    ssh_agent(error.to_string(), cause)
}

fn ssh_agent(sentence: String, cause: Option<String>) -> Failure {
    let failure = Failure::usage(sentence)
        .next("look:  ssh-add -l;  start one and add the key:  eval $(ssh-agent);  ssh-add FILE");
    match cause {
        Some(cause) => failure.because(cause),
        None => failure,
    }
}

impl From<KeepError> for Failure {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::File(error) => error.into(),
            KeepError::Home(error) => error.into(),
            other => first(Exit::Broken, other),
        }
    }
}

/// Whether all that stands in the way is another process that writes to the store.
pub fn busy(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut chain = Some(error);
    while let Some(link) = chain {
        if matches!(link.downcast_ref(), Some(store::StoreError::Locked { .. })) {
            return true;
        }
        chain = link.source();
    }
    false
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Empty { .. } => first(Exit::Usage, error).next(
                "make one:  salve init --profile solo --name NAME --me YOU\ninvited:   \
                    salve join CODE",
            ),
            OpenError::Interrupted { .. } => first(Exit::NeedsPerson, error).next(
                "run the same `salve init` again; it goes on \
                    where it stopped",
            ),
            OpenError::File(_) => first(Exit::Broken, error),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Catalogue(trouble) => trouble.into(),
            ServeError::Books(error) => error.into(),
            ServeError::Identity(source) => source.into(),
            ServeError::Listen(_) => first(Exit::Unreachable, error).next(
                "is another desk running?  ss -ulpn;  or choose:  salve serve --listen ADDR:PORT",
            ),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        first(Exit::Broken, error)
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        if error.is_passphrase() {
            return first(Exit::Usage, error)
                .next("run the command again with the right passphrase");
        }
        let missing = error.is_missing();
        let failure = first(Exit::Broken, error);
        if missing {
            return failure
                .next("this home does not hold that key: ask whoever does, or put its file back");
        }
        failure
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        first(Exit::Broken, error)
    }
}

impl From<HeadsError> for Failure {
    fn from(error: HeadsError) -> Self {
        match error {
            HeadsError::File(error) => error.into(),
            HeadsError::Book(error) => error.into(),
            error @ (HeadsError::Seal(_) | HeadsError::Write(_)) => {
                first(Exit::Broken, error).next("salve status   says whether your keys are whole")
            }
        }
    }
}

impl From<BookError> for Failure {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Store(error) => error.into(),
            BookError::Ticket(error) => desk::inventory::TicketTrouble::Ticket(error).into(),
            BookError::Desk(no) => of_desk(no),
            BookError::Line(fault) => of_line(fault),
            BookError::Elsewhere { desk } => {
                first(Exit::Usage, BookError::Elsewhere { desk }).next("run it at the desk")
            }
            BookError::Beyond { field } => first(Exit::Usage, BookError::Beyond { field })
                .next("salve endpoints enroll --help"),
            BookError::Papers { why } => first(Exit::Broken, BookError::Papers { why })
                .next("compare versions: `salve --version` here and at the desk"),
            BookError::Code(error) => {
                let next = error.next();
                first(exit_of(error.code()), error).next(next)
            }
            BookError::NoAnswer => first(Exit::Broken, BookError::NoAnswer),
        }
    }
}

/// The shared desk's no; a failure's words are escaped when they are shown.
fn of_desk(no: Sorry) -> Failure {
    let failure = Failure::new(exit_of(&no.code), format!("the desk says: {}", no.sentence));
    match no.next {
        // Its advice too: a taken desk could have people type what it likes.
        Some(next) => {
            let next: String = next.chars().take(limits::SAY_CHARS_MAX).collect();
            failure.next(format!("the desk's advice:  {}", safe(&next)))
        }
        None => failure,
    }
}

/// The exit code of a desk's no, here or over a line.
fn exit_of(code: &str) -> Exit {
    match code {
        sorry::FORBIDDEN | sorry::TICKET_STATE | sorry::NOT_TAKEN => Exit::Refused,
        sorry::NOT_FOUND | sorry::DUPLICATE | sorry::TOKEN | sorry::LIMIT => Exit::Usage,
        sorry::BUSY | sorry::NOT_SENT => Exit::Unreachable,
        sorry::OPENED | sorry::MOVED => Exit::NeedsPerson,
        sorry::CATALOGUE => Exit::NotVerified,
        _ => Exit::Broken,
    }
}

fn of_line(fault: LineFault) -> Failure {
    match fault {
        away @ LineFault::Away { .. } => first(Exit::Unreachable, away).next(
            "is `salve serve` running there?  which desk:  salve desk show\nwithout one:  salve \
             desk unset",
        ),
        broken @ LineFault::Broken { .. } => {
            first(Exit::Unreachable, broken).next("look first at what it did, then run it again")
        }
        version @ LineFault::Version { .. } => {
            first(Exit::NeedsPerson, version).next("install the desk's version of salve")
        }
        other @ LineFault::Unexpected { .. } => {
            first(Exit::Broken, other).next("which desk:  salve desk show")
        }
        local @ LineFault::Local { .. } => first(Exit::Broken, local)
            .next("what this home holds:  salve status\nwhich desk:  salve desk show"),
    }
}

impl From<CatalogueTrouble> for Failure {
    fn from(error: CatalogueTrouble) -> Self {
        match error {
            CatalogueTrouble::Home(error) => error.into(),
            CatalogueTrouble::Desk(error) => (*error).into(),
            CatalogueTrouble::Script(faults) => {
                let count = crate::view::count(faults.len() as u64, "fault");
                Self::new(Exit::NeedsPerson, format!("the script has {count}"))
                    .next(script::faults_text(&faults))
            }
            CatalogueTrouble::TooFewPeople { .. } => first(Exit::Refused, error)
                .next("another vetter signs what waits:  salve scripts sign --as NAME"),
            CatalogueTrouble::Withdrawn { .. } => {
                first(Exit::Refused, error).next("who may sign:  salve agents list")
            }
            CatalogueTrouble::TooFewSigners { .. } => first(Exit::Refused, error).next(
                "name everybody who signs, you too; each is asked for the passphrase:  \
                 --as NAME --as NAME",
            ),
            CatalogueTrouble::NotAVetter { .. } => first(Exit::Refused, error)
                .next("only keys that the catalogue lists for that risk may sign"),
            CatalogueTrouble::NotWhatWasShown { .. } => first(Exit::NeedsPerson, error)
                .next("look again, at what it is now:  salve scripts sign"),
            CatalogueTrouble::Repository(
                hidden @ trust::catalogue::RepositoryError::Misplaced { .. },
            ) => first(Exit::NotVerified, hidden).next(
                "nothing was signed; ask whoever signed before you. Start anew: remove the file \
                    below `org/pending` of this home",
            ),
            CatalogueTrouble::Brought(_) => first(Exit::NotVerified, error)
                .next("nothing was sent; ask whoever runs the desk. Which desk:  salve desk show"),
            CatalogueTrouble::NothingPending => {
                first(Exit::Usage, error).next("sign one first:  salve scripts sign FILE")
            }
            CatalogueTrouble::NotText => first(Exit::Usage, error),
            other => first(Exit::Broken, other),
        }
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        match error {
            InitError::Home(error) => error.into(),
            InitError::Store(error) => error.into(),
            InitError::Catalogue(trouble) => trouble.into(),
            InitError::AlreadyReady { .. } => first(Exit::Usage, error).next(
                "another organisation needs another home:  salve \
                    --home DIR init ...",
            ),
            InitError::Other { .. } => first(Exit::Usage, error)
                .next("complete it with the same words as then, or choose another --home"),
            InitError::NeedsMorePeople(profile) => Self::new(
                Exit::Usage,
                format!(
                    "profile {profile} divides duties between people, and only you are named: \
                        one person with several keys is still one person"
                ),
            )
            .next(
                "with others:  salve init --person NAME --person NAME ...   (each chooses a \
                    passphrase here)\nalone:  salve init --profile solo ...   (one key is enough \
                    for every risk, and every record says so)",
            ),
            InitError::People { .. } => first(Exit::Usage, error).next(
                "name the others with --person; whoever comes later:  salve agents invite NAME",
            ),
            InitError::NamedTwice(_) => {
                first(Exit::Usage, error).next("name each person once, you with --me")
            }
            InitError::SamePassphrase { .. } => {
                first(Exit::Usage, error).next("no key was made; each of them chooses another one")
            }
            InitError::Name(_) => first(Exit::Usage, error),
            other => first(Exit::Broken, other),
        }
    }
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Home(error) => error.into(),
            EnrolError::Store(error) => error.into(),
            EnrolError::Catalogue(trouble) => trouble.into(),
            EnrolError::NameTaken { ref name } => {
                let next = format!(
                    "see it:  salve endpoints show {name}\nset up anew:  salve endpoints replace \
                        {name}"
                );
                first(Exit::Usage, error).next(next)
            }
            EnrolError::PersonUnknown { .. } | EnrolError::PersonWithdrawn { .. } => {
                first(Exit::Usage, error).next("salve agents list")
            }
            EnrolError::NoDesk => {
                first(Exit::Usage, error).next("say where machines find it:  --desk HOST:PORT")
            }
            EnrolError::LabelNotAllowed { .. } => first(Exit::Refused, error)
                .next("labels a desk may give stand in the policy under [[enrollers]]"),
            EnrolError::Expired { .. } => first(Exit::NeedsPerson, error)
                .next("run the command again for a new line to paste"),
            EnrolError::Listen { .. } => first(Exit::Usage, error)
                .next("choose another port or an address of this machine:  --listen ADDR:PORT"),
            EnrolError::NoAddress => first(Exit::Usage, error)
                .next("say how others reach this machine:  --reach HOST, or --listen ADDR:PORT"),
            EnrolError::Line(_) | EnrolError::NotDelivered => first(Exit::Unreachable, error)
                .next("run the command again for a new line to paste"),
            other => first(Exit::Broken, other),
        }
    }
}

impl From<WithdrawError> for Failure {
    fn from(error: WithdrawError) -> Self {
        match error {
            WithdrawError::Catalogue(trouble) => trouble.into(),
            WithdrawError::Store(error) => error.into(),
            WithdrawError::NoScript { .. } => first(Exit::Usage, error).next("salve scripts list"),
            WithdrawError::Nobody { .. } => first(Exit::Usage, error).next("salve agents list"),
            WithdrawError::Last { .. } => {
                first(Exit::Refused, error).next("invite somebody first:  salve agents invite NAME")
            }
            other => first(Exit::Broken, other),
        }
    }
}

impl From<Unclear> for Failure {
    fn from(error: Unclear) -> Self {
        let (shown, lead) = match error {
            Unclear::Unknown { ref candidates, .. } => (candidates.clone(), "there is"),
            Unclear::Ambiguous { ref candidates, .. } => (candidates.clone(), "it could be"),
            Unclear::None { kind } => {
                let next = match kind {
                    "endpoint" => "enrol one:  salve endpoints enroll NAME",
                    "ticket" => "open one:  salve tickets new \"SUBJECT\" --for PERSON --on NAME",
                    _ => "look at a machine:  salve check health.check --on NAME",
                };
                return first(Exit::Usage, error).next(next);
            }
            Unclear::Store(error) => return error.into(),
        };
        let failure = first(Exit::Usage, error);
        if shown.is_empty() {
            failure
        } else {
            failure.next(format!("{lead}:  {}", shown.join(", ")))
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let again = "run the same command again; your keys are kept";
        match error {
            JoinError::Home(error) => error.into(),
            JoinError::Store(error) => error.into(),
            JoinError::Held(trouble) => trouble.into(),
            JoinError::Refused(Stop::Seal) => first(Exit::Refused, error).next(
                "that name belongs to other keys: use the home that joined first, or another name",
            ),
            JoinError::Dial(ref dial) => {
                let step = dial.step();
                first(Exit::Unreachable, error).next(format!(
                    "it stopped at: {step}. Is your colleague's `salve agents invite` still \
                        waiting?\n{again}"
                ))
            }
            JoinError::Line(_) => first(Exit::Unreachable, error).next(again),
            JoinError::Refused(Stop::Token) => first(Exit::Refused, error)
                .next("ask your colleague for a new code:  salve agents invite NAME"),
            JoinError::Refused(_) => first(Exit::Refused, error),
            JoinError::AlreadyReady { .. } => first(Exit::Usage, error)
                .next("join with another home:  salve --home DIR join CODE"),
            JoinError::NotTheirs(_) | JoinError::Catalogue(_) | JoinError::Policy(_) => first(
                Exit::NotVerified,
                error,
            )
            .next(
                "nothing was kept but your keys; ask your colleague what happened, by another way",
            ),
            other => first(Exit::Broken, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_sentence_once_and_a_next_step() {
        let empty = OpenError::Empty { path: "/tmp/x".into() };
        assert_eq!(
            Failure::from(empty).for_people(),
            "there is no organisation in `/tmp/x`\n  \
             make one:  salve init --profile solo --name NAME --me YOU\n  \
             invited:   salve join CODE"
        );
        let alone = Failure::from(InitError::NeedsMorePeople("small"));
        assert_eq!(alone.exit, Exit::Usage);
        assert!(alone.for_people().contains("--profile solo"), "{alone}");
        let wrong =
            HomeError::Key { path: "/k.pem".into(), source: trust::KeyError::PassphraseWrong };
        let shown = Failure::from(InitError::Home(wrong)).for_people();
        assert_eq!(
            shown,
            "could not open the key `/k.pem`: the passphrase does not open this key\n  \
             run the command again with the right passphrase"
        );
        let file =
            FileError::Read { path: "/x".into(), source: std::io::Error::other("broken disk") };
        let shown = Failure::from(HomeError::File(file)).for_people();
        assert_eq!(
            shown,
            "could not read `/x`: broken disk\n  \
             set right what this names, then run the command again"
        );
    }

    #[test]
    fn every_no_of_a_shared_desk_has_an_exit_code_and_every_fault_of_its_line_a_next_step() {
        let desk = || "desk.example:7433".to_owned();
        let source = || "no route".into();
        for (fault, exit) in [
            (LineFault::Away { desk: desk(), source: source() }, Exit::Unreachable),
            (LineFault::Broken { desk: desk(), source: source() }, Exit::Unreachable),
            (LineFault::Unexpected { desk: desk() }, Exit::Broken),
            (LineFault::Version { desk: desk(), min: 2, max: 3, ours: 1 }, Exit::NeedsPerson),
            (LineFault::Local { desk: desk(), source: source() }, Exit::Broken),
        ] {
            let failure = Failure::from(BookError::from(fault));
            assert_eq!(failure.exit, exit, "{}", failure.sentence);
            assert!(failure.next_step.is_some(), "{}", failure.sentence);
            assert!(failure.sentence.contains("desk.example:7433"), "{}", failure.sentence);
        }
        for (code, exit) in [
            (sorry::FORBIDDEN, Exit::Refused),
            (sorry::NOT_FOUND, Exit::Usage),
            (sorry::BUSY, Exit::Unreachable),
            (sorry::NOT_SENT, Exit::Unreachable),
            (sorry::NOT_TAKEN, Exit::Refused),
            (sorry::MOVED, Exit::NeedsPerson),
            (sorry::CATALOGUE, Exit::NotVerified),
            (sorry::STORE, Exit::Broken),
            ("a-later-code", Exit::Broken),
        ] {
            let no = Sorry::new(code, "no\u{1b}").next("step");
            let failure = Failure::from(BookError::from(no));
            assert_eq!(
                (failure.exit, failure.next_step.as_deref()),
                (exit, Some("the desk's advice:  step")),
                "{code}"
            );
            assert!(!failure.for_people().contains('\u{1b}'), "{code}");
        }
    }
}
