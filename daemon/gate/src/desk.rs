//! The line to a desk: which one is dialled next, and after what pause. Exactly one line is held.
//!
//! Names are looked up before the lock and never after it: where they lead nowhere for long, the
//! gate ends and the next one looks again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use link::{Connection, DialError, Dialler, Identity, Trust};
use protocol::error_chain::ErrorChain;
use protocol::limits;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::serve::Outwards;

/// A line that lived so long was well.
const WELL: Duration = Duration::from_secs(60);

/// One desk as it was looked up.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    /// As configured.
    name: String,
    /// Where it is, or why that is not known.
    found: Result<Vec<SocketAddr>, String>,
    /// It is named, not numbered: it may move.
    is_name: bool,
}

/// Looks up every desk. A name that is not found is no fault: the network may come later.
fn find(desks: Vec<String>) -> Vec<Desk> {
    let began = Instant::now();
    let time = Duration::from_secs(limits::RESOLVE_SECONDS_MAX);
    let one = |name: String| {
        if began.elapsed() >= time {
            let found = Err("the names before it took too long to look up".to_owned());
            return Desk { name, found, is_name: true };
        }
        match link::look_up(&name) {
            Ok((addresses, is_name)) => Desk { name, found: Ok(addresses), is_name },
            Err(error) => Desk { name, found: Err(words(&error)), is_name: true },
        }
    };
    desks.into_iter().map(one).collect()
}

fn words(error: &DialError) -> String {
    ErrorChain(error).to_string()
}

/// A deterministic row of numbers from the keeper's chance (splitmix64): pauses need no secrecy.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(end).unwrap_or(0)
    }
}

/// Pauses between rounds of dials: full jitter over a doubling time.
#[derive(Debug)]
struct Pauses {
    dice: Dice,
    /// The longest that the next pause may be, seconds.
    next: u64,
}

impl Pauses {
    fn new(chance: u64, first: u64) -> Self {
        let next = first.clamp(limits::REDIAL_SECONDS_MIN, limits::REDIAL_SECONDS_MAX);
        Self { dice: Dice(chance), next }
    }
    /// After a round that reached no desk.
    fn failed(&mut self) -> Duration {
        let pause = self.dice.below(self.next.saturating_mul(1000));
        self.next = self.next.saturating_mul(2).min(limits::REDIAL_SECONDS_MAX);
        Duration::from_millis(pause)
    }
    /// After a line that had lived, long or not: a desk that asks and hangs up again and again is
    /// not dialled any oftener than one that is away.
    fn lived(&mut self, long: bool) -> Duration {
        if long {
            self.next = limits::REDIAL_SECONDS_MIN;
        }
        let most = self.next.max(limits::REDIAL_SPREAD_SECONDS);
        if !long {
            self.next = self.next.saturating_mul(2).min(limits::REDIAL_SECONDS_MAX);
        }
        Duration::from_millis(self.dice.below(most.saturating_mul(1000)))
    }
}

/// How a round of dials ended: the place of the desk that answered, or of the last one and why.
#[derive(Debug)]
struct Round {
    place: usize,
    outcome: Result<Connection, String>,
}

/// What the door should know.
#[derive(Debug)]
pub(crate) enum News {
    /// A desk answered; it must still ask.
    Reached(Connection),
    /// No desk was reached.
    Unreached { desk: String, fault: String, again: Duration },
}

/// Dials, and remembers what came of it.
#[derive(Debug)]
pub(crate) struct Outward {
    dialler: Dialler,
    desks: Arc<[Desk]>,
    pauses: Pauses,
    /// The one round under way, its pause before it.
    round: JoinSet<Round>,
    /// The desk that the line is held to, or was last.
    place: usize,
    /// Since when no desk has asked anything.
    alone: Instant,
    /// When a desk last answered.
    reached: Instant,
    /// For how long that is borne where a name may have moved.
    patience: Duration,
}

impl Outward {
    /// Looks the desks up, before the lock; none where none is configured.
    pub(crate) fn prepare(dialler: Dialler, told: Outwards) -> Option<Self> {
        let Outwards { desks, chance, redial, look_up } = told;
        let desks: Arc<[Desk]> = find(desks).into();
        // Where not even a name was found, the network may only be late.
        let found = desks.iter().any(|desk| desk.found.is_ok());
        let patience = if found { look_up } else { look_up.min(limits::RESOLVE_SOON_SECONDS) };
        (!desks.is_empty()).then(|| Self {
            dialler,
            desks,
            pauses: Pauses::new(chance, redial),
            round: JoinSet::new(),
            place: 0,
            alone: Instant::now(),
            reached: Instant::now(),
            patience: Duration::from_secs(patience),
        })
    }

    /// Dials from this desk on, after the pause.
    pub(crate) fn dial(&mut self, pause: Duration, from: usize, me: &Identity, trust: &Trust) {
        let (dialler, desks) = (self.dialler.clone(), Arc::clone(&self.desks));
        let (me, trust) = (me.clone(), trust.clone());
        self.round.spawn(async move {
            sleep(pause).await;
            round(&dialler, &desks, from, &me, &trust).await
        });
    }

    /// What became of the round under way; never, where there is none. Cancel-safe.
    pub(crate) async fn news(&mut self) -> News {
        loop {
            match self.round.join_next().await {
                None => std::future::pending().await,
                Some(Ok(Round { place, outcome: Ok(connection) })) => {
                    (self.place, self.reached) = (place, Instant::now());
                    return News::Reached(connection);
                }
                Some(Ok(Round { place, outcome: Err(fault) })) => {
                    self.place = place;
                    return self.unreached(fault);
                }
                // The round panicked: as if nobody had answered.
                Some(Err(error)) => return self.unreached(error.to_string()),
            }
        }
    }

    fn unreached(&mut self, fault: String) -> News {
        let mut again = self.pauses.failed();
        if self.named() {
            // Not past the moment when the names are due to be looked up again.
            let left = self.patience.saturating_sub(self.alone.elapsed());
            again = again.min(left.max(Duration::from_secs(limits::REDIAL_SECONDS_MIN)));
        }
        News::Unreached { desk: self.name().to_owned(), fault, again }
    }

    /// A line ended: where and after what pause to dial next. A desk that answers and never asks is
    /// as good as silent: the next one has its turn.
    pub(crate) fn ended(&mut self, lived: bool) -> (Duration, usize) {
        if lived {
            self.alone = Instant::now();
            return (self.pauses.lived(self.reached.elapsed() >= WELL), 0);
        }
        let next = self.place.saturating_add(1);
        if next < self.desks.len() { (Duration::ZERO, next) } else { (self.pauses.failed(), 0) }
    }

    /// The desk that the line is held to, or that was tried last.
    pub(crate) fn name(&self) -> &str {
        self.desks.get(self.place).map_or("", |desk| desk.name.as_str())
    }

    fn named(&self) -> bool {
        self.desks.iter().any(|desk| desk.is_name)
    }

    /// Whether a name must be looked up again: no desk for long, and one of them may have moved.
    pub(crate) fn is_lost(&self) -> bool {
        self.named() && self.alone.elapsed() >= self.patience
    }
}

/// The next news; never, where nobody dials. Cancel-safe.
pub(crate) async fn news(outward: &mut Option<Outward>) -> News {
    match outward {
        Some(outward) => outward.news().await,
        None => std::future::pending().await,
    }
}

/// Every address of every desk, in order, until one answers.
async fn round(
    dialler: &Dialler,
    desks: &[Desk],
    from: usize,
    me: &Identity,
    trust: &Trust,
) -> Round {
    let mut last = Round { place: from, outcome: Err("no desk is configured".to_owned()) };
    for (place, desk) in desks.iter().enumerate().skip(from) {
        let addresses = match &desk.found {
            Ok(addresses) => addresses,
            Err(why) => {
                last = Round { place, outcome: Err(why.clone()) };
                continue;
            }
        };
        for address in addresses {
            match dialler.dial(*address, me, trust).await {
                Ok(connection) => return Round { place, outcome: Ok(connection) },
                Err(error) => last = Round { place, outcome: Err(words(&error)) },
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_drawn_over_a_doubling_time_and_begin_anew_after_a_line_that_lived() {
        let mut longest = [0u64; 12];
        for chance in 0..500 {
            let mut pauses = Pauses::new(chance, limits::REDIAL_SECONDS_MIN);
            for (round, longest) in longest.iter_mut().enumerate() {
                let most = (1u64 << round).min(limits::REDIAL_SECONDS_MAX) * 1000;
                let pause = u64::try_from(pauses.failed().as_millis()).unwrap();
                assert!(pause < most, "{pause} in round {round}");
                *longest = pause.max(*longest);
            }
            let spread = Duration::from_secs(limits::REDIAL_SPREAD_SECONDS);
            assert!(pauses.lived(true) < spread);
            assert!(pauses.failed() < Duration::from_secs(limits::REDIAL_SECONDS_MIN));
        }
        // Asked and hung up on, again and again: the pauses grow all the same.
        let mut pauses = Pauses::new(7, limits::REDIAL_SECONDS_MIN);
        let longest_lived = (0..50).map(|_| pauses.lived(false)).max().unwrap();
        assert!(longest_lived > Duration::from_secs(200), "{longest_lived:?}");
        // Drawn from the whole time, not from a part of it.
        assert!(longest[0] > 900 && longest[11] > 270_000, "{longest:?}");
    }

    #[test]
    fn one_chance_gives_one_row_of_pauses_and_another_another() {
        let row = |chance| {
            let mut pauses = Pauses::new(chance, 300);
            (0..8).map(|_| pauses.failed()).collect::<Vec<_>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
    }

    #[test]
    fn numbers_are_not_looked_up_and_a_name_that_is_not_found_is_kept_with_its_reason() {
        let desks = find(vec!["[::1]:7434".into(), "no-such-desk.invalid:7434".into()]);
        assert_eq!(
            (desks[0].is_name, desks[0].found.clone()),
            (false, Ok(vec!["[::1]:7434".parse().unwrap()]))
        );
        assert!(desks[1].is_name);
        assert!(desks[1].found.as_ref().unwrap_err().contains("was not found"));
    }
}
