//! A taken gate's mouth: writes into the pipe that leads from a gate to its keeper, a real one that
//! knows of nothing.

use std::io::Write as _;

use hatch::messages::{FromGate, PeerRole};
use minicbor::Encode;
use protocol::Bytes;
use protocol::frames::{Ask, encode};
use protocol::limits::{FRAME_BYTES_MAX, HATCH_BYTES_MAX};

/// Sessions that it makes up, far above those that an honest gate has counted by then.
const FIRST: u32 = 1 << 20;

/// Messages, by what they are to show.
///
/// # Panics
/// Where there is no such kind.
fn messages(what: &str, count: u64) -> Box<dyn Iterator<Item = Vec<u8>>> {
    let numbers = (FIRST..).zip(0..count).map(|(session, _)| session);
    match what {
        // A length that no message has.
        "length" => Box::new(std::iter::once(vec![0xff; 8])),
        // A whole frame, whose bytes are no message.
        "noise" => Box::new(std::iter::once(vec![0, 0, 0, 5, 0x82, 0x18, 0x63, 0x80, 0xf6])),
        // A message, and one byte too many in its frame.
        "trailing" => {
            let mut bytes = message(&FromGate::Closed { session: FIRST });
            bytes[3] += 1;
            bytes.push(0);
            Box::new(std::iter::once(bytes))
        }
        // The beginning of a message whose rest never comes.
        "beginning" => Box::new(std::iter::once(vec![0, 0, 1, 0, 0x82, 2])),
        "flood" => Box::new(numbers.map(|session| message(&careless(session)))),
        "hellos" => Box::new(numbers.map(hello)),
        _ => panic!("no such kind of words: {what}"),
    }
}

fn message<M: Encode<()>>(message: &M) -> Vec<u8> {
    encode(message, HATCH_BYTES_MAX).expect("encoded")
}

fn opened(session: u32) -> FromGate {
    let (peer, address) = ("a.kaya".to_owned(), "192.0.2.7:7433".to_owned());
    FromGate::Opened { session, role: PeerRole::Agent, peer, address }
}

/// One of the messages that a gate may send at any time, as often as it likes.
fn careless(number: u32) -> FromGate {
    // Each session is opened, says what is no question and is closed, and others were never there.
    let session = number / 4;
    match number % 4 {
        0 => opened(session),
        1 => FromGate::Frame { session, stream: 0, bytes: Bytes(vec![0xff; 64]) },
        2 => FromGate::Closed { session },
        // The largest there are, now and then.
        _ if number % 1024 == 3 => {
            FromGate::Frame { session, stream: 9, bytes: Bytes(vec![7; FRAME_BYTES_MAX]) }
        }
        _ => FromGate::Ended { session: 1, stream: number },
    }
}

/// A session that says its hello and is gone, and whose answer nobody takes.
fn hello(session: u32) -> Vec<u8> {
    let ask = minicbor::to_vec(Ask::Hello { min: 1, max: 1 }).expect("encoded");
    let words = [
        opened(session),
        FromGate::Frame { session, stream: 0, bytes: Bytes(ask) },
        FromGate::Closed { session },
    ];
    words.iter().flat_map(message).collect()
}

/// Whether the gate is there, or dead and not yet buried.
fn lives(gate: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{gate}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
}

/// Says them as this gate, as long as it lives; prints how many the keeper took. The dead say nothing,
/// and so does this.
pub(crate) fn say(gate: u32, what: &str, count: u64) {
    let pipe = format!("/proc/{gate}/fd/{}", hatch::fds::TO_KEEPER);
    let mut pipe = std::fs::File::options().write(true).open(pipe).expect("the gate's pipe");
    let mut said = 0_u64;
    for bytes in messages(what, count) {
        if said.is_multiple_of(64) && !lives(gate) || pipe.write_all(&bytes).is_err() {
            break;
        }
        said += 1;
    }
    println!("{said}");
}
