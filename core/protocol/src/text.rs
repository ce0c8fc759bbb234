//! Foreign text that somebody is shown: which of its characters steer nothing.

/// Whether a character of foreign text may be shown as it is.
#[must_use]
pub fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(u32::from(c),
            0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
            | 0xfe00..=0xfe0f | 0xfeff | 0xfff9..=0xfffb | 0xe000..=0xf8ff | 0xe0000..=0x10ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_not_harmless() {
        for bad in
            ['\n', '\u{1b}', '\u{9b}', '\u{200b}', '\u{202e}', '\u{feff}', '\u{fe0f}', '\u{e0041}']
        {
            assert!(!is_harmless(bad), "{bad:?}");
        }
        assert!("Größe, 猫 – 3.1 GiB".chars().all(is_harmless));
    }
}
