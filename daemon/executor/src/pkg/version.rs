//! Debian versions in their order (deb-version(7)): epoch, upstream, revision; `~` before nothing.

use std::cmp::Ordering;

/// Which of two versions is the newer one.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (epoch_a, rest_a) = epoch(a);
    let (epoch_b, rest_b) = epoch(b);
    let (up_a, rev_a) = rest_a.rsplit_once('-').unwrap_or((rest_a, "0"));
    let (up_b, rev_b) = rest_b.rsplit_once('-').unwrap_or((rest_b, "0"));
    epoch_a.cmp(&epoch_b).then_with(|| part(up_a, up_b)).then_with(|| part(rev_a, rev_b))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

/// Letters before other signs, `~` before the end.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

fn part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        let word = |text: &[u8]| text.iter().take_while(|c| !c.is_ascii_digit()).count();
        let (len_a, len_b) = (word(a), word(b));
        let (word_a, rest_a) = a.split_at_checked(len_a).unwrap_or((a, &[]));
        let (word_b, rest_b) = b.split_at_checked(len_b).unwrap_or((b, &[]));
        for place in 0..len_a.max(len_b) {
            let order = weight(word_a.get(place)).cmp(&weight(word_b.get(place)));
            if order != Ordering::Equal {
                return order;
            }
        }
        let digits = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
        let (number_a, left_a) = rest_a.split_at_checked(digits(rest_a)).unwrap_or((rest_a, &[]));
        let (number_b, left_b) = rest_b.split_at_checked(digits(rest_b)).unwrap_or((rest_b, &[]));
        let plain = |number: &[u8]| {
            let zeros = number.iter().take_while(|c| **c == b'0').count();
            number.get(zeros..).unwrap_or_default().to_vec()
        };
        let (number_a, number_b) = (plain(number_a), plain(number_b));
        let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(&number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (left_a, left_b);
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_have_debians_order() {
        let order = [
            "1.0~~", "1.0~~a", "1.0~", "1.0", "1.0+b1", "1.0a", "1.0-0.1", "1.0-1", "1.0-1.1",
            "1.2", "1.10", "2024.1", "1:0.1",
        ];
        let mut sorted = order.to_vec();
        sorted.sort_by(|a, b| compare(a, b));
        // `1.0` and `1.0-0` are equal; a letter comes before `+`.
        let wanted = [
            "1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-0.1", "1.0-1", "1.0-1.1", "1.0a", "1.0+b1",
            "1.2", "1.10", "2024.1", "1:0.1",
        ];
        assert_eq!(sorted, wanted);
        assert_eq!(compare("1.0", "1.0-0"), Ordering::Equal);
        assert_eq!(compare("0:1.00", "1.0"), Ordering::Equal);
        assert_eq!(compare("1.2.3", "1.2.3~rc1"), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[0-9a~+.:-]{0,8}", b in "[0-9a~+.:-]{0,8}", c in "[0-9a~]{0,6}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
        }
    }
}
