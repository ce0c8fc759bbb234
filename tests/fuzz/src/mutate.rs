//! A small seeded mutator: bit flips, cuts, repeats, splices, interesting numbers and words.

/// SplitMix64: the same seed gives the same run.
#[derive(Debug, Clone)]
pub struct Mutator(u64);

const WORDS: &[&[u8]] = &[
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x80\0\0\0",
    b"{}",
    b"[[[[[[[[",
    b"\"\"",
    b"null",
    b"-1",
    b"1e9",
    b"9007199254740992",
    b"\\u0000",
    b"\xef\xbb\xbf",
    b"../",
    b"\x9f\xff",
    b"\xbf",
    b"#{",
    b"}}}}",
    b"`${",
    b"fn ",
    b"const ",
    b"\r\n",
    b"=",
    b"\x1b[2J",
];

impl Mutator {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `end`, zero where `end` is zero.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { usize::try_from(self.next() % end as u64).unwrap_or(0) }
    }
    /// Another version of `seed`, with a piece of `other` now and then.
    pub fn mutate(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(8) {
                0 | 1 => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << (at % 8);
                    }
                }
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + 1 + self.below(32)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                4 => {
                    let word = WORDS.get(self.below(WORDS.len())).copied().unwrap_or_default();
                    bytes.splice(at..at, word.iter().copied());
                }
                5 => {
                    let from = self.below(other.len());
                    let to = (from + self.below(64)).min(other.len());
                    bytes.splice(at..at, other.get(from..to).unwrap_or_default().iter().copied());
                }
                6 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                    bytes.splice(at..at, piece.repeat(1 + self.below(8)));
                }
                _ => {
                    let value = u8::try_from(self.below(256)).unwrap_or(0);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = value;
                    }
                }
            }
        }
        bytes.truncate(300 * 1024);
        bytes
    }
}
