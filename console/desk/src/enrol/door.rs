//! The door: listens while a token lives, answers every guest, ends with the first who joined.
//!
//! Never serves two guests after each other so slowly that one could keep the other out.

use std::sync::Arc;
use std::time::Duration;

use link::{Connection, Listener};
use protocol::documents::{EnrolRequest, Invitation, JoinRequest, Token};
use protocol::frames::{EnrolFrame, Stop};
use protocol::{EndpointName, Envelope, PayloadType as _, Time, limits};
use store::TokenKind;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::admit::{Granted, Joined, Refusing, Turned, Undo};
use super::endpoint::{self, EndpointGuest};
use super::error::EnrolError;
use super::person::{self, AgentGuest};
use super::token;
use crate::org::Desk;

/// From a connection to the request's last byte.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(limits::HELLO_SECONDS_MAX);
/// From the answer to the guest's last acknowledgement.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(limits::IDLE_SECONDS_MAX);
/// Guests at once; more wait in QUIC's queue.
const GUESTS_MAX: usize = 16;

/// Who is waited for.
#[derive(Debug)]
enum Guest {
    Endpoint(EndpointGuest),
    Agent(AgentGuest),
    /// Whoever has a token that says what he becomes; he is told to keep a line to these desks.
    Any(Vec<String>),
}

#[derive(Debug)]
struct Inside {
    desk: Arc<Desk>,
    guest: Guest,
    now: fn() -> Time,
}

/// Answers one guest of the shared desk's port: a machine whose token says what it becomes. `desks`
/// is where machines keep a line to, best first; empty: where they found this desk.
///
/// # Errors
/// [`Turned`]: what the guest was told, and what went wrong on this side.
pub async fn answer_guest(
    desk: Arc<Desk>,
    desks: Vec<String>,
    connection: Connection,
    now: fn() -> Time,
) -> Result<Joined, Turned> {
    Inside { desk, guest: Guest::Any(desks), now }.serve(connection).await
}

/// An open door and the token that opens it once.
#[derive(Debug)]
pub struct Door {
    listener: Listener,
    inside: Arc<Inside>,
    token: String,
    reach: String,
    secret: protocol::Digest,
    kind: TokenKind,
}

/// Where the door listens and under which host others reach it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// `ADDR:PORT`.
    pub listen: &'a str,
    /// The host in the token, where it is not the listening address.
    pub reach: Option<&'a str>,
}

impl Door {
    /// Opens the door for a machine.
    ///
    /// # Errors
    /// [`EnrolError`]: name taken, label not allowed, address not ours.
    pub fn for_endpoint(
        desk: Arc<Desk>,
        place: Place<'_>,
        guest: EndpointGuest,
        now: fn() -> Time,
    ) -> Result<Self, EnrolError> {
        guest.check(&desk, now())?;
        let name = guest.name.clone();
        let listener = listen(&desk, place, name.as_str())?;
        let reach = reached(&listener, place)?;
        let kind = TokenKind::Endpoint;
        let token: Token<EndpointName> =
            token::make(&desk.home, &desk.store, kind, &name, reach.clone(), now())?;
        let secret = protocol::Digest::of(&token.secret.0);
        let inside = Arc::new(Inside { desk, guest: Guest::Endpoint(guest), now });
        Ok(Self { listener, inside, token: token.to_string(), reach, secret, kind })
    }

    /// Opens the door for a colleague.
    ///
    /// # Errors
    /// [`EnrolError`]: name known, address not ours.
    pub fn for_agent(
        desk: Arc<Desk>,
        place: Place<'_>,
        guest: AgentGuest,
        now: fn() -> Time,
    ) -> Result<Self, EnrolError> {
        guest.check(&desk, now())?;
        let name = guest.name.clone();
        let listener = listen(&desk, place, name.as_str())?;
        let reach = reached(&listener, place)?;
        let kind = TokenKind::Agent;
        let token: Invitation =
            token::make(&desk.home, &desk.store, kind, &name, reach.clone(), now())?;
        let secret = protocol::Digest::of(&token.secret.0);
        let inside = Arc::new(Inside { desk, guest: Guest::Agent(guest), now });
        Ok(Self { listener, inside, token: token.to_string(), reach, secret, kind })
    }

    /// The token's text.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where others reach the door, as in the token.
    #[must_use]
    pub fn reach(&self) -> &str {
        &self.reach
    }

    /// Waits for the one who joins; `turned` hears of everybody else.
    ///
    /// # Errors
    /// [`EnrolError::Expired`]; the token is void in every case but success.
    pub async fn wait(&mut self, turned: &mut dyn FnMut(&Turned)) -> Result<Joined, EnrolError> {
        let life = Duration::from_secs(limits::ENROL_TOKEN_SECONDS);
        let joined = timeout(life, self.first(turned)).await;
        self.close();
        joined.unwrap_or(Err(EnrolError::Expired { minutes: limits::ENROL_TOKEN_SECONDS / 60 }))
    }

    async fn first(&mut self, turned: &mut dyn FnMut(&Turned)) -> Result<Joined, EnrolError> {
        let mut guests: JoinSet<Result<Joined, Turned>> = JoinSet::new();
        loop {
            tokio::select! {
                Some(done) = guests.join_next(), if !guests.is_empty() => match done {
                    Ok(Ok(joined)) => return Ok(joined),
                    Ok(Err(guest)) => {
                        turned(&guest);
                        if guest.spent {
                            return Err(guest.ours.unwrap_or(EnrolError::NotDelivered));
                        }
                    }
                    // A guest's task that panicked counts as nobody.
                    Err(_) => {}
                },
                came = self.listener.accept(), if guests.len() < GUESTS_MAX => match came {
                    Some(Ok(connection)) => {
                        let inside = Arc::clone(&self.inside);
                        guests.spawn(async move { inside.serve(connection).await });
                    }
                    Some(Err(_)) => {}
                    None => return Err(EnrolError::Line(link::LinkError::Closed)),
                },
            }
        }
    }

    #[cfg(test)]
    pub(super) fn set_clock(&mut self, now: fn() -> Time) {
        if let Some(inside) = Arc::get_mut(&mut self.inside) {
            inside.now = now;
        }
    }

    /// Closes the door and makes the token void, whether it was used or not.
    pub fn close(&self) {
        self.listener.refuse_new();
        let now = (self.inside.now)();
        // Fails only where it is used or has expired: void already.
        let _ = self.inside.desk.store.take_token(self.secret, self.kind, now);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close();
    }
}

fn listen(desk: &Desk, place: Place<'_>, name: &str) -> Result<Listener, EnrolError> {
    let identity = desk.home.desk_identity()?;
    Listener::bind_enrolment(place.listen, &identity)
        .map_err(|source| EnrolError::Listen { name: name.to_owned(), source })
}

fn reached(listener: &Listener, place: Place<'_>) -> Result<String, EnrolError> {
    let bound = listener.address().map_err(|_| EnrolError::NoAddress)?;
    token::reach(bound, place.reach, link::own_address)
}

impl Inside {
    async fn serve(&self, connection: Connection) -> Result<Joined, Turned> {
        let address = connection.address();
        let turned = |stop, ours| Turned { address, stop, ours, spent: false };
        let request = timeout(REQUEST_TIME_MAX, async {
            let (sending, mut receiving) = connection.accept().await?.split();
            Ok::<_, link::LinkError>((sending, receiving.recv_bytes().await?))
        });
        let (mut sending, bytes) = match request.await {
            Ok(Ok((sending, Some(bytes)))) => (sending, bytes),
            Ok(Ok((_, None))) | Err(_) => {
                connection.close(Stop::Late);
                return Err(turned(Stop::Late, None));
            }
            Ok(Err(error)) => {
                connection.close(error.stop());
                return Err(turned(error.stop(), None));
            }
        };
        let granted = match self.admit(&bytes, address) {
            Ok(granted) => granted,
            Err(refusing) => {
                let (stop, ours) = match refusing {
                    Refusing::Guest(stop) => (stop, None),
                    Refusing::Ours(error) => (Stop::Fault, Some(error)),
                };
                // The guest may be gone already; then there is nobody to tell.
                let _ = sending.send(&EnrolFrame::Refused { stop }).await;
                sending.finish();
                let _ = timeout(REQUEST_TIME_MAX, sending.delivered()).await;
                connection.close(stop);
                return Err(turned(stop, ours));
            }
        };
        match deliver(&granted, &mut sending, &connection).await {
            Ok(()) => Ok(granted.joined),
            Err(error) => {
                let stop = error.stop();
                let ours = granted.take_back(&self.desk).err().unwrap_or(EnrolError::Line(error));
                // A machine asks again with the keys that it kept, and gets the same answer.
                let spent = granted.undo == Undo::Nothing;
                Err(Turned { spent, ..turned(stop, Some(ours)) })
            }
        }
    }

    fn admit(&self, bytes: &[u8], from: std::net::SocketAddr) -> Result<Granted, Refusing> {
        if bytes.len() > limits::ENROL_REQUEST_BYTES_MAX {
            return Err(Stop::Frame.into());
        }
        let envelope = Envelope::read(bytes).map_err(|_| Stop::Frame)?;
        let now = (self.now)();
        match &self.guest {
            Guest::Endpoint(guest) if envelope.payload_type == EnrolRequest::PAYLOAD_TYPE => {
                endpoint::admit(&self.desk, guest, &envelope, from, now)
            }
            Guest::Any(desks) if envelope.payload_type == EnrolRequest::PAYLOAD_TYPE => {
                endpoint::admit_by_token(&self.desk, desks, &envelope, from, now)
            }
            Guest::Agent(guest) if envelope.payload_type == JoinRequest::PAYLOAD_TYPE => {
                person::admit(&self.desk, guest, &envelope, now)
            }
            // A colleague's code on a machine, or the other way round.
            _ => Err(Stop::Token.into()),
        }
    }
}

async fn deliver(
    granted: &Granted,
    sending: &mut link::Sending,
    connection: &Connection,
) -> Result<(), link::LinkError> {
    for frame in granted.frames() {
        sending.send(&frame).await?;
    }
    sending.finish();
    timeout(DELIVERY_TIME_MAX, sending.delivered()).await.map_err(|_| link::LinkError::Late)?;
    match connection.end() {
        None | Some(link::LinkError::Ended) => Ok(()),
        Some(lost) => Err(lost),
    }
}
