//! Files, functions and lines stay short enough to read; `unsafe` stays in its two rooms.

use crate::tracked;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 80;

#[test]
fn no_file_is_longer_than_a_room() {
    for file in tracked(".rs") {
        let text = std::fs::read_to_string(&file).expect("readable");
        let lines = text.lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{}: {lines} lines, at most {FILE_LINES_MAX}",
            file.display()
        );
        for (number, line) in text.lines().enumerate() {
            assert!(
                line.chars().count() <= 120,
                "{}:{}: a line of {} characters",
                file.display(),
                number + 1,
                line.chars().count()
            );
        }
    }
}

#[test]
fn no_function_is_longer_than_a_page() {
    let mut measured = 0;
    for file in tracked(".rs") {
        let text = std::fs::read_to_string(&file).expect("readable");
        let mut open: Option<(usize, usize, &str)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let starts = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "pub const fn ",
                "const fn ",
                "pub(crate) async fn ",
            ];
            if open.is_none() && starts.iter().any(|start| code.starts_with(start)) {
                open = Some((number, indent, code));
            }
            if let Some((start, depth, name)) = open
                && (line == format!("{}}}", " ".repeat(depth))
                    || (number == start && code.ends_with('}')))
            {
                let lines = number - start + 1;
                measured += 1;
                assert!(
                    lines <= FUNCTION_LINES_MAX,
                    "{}:{}: {lines} lines in `{}`",
                    file.display(),
                    start + 1,
                    name.trim_end_matches('{')
                );
                open = None;
            }
            if let Some((_, depth, _)) = open
                && code.ends_with(';')
                && indent == depth
            {
                open = None;
            }
        }
    }
    assert!(measured > 100, "only {measured} functions were measured");
}

#[test]
fn unsafe_code_has_two_rooms() {
    for file in tracked(".rs") {
        let path = file.to_string_lossy().into_owned();
        // Beside the two rooms only the probes: they try what a locked process must not be able to.
        let rooms =
            ["daemon/hatch/src/sys", "daemon/executor/src/sys", "daemon/hatch/tests/probes/"];
        if rooms.iter().any(|room| path.contains(room)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("readable");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let opens =
                ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| code.contains(word));
            // The walls name the words they look for.
            assert!(
                !opens || path.ends_with("walls/lengths.rs"),
                "{path}:{}: unsafe outside its rooms",
                number + 1
            );
        }
    }
}
