//! The switch: hears every event and effect of a real keeper and ends the process at its point.
//!
//! What no well-behaved gate says by itself (an answer while it serves, bytes that are no frame, a
//! wish to end) is said here in its place, through the core's own door.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use hatch::messages::FromGate;
use keeper::core::{Core, Effect, Event, GateTrust, Stamp};
use keeper::driver::Mind;
use keeper::ledger::Entry;
use protocol::Bytes;

use crate::points;

#[derive(Debug)]
struct State {
    point: String,
    /// Orders that must have been accepted by this process before the point counts.
    orders: u32,
    accepted: u32,
    /// Points of effects that were wanted and are not done yet, oldest first.
    wanted: VecDeque<(Vec<String>, bool)>,
    session: u32,
    provoked: bool,
}

impl State {
    fn reach(&self, point: &str) {
        if self.accepted >= self.orders && point == self.point {
            eprintln!("salved-crash: {point}");
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }

    /// What has to happen for this point to come up, where no good gate brings it about.
    fn provocation(&self) -> Option<Event> {
        let gate = |message| Some(Event::Gate { message, chance: [7; 32] });
        match self.point.as_str() {
            "effect:RestartGate" | "from-gate:Answer" => {
                gate(FromGate::Answer { bytes: Bytes(vec![1]) })
            }
            "from-gate:LookUp" => gate(FromGate::LookUp),
            "from-gate:Desk" => {
                let fault = Some("no answer".to_owned());
                gate(FromGate::Desk { desk: "desk:7434".into(), fault, again: 1 })
            }
            "from-gate:Result" => gate(FromGate::Result { steps: Vec::new() }),
            "to-gate:Close" => {
                gate(FromGate::Frame { session: self.session, stream: 9, bytes: Bytes(vec![0xff]) })
            }
            "to-gate:Drain" | "effect:Stop" | "effect:End" => Some(Event::Drain),
            _ => None,
        }
    }
}

/// Shared by the mind that wants and the driver that did.
#[derive(Debug, Clone)]
pub(crate) struct Switch(Rc<RefCell<State>>);

/// The real core, overheard.
#[derive(Debug)]
pub(crate) struct Overheard {
    core: Core,
    switch: Switch,
}

impl Switch {
    pub(crate) fn new(point: String, orders: u32) -> Self {
        Self(Rc::new(RefCell::new(State {
            point,
            orders,
            accepted: 0,
            wanted: VecDeque::new(),
            session: 0,
            provoked: false,
        })))
    }

    pub(crate) fn mind(&self, core: Core) -> Overheard {
        Overheard { core, switch: self.clone() }
    }

    /// The driver did the oldest wanted effect.
    pub(crate) fn done(&self, name: &str) {
        let mut state = self.0.borrow_mut();
        let (points, accepts) = state.wanted.pop_front().expect("it was wanted");
        assert_eq!(points.first(), Some(&format!("effect:{name}")), "effects come in order");
        state.accepted += u32::from(accepts);
        points.iter().for_each(|point| state.reach(point));
    }
}

impl Overheard {
    fn think(&mut self, event: Event, now: Stamp) -> Vec<Effect> {
        if let Some(point) = points::heard(&event) {
            self.switch.0.borrow().reach(point);
        }
        let effects = self.core.step(event, now);
        let mut state = self.switch.0.borrow_mut();
        for effect in &effects {
            let accepts = matches!(effect, Effect::AppendLedger(Entry::Accepted(_)));
            state.wanted.push_back((points::done(effect), accepts));
        }
        effects
    }
}

impl Mind for Overheard {
    fn step(&mut self, event: Event, now: Stamp) -> Vec<Effect> {
        if matches!(event, Event::Begin) {
            // The driver tells a new gate before it begins.
            self.switch.0.borrow().reach("to-gate:Serve");
        }
        let mut provoked = None;
        {
            let mut state = self.switch.0.borrow_mut();
            if let Event::Gate { message: FromGate::Opened { session, .. }, .. } = &event {
                state.session = *session;
            }
            // Not before the children live: there is something to lose.
            let executor = matches!(event, Event::Executor { .. });
            if executor && state.accepted >= state.orders && !state.provoked {
                state.provoked = true;
                provoked = state.provocation();
            }
        }
        let mut effects = self.think(event, now);
        if let Some(event) = provoked {
            effects.extend(self.think(event, now));
        }
        effects
    }
    fn wake_at(&self) -> Option<u64> {
        self.core.wake_at()
    }
    fn gate_trust(&self, now: Stamp) -> Option<GateTrust> {
        self.core.gate_trust(now)
    }
}
