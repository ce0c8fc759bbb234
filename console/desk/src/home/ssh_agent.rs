//! A key in an ssh-agent (draft-miller-ssh-agent): two of its messages, plain ed25519 keys only.
//!
//! An ssh-agent signs the very bytes that it is given, so what it signs is an ordinary seal. A key of
//! the type `sk-ssh-ed25519` signs something else (a hash with flags and a counter) and is not taken.
//! Never believes an answer: a signature is verified before it is used. Nothing private passes here.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::PublicKey;
use trust::{SignError, Signer};

/// Largest message that is read or sent, bytes: as in OpenSSH.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Most keys of an answer that are looked at.
const KEYS_MAX: u32 = 2048;
/// How long an answer may take: somebody may be asked to confirm it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const ED25519: &[u8] = b"ssh-ed25519";

/// Why an ssh-agent is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SshAgentError {
    /// The environment names none.
    #[error("no ssh-agent is named (SSH_AUTH_SOCK)")]
    None,
    /// Nobody listens there, or it broke off.
    #[error("could not talk to the ssh-agent at `{path}`")]
    Talk {
        /// Its socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says no: it has no such key, is locked, or nobody confirmed.
    #[error("the ssh-agent did not sign: it lacks the key, is locked, or nobody confirmed")]
    Refused,
    /// Not an answer of the protocol.
    #[error("the ssh-agent's answer makes no sense")]
    Answer,
    /// It signed with another key, or something else.
    #[error("the ssh-agent's signature is not of this key")]
    Signature,
}

/// A key that an ssh-agent lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its public half.
    pub key: PublicKey,
    /// What its owner called it; foreign text.
    pub comment: String,
}

/// A key in an ssh-agent.
#[derive(Debug, Clone)]
pub struct SshKey {
    socket: Option<PathBuf>,
    public: PublicKey,
}

impl SshKey {
    /// The key of this public half in the ssh-agent at `socket`, there or not.
    #[must_use]
    pub const fn new(socket: Option<PathBuf>, public: PublicKey) -> Self {
        Self { socket, public }
    }

    /// Has it sign something that is no document.
    ///
    /// # Errors
    /// [`SshAgentError`].
    pub fn proves(&self) -> Result<(), SshAgentError> {
        self.signature(b"salve: a look whether this key signs").map(|_| ())
    }

    /// Whether the ssh-agent lists it now.
    ///
    /// # Errors
    /// [`SshAgentError`].
    pub fn is_there(&self) -> Result<bool, SshAgentError> {
        Ok(ssh_keys(self.socket.as_deref())?.iter().any(|listed| listed.key == self.public))
    }

    fn signature(&self, message: &[u8]) -> Result<[u8; 64], SshAgentError> {
        let mut ask = vec![SIGN_REQUEST];
        put(&mut ask, &blob(&self.public))?;
        put(&mut ask, message)?;
        // Flags: only RSA has any.
        ask.extend_from_slice(&[0; 4]);
        let answer = exchange(self.socket.as_deref(), &ask)?;
        let mut answer = Parts(body(&answer, SIGN_RESPONSE)?);
        let mut signed = Parts(answer.text()?);
        if signed.text()? != ED25519 {
            return Err(SshAgentError::Answer);
        }
        let signature: [u8; 64] = signed.text()?.try_into().map_err(|_| SshAgentError::Answer)?;
        match trust::verify(&self.public, message, &signature) {
            true => Ok(signature),
            false => Err(SshAgentError::Signature),
        }
    }
}

impl Signer for SshKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let fail = |error| SignError { key: self.public, source: Some(Box::new(error)) };
        self.signature(message).map_err(fail)
    }
}

/// The plain ed25519 keys that the ssh-agent at `socket` lists; weak ones and other types are passed over.
///
/// # Errors
/// [`SshAgentError`].
pub fn ssh_keys(socket: Option<&Path>) -> Result<Vec<Listed>, SshAgentError> {
    read_listing(&exchange(socket, &[REQUEST_IDENTITIES])?)
}

/// Reads an ssh-agent's list of keys, without its length.
///
/// # Errors
/// [`SshAgentError`].
pub fn read_listing(answer: &[u8]) -> Result<Vec<Listed>, SshAgentError> {
    let mut answer = Parts(body(answer, IDENTITIES_ANSWER)?);
    let count = answer.number()?;
    if count > KEYS_MAX {
        return Err(SshAgentError::Answer);
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        let (blob, comment) = (answer.text()?, answer.text()?);
        let mut parts = Parts(blob);
        let key = (parts.text()? == ED25519).then(|| parts.text()).transpose()?;
        let key = key.and_then(|key| <[u8; 32]>::try_from(key).ok()).map(PublicKey);
        if let Some(key) = key.filter(|key| !trust::is_weak(key)) {
            keys.push(Listed { key, comment: String::from_utf8_lossy(comment).into_owned() });
        }
    }
    Ok(keys)
}

/// The key as ssh writes it.
fn blob(key: &PublicKey) -> Vec<u8> {
    let mut out = Vec::new();
    // Two short texts: they have a length.
    let _ = put(&mut out, ED25519);
    let _ = put(&mut out, &key.0);
    out
}

fn put(out: &mut Vec<u8>, text: &[u8]) -> Result<(), SshAgentError> {
    let length = u32::try_from(text.len()).map_err(|_| SshAgentError::Answer)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
    Ok(())
}

fn exchange(socket: Option<&Path>, ask: &[u8]) -> Result<Vec<u8>, SshAgentError> {
    let path = socket.ok_or(SshAgentError::None)?;
    let talk = |source| SshAgentError::Talk { path: path.to_owned(), source };
    let large = || talk(std::io::Error::other("a message beyond what ssh-agents take"));
    let length = u32::try_from(ask.len()).map_err(|_| large())?;
    if ask.len() > MESSAGE_BYTES_MAX {
        return Err(large());
    }
    let mut stream = UnixStream::connect(path).map_err(talk)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(talk)?;
    stream.set_write_timeout(Some(ANSWER_TIME_MAX)).map_err(talk)?;
    stream.write_all(&length.to_be_bytes()).and_then(|()| stream.write_all(ask)).map_err(talk)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(talk)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(large());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).map_err(talk)?;
    Ok(answer)
}

/// What follows the type of an answer.
fn body(answer: &[u8], wanted: u8) -> Result<&[u8], SshAgentError> {
    match answer.split_first() {
        Some((kind, body)) if *kind == wanted => Ok(body),
        Some((&FAILURE, _)) => Err(SshAgentError::Refused),
        _ => Err(SshAgentError::Answer),
    }
}

/// What is left of an answer.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn number(&mut self) -> Result<u32, SshAgentError> {
        let (number, rest) = self.0.split_first_chunk::<4>().ok_or(SshAgentError::Answer)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }
    fn text(&mut self) -> Result<&'a [u8], SshAgentError> {
        let length = usize::try_from(self.number()?).map_err(|_| SshAgentError::Answer)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(SshAgentError::Answer)?;
        self.0 = rest;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use trust::SigningKey;

    use super::*;

    /// An ssh-agent that gives this one answer, whatever it is asked.
    fn agent(answer: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent");
        let listener = UnixListener::bind(&path).unwrap();
        let answer = answer.to_vec();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut asked = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(&answer).unwrap();
        });
        (dir, path)
    }

    fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(body.len() + 1).unwrap().to_be_bytes().to_vec();
        out.push(kind);
        out.extend_from_slice(body);
        out
    }

    fn texts(all: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        all.iter().for_each(|text| put(&mut out, text).unwrap());
        out
    }

    fn signing() -> SigningKey {
        SigningKey::from_seed([7; 32])
    }

    fn signs(answer: &[u8]) -> Result<[u8; 64], SshAgentError> {
        let (_dir, path) = agent(answer);
        SshKey::new(Some(path), signing().public_key()).signature(b"message")
    }

    #[test]
    fn what_the_key_signed_is_taken_and_nothing_else() {
        let good = signing().sign(b"message").unwrap();
        let response = |kind: &[u8], signature: &[u8]| {
            framed(SIGN_RESPONSE, &texts(&[&texts(&[kind, signature])]))
        };
        assert_eq!(signs(&response(ED25519, &good)).unwrap(), good);
        let other = signing().sign(b"another message").unwrap();
        let stranger = SigningKey::from_seed([8; 32]).sign(b"message").unwrap();
        for forged in [other, stranger] {
            let no = signs(&response(ED25519, &forged));
            assert!(matches!(no, Err(SshAgentError::Signature)), "{no:?}");
        }
        // What a hardware key signs is not the message.
        let hardware = signs(&response(b"sk-ssh-ed25519@openssh.com", &good));
        assert!(matches!(hardware, Err(SshAgentError::Answer)), "{hardware:?}");
        assert!(matches!(signs(&framed(FAILURE, b"")), Err(SshAgentError::Refused)));
    }

    #[test]
    fn answers_that_make_no_sense_are_refused_in_bounds() {
        let cut = response_cut();
        let bad: [&[u8]; 6] = [
            &framed(SIGN_RESPONSE, b""),
            &framed(SIGN_RESPONSE, &[0xff; 8]),
            &framed(IDENTITIES_ANSWER, b""),
            &[0, 0, 0, 0],
            &[0xff; 4],
            &cut,
        ];
        for answer in bad {
            let no = signs(answer);
            assert!(
                matches!(no, Err(SshAgentError::Answer | SshAgentError::Talk { .. })),
                "{no:?}"
            );
        }
        let (_dir, path) = agent(&framed(IDENTITIES_ANSWER, &u32::MAX.to_be_bytes()));
        assert!(matches!(ssh_keys(Some(&path)), Err(SshAgentError::Answer)));
        assert!(matches!(ssh_keys(None), Err(SshAgentError::None)));
        let nobody = Path::new("/nowhere/agent");
        assert!(matches!(ssh_keys(Some(nobody)), Err(SshAgentError::Talk { .. })));
    }

    fn response_cut() -> Vec<u8> {
        let mut whole = framed(SIGN_RESPONSE, &texts(&[&texts(&[ED25519, &[1; 64]])]));
        whole.pop();
        whole
    }

    #[test]
    fn only_plain_ed25519_keys_are_listed() {
        let (ours, other) = (blob(&signing().public_key()), texts(&[b"ssh-rsa", b"e", b"n"]));
        let hardware = texts(&[b"sk-ssh-ed25519@openssh.com", &[9; 32], b"ssh:"]);
        let weak = texts(&[ED25519, &[0; 32]]);
        let mut body = 4u32.to_be_bytes().to_vec();
        for (blob, comment) in [(&other, "rsa"), (&hardware, "key"), (&weak, "x"), (&ours, "mine")]
        {
            body.extend(texts(&[blob, comment.as_bytes()]));
        }
        let (_dir, path) = agent(&framed(IDENTITIES_ANSWER, &body));
        let mine = Listed { key: signing().public_key(), comment: "mine".to_owned() };
        assert_eq!(ssh_keys(Some(&path)).unwrap(), [mine]);
    }
}
