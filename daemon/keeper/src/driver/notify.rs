//! Tells systemd how it stands: one datagram, where it asked for one.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends this to the service manager; without one, nothing.
pub fn notify(state: &str) {
    #[expect(clippy::disallowed_methods, reason = "systemd names its socket in the environment")]
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match name.strip_prefix('@') {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address
        .and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to).map(|_| ()));
    if let Err(error) = sent {
        tracing::warn!("could not tell systemd {state}: {error}");
    }
}
