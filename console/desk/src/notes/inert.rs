//! Foreign text made inert: one line, no control over a terminal, a mail or a ticket's key.

use protocol::is_harmless;

/// At most `max` characters of `text` on one line. Control, bidirectional and invisible characters
/// become visible escapes; line breaks and tabs become blanks; a quoted marker loses its bracket.
#[must_use]
pub fn inert(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_harmless(c) => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    // A script must not be able to write the line that says "this note was posted".
    let out = out.replace("[salve:", "(salve:");
    if out.chars().count() <= max {
        return out;
    }
    let kept: String = out.chars().take(max.saturating_sub(4)).collect();
    format!("{kept} ...")
}

#[cfg(test)]
mod tests {
    use super::inert;

    #[test]
    fn nothing_in_it_moves_a_cursor_or_starts_a_line() {
        assert_eq!(inert("\u{1b}[2J\u{7}red\u{9b}31m", 100), "\\u{1b}[2J\\u{7}red\\u{9b}31m");
        assert_eq!(inert("one\nFIXED: two\r\n", 100), "one FIXED: two");
        assert_eq!(
            inert("evil\u{202e}txt\u{200b}\u{2028}x", 100),
            "evil\\u{202e}txt\\u{200b}\\u{2028}x"
        );
        assert_eq!(inert("[salve:abc:note]", 100), "(salve:abc:note]");
        assert_eq!(inert("äöü 漢字 😀 <b>*x*</b>", 100), "äöü 漢字 😀 <b>*x*</b>");
        assert_eq!(inert(&"x".repeat(50), 10), "xxxxxx ...");
    }
}
