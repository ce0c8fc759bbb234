//! `user.sessions`: which people are signed in, from the files of systemd-logind (sd-login(3)).

use std::collections::BTreeSet;

use surface::Value;

use crate::fail::Fail;
use crate::root::read_small;
use crate::run::Run;

/// Where logind keeps one file a session.
pub(crate) const SESSIONS: &str = "/run/systemd/sessions";
/// Files that are looked at.
const FILES_MAX: usize = 1000;

/// `user.sessions`.
pub(crate) fn sessions(run: &mut Run) -> Result<Value, Fail> {
    let Ok(entries) = std::fs::read_dir(run.root.at(SESSIONS)) else { return Ok(Value::Unit) };
    let mut people = BTreeSet::new();
    for entry in entries.filter_map(Result::ok).take(FILES_MAX) {
        // Beside each session lies a pipe that ends with it.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(text) = read_small(&entry.path()) else { continue };
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        // Of class user, and not just being closed.
        let open =
            field("CLASS") == Some("user") && matches!(field("STATE"), Some("active" | "online"));
        if open && let Some(user) = field("USER") {
            people.insert(user.to_owned());
        }
    }
    Ok(Value::List(people.into_iter().map(Value::text).collect()))
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing::{self, put};

    #[test]
    fn people_who_are_signed_in_are_named_once() {
        let tree = testing::machine();
        let mut made =
            testing::open(&tree, testing::start(Mode::Check, &[("user.sessions", &[])], &[]));
        assert_eq!(made.call("user.sessions", &[]), Ok(Value::Unit), "no logind");
        let session = |user: &str, class: &str, state: &str| {
            format!("# private\nUID=1000\nUSER={user}\nACTIVE=1\nSTATE={state}\nCLASS={class}\n")
        };
        for (name, text) in [
            ("1", session("jo.meyer", "user", "active")),
            ("2", session("jo.meyer", "user", "online")),
            ("3", session("gdm", "greeter", "active")),
            ("4", session("a.kaya", "user", "closing")),
        ] {
            put(&tree.root, &format!("{SESSIONS}/{name}"), text);
        }
        assert_eq!(made.call("user.sessions", &[]), Ok(Value::List(vec![Value::text("jo.meyer")])));
        let mut none = testing::open(&tree, testing::start(Mode::Check, &[], &[]));
        assert_eq!(none.code("user.sessions", &[]), "not_permitted");
    }
}
