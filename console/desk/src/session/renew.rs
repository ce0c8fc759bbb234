//! Brings an endpoint its renewed certificate. Needs a line after its hello, and nothing else: an
//! endpoint whose certificate has expired may be asked nothing but this.

use link::{Connection, LinkError};
use protocol::frames::{Answer, Ask};
use protocol::{Bytes, Time};

use super::{ANSWER_TIME_MAX, SessionError};

/// Brings the leaf (DER); gives the end that the endpoint read in it.
///
/// # Errors
/// [`SessionError`]; [`SessionError::Certificate`] where the endpoint does not take it.
pub async fn bring_certificate(line: &Connection, leaf: Vec<u8>) -> Result<Time, SessionError> {
    let mut stream = line.open().await?;
    stream.send(&Ask::Certificate { leaf: Bytes(leaf) }).await?;
    stream.finish();
    match stream.recv_within(ANSWER_TIME_MAX).await? {
        Some(Answer::CertificateTaken { not_after }) => Ok(not_after),
        Some(Answer::CertificateRefused { code, sentence }) => {
            Err(SessionError::Certificate { code, sentence })
        }
        Some(Answer::Stop { code }) => Err(SessionError::Stopped(code)),
        Some(_) => Err(SessionError::Unexpected),
        None => Err(SessionError::Line(LinkError::Ended)),
    }
}
