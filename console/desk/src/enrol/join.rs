//! The colleague's side of joining: keys are made here, only their public halves travel.
//!
//! Never believes an answer that does not hang from the pinned root and list exactly our keys.

use std::time::Duration;

use link::{DialError, LinkError};
use policy::{Fault, Policy, PolicyFile};
use protocol::documents::{Invitation, JoinAnswer, JoinRequest};
use protocol::frames::{EnrolFrame, Stop};
use protocol::{Bytes, Digest, Time, limits};
use tokio::time::timeout;
use trust::catalogue::{Catalogue, CatalogueError, Files, Lifetimes, is_plain};
use trust::{Signer, seal};

use super::book;
use crate::catalogue::{self, CatalogueTrouble};
use crate::home::{self, FileError, Home, HomeError, Organisation, OwnKey, is_there};
use crate::org::{InitError, make_agent_keys};

/// From the request to the answer's last frame: an administrator's console is waiting.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Why joining did not work. Running the same command again goes on with the same keys.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is an organisation in this home.
    #[error("`{path}` already belongs to an organisation")]
    AlreadyReady {
        /// The home.
        path: std::path::PathBuf,
    },
    /// Nobody is there.
    #[error("could not reach the colleague who invited you")]
    Dial(#[from] DialError),
    /// The line broke.
    #[error("the line broke before the answer was complete")]
    Line(#[from] LinkError),
    /// They said no.
    #[error("the other side refused: {0}")]
    Refused(Stop),
    /// The answer is not what the invitation promised.
    #[error("the answer is not from the organisation that invited you: {0}")]
    NotTheirs(&'static str),
    /// The catalogue that came does not verify.
    #[error("the catalogue that came does not verify")]
    Catalogue(#[from] CatalogueError),
    /// The catalogue that is here already.
    #[error(transparent)]
    Held(#[from] CatalogueTrouble),
    /// The policy that came has faults.
    #[error("the policy that came has {} faults", .0.len())]
    Policy(Vec<Fault>),
    /// This home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// This home's files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Making keys.
    #[error("could not make your keys")]
    Keys(#[source] Box<InitError>),
    /// The request could not be signed.
    #[error("could not sign the request")]
    Seal(#[from] seal::SealError),
    /// The request could not be written.
    #[error("could not write the request")]
    Write(#[from] protocol::json::BadJson),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

/// Joins: makes keys, sends their public halves, checks the answer, fills the home. In a home that
/// has joined before it renews certificate, catalogue and address book for the same keys; `passphrase`
/// is that of the signing key, where it has one.
///
/// # Errors
/// [`JoinError`]; nothing but the keys stays in a new home, an old one is as it was.
pub async fn join(
    home: &Home,
    invitation: &Invitation,
    passphrase: Option<&str>,
    now: Time,
) -> Result<Organisation, JoinError> {
    if home.is_ready() && !is_renewal(home, invitation)? {
        return Err(JoinError::AlreadyReady { path: home.path().to_owned() });
    }
    let me = &invitation.name;
    {
        let _lock = home.lock()?;
        make_agent_keys(home, me).map_err(|e| JoinError::Keys(Box::new(e)))?;
    }
    let request = request(home, invitation, passphrase)?;
    let collected = ask(invitation, &request).await?;
    let _lock = home.lock()?;
    take(home, invitation, &collected, now)
}

/// Whether the home is this person's in this organisation: then its certificate, catalogue and
/// address book are renewed.
fn is_renewal(home: &Home, invitation: &Invitation) -> Result<bool, JoinError> {
    let mine = Organisation::read(home)?.me == invitation.name;
    Ok(mine && Digest::of(&home.first_root()?) == invitation.root)
}

fn request(
    home: &Home,
    invitation: &Invitation,
    passphrase: Option<&str>,
) -> Result<Vec<u8>, JoinError> {
    let me = &invitation.name;
    let signing: Box<dyn Signer> = match home.own_key(me)? {
        OwnKey::Clear(key) => Box::new(key),
        OwnKey::SshAgent(key) => Box::new(key),
        OwnKey::Locked(_) => Box::new(home.agent_signing_key(me, passphrase)?),
    };
    let sealing_key = home.agent_sealing_secret(me)?.public().map_err(|_| FileError::Damaged {
        path: home.agent_sealing(me),
        why: "not a key".to_owned(),
    })?;
    let request = JoinRequest {
        secret: invitation.secret.clone(),
        name: me.clone(),
        tls_key: Bytes(certs::spki_of(&home.agent_tls_key(me)?.public_key())),
        signing_key: signing.public_key(),
        sealing_key,
    };
    Ok(seal::seal(&request, &[&*signing])?.write()?)
}

async fn ask(invitation: &Invitation, request: &[u8]) -> Result<Collected, JoinError> {
    let connection =
        link::dial_pinned(&invitation.desk, invitation.desk_key, limits::ALPN_ENROL).await?;
    let (mut sending, mut receiving) = connection.open().await?.split();
    sending.send_bytes(request).await?;
    sending.finish();
    let answer = collect(&mut receiving).await?;
    connection.leave().await;
    Ok(answer)
}

/// Catalogue, address book and answer.
type Collected = (Files, Vec<u8>, JoinAnswer);

async fn collect(receiving: &mut link::Receiving) -> Result<Collected, JoinError> {
    let (mut files, mut known) = (Files::new(), Vec::new());
    let mut open: Option<(String, Vec<u8>)> = None;
    loop {
        let frame = timeout(ANSWER_TIME_MAX, receiving.recv::<EnrolFrame>()).await;
        let frame = frame.unwrap_or(Err(LinkError::Late))?.ok_or(LinkError::Cut)?;
        match frame {
            EnrolFrame::Wait => {}
            EnrolFrame::Refused { stop } => return Err(JoinError::Refused(stop)),
            EnrolFrame::CatalogueFile { name, part, last } => {
                let (begun, mut bytes) = open.take().unwrap_or_else(|| (name.clone(), Vec::new()));
                bytes.extend_from_slice(&part.0);
                let is_book = name == book::NAME;
                if begun != name || !(is_plain(&name) || is_book) {
                    return Err(JoinError::NotTheirs("its files are out of order"));
                }
                let (size, most) = match is_book {
                    true => (bytes.len(), limits::ADDRESS_BOOK_BYTES_MAX),
                    false => (files.bytes() + bytes.len(), limits::CATALOGUE_BYTES_MAX),
                };
                if size > most {
                    return Err(JoinError::NotTheirs("it is too large"));
                }
                if last && is_book {
                    known = bytes;
                } else if last {
                    files.insert(name, bytes);
                } else {
                    open = Some((name, bytes));
                }
                if !files.within_limits() {
                    return Err(JoinError::NotTheirs("it is too large"));
                }
            }
            EnrolFrame::Answer { json } => {
                return Ok((files, known, protocol::json::read(&json.0)?));
            }
        }
    }
}

/// Checks everything, then writes; the organisation's file comes last.
fn take(
    home: &Home,
    invitation: &Invitation,
    (files, known, answer): &Collected,
    now: Time,
) -> Result<Organisation, JoinError> {
    let me = &invitation.name;
    let root = files.get("1.root.json").ok_or(JoinError::NotTheirs("no root came"))?;
    if Digest::of(root) != invitation.root {
        return Err(JoinError::NotTheirs("its root is another one"));
    }
    // What a renewed home trusts already is a floor.
    let held = if home.is_ready() { catalogue::files(home)? } else { Files::new() };
    let (catalogue, kept) = Catalogue::update(&held, root, files, now)?;
    let policy: Policy = PolicyFile::read(catalogue.policy_text()).map_err(JoinError::Policy)?;
    let mine = policy.person(me).filter(|person| {
        home.own_key(me).is_ok_and(|key| Some(key.public_key()) == person.signing_key)
    });
    if mine.is_none() || policy.organisation() != answer.organisation {
        return Err(JoinError::NotTheirs("its policy does not list your keys"));
    }
    let wrong = || JoinError::NotTheirs("the certificate is not for your key");
    let leaf = answer.certificates.first().ok_or_else(wrong)?;
    let facts = certs::read(&leaf.0).map_err(|_| wrong())?;
    let uri = link::uri(policy.organisation(), link::Role::Agent, me.as_str());
    let spki = certs::spki_of(&home.agent_tls_key(me)?.public_key());
    if facts.spki != spki || facts.uris != [uri] {
        return Err(wrong());
    }
    let lifetimes = crate::org::lifetimes(policy.file().profile);
    write_repository(home, &kept, lifetimes)?;
    let chain = answer.certificates.iter().map(|der| der.0.as_slice());
    home::write_public(&home.agent_certificate(me), certs::to_pem(chain).as_bytes())?;
    if !is_there(&home.database()) {
        store::Store::create(&home.database())?;
    }
    book::read(known, &policy, &store::Store::open(&home.database())?, now)?;
    if home.is_ready() {
        return Ok(Organisation::read(home)?);
    }
    let id = policy.organisation().parse();
    let organisation = Organisation {
        name: policy.organisation().to_owned(),
        id: id.map_err(|_| JoinError::NotTheirs("its name is not one"))?,
        profile: policy.file().profile,
        me: me.clone(),
    };
    organisation.write(home)?;
    Ok(organisation)
}

/// The catalogue as plain files, and beside them the lifetimes that `Repository` keeps there.
fn write_repository(home: &Home, files: &Files, lifetimes: Lifetimes) -> Result<(), JoinError> {
    let settings = protocol::json::write(&lifetimes)?;
    home::write_public(&home.repository().join("repository.json"), &settings)?;
    for (name, bytes) in files.iter().filter(|(name, _)| is_plain(name)) {
        home::write_public(&home.repository().join(name), bytes)?;
    }
    Ok(())
}
