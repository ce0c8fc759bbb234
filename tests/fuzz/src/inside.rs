//! Seeds for what is written and said inside an endpoint and at enrolment.

use std::collections::BTreeMap;

use desk::home::{Known, Remembered};
use hatch::messages::{
    Defences, Exceptions, ExecutorReport, ExecutorStart, Finding, FromExecutor, FromGate, FromHost,
    FromInterpreter, FromPrompter, Grant, PeerRole, Prepare, ProbeStep, Question, ScriptFault,
    Session, ToExecutor, ToGate, ToHost, ToInterpreter, ToPrompter,
};
use keeper::ledger::{Accepted, Entry, Recorded};
use minicbor::Encode;
use protocol::documents::{Asked, Head, Heard, Invitation, Sighting, Token};
use protocol::frames::{Event, Phase, Stop, encode};
use protocol::{
    AgentName, Bytes, Digest, EndpointId, Mode, OrderId, Plan, PlanLine, PlanReach, Risk, RunId,
    Time, json, limits,
};
use surface::{Call, HostError, Value};
use trust::Signer as _;

use crate::samples::versions;

const RUN: RunId = RunId([7; 16]);
const NOW: Time = Time(1_795_000_000);

fn bytes(word: &str) -> Bytes {
    Bytes(word.as_bytes().to_vec())
}

fn text(word: &str) -> String {
    word.to_owned()
}

fn agent() -> AgentName {
    "a.kaya".parse().expect("a name")
}

/// Without the length in front.
fn cbor<M: Encode<()>>(messages: &[M]) -> Vec<Vec<u8>> {
    let one = |message| encode(message, limits::PEER_BYTES_MAX).expect("small").split_off(4);
    messages.iter().map(one).collect()
}

fn gate() -> Vec<Vec<u8>> {
    let ids = Some((990, 990));
    let mut all = cbor(&[
        ToGate::Serve {
            listen: text("[::]:4433"),
            key: bytes("key"),
            certificates: vec![bytes("leaf")],
            people_ca: vec![bytes("ca")],
            organisation: text("demo-ltd"),
            denied: vec![bytes("\u{1}")],
            floor: NOW,
            ids,
            desks: vec![text("desk.example:4433")],
            chance: 7,
            redial: 1,
            look_up: 60_000,
        },
        ToGate::Trust { people_ca: vec![bytes("ca")], denied: Vec::new(), floor: NOW },
        ToGate::Frame { session: 1, stream: 2, bytes: bytes("frame") },
        ToGate::Finish { session: 1, stream: 2 },
        ToGate::Close { session: 1, stop: Stop::Token },
        ToGate::Drain,
        ToGate::Enrol {
            desk: text("desk.example:4433"),
            desk_key: Digest([5; 32]),
            request: bytes("{}"),
            ids,
        },
        ToGate::Probe { peer: text("desk.example:4433"), peer_key: Some(Digest([5; 32])), ids },
        ToGate::Certificate { certificates: vec![bytes("leaf")] },
    ]);
    let step = ProbeStep { what: text("name"), ok: true, detail: text("192.0.2.1") };
    all.extend(cbor(&[
        FromGate::Ready { address: text("[::]:4433"), defences: defences() },
        FromGate::Opened {
            session: 1,
            role: PeerRole::Agent,
            peer: text("a.kaya"),
            address: text("192.0.2.1:1"),
        },
        FromGate::Frame { session: 1, stream: 2, bytes: bytes("frame") },
        FromGate::Ended { session: 1, stream: 2 },
        FromGate::Closed { session: 1 },
        FromGate::Answer { bytes: bytes("{}") },
        FromGate::Result { steps: vec![step] },
        FromGate::Desk { desk: text("desk-1"), fault: Some(text("refused")), again: 4_000 },
        FromGate::LookUp,
    ]));
    all
}

fn defences() -> Defences {
    BTreeMap::from([(text("landlock"), text("6")), (text("seccomp"), text("on"))])
}

const PREPARE: Prepare =
    Prepare { exceptions: Exceptions { uid: true, cgroup: false }, nobody: (65_534, 65_534) };

fn executor() -> Vec<Vec<u8>> {
    let grant = Grant { function: text("fs.remove"), nouns: vec![text("/a/**")] };
    let start = ExecutorStart {
        run: RUN,
        mode: Mode::Fix,
        risk: Risk::Medium,
        grants: vec![grant],
        classes: vec![text("files")],
        plan: Some(Bytes(plan())),
        secrets: BTreeMap::from([(text("password"), bytes("secret"))]),
        limit_ms: 60_000,
        exceptions: Exceptions::default(),
        now: NOW,
    };
    let report = ExecutorReport {
        plan: Some(Bytes(plan())),
        unknowable: Some(text("a hook")),
        skipped: vec![text("firefox is open")],
        limits_hit: vec![text("effects")],
        drift: Some(text("grown")),
        effects: Some(Digest([5; 32])),
        effects_dropped: 1,
    };
    let mut all = cbor(&[
        ToExecutor::Start(Box::new(start)),
        ToExecutor::Secret { handle: 1, clear: Some(bytes("secret")) },
        ToExecutor::Prepare(PREPARE),
    ]);
    all.extend(cbor(&[
        FromExecutor::Ready { defences: defences() },
        FromExecutor::Event(Event::Line { text: text("a line") }),
        FromExecutor::OneTime { handle: 1, length: 16, minutes: 60 },
        FromExecutor::Say { text: text("please sign in") },
        FromExecutor::Output { name: text("facts"), text: text("{}") },
        FromExecutor::Finished(Box::new(report)),
    ]));
    all
}

fn interpreter() -> Vec<Vec<u8>> {
    let finding = Finding { phase: Phase::Detect, needed: true, summary: text("full") };
    let fault = ScriptFault {
        phase: Phase::Remediate,
        code: text("failed"),
        message: text("no such file"),
        line: 7,
    };
    let nested = Value::List(vec![Value::Unit, Value::Bool(true), Value::Text(text("b"))]);
    let map = Value::Map(BTreeMap::from([(text("days"), Value::Int(-7)), (text("of"), nested)]));
    let error = HostError {
        function: text("fs.remove"),
        code: text("not_permitted"),
        message: text("not in the manifest"),
        fatal: false,
    };
    let call = Call { function: text("fs.remove"), args: vec![Value::Text(text("/a")), map] };
    let parameters = BTreeMap::from([(text("days"), Value::Int(7))]);
    let mut all = cbor(&[
        ToInterpreter::Prepare(PREPARE),
        ToInterpreter::Start { source: text("1"), mode: Mode::Plan, parameters, limit_ms: 1 },
    ]);
    all.extend(cbor(&[
        FromInterpreter::Ready { defences: defences() },
        FromInterpreter::Ended { findings: vec![finding.clone()], fault: Some(fault) },
    ]));
    all.extend(cbor(&[
        ToHost::Phase(Phase::Verify),
        ToHost::Call(call.clone()),
        ToHost::Found(finding),
        ToHost::Print(text("a line")),
        ToHost::Done,
    ]));
    let value = call.args.into_iter().nth(1).unwrap_or_default();
    all.extend(cbor(&[FromHost::Value(value), FromHost::Error(error)]));
    all
}

fn asked() -> Asked {
    let because = Some(text("no desktop"));
    Asked {
        answer: Heard::Yes,
        person: Some(text("jo")),
        screen: Some(text("terminal tty2")),
        because,
        at: NOW,
        by: None,
        ticket: None,
    }
}

fn prompter() -> Vec<Vec<u8>> {
    let question = Question {
        from: text("Demo Ltd"),
        agent: agent(),
        script: "cache.clear".parse().expect("a name"),
        ticket: "1482".parse().ok(),
        question: text("May I?"),
        lines: vec![text("package cache")],
        seconds: 30,
    };
    let (person, terminal) = (text("jo"), Some(text("tty2")));
    let session = Session { person, ids: (1000, 1000), terminal, desktop: true };
    let exceptions = Exceptions::default();
    let mut all =
        cbor(&[ToPrompter { session, question, command: text("salved answer"), exceptions }]);
    let (screen, because) = (Some(text("terminal tty2")), Some(text("no desktop")));
    all.extend(cbor(&[FromPrompter { answer: Heard::No, screen, because }]));
    all
}

fn plan() -> Vec<u8> {
    let line = PlanLine {
        function: text("fs.remove"),
        key: text("/var/cache/apt/**"),
        reach: PlanReach::Within,
        count: 214,
        bytes: 812,
        label: text("package cache"),
    };
    let plan = Plan {
        endpoint: EndpointId([9; 16]),
        script: "cache.clear".parse().expect("a name"),
        script_digest: Digest([5; 32]),
        parameters: Digest([6; 32]),
        made: NOW,
        found: text("/ is full"),
        lines: vec![line],
        skipped: vec![text("firefox is open")],
        unknowable: Some(text("a hook")),
        asked: Some(asked()),
    };
    json::write(&plan).expect("a plan")
}

/// Entries of a ledger alone, and a segment with all of them.
fn ledger() -> Vec<Vec<u8>> {
    let order = Digest([5; 32]);
    let accepted = Accepted {
        run: RUN,
        order,
        id: OrderId([3; 16]),
        envelope: bytes("{}"),
        reasons: vec![text("allowed by rule 7")],
        weaknesses: vec![text("solo")],
        classes: vec![text("files")],
        catalogue: versions(),
        at: NOW,
        own_key: true,
        asked: Some(asked()),
        identity_checked: None,
    };
    let recorded = Recorded {
        run: RUN,
        order,
        record: Digest([4; 32]),
        counter: 1,
        refused: false,
        envelope: bytes("{}"),
        agent: agent(),
    };
    let entries = [
        Entry::Accepted(Box::new(accepted)),
        Entry::Started { run: RUN, at: NOW },
        Entry::Record(Box::new(recorded)),
        Entry::Recalled { order: Digest([8; 32]), by: agent(), at: NOW },
        Entry::Filed { record: Digest([4; 32]) },
    ];
    let mut all = cbor(&entries);
    let segment = crate::wire::segment(&entries);
    let used = segment.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    all.push(segment.get(..used).unwrap_or_default().to_vec());
    all
}

fn tokens() -> Vec<Vec<u8>> {
    fn token<N>(name: N) -> Token<N> {
        Token {
            name,
            desk: text("desk.example:4433"),
            root: Digest([1; 32]),
            desk_key: Digest([2; 32]),
            secret: Bytes(vec![7; 16]),
        }
    }
    let one: Invitation = token(agent());
    let many = token("lt-*".parse::<protocol::NamePatterns>().expect("a pattern"));
    vec![one.to_string().into_bytes(), many.to_string().into_bytes()]
}

/// What a console remembers of a machine's records.
fn head() -> Vec<u8> {
    let head = Head { epoch: Digest([9; 32]), counter: 3, hash: Digest([8; 32]) };
    let sighting = Sighting { head, clock: NOW, seen: NOW, by: Some(agent()) };
    let newest = Known { sighting, papers: None };
    json::write(&Remembered { newest, doubt: None }).expect("a head")
}

/// An ssh-agent's list of one key (draft-ietf-sshm-ssh-agent, section 3.5).
fn listing() -> Vec<u8> {
    let text = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).expect("short");
        [&length.to_be_bytes(), bytes].concat()
    };
    let key = trust::SigningKey::from_seed([7; 32]).public_key();
    let blob = [text(b"ssh-ed25519"), text(&key.0)].concat();
    [vec![12], 1_u32.to_be_bytes().to_vec(), text(&blob), text(b"a.kaya")].concat()
}

/// One of each message between the processes, of each entry of the ledger, of each token, a plan, and
/// what a console keeps and hears beside its store.
#[must_use]
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let alone = vec![plan(), head(), listing()];
    [gate(), executor(), interpreter(), prompter(), ledger(), tokens(), alone].concat()
}
