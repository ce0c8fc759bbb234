//! A small D-Bus client: one connection, made before the lock, no threads, a deadline on each wait.
//!
//! Speaks method calls and hears their answers and the signals of whom it called; zbus encodes and
//! decodes. Never opens a second connection, never passes descriptors.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde::Serialize;
use serde::de::DeserializeOwned;
pub use zbus::Variant;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{LE, to_bytes};
use zbus::{ObjectPath, OwnedVariant, Type};

mod deadline;

pub use deadline::Deadline;

/// Where the system's bus listens.
pub const SYSTEM: &str = "/run/dbus/system_bus_socket";
/// Longest message that is taken: the list of all units of a large machine.
const MESSAGE_MAX: usize = 8 * 1024 * 1024;
/// The number of the first call.
const HELLO: u32 = 1;
/// Bytes before a message's header fields end: fixed part and the fields' length.
const HEAD: usize = 16;
/// The header field that names the sender.
const SENDER: u8 = 7;
/// The bus itself.
const DAEMON: &str = "org.freedesktop.DBus";

/// Why the bus did not answer.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The line is gone.
    #[error("the bus closed the line")]
    Closed,
    /// The line has a fault.
    #[error("the line to the bus has a fault")]
    Line(#[source] io::Error),
    /// It did not answer in time.
    #[error("the bus did not answer in time")]
    Late,
    /// It does not let us in.
    #[error("the bus did not let us in")]
    Auth,
    /// It sent what is no message, or not what was asked for.
    #[error("the bus sent something else than an answer")]
    Form,
    /// The called side refused.
    #[error("{name}: {text}")]
    Refused {
        /// The error's name, as in `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// Its words.
        text: String,
    },
}

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Bus name.
    pub to: &'a str,
    /// Object.
    pub path: &'a str,
    /// Interface.
    pub interface: &'a str,
}

/// A connection; it is let in and has a name once it was asked something.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    serial: u32,
    greeted: bool,
    buffer: Vec<u8>,
    jobs: BTreeMap<String, String>,
    /// The bus's own name of whom we called last: the bus writes it, and nobody can borrow it.
    manager: Option<String>,
}

type Head = (u8, u8, u8, u8, u32, u32, Vec<(u8, OwnedVariant)>);

/// A message that came.
struct Message {
    kind: u8,
    fields: BTreeMap<u8, OwnedVariant>,
    body: Vec<u8>,
}

impl Message {
    fn text(&self, field: u8) -> Option<&str> {
        match &**self.fields.get(&field)? {
            Variant::Str(text) => Some(text.as_str()),
            Variant::ObjectPath(path) => Some(path.as_str()),
            _ => None,
        }
    }
    fn answers(&self, serial: u32) -> bool {
        matches!(self.fields.get(&5).map(|field| &**field), Some(Variant::U32(n)) if *n == serial)
    }
    fn body<T: DeserializeOwned + Type>(&self) -> Result<T, BusError> {
        let signature = match self.fields.get(&8).map(|field| &**field) {
            Some(Variant::Signature(signature)) => signature.to_string(),
            _ => String::new(),
        };
        let bare = |text: &str| -> String {
            let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
            inner.unwrap_or(text).to_owned()
        };
        if bare(&signature) != bare(&T::SIGNATURE.to_string()) {
            return Err(BusError::Form);
        }
        if self.body.is_empty() {
            // Nothing was sent and nothing is wanted.
            let empty = Data::new(vec![0u8; 8], Context::new(LE, 0));
            return empty.deserialize().map(|(body, _)| body).map_err(|_| BusError::Form);
        }
        let data = Data::new(self.body.clone(), Context::new(LE, 0));
        data.deserialize().map(|(body, _)| body).map_err(|_| BusError::Form)
    }
}

impl Bus {
    /// Connects without waiting and says who we are; the kernel tells the bus as well. What the bus
    /// answers is read with the first question, so that a slow bus delays nobody who asks nothing.
    pub fn connect(path: &Path, uid: u32, until: Deadline) -> Result<Self, BusError> {
        let line = |error: rustix::io::Errno| BusError::Line(error.into());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let socket = socket.map_err(line)?;
        let address = SocketAddrUnix::new(path).map_err(line)?;
        rustix::net::connect(&socket, &address).map_err(line)?;
        Self::over(UnixStream::from(socket), uid, until)
    }

    /// The same over a connected stream.
    pub fn over(stream: UnixStream, uid: u32, until: Deadline) -> Result<Self, BusError> {
        stream.set_nonblocking(true).map_err(BusError::Line)?;
        let jobs = BTreeMap::new();
        let (buffer, manager) = (Vec::new(), None);
        let mut bus = Self { stream, serial: 1, greeted: false, buffer, jobs, manager };
        let name: String = uid.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut bytes = format!("\0AUTH EXTERNAL {name}\r\nBEGIN\r\n").into_bytes();
        let daemon =
            Target { to: DAEMON, path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };
        bytes.extend(encode(daemon, "Hello", &(), HELLO)?);
        bus.write(&bytes, until)?;
        Ok(bus)
    }

    /// Whether it let us in.
    pub fn greeted(&self) -> bool {
        self.greeted
    }

    /// Reads the answers to what was said at the start.
    fn greet(&mut self, until: Deadline) -> Result<(), BusError> {
        if !self.line(until)?.starts_with("OK ") {
            return Err(BusError::Auth);
        }
        loop {
            let message = self.next(until)?;
            if message.answers(HELLO) {
                self.greeted = message.kind == 2;
                return if self.greeted { Ok(()) } else { Err(BusError::Auth) };
            }
        }
    }

    /// Calls a method and waits for its answer.
    pub fn call<B: Serialize + Type, T: DeserializeOwned + Type>(
        &mut self,
        target: Target<'_>,
        method: &str,
        body: &B,
        until: Deadline,
    ) -> Result<T, BusError> {
        if !self.greeted {
            self.greet(until)?;
        }
        self.serial = self.serial.wrapping_add(1).max(HELLO + 1);
        let serial = self.serial;
        let bytes = encode(target, method, body, serial)?;
        self.write(&bytes, until)?;
        loop {
            let message = self.next(until)?;
            if message.answers(serial) {
                // A refusal may be the bus's own.
                if message.kind == 2 && target.to != DAEMON {
                    self.manager = message.text(SENDER).map(str::to_owned);
                }
                return match message.kind {
                    2 => message.body(),
                    3 => Err(BusError::Refused {
                        name: message.text(4).unwrap_or_default().to_owned(),
                        text: message.body::<String>().unwrap_or_default(),
                    }),
                    _ => Err(BusError::Form),
                };
            }
            self.signal(&message);
        }
    }

    /// Waits until a job is over and gives its result.
    pub fn job(&mut self, path: &str, until: Deadline) -> Result<String, BusError> {
        loop {
            if let Some(result) = self.jobs.remove(path) {
                return Ok(result);
            }
            let message = self.next(until)?;
            self.signal(&message);
        }
    }

    /// A signal of whom we called last, by its name, with the body that it has. Whoever is on the bus
    /// may send one of that name: what counts is who sent it.
    ///
    /// # Errors
    /// [`BusError::Late`] where none came in time.
    pub fn heard<T: DeserializeOwned + Type>(
        &mut self,
        member: &str,
        until: Deadline,
    ) -> Result<T, BusError> {
        loop {
            let message = self.next(until)?;
            let theirs = message.text(SENDER).map(str::to_owned) == self.manager;
            if message.kind == 4 && theirs && message.text(3) == Some(member) {
                return message.body();
            }
            self.signal(&message);
        }
    }

    /// Waits, and keeps what comes meanwhile.
    pub fn pause(&mut self, until: Deadline) -> Result<(), BusError> {
        loop {
            match self.next(until) {
                Ok(message) => self.signal(&message),
                Err(BusError::Late) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// `JobRemoved` of systemd's manager; any other signal is nothing to us. Whoever is on the bus
    /// may send us one of that name: what counts is who sent it.
    fn signal(&mut self, message: &Message) {
        let theirs = message.text(SENDER).map(str::to_owned) == self.manager;
        if message.kind != 4 || message.text(3) != Some("JobRemoved") || !theirs {
            return;
        }
        type Removed = (u32, zbus::OwnedObjectPath, String, String);
        if let Ok((_, path, _, result)) = message.body::<Removed>() {
            // A run starts few jobs; whatever others start meanwhile is bounded.
            if self.jobs.len() < 1024 {
                self.jobs.insert(path.as_str().to_owned(), result);
            }
        }
    }

    fn next(&mut self, until: Deadline) -> Result<Message, BusError> {
        loop {
            if let Some(message) = self.cut()? {
                return Ok(message);
            }
            self.read(until)?;
        }
    }

    /// Cuts one message off the buffer.
    fn cut(&mut self) -> Result<Option<Message>, BusError> {
        let Some(head) = self.buffer.get(..HEAD) else { return Ok(None) };
        let number = |at: usize| {
            let four = head.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
            four.map_or(usize::MAX, |four| u32::from_le_bytes(four) as usize)
        };
        // A daemon answers in the order of bytes that it was asked in.
        if head.first() != Some(&b'l') || number(4) > MESSAGE_MAX || number(12) > MESSAGE_MAX {
            return Err(BusError::Form);
        }
        let fields = (HEAD + number(12)).next_multiple_of(8);
        let whole = fields + number(4);
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let mut bytes: Vec<u8> = self.buffer.drain(..whole).collect();
        let body = bytes.split_off(fields);
        let data = Data::new(bytes, Context::new(LE, 0));
        let (head, _) = data.deserialize::<Head>().map_err(|_| BusError::Form)?;
        Ok(Some(Message { kind: head.1, fields: head.6.into_iter().collect(), body }))
    }

    fn line(&mut self, until: Deadline) -> Result<String, BusError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if self.buffer.len() > 4096 {
                return Err(BusError::Form);
            }
            self.read(until)?;
        }
    }

    fn read(&mut self, until: Deadline) -> Result<(), BusError> {
        let mut part = [0u8; 16 * 1024];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return Err(BusError::Closed),
                Ok(len) => {
                    self.buffer.extend_from_slice(part.get(..len).unwrap_or_default());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::IN, until)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BusError::Line(error)),
            }
        }
    }

    fn write(&mut self, bytes: &[u8], until: Deadline) -> Result<(), BusError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(len) => rest = rest.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT, until)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BusError::Line(error)),
            }
        }
        Ok(())
    }

    fn wait(&self, what: PollFlags, until: Deadline) -> Result<(), BusError> {
        let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), what)];
        match poll(&mut fds, Some(&until.timespec(Duration::from_secs(3600)))) {
            Ok(0) => Err(BusError::Late),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(BusError::Line(error.into())),
        }
    }
}

/// A method call's bytes.
fn encode<B: Serialize + Type>(
    target: Target<'_>,
    method: &str,
    body: &B,
    serial: u32,
) -> Result<Vec<u8>, BusError> {
    let form = |_| BusError::Form;
    let signature = B::SIGNATURE.to_string();
    let signature = match signature.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        Some(inner) => inner.to_owned(),
        None => signature,
    };
    let body = if signature.is_empty() {
        Vec::new()
    } else {
        to_bytes(Context::new(LE, 0), body).map_err(form)?.bytes().to_vec()
    };
    let path = ObjectPath::try_from(target.path).map_err(|_| BusError::Form)?;
    let fields: Vec<(u8, Variant<'_>)> = vec![
        (1, Variant::ObjectPath(path)),
        (2, Variant::Str(target.interface.into())),
        (3, Variant::Str(method.into())),
        (6, Variant::Str(target.to.into())),
    ];
    let len = u32::try_from(body.len()).map_err(|_| BusError::Form)?;
    let head = (b'l', 1u8, 0u8, 1u8, len, serial, fields);
    let mut bytes = to_bytes(Context::new(LE, 0), &head).map_err(form)?.bytes().to_vec();
    if !signature.is_empty() {
        // By hand: as a value, the signature of several arguments is a structure's, in brackets,
        // and systemd takes that for one argument.
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let short = u8::try_from(signature.len()).map_err(|_| BusError::Form)?;
        bytes.extend_from_slice(&[8, 1, b'g', 0, short]);
        bytes.extend_from_slice(signature.as_bytes());
        bytes.push(0);
        let fields = u32::try_from(bytes.len() - HEAD).map_err(|_| BusError::Form)?;
        let slot = bytes.iter_mut().skip(HEAD - 4);
        slot.zip(fields.to_le_bytes()).for_each(|(slot, byte)| *slot = byte);
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

impl AsFd for Bus {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
