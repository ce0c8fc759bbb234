//! `salve serve`: the shared desk, in front, until it is asked to end. Its journal goes to stderr.

use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::Arc;

use clap::Args;
use desk::serve::{Said, Server};
use protocol::limits;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::typed::address;
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
    /// Answer GET /metrics there (TCP; OpenMetrics), on this machine only
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Answer GET /metrics to other machines too: nothing there asks who they are
    #[arg(long, requires = "metrics")]
    pub metrics_to_others: bool,
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
    let Some(address) = args.metrics else {
        server.serve(&args.listen, stop).await?;
        return Ok(Exit::Fine);
    };
    let listener = metrics(address, args.metrics_to_others).await?;
    if let Ok(bound) = listener.local_addr() {
        ctx.note(format!("metrics on http://{bound}/metrics"));
    }
    tokio::select! {
        served = Arc::clone(&server).serve(&args.listen, stop) => served?,
        () = Arc::clone(&server).metrics(listener) => {}
    }
    Ok(Exit::Fine)
}

async fn metrics(address: SocketAddr, to_others: bool) -> Result<TcpListener, Failure> {
    if !address.ip().is_loopback() && !to_others {
        let sentence = format!("{address} can be reached from other machines");
        return Err(Failure::usage(sentence).next(
            "as in  salve serve --metrics 127.0.0.1:9435;  or say that you want it:  \
             --metrics-to-others",
        ));
    }
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::unreachable(format!("could not listen on {address} (TCP)"));
        failure.because(error).next("who has it?  ss -tlpn;  or choose another port")
    })
}

/// Tells systemd how it stands: one datagram, where it asked for one.
fn notify(ctx: &Ctx, state: &str) {
    #[expect(clippy::disallowed_methods, reason = "systemd names its socket in the environment")]
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match name.strip_prefix('@') {
        Some(hidden) => UnixAddress::from_abstract_name(hidden),
        None => UnixAddress::from_pathname(&name),
    };
    let sent = address
        .and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to).map(|_| ()));
    if let Err(error) = sent {
        ctx.note(format!("could not tell systemd {state}: {error}"));
    }
}
