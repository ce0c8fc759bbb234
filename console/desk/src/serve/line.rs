//! A line to one endpoint that proved who it is: met, brought up to date, asked.

use std::sync::PoisonError;
use std::time::Duration;

use link::{Connection, LinkError, Stream};
use protocol::documents::{Card, CatalogueVersions, Hello};
use protocol::frames::{Answer, Ask, DeskPath, Stop};
use protocol::{RunId, Time, limits};
use store::{EndpointRow, Seen};
use tokio::sync::Mutex;
use tokio::time::Instant;
use trust::Verified;

use super::Server;
use super::known::Known;
use crate::session::{self, BadPeer, SessionError};

/// A challenge older than this is replaced before a number of it is given out.
const GIVEN_WITHIN: Duration = Duration::from_secs(limits::CHALLENGE_SECONDS / 2);
/// Numbers given out for one challenge: within the endpoint's window, in whatever order they come.
const NUMBERS_MAX: u64 = limits::DISPATCH_WINDOW / 2;
/// From a catalogue update that came too soon to the next try, and how many of those there are.
const UPDATE_PAUSE: Duration = Duration::from_secs(limits::CATALOGUE_PAUSE_SECONDS);
const UPDATE_TRIES: u8 = 2;
const HELLO_TIME_MAX: Duration = Duration::from_secs(limits::HELLO_SECONDS_MAX);

/// The hello in force.
#[derive(Debug)]
struct Held {
    stream: Stream,
    bytes: Vec<u8>,
    hello: Verified<Hello>,
    number: u64,
    made: Instant,
}

/// One endpoint's line.
#[derive(Debug)]
pub(super) struct HeldLine {
    pub(super) connection: Connection,
    pub(super) card: Verified<Card>,
    pub(super) card_envelope: Vec<u8>,
    pub(super) path: DeskPath,
    pub(super) since: Time,
    /// Runs that ended there and whose records nobody acknowledged, by the first hello.
    pub(super) unfiled: Vec<RunId>,
    /// When the first hello came, for the time between it and the one in force.
    opened: Instant,
    held: Mutex<Held>,
    /// The catalogue that it has, as far as known; held while it is brought a newer one.
    has: Mutex<CatalogueVersions>,
    uses: std::sync::Mutex<Uses>,
}

/// How many use a line, and when the last one let go of it.
#[derive(Debug)]
struct Uses {
    count: usize,
    last: Instant,
}

/// Somebody uses a line.
#[derive(Debug)]
pub(super) struct InUse<'a>(&'a HeldLine);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.uses(|uses| {
            uses.count = uses.count.saturating_sub(1);
            uses.last = Instant::now();
        });
    }
}

/// What a console needs for one dispatch.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) hello: Vec<u8>,
    pub(super) number: u64,
}

impl HeldLine {
    /// Asks whoever holds the other end who it is, and believes its card and its seal only.
    pub(super) async fn open(
        connection: Connection,
        known: &Known,
        to: &EndpointRow,
        path: DeskPath,
        now: Time,
    ) -> Result<Self, SessionError> {
        let mut stream = connection.open().await?;
        stream.send(&Ask::Hello { min: session::VERSION, max: session::VERSION }).await?;
        let (bytes, card, unfiled) = match stream.recv_within(HELLO_TIME_MAX).await? {
            Some(Answer::Hello { hello, card, unfiled }) => (hello.0, card.0, unfiled),
            Some(Answer::Stop { code }) => return Err(SessionError::Stopped(code)),
            Some(_) => return Err(SessionError::Unexpected),
            None => return Err(LinkError::Ended.into()),
        };
        let key = connection.peer().map(|peer| peer.key);
        let floor = known.catalogue.floor();
        let ((card, card_envelope), hello) =
            session::meet(&known.policy, floor, to, &card, &bytes, now)?;
        if key != Some(card.tls_key) {
            return Err(BadPeer::Key.into());
        }
        let made = Instant::now();
        let has = Mutex::new(hello.catalogue);
        let held = Mutex::new(Held { stream, bytes, hello, number: 0, made });
        let uses = std::sync::Mutex::new(Uses { count: 0, last: made });
        let (since, opened) = (now, made);
        Ok(Self { connection, card, card_envelope, path, since, unfiled, opened, held, has, uses })
    }

    /// In use until this is dropped.
    pub(super) fn in_use(&self) -> InUse<'_> {
        self.uses(|uses| uses.count += 1);
        InUse(self)
    }

    /// Since when nobody uses it; none while somebody does.
    pub(super) fn unused_since(&self) -> Option<Instant> {
        self.uses(|uses| (uses.count == 0).then_some(uses.last))
    }

    fn uses<T>(&self, work: impl FnOnce(&mut Uses) -> T) -> T {
        work(&mut self.uses.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends the catalogue files that the endpoint lacks; whoever asks meanwhile waits until it has
    /// them. One that takes no second update so soon is asked again after its pause, with what counts
    /// then: a withdrawal is not to wait for the next order.
    pub(super) async fn bring_up_to_date(&self, server: &Server) -> Result<(), SessionError> {
        let mut has = self.has.lock().await;
        let mut tries = 0;
        loop {
            let known = server.known();
            let (catalogue, files) = (&known.catalogue, &known.files);
            match session::bring_up_to_date(&self.connection, *has, catalogue, files).await {
                Ok(()) => {
                    if has.behind(&catalogue.versions()).is_some() {
                        *has = catalogue.versions();
                    }
                    return Ok(());
                }
                Err(SessionError::Stopped(Stop::Rate)) if tries < UPDATE_TRIES => {
                    tries = tries.saturating_add(1);
                    tokio::time::sleep(UPDATE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The hello in force with a number that nobody else gets.
    pub(super) async fn challenge(&self) -> Result<Met, SessionError> {
        let _using = self.in_use();
        let mut held = self.held.lock().await;
        if held.made.elapsed() > GIVEN_WITHIN || held.number >= NUMBERS_MAX {
            self.renew(&mut held).await?;
        }
        held.number = held.number.saturating_add(1);
        Ok(Met { hello: held.bytes.clone(), number: held.number })
    }

    async fn renew(&self, held: &mut Held) -> Result<(), SessionError> {
        held.stream.send(&Ask::Challenge).await?;
        match held.stream.recv_within(HELLO_TIME_MAX).await? {
            Some(Answer::Challenge { hello }) => {
                held.hello = session::open_hello(&hello.0, &self.card)?;
                (held.bytes, held.number, held.made) = (hello.0, 0, Instant::now());
                Ok(())
            }
            Some(Answer::Stop { code }) => Err(SessionError::Stopped(code)),
            Some(_) => Err(SessionError::Unexpected),
            None => Err(LinkError::Ended.into()),
        }
    }

    /// What the address book keeps of the newest hello.
    pub(super) async fn with_seen<T>(&self, work: impl FnOnce(&Seen<'_>) -> T) -> T {
        let held = self.held.lock().await;
        let hello = &held.hello;
        let at = self.since.plus(held.made.saturating_duration_since(self.opened).as_secs());
        work(&Seen {
            versions: hello.catalogue,
            head: hello.head,
            daemon: &hello.version,
            clock: hello.clock,
            at,
        })
    }

    /// Tells the endpoint that a record is filed. Advice: what is lost is offered again.
    pub(super) async fn filed(&self, record: protocol::Digest) {
        let _ = self.held.lock().await.stream.send(&Ask::Filed { record }).await;
    }
}
