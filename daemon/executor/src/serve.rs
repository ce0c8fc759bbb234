//! The loop: one message of the interpreter after the other, until it is done or gone.

use hatch::messages::{FromHost, ToHost};
use protocol::frames::Event;
use protocol::limits;
use surface::{Call, Host as _};

use crate::fail::Fail;
use crate::link::{Lost, Peer};
use crate::report;
use crate::run::Run;

/// Answers the interpreter until it is done or gone, then tells the keeper what was done.
pub(crate) fn serve(run: &mut Run, peer: &mut dyn Peer) -> Result<(), Lost> {
    let ended = listen(run, peer);
    // Whatever happened to the interpreter: what was done is told.
    run.finish()?;
    ended
}

fn listen(run: &mut Run, peer: &mut dyn Peer) -> Result<(), Lost> {
    loop {
        if !peer.has_more() {
            run.keeper.flush()?;
        }
        let Some(message) = peer.hear()? else { break };
        match message {
            ToHost::Phase(phase) => run.phase(phase)?,
            ToHost::Call(call) => answer(run, peer, &call)?,
            ToHost::Found(finding) => {
                let summary = finding.summary.chars().take(limits::REASON_CHARS_MAX).collect();
                let (phase, needed) = (finding.phase, finding.needed);
                run.event(Event::Found { phase, needed, summary })?;
            }
            ToHost::Print(text) => report::print(run, &text)?,
            ToHost::Done => break,
        }
    }
    Ok(())
}

fn answer(run: &mut Run, peer: &mut dyn Peer, call: &Call) -> Result<(), Lost> {
    let answer = match run.call(call) {
        Ok(value) => FromHost::Value(value),
        Err(error) => FromHost::Error(error),
    };
    if peer.answer(&answer)? {
        return Ok(());
    }
    let fail = Fail::new("too_many", "the answer is larger than a message may be");
    peer.answer(&FromHost::Error(fail.of(&call.function))).map(drop)
}
