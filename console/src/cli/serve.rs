//! `salve serve`: the shared desk, in front, until it is asked to end. Its journal goes to stderr.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use clap::Args;
use desk::serve::{Said, Server};
use protocol::limits;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::enroll::address;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;

/// Be the desk that endpoints and colleagues' consoles share
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where endpoints and consoles dial (UDP)
    #[arg(long, value_name = "ADDR:PORT", default_value_t = format!("0.0.0.0:{}", limits::DESK_PORT_DEFAULT))]
    pub listen: String,
    /// Where machines that join are told to keep a line to, best first; may be repeated [where they
    /// found this desk]
    #[arg(long = "named", value_name = "HOST:PORT", value_parser = address)]
    pub named: Vec<String>,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What the command says.
pub async fn run(ctx: &Ctx, args: ServeArgs) -> Result<Exit, Failure> {
    let desk = ctx.desk()?;
    let take =
        |kind| signal(kind).map_err(|e| Failure::broken("could not take signals").because(e));
    let (mut term, mut int) = (take(SignalKind::terminate())?, take(SignalKind::interrupt())?);
    let journal = ctx.clone();
    let server = Server::new(desk, args.named, ctx.now, move |said| match said {
        Said::Listening(address) => {
            journal.note(format!("listening on {address} (UDP)"));
            notify(&journal, "READY=1");
        }
        Said::Line(text) => journal.note(safe(text)),
    })?;
    let stop = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        notify(ctx, "STOPPING=1");
    };
    server.serve(&args.listen, stop).await?;
    Ok(Exit::Fine)
}

/// Tells systemd how it stands: one datagram, where it asked for one.
fn notify(ctx: &Ctx, state: &str) {
    #[expect(clippy::disallowed_methods, reason = "systemd names its socket in the environment")]
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match name.strip_prefix('@') {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address
        .and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to).map(|_| ()));
    if let Err(error) = sent {
        ctx.note(format!("could not tell systemd {state}: {error}"));
    }
}
