//! Foreign text on a terminal.

use protocol::is_harmless;

/// Foreign text on one line: control, bidirectional, invisible and private characters become
/// `\u{..}`, so that no output of a script, ticket or endpoint can move the cursor or hide words.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_on_its_line_and_visible() {
        assert_eq!(
            safe("caf\u{e9} \u{1b}[2J\nok\u{202e}"),
            "caf\u{e9} \\u{1b}[2J\\u{a}ok\\u{202e}"
        );
        assert_eq!(safe("a\u{200b}b\u{feff}"), "a\\u{200b}b\\u{feff}");
        assert_eq!(safe("plain \u{4f60}\u{597d} \u{1f600}"), "plain \u{4f60}\u{597d} \u{1f600}");
    }
}
