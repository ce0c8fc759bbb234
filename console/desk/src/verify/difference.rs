//! Where two copies of a paper part: for people who want to see the altered byte. Never a proof.

/// The first byte that differs, in words: its place, its line, and a few bytes of both.
#[must_use]
pub fn first_difference(filed: &[u8], given: &[u8]) -> Option<String> {
    let same = filed.iter().zip(given).take_while(|(a, b)| a == b).count();
    if same == filed.len() && same == given.len() {
        return None;
    }
    let line = filed.iter().take(same).filter(|b| **b == b'\n').count().saturating_add(1);
    let around = |bytes: &[u8]| {
        let from = same.saturating_sub(12);
        let window: Vec<u8> = bytes.iter().skip(from).take(24).copied().collect();
        String::from_utf8_lossy(&window).into_owned()
    };
    let place = format!("byte {} (line {line})", same.saturating_add(1));
    Some(if same == given.len() {
        format!("{place}: the given copy ends here")
    } else if same == filed.len() {
        format!("{place}: the filed copy ends here")
    } else {
        format!("{place}: filed `{}`, given `{}`", around(filed), around(given))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_altered_byte_is_named() {
        assert_eq!(first_difference(b"same", b"same"), None);
        let said = first_difference(b"a\n\"count\":214", b"a\n\"count\":215").unwrap();
        assert_eq!(said, "byte 13 (line 2): filed `a\n\"count\":214`, given `a\n\"count\":215`");
        assert!(first_difference(b"abc", b"ab").unwrap().contains("given copy ends"));
        assert!(first_difference(b"ab", b"abc").unwrap().contains("filed copy ends"));
    }
}
