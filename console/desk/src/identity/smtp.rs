//! A code by SMTP. TLS wherever the server offers it, and its certificate holds by this machine's list of
//! authorities; without TLS to a server on this machine only.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use mail_send::smtp::message::Message as Mail;
use mail_send::{Credentials, Error, SmtpClientBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::post::{Message, Post, PostError, written};
use crate::chance::fresh;

/// From dialling to the server's word that it has the message, seconds: less than a console waits for an
/// answer.
const SECONDS: u64 = 15;

/// A user of the mail server.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({}, hidden)", self.user)
    }
}

/// A mail server.
#[derive(Debug)]
pub(super) struct Smtp {
    pub(super) host: String,
    pub(super) port: u16,
    /// TLS from the first byte on.
    pub(super) tls: bool,
    pub(super) from: String,
    pub(super) login: Option<Login>,
}

impl Smtp {
    fn is_here(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    async fn carry(&self, to: &str, text: &[u8]) -> Result<(), PostError> {
        let builder =
            SmtpClientBuilder::new(self.host.as_str(), self.port).map_err(PostError::Tls)?;
        let builder = builder.implicit_tls(self.tls).timeout(Duration::from_secs(SECONDS));
        let builder = match &self.login {
            Some(Login { user, password }) => {
                builder.credentials(Credentials::new(user.as_str(), password.as_str()))
            }
            None => builder,
        };
        match builder.connect().await {
            Ok(client) => deliver(client, &self.from, to, text).await,
            Err(Error::MissingStartTls) if self.is_here() => {
                let client = builder.connect_plain().await.map_err(said)?;
                deliver(client, &self.from, to, text).await
            }
            Err(error) => Err(said(error)),
        }
    }
}

async fn deliver<T: AsyncRead + AsyncWrite + Unpin>(
    mut client: mail_send::SmtpClient<T>,
    from: &str,
    to: &str,
    text: &[u8],
) -> Result<(), PostError> {
    client.send(Mail::new(from, [to], text)).await.map_err(said)?;
    // It has the message: how the line ends is of no matter.
    let _ = client.quit().await;
    Ok(())
}

/// In our words: a server's own often repeat the address.
fn said(error: Error) -> PostError {
    match error {
        Error::Io(error) => PostError::Unreachable(error),
        Error::Tls(error) => PostError::Tls(error.to_string()),
        Error::InvalidTLSName => PostError::Tls("its name is none".to_owned()),
        Error::Timeout => PostError::Late(SECONDS),
        Error::MissingStartTls => PostError::NoTls,
        Error::Auth(_)
        | Error::AuthenticationFailed(_)
        | Error::MissingCredentials
        | Error::UnsupportedAuthMechanism => PostError::Login,
        Error::UnexpectedReply(reply) => PostError::Refused(reply.code),
        _ => PostError::Unexpected,
    }
}

impl Post for Smtp {
    fn send(&self, message: &Message<'_>) -> Result<(), PostError> {
        let text = written(&self.from, message, fresh::<16>()?);
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let whole = Duration::from_secs(SECONDS);
            runtime.map_err(PostError::Unreachable)?.block_on(async {
                let carried = tokio::time::timeout(whole, self.carry(message.to, &text));
                carried.await.unwrap_or(Err(PostError::Late(SECONDS)))
            })
        };
        // A thread of its own: whoever asks may be inside a runtime already.
        std::thread::scope(|scope| {
            let broken = |_| Err(PostError::Unexpected);
            scope.spawn(run).join().unwrap_or_else(broken)
        })
    }
}
