//! Errands at enrolment and for `salved doctor`: dial one peer, say at which step it failed.
//!
//! Never trusts an answer: it is passed on as it came.

use hatch::{FromGate, ProbeStep};
use link::{CertificateFault, DialError, Line, LinkError};
use protocol::error_chain::ErrorChain;
use protocol::{Bytes, Digest, limits};

use crate::pipes::Writer;
use crate::{GateError, exceptions};

/// The steps of dialling, in order.
const STEPS: [&str; 4] = ["name", "route", "udp", "certificate"];

/// Looks up and opens sockets while that is still possible, then locks this process.
fn ready(address: &str, ids: Option<(u32, u32)>) -> Result<Result<Line, DialError>, GateError> {
    let line = Line::prepare_alone(address);
    hatch::lock::gate(ids, &exceptions(ids))?;
    Ok(line)
}

fn step(what: &str, ok: bool, detail: String) -> ProbeStep {
    ProbeStep { what: what.to_owned(), ok, detail }
}

/// The steps before the one that failed went well.
fn failed(error: &DialError) -> Vec<ProbeStep> {
    let at = error.step();
    let before = STEPS.iter().take_while(|what| **what != at);
    // A certificate at the wrong time is judged where certificates are.
    let before = before.filter(|what| !(at == "clock" && **what == "certificate"));
    let mut steps: Vec<_> = before.map(|what| step(what, true, String::new())).collect();
    steps.push(step(at, false, ErrorChain(error).to_string()));
    steps
}

fn all_well() -> Vec<ProbeStep> {
    STEPS.iter().map(|what| step(what, true, String::new())).collect()
}

/// Sends the request, passes every frame of the answer on.
pub(crate) async fn enrol(
    desk: &str,
    desk_key: Digest,
    request: &[u8],
    ids: Option<(u32, u32)>,
    keeper: &mut Writer,
) -> Result<(), GateError> {
    let dialled = match ready(desk, ids)? {
        Ok(line) => line.dial_pinned(desk_key, limits::ALPN_ENROL).await,
        Err(error) => Err(error),
    };
    let steps = match dialled {
        Err(error) => failed(&error),
        Ok(connection) => {
            let mut steps = all_well();
            match ask(&connection, request, keeper).await? {
                Ok(()) => steps.push(step("answer", true, String::new())),
                Err(error) => steps.push(step("answer", false, error.to_string())),
            }
            connection.leave().await;
            steps
        }
    };
    keeper.send(&FromGate::Result { steps }).await?;
    Ok(())
}

async fn ask(
    connection: &link::Connection,
    request: &[u8],
    keeper: &mut Writer,
) -> Result<Result<(), LinkError>, GateError> {
    let opened = async {
        let (mut sending, receiving) = connection.open().await?.split();
        sending.send_bytes(request).await?;
        sending.finish();
        Ok::<_, LinkError>(receiving)
    };
    let mut receiving = match opened.await {
        Ok(receiving) => receiving,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        match receiving.recv_bytes().await {
            Ok(Some(bytes)) => keeper.send(&FromGate::Answer { bytes: Bytes(bytes) }).await?,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Only dials. Where the key is not known, any key counts as an answer.
pub(crate) async fn probe(
    peer: &str,
    key: Option<Digest>,
    ids: Option<(u32, u32)>,
    keeper: &mut Writer,
) -> Result<(), GateError> {
    let wanted = key.unwrap_or(Digest([0; 32]));
    let dialled = match ready(peer, ids)? {
        Ok(line) => line.dial_pinned(wanted, limits::ALPN_ENROL).await,
        Err(error) => Err(error),
    };
    let steps = match dialled {
        Ok(connection) => {
            connection.leave().await;
            all_well()
        }
        Err(DialError::Certificate { source: CertificateFault::Key, .. }) if key.is_none() => {
            let mut steps = all_well();
            if let Some(last) = steps.last_mut() {
                "it answered; its key was not compared".clone_into(&mut last.detail);
            }
            steps
        }
        Err(error) => failed(&error),
    };
    keeper.send(&FromGate::Result { steps }).await?;
    Ok(())
}
