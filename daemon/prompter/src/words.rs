//! What the person reads. The plan's nouns and names are foreign text: nothing in them may steer a
//! terminal or a desktop.

use hatch::messages::Question;
use protocol::documents::Heard;
use protocol::is_harmless;

/// Its harmless characters, at most `max` of them.
fn plain(text: &str, max: usize) -> String {
    text.chars().filter(|c| is_harmless(*c)).take(max).collect()
}

/// Who asks, in one line.
pub(crate) fn title(question: &Question) -> String {
    let ticket = question.ticket.as_ref().map_or_else(String::new, |t| format!(", ticket {t}"));
    format!(
        "{}: {} of the help desk asks ({}{ticket})",
        plain(&question.from, 80),
        question.agent,
        question.script
    )
}

/// The question and what would change.
pub(crate) fn body(question: &Question) -> Vec<String> {
    let mut lines = vec![plain(&question.question, 300)];
    lines.extend(question.lines.iter().map(|line| format!("- {}", plain(line, 120))));
    lines
}

/// The whole for a terminal.
pub(crate) fn page(question: &Question, command: &str) -> String {
    let mut page = format!("\r\n\r\n{}\r\n", title(question));
    for line in body(question) {
        page.push_str(&format!("  {line}\r\n"));
    }
    page.push_str(&format!(
        "Within {} seconds, type one of these:\r\n  {command} yes\r\n  {command} no\r\n\r\n",
        question.seconds
    ));
    page
}

/// What stands on the screen when it is over.
pub(crate) const fn over(heard: Heard) -> &'static str {
    match heard {
        Heard::Yes => "You said yes. Thank you.",
        Heard::No => "You said no. Nothing will be changed.",
        Heard::NobodyThere | Heard::NoAnswer | Heard::NotShown => {
            "The question is over; it was not answered here."
        }
    }
}

#[cfg(test)]
pub(crate) fn sample() -> Question {
    Question {
        from: "Demo Ltd".to_owned(),
        agent: "a.kaya".parse().unwrap(),
        script: "disk.free".parse().unwrap(),
        ticket: Some("1482".parse().unwrap()),
        question: "May I delete caches, old logs and crash reports?".to_owned(),
        lines: vec!["package cache: 214 files, 3.1 GiB".to_owned()],
        seconds: 30,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_who_asks_what_and_how_to_answer() {
        let page = page(&sample(), "/usr/sbin/salved answer");
        assert_eq!(
            page.replace('\r', ""),
            "\n\nDemo Ltd: a.kaya of the help desk asks (disk.free, ticket 1482)\n  May I delete \
             caches, old logs and crash reports?\n  - package cache: 214 files, 3.1 GiB\nWithin 30 \
             seconds, type one of these:\n  /usr/sbin/salved answer yes\n  /usr/sbin/salved answer \
             no\n\n"
        );
    }

    #[test]
    fn foreign_text_steers_no_terminal() {
        let mut question = sample();
        question.from = "\u{1b}[2JDemo\u{202e}".to_owned();
        question.question = "Say\u{9b}31m your password\r\n$ ".to_owned();
        question.lines = vec!["/tmp/\u{1b}]0;x\u{7}".to_owned()];
        let page = page(&question, "salved answer").replace("\r\n", "");
        assert!(!page.chars().any(|c| c.is_control() || c == '\u{202e}'), "{page:?}");
    }
}
