//! The shared desk: endpoints hold their lines here, consoles ask over theirs.
//!
//! Stores, forwards and files; it can withhold and delay, and it signs nothing but what the online
//! keys are for. Never reads an agent's key. What an agent ordered is stored with the promise of its
//! note before a byte leaves, and a run goes on here whether its console stays or not.

mod console;
mod drive;
mod file;
mod guest;
mod http;
mod known;
mod line;
mod lines;
mod live;
mod metrics;
mod newcomer;
mod recover;
mod submit;
#[cfg(test)]
mod tests;
mod waiting;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use link::{Connection, Listener, Protocol};
use protocol::Time;
use protocol::error_chain::ErrorChain;
use protocol::frames::Stop;
use store::{Store, StoreError};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::audit;
use crate::books::BookError;
use crate::catalogue::{self, CatalogueTrouble};
use crate::home::HomeError;
use crate::org::{Desk, renew_desk_certificate};
use known::Known;
use lines::Lines;
use live::Runs;
use metrics::Tally;

pub use link::ListenError;

/// From one look at what is due (timestamp, notes that were not delivered) to the next.
const ROUND: Duration = Duration::from_secs(60);
/// Longest wait for connections to take leave when the desk stops.
const LEAVE: Duration = Duration::from_secs(2);

/// Why the desk does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueTrouble),
    /// Its own certificate or key.
    #[error("could not take up the desk's certificate and key")]
    Identity(#[source] HomeError),
    /// Its port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A home that works with another desk has no store to serve.
    #[error(transparent)]
    Books(#[from] BookError),
}

/// What the desk says of itself as it works; the command writes it to its journal.
#[derive(Debug)]
pub enum Said<'a> {
    /// It listens there.
    Listening(std::net::SocketAddr),
    /// One line, as it happens.
    Line(&'a str),
}

/// The running desk.
pub struct Server {
    desk: Arc<Desk>,
    known: RwLock<Arc<Known>>,
    lines: Lines,
    runs: Runs,
    tasks: Mutex<JoinSet<()>>,
    /// Places for newcomers whose requests are being answered.
    newcomers: Semaphore,
    /// Where endpoints are told to keep a line to, best first; empty: where they found this desk.
    named: Vec<String>,
    /// Whom we admit, or what we show, may be another one.
    news: Notify,
    /// Counts the times when somebody who was let in may have to go.
    judged: watch::Sender<u64>,
    tally: Tally,
    now: fn() -> Time,
    say: Box<dyn Fn(Said<'_>) + Send + Sync>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("home", &self.desk.home).finish_non_exhaustive()
    }
}

impl Server {
    /// Over a home with a store of its own. `named` is where endpoints that join are told to keep a
    /// line to (`HOST:PORT`, best first); empty: where they found this desk.
    ///
    /// # Errors
    /// [`ServeError`]: the catalogue cannot be read, or the home works with another desk.
    pub fn new(
        desk: Desk,
        named: Vec<String>,
        now: fn() -> Time,
        say: impl Fn(Said<'_>) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, ServeError> {
        desk.store.here()?;
        catalogue::catch_up(&desk, now())?;
        catalogue::renew_if_old(&desk.home, now())?;
        let known = RwLock::new(Arc::new(Known::read(&desk.home, now())?));
        let (lines, runs, say) = (Lines::default(), Runs::default(), Box::new(say));
        let (tasks, news) = (Mutex::default(), Notify::new());
        let (desk, newcomers) = (Arc::new(desk), Semaphore::new(newcomer::AT_ONCE_MAX));
        let (judged, tally) = (watch::Sender::default(), Tally::default());
        Ok(Arc::new(Self {
            desk,
            known,
            lines,
            runs,
            tasks,
            newcomers,
            named,
            news,
            judged,
            tally,
            now,
            say,
        }))
    }

    /// Serves on `address` (UDP) until `stop` is ready, then takes leave of everybody.
    ///
    /// # Errors
    /// [`ServeError`] before it listens.
    pub async fn serve(
        self: Arc<Self>,
        address: &str,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let mut identity = self.desk.home.desk_identity().map_err(ServeError::Identity)?;
        let known = self.known();
        let organisation = self.organisation();
        let mut listener = Listener::bind_desk(
            address,
            &identity,
            &known.people(&organisation),
            &known.endpoints(&organisation),
        )?;
        drop(known);
        if let Ok(bound) = listener.address() {
            (self.say)(Said::Listening(bound));
            self.line(&format!("key exchange: {}", link::key_exchanges()));
        }
        self.note(|store, _| store.nobody_here());
        let mut guests = JoinSet::new();
        let mut round = interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                came = listener.accept() => match came {
                    Some(Ok(connection)) => self.admit(connection, &mut guests),
                    Some(Err(rejected)) => {
                        self.tally.refused(&rejected);
                        if let Some(fault) = rejected.fault {
                            self.line(&format!("turned {} away: {fault}", rejected.address));
                        }
                    }
                    None => break,
                },
                Some(_) = guests.join_next(), if !guests.is_empty() => {}
                _ = round.tick() => self.look_round().await,
                () = self.news.notified() => {
                    match self.desk.home.desk_identity() {
                        Ok(new) => identity = new,
                        Err(error) => self.line(&ErrorChain(&error).to_string()),
                    }
                    let known = self.known();
                    let people = known.people(&organisation);
                    let endpoints = known.endpoints(&organisation);
                    if let Err(error) = listener.set_desk(&identity, &people, &endpoints) {
                        self.line(&ErrorChain(&error).to_string());
                    }
                },
                () = &mut stop => break,
            }
        }
        listener.refuse_new();
        // What runs on endpoints goes on there, and is asked for when the desk is back.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        self.lines.close_all(Stop::Drain);
        let all_gone = async { while guests.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LEAVE, all_gone).await;
        self.note(|store, _| store.nobody_here());
        Ok(())
    }

    fn admit(self: &Arc<Self>, connection: Connection, guests: &mut JoinSet<()>) {
        let server = Arc::clone(self);
        match connection.protocol() {
            Protocol::Session => drop(guests.spawn(guest::endpoint(server, connection))),
            Protocol::Console => drop(guests.spawn(console::console(server, connection))),
            Protocol::Enrolment => drop(guests.spawn(newcomer::newcomer(server, connection))),
        }
    }

    /// Renews what is old, takes up a catalogue that was published beside us, delivers what is due.
    async fn look_round(self: &Arc<Self>) {
        let server = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || {
            let now = (server.now)();
            let fresh = catalogue::catch_up(&server.desk, now)
                .and_then(|_| catalogue::renew_if_old(&server.desk.home, now));
            if let Err(error) = fresh {
                server.line(&ErrorChain(&error).to_string());
            }
            match audit::retain(&server.desk, now) {
                Ok(done) if done.runs > 0 || done.notes > 0 => server.line(&format!(
                    "erased by rule: the bodies of {} runs and {} notes",
                    done.runs, done.notes
                )),
                Ok(_) => {}
                Err(error) => server.line(&ErrorChain(&error).to_string()),
            }
            waiting::expire(&server, now);
            server.deliver_due(now);
            server.note(|store, now| {
                store.endpoints_here(&server.lines.here(), now)?;
                store.agents_here(&server.lines.agents(), now)
            });
            if server.renew_own(now) {
                server.news.notify_one();
            }
            server.current();
            // A person's time may be over, without a new policy.
            server.judged.send_modify(|count| *count = count.wrapping_add(1));
        });
        // A round that panicked is over; the next one comes.
        let _ = looked.await;
        waiting::dial(self);
    }

    /// Notes in the address book who is here now, or left. What is not noted now is told again.
    fn note(&self, work: impl FnOnce(&Store, Time) -> Result<(), StoreError>) {
        let Ok(store) = self.store() else { return };
        if let Err(error) = work(store, (self.now)()) {
            self.line(&ErrorChain(&error).to_string());
        }
    }

    /// Renews the desk's own certificate; true where there is a new one to show.
    fn renew_own(&self, now: Time) -> bool {
        renew_desk_certificate(&self.desk.home, now).unwrap_or_else(|error| {
            self.line(&ErrorChain(&error).to_string());
            false
        })
    }

    /// The catalogue as the home has it at this moment: somebody may have published beside us.
    fn current(self: &Arc<Self>) -> Arc<Known> {
        let stamp = known::stamp(&self.desk.home);
        let before = self.known();
        if before.stamp == stamp {
            return before;
        }
        self.take_up()
    }

    /// Reads the home's catalogue. A newer one counts from now on: for whom we admit, for whoever
    /// is here, and for every endpoint that holds a line.
    fn take_up(self: &Arc<Self>) -> Arc<Known> {
        let before = self.known();
        match Known::read(&self.desk.home, (self.now)()) {
            Ok(new) => {
                let new = Arc::new(new);
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
                if before.catalogue.versions() != new.catalogue.versions() {
                    self.news.notify_one();
                    self.judged.send_modify(|count| *count = count.wrapping_add(1));
                    self.lines.withdraw(|serial| new.policy.is_denied_card(serial));
                    self.push_catalogue();
                }
                new
            }
            Err(error) => {
                self.line(&ErrorChain(&error).to_string());
                before
            }
        }
    }

    /// Brings a new catalogue to everybody who holds a line, so that a withdrawal counts at once.
    fn push_catalogue(self: &Arc<Self>) {
        for line in self.lines.all() {
            let at = Arc::clone(self);
            self.begin(async move {
                // Who does not take it now is brought up to date before its next order.
                let _ = line.bring_up_to_date(&at).await;
                if recover::is_due(&at) {
                    Box::pin(recover::recover(at, line.card.endpoint, line)).await;
                }
            });
        }
    }

    /// Has something go on beside whoever asked for it; it ends with the desk.
    fn begin(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
    fn organisation(&self) -> String {
        self.desk.organisation.id.to_string()
    }
    fn store(&self) -> Result<&Store, BookError> {
        self.desk.store.here()
    }
    fn line(&self, text: &str) {
        (self.say)(Said::Line(text));
    }
}
