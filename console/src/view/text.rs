//! Text pieces: sizes, ages. Never prints.

pub use desk::verify::safe;
use protocol::Time;

/// `now`, `40 s ago`, `12 min ago`, `5 h ago`, `41 d ago`.
#[must_use]
pub fn ago(then: Time, now: Time) -> String {
    match now.since(then) {
        0..10 => "now".to_owned(),
        s @ 10..120 => format!("{s} s ago"),
        s @ 120..7200 => format!("{} min ago", s / 60),
        s @ 7200..172_800 => format!("{} h ago", s / 3600),
        s => format!("{} d ago", s / 86_400),
    }
}

/// All of them with something in between, as in `a.kaya, m.ruiz`.
#[must_use]
pub fn joined<T: ToString>(all: &[T], between: &str) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// `1 file`, `214 files`: regular plurals only.
#[must_use]
pub fn count(n: u64, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_counts_read_like_people_say_them() {
        assert_eq!(ago(Time(100), Time(105)), "now");
        assert_eq!(ago(Time(0), Time(44 * 60)), "44 min ago");
        assert_eq!(ago(Time(0), Time(41 * 86_400)), "41 d ago");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "file"), "0 files");
    }
}
