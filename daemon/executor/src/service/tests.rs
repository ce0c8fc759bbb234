//! Units over a made bus: a thread that answers as the bus and systemd would.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use protocol::Mode;
use protocol::frames::Phase;
use serde::Serialize;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{LE, to_bytes};
use zbus::{ObjectPath, OwnedVariant, Signature, Type, Variant};

use super::*;
use crate::clock::Clock;
use crate::testing::{self, Made, put};

/// How the made systemd behaves.
#[derive(Clone, Copy, PartialEq)]
enum Temper {
    Good,
    JobFails,
    Stranger,
    JobHangs,
    Refuses,
    Leaves,
}

struct Systemd {
    stream: UnixStream,
    temper: Temper,
    serial: u32,
    restarted: bool,
    asked: std::sync::mpsc::SyncSender<String>,
}

const UNIT: &str = "/org/freedesktop/systemd1/unit/x";
const ME: &str = ":1.2";
const JOB: &str = "/org/freedesktop/systemd1/job/7";

impl Systemd {
    fn bytes(&mut self, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0u8; len];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        while !line.ends_with('\n') {
            line.push(char::from(self.bytes(1)?[0]));
        }
        Some(line)
    }
    fn send<B: Serialize + Type>(
        &mut self,
        kind: u8,
        mut fields: Vec<(u8, Variant<'_>)>,
        body: &B,
    ) {
        self.serial += 1;
        let signature = B::SIGNATURE.to_string();
        let inner = signature.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let signature = inner.map_or(signature.clone(), str::to_owned);
        let body = to_bytes(Context::new(LE, 0), body).unwrap().bytes().to_vec();
        if !signature.is_empty() {
            let signature = Signature::try_from(signature.as_str()).unwrap();
            fields.push((8, Variant::Signature(signature)));
        }
        let len = if signature_is_empty(&fields) { 0 } else { u32::try_from(body.len()).unwrap() };
        let head = (b'l', kind, 1u8, 1u8, len, self.serial, fields);
        let mut bytes = to_bytes(Context::new(LE, 0), &head).unwrap().bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        if len > 0 {
            bytes.extend_from_slice(&body);
        }
        let _ = self.stream.write_all(&bytes);
    }
    fn answer<B: Serialize + Type>(&mut self, to: u32, body: &B) {
        self.send(2, vec![(5, Variant::U32(to)), (7, Variant::Str(ME.into()))], body);
    }
    fn refuse(&mut self, to: u32, name: &str) {
        self.send(3, vec![(5, Variant::U32(to)), (4, Variant::Str(name.into()))], &"no".to_owned());
    }
    fn removed(&mut self, by: &str, result: &str) {
        let member = Variant::Str("JobRemoved".into());
        let path = ObjectPath::try_from("/org/freedesktop/systemd1").unwrap();
        let job = ObjectPath::try_from(JOB).unwrap();
        let by = Variant::Str(by.to_owned().into());
        let fields = vec![(1, Variant::ObjectPath(path)), (3, member), (7, by)];
        self.send(4, fields, &(7u32, job, "x.service".to_owned(), result.to_owned()));
    }
    fn serve(mut self) -> Option<()> {
        self.bytes(1)?;
        assert!(self.line()?.starts_with("AUTH EXTERNAL 3635353334"));
        self.stream.write_all(b"OK 1234\r\n").unwrap();
        assert_eq!(self.line()?, "BEGIN\r\n");
        let mut unit = String::new();
        loop {
            let head = self.bytes(16)?;
            let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
            let fields = (16 + number(12) as usize).next_multiple_of(8);
            let rest = self.bytes(fields - 16)?;
            let body = self.bytes(number(4) as usize)?;
            let data = Data::new([head.clone(), rest].concat(), Context::new(LE, 0));
            type Head = (u8, u8, u8, u8, u32, u32, Vec<(u8, OwnedVariant)>);
            let (head, _) = data.deserialize::<Head>().unwrap();
            // What systemd would refuse: several arguments are no structure.
            assert!(!data.bytes().windows(4).any(|four| four == b"(ss)"));
            let serial = head.5;
            let fields: BTreeMap<u8, OwnedVariant> = head.6.into_iter().collect();
            let Variant::Str(method) = &*fields[&3] else { panic!("no member") };
            let data = Data::new(body, Context::new(LE, 0));
            let _ = self.asked.try_send(method.as_str().to_owned());
            match method.as_str() {
                "Hello" => self.answer(serial, &":1.7".to_owned()),
                "AddMatch" | "Subscribe" => self.answer(serial, &()),
                "ResetFailedUnit" => self.refuse(serial, "org.freedesktop.systemd1.NoSuchUnit"),
                "LoadUnit" => {
                    unit = data.deserialize::<(String,)>().unwrap().0.0;
                    self.answer(serial, &ObjectPath::try_from(UNIT).unwrap());
                }
                "GetAll" => {
                    let of = data.deserialize::<(String,)>().unwrap().0.0;
                    let properties = self.properties(&unit, of.ends_with(".Unit"));
                    self.answer(serial, &properties);
                }
                "ListUnitsFiltered" => {
                    let path = ObjectPath::try_from(UNIT).unwrap();
                    let list = ["b.service", "a.service"].map(|name| {
                        let s = || "x".to_owned();
                        (name, s(), s(), s(), s(), s(), path.clone(), 0u32, s(), path.clone())
                    });
                    self.answer(serial, &list.to_vec());
                }
                "RestartUnit" if self.temper == Temper::Refuses => {
                    self.refuse(serial, "org.freedesktop.DBus.Error.AccessDenied");
                }
                "RestartUnit" if self.temper == Temper::Leaves => return None,
                "RestartUnit" => {
                    self.restarted = true;
                    // The end of the job may well be told before its beginning.
                    if self.temper == Temper::Good {
                        self.removed(ME, "done");
                    }
                    self.answer(serial, &ObjectPath::try_from(JOB).unwrap());
                    if self.temper == Temper::Stranger {
                        self.removed(":1.66", "done");
                    }
                    if matches!(self.temper, Temper::JobFails | Temper::Stranger) {
                        self.removed(ME, "failed");
                    }
                }
                other => panic!("{other}"),
            }
        }
    }
    fn properties(&self, unit: &str, general: bool) -> BTreeMap<String, Variant<'static>> {
        let text = |text: &str| Variant::Str(text.to_owned().into());
        let well = self.restarted && self.temper == Temper::Good;
        let load = match unit {
            "masked.service" => "masked",
            "missing.service" => "not-found",
            _ => "loaded",
        };
        let pairs = if general {
            vec![
                ("LoadState", text(load)),
                ("ActiveState", text(if well { "active" } else { "failed" })),
                ("SubState", text(if well { "running" } else { "failed" })),
                ("StateChangeTimestamp", Variant::U64(1_795_000_000_000_000)),
            ]
        } else {
            let result = text(if well { "success" } else { "exit-code" });
            vec![("Result", result), ("NRestarts", Variant::U32(3))]
        };
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

fn signature_is_empty(fields: &[(u8, Variant<'_>)]) -> bool {
    !fields.iter().any(|(code, _)| *code == 8)
}

const GRANTS: &[(&str, &[&str])] = &[
    ("service.restart", &["x.service", "masked.service", "missing.service"]),
    ("service.log", &["x.service"]),
];

fn open(mode: Mode, temper: Temper) -> (Made, std::sync::mpsc::Receiver<String>) {
    let (ours, stream) = UnixStream::pair().unwrap();
    let (asked, heard) = std::sync::mpsc::sync_channel(256);
    let systemd = Systemd { stream, temper, serial: 0, restarted: false, asked };
    std::thread::spawn(move || systemd.serve());
    let until = Clock::start(testing::NOW, testing::PATIENCE).end();
    let bus = bus::Bus::over(ours, 65_534, until).unwrap();
    let tree = testing::machine();
    put(&tree.root, "/var/log/journal/x/other", "");
    let start = testing::start(mode, GRANTS, &["services"]);
    let mut made = testing::open_with(&tree, start, Some(bus));
    made.remediate();
    (made, heard)
}

fn x() -> Value {
    Value::text("x.service")
}

#[test]
fn states_are_told_as_systemd_has_them() {
    let (mut made, _) = open(Mode::Check, Temper::Good);
    let status = made.call("service.status", &[x()]).unwrap();
    let wanted = Value::map([
        ("unit", x()),
        ("state", Value::text("failed")),
        ("sub", Value::text("failed")),
        ("result", Value::text("exit-code")),
        ("since", Value::text("2026-11-18T11:06:40Z")),
        ("restarts", Value::Int(3)),
    ]);
    assert_eq!(status, wanted);
    let state = |made: &mut Made, name: &str| {
        let status = made.call("service.status", &[Value::text(name)]).unwrap();
        status.get("state").unwrap().as_text().unwrap().to_owned()
    };
    assert_eq!(state(&mut made, "masked.service"), "masked");
    assert_eq!(state(&mut made, "missing.service"), "missing");
    let failed = made.call("service.failed", &[]).unwrap();
    let names = ["a.service", "b.service"].map(Value::text).to_vec();
    assert_eq!(failed, Value::List(names));
    for bad in ["", "x", "-x.service", "a b.service", "../x.service", "x.service;y", "x.exe"] {
        assert_eq!(made.code("service.status", &[Value::text(bad)]), "bad_argument", "{bad}");
    }
}

#[test]
fn a_restart_waits_for_its_job_and_is_written_down() {
    let (mut made, asked) = open(Mode::Fix, Temper::Good);
    let options = Value::map([("clear_failed", Value::Bool(true)), ("wait", Value::Int(5))]);
    let answer = made.call("service.restart", &[x(), options]).unwrap();
    let wanted = [("state", Value::text("active")), ("result", Value::text("success"))];
    assert_eq!(answer, Value::map(wanted));
    assert!(made.effects().contains("\"done\""));
    let stays = [x(), Value::text("active"), Value::Int(1)];
    made.run.phase(Phase::Verify).unwrap();
    let stays = made.call("service.stays", &stays).unwrap();
    assert_eq!(stays.get("held"), Some(&Value::Bool(true)));
    let methods: Vec<String> = asked.try_iter().collect();
    let place = |method: &str| methods.iter().position(|one| one == method).unwrap();
    assert!(place("AddMatch") < place("Subscribe") && place("Subscribe") < place("RestartUnit"));
    assert!(place("ResetFailedUnit") < place("RestartUnit"));
}

#[test]
fn what_did_not_work_is_told_apart_from_what_nobody_knows() {
    for (temper, state, word) in [
        (Temper::JobFails, "failed", "the job ended failed, the unit is failed"),
        // Somebody else on the bus says that the job is done.
        (Temper::Stranger, "failed", "the job ended failed, the unit is failed"),
        (Temper::JobHangs, "unknown", "the job has not ended in time, the unit is failed"),
        (Temper::Refuses, "failed", "AccessDenied: no"),
        (Temper::Leaves, "unknown", "closed the line, the unit is unknown"),
    ] {
        let (mut made, _) = open(Mode::Fix, temper);
        let options = Value::map([("wait", Value::Int(1))]);
        let error = made.call("service.restart", &[x(), options]).unwrap_err();
        assert_eq!((error.code.as_str(), error.fatal), ("failed", false));
        assert!(error.message.contains(word), "{}", error.message);
        assert!(made.effects().contains(&format!("\"state\":\"{state}\"")), "{word}");
        if temper == Temper::Leaves {
            assert_eq!(made.code("service.status", &[x()]), "no_bus");
        }
    }
}

#[test]
fn masked_and_missing_units_are_left_alone() {
    let (mut made, asked) = open(Mode::Fix, Temper::Good);
    for (name, code) in [("masked.service", "masked"), ("missing.service", "missing")] {
        assert_eq!(made.code("service.restart", &[Value::text(name)]), code);
    }
    assert_eq!(made.code("service.restart", &[Value::text("ssh.service")]), "not_permitted");
    assert!(!asked.try_iter().any(|method| method == "RestartUnit"));
    assert_eq!(made.effects(), "");
}

#[test]
fn a_plan_ends_where_only_the_restart_could_tell() {
    let (mut made, asked) = open(Mode::Plan, Temper::Good);
    made.call("service.restart", &[x()]).unwrap();
    let status = made.call("service.status", &[x()]).unwrap();
    assert_eq!(status.get("state"), Some(&Value::text("active")));
    assert_eq!(status.get("since"), Some(&Value::text(testing::NOW.to_string())));
    let stays = [x(), Value::text("active"), Value::Int(5)];
    let error = made.call("service.stays", &stays).unwrap_err();
    assert_eq!((error.code.as_str(), error.fatal), ("unknowable", true));
    let log = made.call("service.log", &[x(), Value::Int(5)]).unwrap_err();
    assert_eq!(log.code, "unknowable");
    assert!(!asked.try_iter().any(|method| method == "RestartUnit"));
    assert_eq!(made.lines(), [book::exact("service.restart", "x.service", "x.service")]);
    let sentence = "whether x.service keeps running after its restart";
    assert_eq!(made.run.report.unknowable.as_deref(), Some(sentence));
}

#[test]
fn a_unit_that_does_not_stay_says_when() {
    let (mut made, _) = open(Mode::Check, Temper::Good);
    let stays = [x(), Value::text("active"), Value::Int(120)];
    let stays = made.call("service.stays", &stays).unwrap();
    assert_eq!(stays.get("held"), Some(&Value::Bool(false)));
    assert_eq!(stays.get("state"), Some(&Value::text("failed")));
    let range = [x(), Value::text("active"), Value::Int(121)];
    assert_eq!(made.code("service.stays", &range), "bad_argument");
}

#[test]
fn a_bus_that_says_nothing_is_no_bus() {
    let tree = testing::machine();
    let start = || testing::start(Mode::Check, &[], &[]);
    let clock = Clock::start(testing::NOW, testing::PATIENCE);
    let bus = |greeting: &[u8]| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(greeting).unwrap();
        (bus::Bus::over(ours, 0, clock.end()).unwrap(), theirs)
    };
    // Silent: the run's time is over before the bus's.
    let (silent, _keep) = bus(b"");
    let mut short = start();
    short.limit_ms = 50;
    let mut made = testing::open_with(&tree, short, Some(silent));
    assert_eq!(made.code("service.failed", &[]), "limit_time");
    let (refusing, _keep) = bus(b"REJECTED EXTERNAL\r\n");
    let mut made = testing::open_with(&tree, start(), Some(refusing));
    assert_eq!(made.code("service.failed", &[]), "no_bus");
    let (babbling, _keep) = bus(b"OK 1\r\nB\x02\x00\x01\x00\x00\x00\x00aaaaaaaaaaaaaaaaaaaa");
    let mut made = testing::open_with(&tree, start(), Some(babbling));
    assert_eq!(made.code("service.failed", &[]), "no_bus");
    let (closing, theirs) = bus(b"OK 1\r\n");
    drop(theirs);
    let mut made = testing::open_with(&tree, start(), Some(closing));
    assert_eq!(made.code("service.failed", &[]), "no_bus");
    assert_eq!(made.code("service.failed", &[]), "no_bus");
    let nobody = tree.root.at("/run/none");
    assert!(bus::Bus::connect(&nobody, 0, clock.end()).is_err());
}
