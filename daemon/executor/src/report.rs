//! `report.*` and `print`: what a script says. Capped in length and in number; never an effect.

use hatch::messages::FromExecutor;
use protocol::error_chain::ErrorChain;
use protocol::facts::Facts;
use protocol::frames::Event;
use protocol::limits;
use surface::Value;

use crate::fail::Fail;
use crate::guard::Checked;
use crate::link::Lost;
use crate::run::{Run, lost};

/// Bytes of output in one message.
const PART_MAX: usize = 32 * 1024;
/// Characters of a live line.
const LINE_MAX: usize = 1000;

fn sentence<'a>(call: &Checked<'a>) -> Result<&'a str, Fail> {
    let text = call.text(0)?;
    let max = limits::SAY_CHARS_MAX;
    match text.chars().count() {
        0 => Err(Fail::argument("`text` is empty")),
        chars if chars > max => {
            Err(Fail::argument(format!("`text` has {chars} characters, at most {max} may be said")))
        }
        _ => Ok(text),
    }
}

/// `report.note`.
pub(crate) fn note(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let text = sentence(call)?;
    if run.may_say("notes") {
        output(run, "note", text).map_err(lost)?;
        run.news(Event::Line { text: text.to_owned() })?;
    }
    Ok(Value::Unit)
}

/// `report.progress`.
pub(crate) fn progress(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let text = sentence(call)?.to_owned();
    run.news(Event::Progress { text })?;
    Ok(Value::Unit)
}

/// `report.skipped`.
pub(crate) fn skipped(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    run.skipped(sentence(call)?.to_owned())?;
    Ok(Value::Unit)
}

/// `report.say`.
pub(crate) fn say(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let text = sentence(call)?.to_owned();
    run.keeper.tell(&FromExecutor::Say { text }).map_err(lost)?;
    Ok(Value::Unit)
}

/// `report.attach`.
pub(crate) fn attach(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let name = call.text(0)?;
    if name.is_empty() || name.chars().count() > limits::SAY_CHARS_MAX {
        return Err(Fail::argument("`name` is a few words"));
    }
    output(run, name, call.text(1)?).map_err(lost)?;
    Ok(Value::Unit)
}

/// `report.facts`: checked as whoever reads them will, so that a script's mistake is its own error.
pub(crate) fn facts(run: &mut Run, call: &Checked<'_>) -> Result<Value, Fail> {
    let bad = |why: String| Fail::argument(format!("`facts`: {why}"));
    let json = call.value(0)?.to_json().to_string();
    let facts = Facts::read(json.as_bytes()).map_err(|e| bad(ErrorChain(&e).to_string()))?;
    let bytes = protocol::json::write(&facts).map_err(|e| bad(ErrorChain(&e).to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| bad(e.to_string()))?;
    output(run, "facts", &text).map_err(lost)?;
    Ok(Value::Unit)
}

/// The script printed.
pub(crate) fn print(run: &mut Run, text: &str) -> Result<(), Lost> {
    output(run, "", text)?;
    for line in text.lines() {
        let text = line.chars().take(LINE_MAX).collect();
        run.event(Event::Line { text })?;
    }
    Ok(())
}

/// Sends output in parts that fit a message, cut between characters.
fn output(run: &mut Run, name: &str, text: &str) -> Result<(), Lost> {
    let mut rest = text;
    loop {
        let mut at = rest.len().min(PART_MAX);
        while !rest.is_char_boundary(at) {
            at -= 1;
        }
        let (part, left) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let (name, text) = (name.to_owned(), part.to_owned());
        run.keeper.tell(&FromExecutor::Output { name, text })?;
        if left.is_empty() {
            return Ok(());
        }
        rest = left;
    }
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing;

    #[test]
    fn sentences_are_short_and_few() {
        let tree = testing::machine();
        let mut made = testing::open(&tree, testing::start(Mode::Check, &[], &[]));
        let long = "é".repeat(limits::SAY_CHARS_MAX + 1);
        assert_eq!(made.code("report.say", &[Value::text(&long)]), "bad_argument");
        assert_eq!(made.code("report.note", &[Value::text("")]), "bad_argument");
        made.call("report.say", &[Value::text("Please save your work.")]).unwrap();
        for n in 0..150 {
            made.call("report.skipped", &[Value::text(format!("thing {n}"))]).unwrap();
        }
        made.run.finish().unwrap();
        let heard = made.heard.borrow();
        let text = "Please save your work.".to_owned();
        assert!(heard.contains(&FromExecutor::Say { text }));
        let Some(FromExecutor::Finished(report)) = heard.last() else { panic!("no report") };
        assert_eq!(
            (report.skipped.len(), report.limits_hit.as_slice()),
            (100, &["skipped".into()][..])
        );
    }

    #[test]
    fn what_is_skipped_fits_a_plan_however_it_is_escaped() {
        let tree = testing::machine();
        let mut made = testing::open(&tree, testing::start(Mode::Check, &[], &[]));
        for _ in 0..90 {
            let text = Value::text("\u{1}".repeat(limits::SAY_CHARS_MAX));
            made.call("report.skipped", &[text]).unwrap();
        }
        let json = serde_json::to_vec(&made.run.report.skipped).unwrap();
        assert!(json.len() < limits::PLAN_BYTES_MAX / 3, "{}", json.len());
        assert_eq!(made.run.report.limits_hit, ["skipped"]);
    }

    #[test]
    fn output_arrives_whole_in_parts_that_fit() {
        let tree = testing::machine();
        let mut made = testing::open(&tree, testing::start(Mode::Check, &[], &[]));
        let text = "日本".repeat(40_000);
        made.call("report.attach", &[Value::text("log"), Value::text(&text)]).unwrap();
        print(&mut made.run, "a\nb").unwrap();
        let heard = made.heard.borrow();
        let all: String = heard
            .iter()
            .filter_map(|message| match message {
                FromExecutor::Output { name, text } if name == "log" => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert!(all == text && heard.len() > 5);
        let lines = heard.iter().filter(|m| matches!(m, FromExecutor::Event(Event::Line { .. })));
        assert_eq!(lines.count(), 2);
    }
}
