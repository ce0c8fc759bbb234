//! How a code leaves the desk: `mail.toml` in its home says by whom.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use protocol::{AgentName, Bytes, TicketId, Time};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::contacts::check_mail;
use super::smtp::{Login, Smtp};
use crate::chance::{NoChance, fresh};
use crate::home::{FileError, Home, read_text};

/// A code on its way to a person.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The person's address.
    pub to: &'a str,
    /// Who asks.
    pub agent: &'a AgentName,
    /// For which ticket.
    pub ticket: &'a TicketId,
    /// The code.
    pub code: &'a str,
    /// It is taken until then.
    pub until: Time,
    /// When it is sent.
    pub now: Time,
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message(hidden, ticket {})", self.ticket)
    }
}

/// Carries a code to a person.
pub trait Post: fmt::Debug {
    /// Hands it over: to the next mail server, or to whoever reads the folder.
    ///
    /// # Errors
    /// [`PostError`]: it did not leave.
    fn send(&self, message: &Message<'_>) -> Result<(), PostError>;
}

/// Why a code did not leave. Names no address: whoever reads it may be an agent.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The configuration, or the file of the login.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value of the configuration.
    #[error("`{key}` in mail.toml: {why}")]
    Setting {
        /// Which.
        key: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The folder.
    #[error("could not write into the folder of mail.toml")]
    Folder(#[source] io::Error),
    /// No random bytes for a message's name.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// No line to the mail server.
    #[error("could not reach the mail server")]
    Unreachable(#[source] io::Error),
    /// It did not answer in time.
    #[error("the mail server did not answer within {0} s")]
    Late(u64),
    /// Not on this machine, and without TLS.
    #[error("the mail server offers no TLS, and it is not on this machine")]
    NoTls,
    /// Its certificate, or TLS at all.
    #[error("no TLS with the mail server: {0}")]
    Tls(String),
    /// User or password.
    #[error("the mail server did not take the login")]
    Login,
    /// It said no.
    #[error("the mail server said no ({0})")]
    Refused(u16),
    /// It said something that is no SMTP.
    #[error("the mail server answered with something else than SMTP")]
    Unexpected,
}

/// `mail.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    /// `smtp://HOST:PORT`, `smtps://HOST:PORT` or `file:DIR`.
    pub send: String,
    /// Whom messages come from.
    pub from: String,
    /// A file with user and password, a line each, readable by its owner only; a path beneath the home, or
    /// an absolute one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<PathBuf>,
}

impl Home {
    /// How codes are sent from here, where they are.
    #[must_use]
    pub fn mail_file(&self) -> PathBuf {
        self.path().join("mail.toml")
    }
}

impl Sending {
    /// What the home says; nothing where it has no such file.
    ///
    /// # Errors
    /// [`PostError::File`].
    pub fn read(home: &Home) -> Result<Option<Self>, PostError> {
        let path = home.mail_file();
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = |e: toml::de::Error| FileError::Damaged { path, why: e.message().to_owned() };
        Ok(Some(toml::from_str(&text).map_err(damaged)?))
    }

    /// The sender that it names; relative paths are beneath `home`.
    ///
    /// # Errors
    /// [`PostError::Setting`], [`PostError::File`].
    pub fn post(&self, home: &Path) -> Result<Box<dyn Post>, PostError> {
        check_mail(&self.from).map_err(|why| PostError::Setting { key: "from", why })?;
        if let Some(folder) = self.send.strip_prefix("file:").filter(|folder| !folder.is_empty()) {
            let folder = home.join(folder);
            return Ok(Box::new(Folder { folder, from: self.from.clone() }));
        }
        let known = [("smtp://", false), ("smtps://", true)];
        let found =
            known.iter().find_map(|(scheme, tls)| Some((self.send.strip_prefix(scheme)?, *tls)));
        let wrong = |why| PostError::Setting { key: "send", why };
        let (place, tls) = found
            .ok_or_else(|| wrong("expected smtp://HOST:PORT, smtps://HOST:PORT or file:DIR"))?;
        let (host, port) = place.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let port = port.trim_end_matches('/').parse().map_err(|_| wrong("the port is none"))?;
        if host.is_empty() || host.contains(['/', '@']) {
            return Err(wrong("the host is none; user and password stand in the file of `login`"));
        }
        let login = self.login.as_ref().map(|file| read_login(&home.join(file))).transpose()?;
        let (host, from) = (host.to_owned(), self.from.clone());
        Ok(Box::new(Smtp { host, port, tls, from, login }))
    }
}

/// User and password, a line each.
fn read_login(path: &Path) -> Result<Login, PostError> {
    let wrong = |why| PostError::Setting { key: "login", why };
    let mode = std::fs::metadata(path).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        return Err(wrong("others may read its file: chmod 600"));
    }
    let text = Zeroizing::new(read_text(path)?);
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(user), Some(password)) if !user.is_empty() && !password.is_empty() => {
            Ok(Login { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
        }
        _ => Err(wrong("its file holds the user on the first line and the password on the second")),
    }
}

/// The message as mail servers take it (RFC 5322): plain ASCII, so that no server has to change it.
pub(super) fn written(from: &str, message: &Message<'_>, chance: [u8; 16]) -> Zeroizing<Vec<u8>> {
    let Message { to, agent, ticket, code, until, now } = message;
    let domain = from.rsplit_once('@').map_or(from, |(_, domain)| domain);
    let date = now.to_jiff().to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000");
    let id = Bytes(chance.to_vec()).0.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut text = Zeroizing::new(Vec::with_capacity(2048));
    let lines = [
        format!("From: {from}"),
        format!("To: {to}"),
        format!("Date: {date}"),
        format!("Message-ID: <{id}@{domain}>"),
        "Subject: Your code for the help desk".to_owned(),
        "Auto-Submitted: auto-generated".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=us-ascii".to_owned(),
        String::new(),
        format!(
            "{agent} of the help desk is talking to somebody who says to be you (ticket {ticket})."
        ),
        "If that is you, say this code:".to_owned(),
        String::new(),
    ];
    for line in &lines {
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"    ");
    text.extend_from_slice(code.as_bytes());
    let end = format!(
        "\r\n\r\nIt is good until {}, and for this ticket only.\r\nYou are not talking to the help desk? Give \
         it to nobody, and tell the help desk.\r\n",
        until.clock()
    );
    text.extend_from_slice(end.as_bytes());
    text
}

/// A folder that somebody else empties.
#[derive(Debug)]
struct Folder {
    folder: PathBuf,
    from: String,
}

impl Post for Folder {
    fn send(&self, message: &Message<'_>) -> Result<(), PostError> {
        let chance = fresh::<16>()?;
        let text = written(&self.from, message, chance);
        let name: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        let (draft, place) =
            (self.folder.join(format!(".{name}.new")), self.folder.join(format!("{name}.eml")));
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&draft, &place)
        };
        write().map_err(PostError::Folder)
    }
}
