//! Challenges of one session: made by the keeper, dead after a minute, each number taken once.

use std::collections::VecDeque;

use protocol::{Digest, limits};

/// What a pair of challenge and number is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// Never seen; may be taken.
    Fresh,
    /// No such challenge in this session, or it died.
    Unknown,
    /// Taken before, or too far behind the newest number to tell.
    Used,
}

#[derive(Debug)]
struct Challenge {
    value: Digest,
    made_ms: u64,
    newest: u64,
    /// Bit n: number `newest - n` was taken.
    taken: u64,
}

/// The challenges of one session, oldest first. They die with it.
#[derive(Debug)]
pub struct Challenges {
    live: VecDeque<Challenge>,
    most: usize,
}

const _: () = assert!(limits::DISPATCH_WINDOW == 64);

impl Challenges {
    /// None yet, and never more than this many alive.
    #[must_use]
    pub const fn at_most(most: usize) -> Self {
        Self { live: VecDeque::new(), most }
    }
    /// Makes a challenge of fresh chance. Where there are too many the oldest goes, dead or not.
    pub fn make(&mut self, chance: [u8; 32], mono_ms: u64) -> Digest {
        if self.live.len() >= self.most {
            self.live.pop_front();
        }
        let value = Digest(chance);
        self.live.push_back(Challenge { value, made_ms: mono_ms, newest: 0, taken: 0 });
        value
    }
    /// What this pair is worth now.
    #[must_use]
    pub fn look(&self, challenge: &Digest, number: u64, mono_ms: u64) -> Pair {
        let found = self.live.iter().find(|c| c.value == *challenge && !is_dead(c, mono_ms));
        let Some(found) = found else { return Pair::Unknown };
        if number == 0 {
            return Pair::Used;
        }
        match found.newest.checked_sub(number) {
            None => Pair::Fresh,
            Some(back) if back >= limits::DISPATCH_WINDOW => Pair::Used,
            Some(back) if found.taken >> back & 1 == 1 => Pair::Used,
            Some(_) => Pair::Fresh,
        }
    }
    /// Takes a pair; it is worth nothing from now on.
    pub fn take(&mut self, challenge: &Digest, number: u64) {
        let Some(found) = self.live.iter_mut().find(|c| c.value == *challenge) else { return };
        match number.checked_sub(found.newest) {
            Some(ahead) => {
                let moved = u32::try_from(ahead).ok().and_then(|n| found.taken.checked_shl(n));
                found.taken = moved.unwrap_or(0) | 1;
                found.newest = number;
            }
            None => {
                let back = u32::try_from(found.newest - number).unwrap_or(u32::MAX);
                found.taken |= 1u64.checked_shl(back).unwrap_or(0);
            }
        }
    }
}

const fn is_dead(challenge: &Challenge, mono_ms: u64) -> bool {
    mono_ms.saturating_sub(challenge.made_ms) > limits::CHALLENGE_SECONDS * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_taken_once_in_any_order_within_the_window() {
        let mut challenges = Challenges::at_most(4);
        let c = challenges.make([9; 32], 0);
        assert_eq!(challenges.look(&c, 0, 0), Pair::Used);
        for number in [3, 1, 2, 70, 69, 7] {
            assert_eq!(challenges.look(&c, number, 1), Pair::Fresh, "{number}");
            challenges.take(&c, number);
            assert_eq!(challenges.look(&c, number, 1), Pair::Used, "{number}");
        }
        assert_eq!(challenges.look(&c, 6, 1), Pair::Used, "64 behind");
        assert_eq!(challenges.look(&c, 8, 1), Pair::Fresh);
        assert_eq!(challenges.look(&c, u64::MAX, 1), Pair::Fresh);
        challenges.take(&c, u64::MAX);
        assert_eq!(challenges.look(&c, 71, 1), Pair::Used);
        assert_eq!(challenges.look(&c, u64::MAX, 1), Pair::Used);
    }

    #[test]
    fn what_is_taken_of_one_challenge_is_not_taken_of_another() {
        let mut challenges = Challenges::at_most(2);
        let (first, second) = (challenges.make([1; 32], 0), challenges.make([2; 32], 0));
        challenges.take(&second, 1);
        challenges.take(&second, 1);
        assert_eq!(challenges.look(&first, 1, 0), Pair::Fresh);
        assert_eq!(challenges.look(&second, 1, 0), Pair::Used);
        let third = challenges.make([3; 32], 0);
        assert_eq!(challenges.look(&first, 1, 0), Pair::Unknown, "the oldest goes");
        assert_eq!(challenges.look(&second, 1, 0), Pair::Used);
        assert_eq!(challenges.look(&third, 1, 0), Pair::Fresh);
    }

    #[test]
    fn a_challenge_dies_after_a_minute_and_belongs_to_its_session() {
        let mut challenges = Challenges::at_most(4);
        let c = challenges.make([9; 32], 1_000);
        assert_eq!(challenges.look(&c, 1, 61_000), Pair::Fresh);
        assert_eq!(challenges.look(&c, 1, 61_001), Pair::Unknown);
        assert_eq!(Challenges::at_most(4).look(&c, 1, 1_000), Pair::Unknown);
        assert_eq!(challenges.look(&Digest([0; 32]), 1, 1_000), Pair::Unknown);
    }
}
