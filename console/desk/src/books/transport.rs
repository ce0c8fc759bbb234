//! The real carrier: one connection to the shared desk for the life of a command.
//!
//! The console's store calls are synchronous, also inside its runtime: so the line lives on a
//! thread with a runtime of its own, which begins with the first question and not before.

use std::fmt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use link::{Connection, Expect, Identity, Protocol, Role, Trust};
use protocol::frames::{DeskAnswer, DeskAsk, decode};
use protocol::limits;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::error::LineFault;
use super::line::Ask;

/// From a question, or one frame of its answer, to the next.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(limits::IDLE_SECONDS_MAX);
/// All frames of one answer, bytes: its content and the words of its frames.
const ANSWER_BYTES_MAX: usize = limits::DESK_ANSWER_BYTES_MAX + 1024 * 1024;

type Source = Box<dyn std::error::Error + Send + Sync>;
type Answered = Result<Vec<DeskAnswer>, LineFault>;

/// What dialling the desk takes.
#[derive(Debug, Clone)]
pub struct Door {
    /// The agent's certificate and key.
    pub identity: Identity,
    /// The people's CA, withdrawn serials, floor of time.
    pub trust: Trust,
    /// SHA-256 of the desk's public key, where the home pins it.
    pub key: Option<protocol::Digest>,
    /// What is spoken: a console's line.
    pub protocol: Protocol,
}

/// What the thread is asked for, and where the answer goes.
enum Job {
    Ask(Vec<DeskAsk>, SyncSender<Answered>),
    /// The connection itself, for streams that are heard as they come.
    Connection(SyncSender<Result<Connection, LineFault>>),
}

#[derive(Debug)]
struct Running {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

/// A desk that is dialled when it is first asked.
pub struct Dialled {
    desk: String,
    door: Box<dyn Fn() -> Result<Door, Source> + Send + Sync>,
    running: Mutex<Option<Running>>,
}

impl fmt::Debug for Dialled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialled").field("desk", &self.desk).finish_non_exhaustive()
    }
}

impl Dialled {
    /// The desk at `HOST:PORT`; `door` is asked for keys when it is dialled.
    #[must_use]
    pub fn new(
        desk: String,
        door: impl Fn() -> Result<Door, Source> + Send + Sync + 'static,
    ) -> Self {
        Self { desk, door: Box::new(door), running: Mutex::new(None) }
    }

    fn start(&self) -> Result<Running, LineFault> {
        let local = |source: Source| LineFault::Local { desk: self.desk.clone(), source };
        let door = (self.door)().map_err(local)?;
        // One question at a time: whoever asks holds the lock until it is answered.
        let (jobs, waiting) = channel(1);
        let desk = self.desk.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| local(error.into()))?;
        let thread = std::thread::Builder::new()
            .name("desk-line".to_owned())
            .spawn(move || runtime.block_on(serve(&desk, &door, waiting)))
            .map_err(|error| local(error.into()))?;
        Ok(Running { jobs, thread })
    }

    fn wait<T>(
        &self,
        job: impl FnOnce(SyncSender<Result<T, LineFault>>) -> Job,
    ) -> Result<T, LineFault> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match running.take() {
            Some(line) => line,
            None => self.start()?,
        };
        let line = running.insert(line);
        let (answer, answered) = sync_channel(1);
        let gone = || LineFault::Broken { desk: self.desk.clone(), source: "it ended".into() };
        line.jobs.try_send(job(answer)).map_err(|_| gone())?;
        answered.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Ask for Dialled {
    fn desk(&self) -> &str {
        &self.desk
    }

    fn ask(&self, asks: Vec<DeskAsk>) -> Answered {
        self.wait(|answer| Job::Ask(asks, answer))
    }

    fn connection(&self) -> Result<Connection, LineFault> {
        self.wait(Job::Connection)
    }
}

impl Drop for Dialled {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { jobs, thread }) = running {
            // The thread takes leave of the desk when nobody can ask any more.
            drop(jobs);
            let _ = thread.join();
        }
    }
}

/// One question after the other. A line that ended while nobody asked is dialled anew; one that
/// broke under a question is not asked again by itself: it may have been done.
async fn serve(desk: &str, door: &Door, mut jobs: Receiver<Job>) {
    let mut line: Option<Connection> = None;
    while let Some(job) = jobs.recv().await {
        let opened = match line.take().filter(|line| line.end().is_none()) {
            Some(held) => Ok(held),
            None => open(desk, door).await,
        };
        // Whoever asked waits for the answer; nobody to tell otherwise.
        match job {
            Job::Connection(answer) => {
                line = opened.as_ref().ok().cloned();
                let _ = answer.send(opened);
            }
            Job::Ask(asks, answer) => {
                let answered = match opened {
                    Err(fault) => Err(fault),
                    Ok(connection) => match question(&connection, asks).await {
                        Ok(answers) => {
                            line = Some(connection);
                            Ok(answers)
                        }
                        Err(source) => {
                            Err(LineFault::Broken { desk: desk.to_owned(), source: source.into() })
                        }
                    },
                };
                let _ = answer.send(answered);
            }
        }
    }
    if let Some(line) = line {
        line.leave().await;
    }
}

async fn open(desk: &str, door: &Door) -> Result<Connection, LineFault> {
    let away = |source: Source| LineFault::Away { desk: desk.to_owned(), source };
    let expect = Expect { role: Role::Desk, id: None, key: door.key };
    let line = link::Line::prepare(desk).await.map_err(|error| away(error.into()))?;
    let connection = line
        .dial_with(&door.identity, &door.trust, &expect, door.protocol)
        .await
        .map_err(|error| away(error.into()))?;
    let ours = limits::DESK_VERSION;
    let hello = question(&connection, vec![DeskAsk::Hello { min: ours, max: ours }]).await;
    // In TLS 1.3 a refused certificate shows here first; nothing was asked yet.
    match hello.map_err(|error| away(error.into()))?.pop() {
        Some(DeskAnswer::Hello { min, max, .. }) if (min..=max).contains(&ours) => Ok(connection),
        Some(DeskAnswer::Hello { min, max, .. }) => {
            Err(LineFault::Version { desk: desk.to_owned(), min, max, ours })
        }
        Some(DeskAnswer::Sorry { sentence, .. }) => Err(away(sentence.into())),
        _ => Err(LineFault::Unexpected { desk: desk.to_owned() }),
    }
}

async fn question(
    connection: &Connection,
    asks: Vec<DeskAsk>,
) -> Result<Vec<DeskAnswer>, link::LinkError> {
    let (mut sending, mut receiving) = connection.open().await?.split();
    for ask in &asks {
        sending.send(ask).await?;
    }
    sending.finish();
    let mut answers = Vec::new();
    let mut bytes = 0usize;
    loop {
        let next = tokio::time::timeout(ANSWER_TIME_MAX, receiving.recv_bytes()).await;
        let Some(frame) = next.unwrap_or(Err(link::LinkError::Late))? else { return Ok(answers) };
        bytes = bytes.saturating_add(frame.len());
        if bytes > ANSWER_BYTES_MAX {
            let too_large = protocol::frames::FrameError::TooLarge(bytes);
            return Err(link::LinkError::Frame(too_large));
        }
        answers.push(decode(&frame).map_err(link::LinkError::Frame)?);
    }
}
