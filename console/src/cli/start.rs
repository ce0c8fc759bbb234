//! `salve` alone: what to do next. Never a usage screen.

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::view::safe;

/// Says what to do next in this home.
///
/// # Errors
/// Only where the answer cannot be written.
pub fn run(ctx: &Ctx) -> Result<Exit, Failure> {
    let ready = ctx.home.join("org/organisation.toml").is_file();
    let words = if ready { ready_words() } else { empty_words(&ctx.home.to_string_lossy()) };
    if ctx.json {
        ctx.json(&serde_json::json!({ "home": ctx.home, "initialised": ready }))?;
    } else {
        ctx.say(words);
    }
    Ok(Exit::Fine)
}

fn empty_words(home: &str) -> String {
    format!(
        "There is no organisation in {} yet. Three commands to your first machine:\n\
         \x20 salve init --profile solo \
         --name \"Demo Ltd\" --me a.kaya   makes the keys and signs the first catalogue\n\
         \x20 salve endpoints enroll NAME      prints one line to paste on that machine\n\
         \x20 salve check health.check --on NAME\n\
         Invited by a colleague?  salve join CODE",
        safe(home)
    )
}

fn ready_words() -> String {
    "What next:\n\
     \x20 salve status                     what needs a person\n\
     \x20 salve scripts search WORDS       which script helps\n\
     \x20 salve run SCRIPT --ticket T      shows the plan, asks, repairs, leaves the proof on the \
     ticket\n\
     All commands:  salve --help"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_home_says_what_to_do() {
        let words = empty_words("/tmp/x");
        assert!(words.starts_with("There is no organisation in /tmp/x yet."), "{words}");
        for command in ["salve init", "salve endpoints enroll NAME", "salve check", "salve join"] {
            assert!(words.contains(command), "{words}");
        }
    }
}
