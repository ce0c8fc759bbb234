//! Making a token: what the pasted line carries, and the digest that the store keeps of it.

use std::net::{IpAddr, SocketAddr};

use protocol::documents::Token;
use protocol::{Bytes, Digest, Time, limits};
use store::TokenKind;

use super::error::EnrolError;
use crate::books::Books;
use crate::chance::fresh;
use crate::home::Home;

/// UDP port on which the desk waits for those that join: beside `salved`'s own.
pub const ENROL_PORT: u16 = limits::PORT_DEFAULT + 1;

/// Where others reach a listener: the address it is bound to, or the one given.
pub(super) fn reach(
    bound: SocketAddr,
    given: Option<&str>,
    own: impl FnOnce() -> Option<IpAddr>,
) -> Result<String, EnrolError> {
    if let Some(host) = given {
        // An IPv6 address needs its brackets before a port.
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        return Ok(format!("{host}:{}", bound.port()));
    }
    let ip = if bound.ip().is_unspecified() { own() } else { Some(bound.ip()) };
    let ip = ip.ok_or(EnrolError::NoAddress)?;
    Ok(SocketAddr::new(ip, bound.port()).to_string())
}

/// The digest of this home's own desk key, which whoever joins pins.
pub(super) fn own_key(home: &Home) -> Result<Digest, EnrolError> {
    let identity = home.desk_identity()?;
    let leaf = identity.certificates.first().map(Vec::as_slice).unwrap_or_default();
    Ok(link::spki_digest(leaf).ok_or(certs::CertError::NotACertificate)?)
}

/// A token with a fresh secret, which nobody has kept yet.
pub(super) fn fresh_token<N: Clone>(
    home: &Home,
    name: &N,
    desk: String,
    desk_key: Digest,
) -> Result<Token<N>, EnrolError> {
    let secret: [u8; 16] = fresh()?;
    let root = Digest::of(&home.first_root()?);
    Ok(Token { name: name.clone(), desk, root, desk_key, secret: Bytes(secret.to_vec()) })
}

/// Makes a token and keeps the digest of its secret.
pub(super) fn make<N: std::fmt::Display + Clone>(
    home: &Home,
    books: &Books,
    kind: TokenKind,
    name: &N,
    desk: String,
    now: Time,
) -> Result<Token<N>, EnrolError> {
    let token = fresh_token(home, name, desk, own_key(home)?)?;
    let expires = now.plus(limits::ENROL_TOKEN_SECONDS);
    books.add_token(Digest::of(&token.secret.0), kind, name.to_string(), expires, now)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_an_address_that_others_can_reach() {
        let any: SocketAddr = "0.0.0.0:7434".parse().unwrap();
        let own = || Some("192.0.2.7".parse().unwrap());
        assert_eq!(reach(any, None, own).unwrap(), "192.0.2.7:7434");
        let bound: SocketAddr = "127.0.0.1:9".parse().unwrap();
        assert_eq!(reach(bound, None, own).unwrap(), "127.0.0.1:9");
        assert_eq!(reach(any, Some("desk.example"), own).unwrap(), "desk.example:7434");
        assert_eq!(reach(any, Some("2001:db8::1"), own).unwrap(), "[2001:db8::1]:7434");
        assert!(matches!(reach(any, None, || None), Err(EnrolError::NoAddress)));
    }
}
