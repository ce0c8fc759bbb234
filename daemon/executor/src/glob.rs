//! Path patterns: `*` within a name, `**` for any depth, `{a,b}` for either, `{homes}` in front.
//!
//! Text in, yes or no out: never touches a file. No pattern takes more than linear time a name.

/// Most alternatives that the braces of one name stand for.
const ALTERNATIVES_MAX: usize = 64;
/// Most components of a pattern.
const COMPONENTS_MAX: usize = 32;

/// A text that is no pattern, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path pattern: {why}")]
pub(crate) struct BadPattern {
    text: String,
    why: &'static str,
}

/// Where a pattern starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// At the root.
    Root,
    /// In each person's home.
    Homes,
}

/// One step below the base.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Any number of folders, also none.
    Deep,
    /// One name, by any of these alternatives.
    Name(Vec<String>),
}

/// A pattern, cut into the folder where a walk begins and what must match beneath it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    anchor: Anchor,
    base: Vec<String>,
    steps: Vec<Step>,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, BadPattern> {
        let bad = |why| BadPattern { text: text.to_owned(), why };
        let (anchor, rest) = match text.strip_prefix("{homes}") {
            Some(rest) => (Anchor::Homes, rest),
            None => (Anchor::Root, text),
        };
        let rest = rest.strip_prefix('/').ok_or_else(|| bad("it is not absolute"))?;
        let names: Vec<&str> = rest.split('/').collect();
        if names.len() > COMPONENTS_MAX {
            return Err(bad("it has too many parts"));
        }
        let mut base = Vec::new();
        let mut steps = Vec::new();
        for (place, name) in names.iter().enumerate() {
            if name.is_empty() || *name == "." || *name == ".." || name.contains('\0') {
                return Err(bad("it has an empty part, `.` or `..`"));
            }
            let literal = !name.contains(['*', '{', '}']);
            if literal && steps.is_empty() && place + 1 < names.len() {
                base.push((*name).to_owned());
                continue;
            }
            let name = match name.strip_prefix("**") {
                Some("") if place + 1 < names.len() => {
                    steps.push(Step::Deep);
                    continue;
                }
                Some(rest) => {
                    steps.push(Step::Deep);
                    format!("*{rest}")
                }
                None => (*name).to_owned(),
            };
            if name.contains("**") {
                return Err(bad("`**` stands at the start of a part only"));
            }
            steps.push(Step::Name(alternatives(&name).map_err(bad)?));
        }
        Ok(Self { text: text.to_owned(), anchor, base, steps })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
    /// Where it starts.
    pub(crate) fn anchor(&self) -> Anchor {
        self.anchor
    }
    /// The folders that it names before anything may vary.
    pub(crate) fn base(&self) -> &[String] {
        &self.base
    }
    /// Whether these names below the base match.
    pub(crate) fn matches(&self, names: &[&str]) -> bool {
        // One row of the usual table: reach[i] says that the first i steps match what was read.
        let mut reach = first_row(&self.steps);
        for name in names {
            reach = next_row(&self.steps, &reach, name);
        }
        reach.last().copied().unwrap_or(false)
    }
    /// Whether a folder with these names below the base may hold matches.
    pub(crate) fn may_hold(&self, names: &[&str]) -> bool {
        let mut reach = first_row(&self.steps);
        for name in names {
            reach = next_row(&self.steps, &reach, name);
        }
        // The last place means a whole match, which is a file's, unless a `**` still waits.
        reach.iter().take(self.steps.len()).any(|here| *here)
    }
    /// Whether an absolute path matches, with these folders as people's homes.
    pub(crate) fn covers(&self, path: &str, homes: &[String]) -> bool {
        let below = |anchor: &str| -> bool {
            let Some(rest) = path.strip_prefix(anchor.trim_end_matches('/')) else { return false };
            let Some(rest) = rest.strip_prefix('/') else { return false };
            let names: Vec<&str> = rest.split('/').collect();
            if names.iter().any(|name| name.is_empty() || *name == "." || *name == "..") {
                return false;
            }
            let Some((base, rest)) = names.split_at_checked(self.base.len()) else { return false };
            base.iter().zip(&self.base).all(|(name, want)| name == want) && self.matches(rest)
        };
        match self.anchor {
            Anchor::Root => below(""),
            Anchor::Homes => homes.iter().any(|home| below(home)),
        }
    }
}

fn first_row(steps: &[Step]) -> Vec<bool> {
    let mut row = vec![true];
    for step in steps {
        let before = row.last().copied().unwrap_or(false);
        row.push(before && *step == Step::Deep);
    }
    row
}

fn next_row(steps: &[Step], reach: &[bool], name: &str) -> Vec<bool> {
    let mut row = vec![false];
    for ((step, before), here) in steps.iter().zip(reach).zip(reach.iter().skip(1)) {
        let left = row.last().copied().unwrap_or(false);
        row.push(match step {
            Step::Deep => left || *here,
            Step::Name(any) => *before && any.iter().any(|glob| name_matches(glob, name)),
        });
    }
    row
}

/// Every text that the braces of one name stand for.
fn alternatives(name: &str) -> Result<Vec<String>, &'static str> {
    let Some((head, rest)) = name.split_once('{') else {
        return if name.contains('}') {
            Err("a `}` without its `{`")
        } else {
            Ok(vec![name.into()])
        };
    };
    let (inner, tail) = rest.split_once('}').ok_or("a `{` without its `}`")?;
    if head.contains('}') || inner.contains('{') || !inner.contains(',') {
        return Err("braces hold a list like `{gz,old}`, `{homes}` stands in front only");
    }
    let tails = alternatives(tail)?;
    let all: Vec<String> = inner
        .split(',')
        .flat_map(|one| tails.iter().map(move |tail| format!("{head}{one}{tail}")))
        .collect();
    if all.len() > ALTERNATIVES_MAX { Err("too many alternatives") } else { Ok(all) }
}

/// Whether a name matches a glob of `*` and letters; goes back to the last star only.
fn name_matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(c) if name.get(n) == Some(c) => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    g = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    glob.get(g..).unwrap_or_default().iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().covers(path, &["/home/jo".into(), "/home/mo".into()])
    }

    #[test]
    fn patterns_match_as_people_read_them() {
        for (pattern, yes, no) in [
            ("/tmp/**", vec!["/tmp/a", "/tmp/a/b/.c"], vec!["/tmp", "/tmpx/a", "/var/tmp/a"]),
            ("/var/crash/*", vec!["/var/crash/x.crash"], vec!["/var/crash/a/b", "/var/crash"]),
            (
                "/var/log/**.{gz,1,old}",
                vec!["/var/log/syslog.1", "/var/log/a/b.gz", "/var/log/.old"],
                vec!["/var/log/syslog", "/var/log/a.gz/b", "/var/log/a1"],
            ),
            (
                "{homes}/.cache/mozilla/firefox/**",
                vec!["/home/jo/.cache/mozilla/firefox/p/x", "/home/mo/.cache/mozilla/firefox/y"],
                vec!["/home/jo/.mozilla/firefox/x", "/root/.cache/mozilla/firefox/x"],
            ),
            ("/a/**/c*/d", vec!["/a/c/d", "/a/x/y/cc/d"], vec!["/a/d", "/a/c/x/d", "/a/c/d/e"]),
            ("/etc/hosts", vec!["/etc/hosts"], vec!["/etc/hosts/x", "/etc/host"]),
        ] {
            yes.iter().for_each(|path| assert!(covers(pattern, path), "{pattern} {path}"));
            no.iter().for_each(|path| assert!(!covers(pattern, path), "{pattern} {path}"));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "tmp/*",
            "/",
            "/a//b",
            "/a/../b",
            "/a/b/..",
            "/./a",
            "/a/x**",
            "/a/{b",
            "/a/b}",
            "/a/{b}",
            "/a/{b,{c,d}}",
            "/x/{homes}/y",
            "{homes}",
            "{homes}x/y",
            "{homes}/",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_walk_enters_only_folders_that_may_hold_matches() {
        let pattern = Pattern::parse("/b/x*/y/*").unwrap();
        assert!(
            pattern.may_hold(&[]) && pattern.may_hold(&["x1"]) && pattern.may_hold(&["x", "y"])
        );
        assert!(!pattern.may_hold(&["z"]) && !pattern.may_hold(&["x", "y", "z"]));
        assert!(Pattern::parse("/b/**").unwrap().may_hold(&["any", "depth", "at", "all"]));
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let glob = format!("/d/{}b", "*a".repeat(200));
        let name = "a".repeat(4000);
        assert!(!Pattern::parse(&glob).unwrap().matches(&[&name]));
    }

    proptest! {
        #[test]
        fn what_covers_lies_beneath_the_base(path in "(/[ab.*]{1,3}){1,4}") {
            let pattern = Pattern::parse("/a/**").unwrap();
            if pattern.covers(&path, &[]) {
                prop_assert!(path.starts_with("/a/"));
            }
        }
        #[test]
        fn a_match_is_reachable(names in proptest::collection::vec("[abc]{1,2}", 1..5)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            for text in ["/**", "/a*/**", "/**/b", "/{a,b}*/*c*/**"] {
                let pattern = Pattern::parse(text).unwrap();
                if pattern.matches(&names) {
                    prop_assert!(pattern.may_hold(&names[..names.len() - 1]));
                }
            }
        }
    }
}
