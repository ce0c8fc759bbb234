//! A verdict on a run's papers, line by line, the fault last and loud.

use desk::verify::{CopyReport, Standing};

use crate::view::safe;

/// The lines of a report and its verdict.
#[must_use]
pub fn verdict(copy: &CopyReport) -> String {
    let mut out = String::new();
    for line in &copy.report.lines {
        let mark = match line.standing {
            Standing::Good => "good",
            Standing::Absent => "-",
            Standing::Erased => "gone",
            Standing::Bad => "BAD",
        };
        out.push_str(&format!("  {:<10}{mark:<6}{}\n", line.about.word(), safe(&line.words)));
    }
    if let Some(difference) = &copy.difference {
        out.push_str(&format!("  differs   {}\n", safe(difference)));
    }
    if !copy.added.is_empty() {
        out.push_str(&format!("  from here {}\n", copy.added.join(", ")));
    }
    if let Some(doubt) = &copy.doubt {
        out.push_str(&format!("  ! {}\n", safe(doubt)));
    }
    out.push_str(&safe(&copy.report.verdict()));
    out.push('\n');
    out
}

/// One word for a list's column.
#[must_use]
pub const fn verified_word(verified: Option<bool>) -> &'static str {
    match verified {
        Some(true) => "verified",
        Some(false) => "NOT VERIFIED",
        None => "",
    }
}
