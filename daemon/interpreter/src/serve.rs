//! One script, start to end, in a process that is locked. Never gives more than findings and a
//! fault: outcomes are the keeper's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use hatch::{Finding, ScriptFault};
use protocol::Mode;
use protocol::frames::Phase;
use script::{Reader, RunReport, SharedHost, run};
use surface::Value;

use crate::peer::{Peer, sent};

/// How this program ends.
pub mod exit {
    /// The script came to its end, whatever it found.
    pub const ENDED: u8 = 0;
    /// It did not come to the script: not locked, or no keeper.
    pub const NOT_STARTED: u8 = 70;
    /// The executor went away.
    pub const EXECUTOR_LOST: u8 = 71;
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) source: String,
    pub(crate) mode: Mode,
    pub(crate) parameters: BTreeMap<String, Value>,
    pub(crate) limit_ms: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Served {
    /// Findings in order.
    pub(crate) findings: Vec<Finding>,
    /// Why it did not go on.
    pub(crate) fault: Option<ScriptFault>,
    /// One of [`exit`].
    pub(crate) code: u8,
}

/// Compiles and runs; tells the executor when no more calls come.
pub(crate) fn serve(reader: Reader, job: &Job, peer: Peer) -> Served {
    let peer = Rc::new(RefCell::new(peer));
    let shared: SharedHost = Rc::clone(&peer) as SharedHost;
    let report = match reader.compile(&job.source) {
        Ok(script) => {
            // The process ends next: taking the engine apart would only cost time.
            let script = ManuallyDrop::new(script);
            run(&script, job.mode, &job.parameters, job.limit_ms, &shared)
        }
        Err(fault) => RunReport {
            findings: Vec::new(),
            fault: Some(script::ScriptFault {
                phase: Phase::Detect,
                code: fault.rule.replace('-', "_"),
                message: fault.why,
                line: fault.line,
            }),
        },
    };
    let mut peer = peer.borrow_mut();
    peer.done();
    let code = if peer.lost() { exit::EXECUTOR_LOST } else { exit::ENDED };
    let fault = report.fault.map(|fault| {
        let script::ScriptFault { phase, code, message, line } = fault;
        ScriptFault { phase, code, message, line }
    });
    Served { findings: report.findings.iter().map(sent).collect(), fault, code }
}
