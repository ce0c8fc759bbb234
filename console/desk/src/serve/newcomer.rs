//! Machines that join at the shared desk: no certificate yet, a token instead.
//!
//! Never keeps anybody else waiting: few are answered at once, and the others are told to come again.

use std::sync::Arc;

use link::Connection;
use protocol::error_chain::ErrorChain;
use protocol::frames::Stop;

use super::Server;
use crate::enrol::{Joined, answer_guest};

/// Newcomers that are answered at once.
pub(super) const AT_ONCE_MAX: usize = 16;

/// Answers one newcomer.
pub(super) async fn newcomer(server: Arc<Server>, connection: Connection) {
    let Ok(_place) = server.newcomers.try_acquire() else { return connection.close(Stop::Rate) };
    let from = connection.address();
    let desk = Arc::clone(&server.desk);
    match answer_guest(desk, server.named.clone(), connection, server.now).await {
        Ok(Joined::Endpoint { name, .. }) => server.line(&format!("{name} joined, from {from}")),
        Ok(Joined::Agent { name }) => server.line(&format!("{name} joined, from {from}")),
        Err(turned) => {
            let ours = turned.ours.map(|ours| format!(" ({})", ErrorChain(&ours)));
            let ours = ours.unwrap_or_default();
            server.line(&format!("turned {from} away, who wanted to join: {}{ours}", turned.stop));
        }
    }
}
