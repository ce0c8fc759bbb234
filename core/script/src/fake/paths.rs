//! Patterns of the fake machine. Only as exact as cases need: the executor's own matching works on
//! descriptors, never on text like this.

/// Whether a path lies under a pattern: `*` within a name, `**` for any depth, `{homes}`,
/// `{a,b}` for either.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.replace("{homes}", "/home/*");
    either(&pattern).iter().any(|pattern| {
        let pattern: Vec<&str> = pattern.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        parts(&pattern, &path)
    })
}

fn either(pattern: &str) -> Vec<String> {
    let cut = || {
        let (before, rest) = pattern.split_once('{')?;
        let (inside, after) = rest.split_once('}')?;
        Some(inside.split(',').map(|word| format!("{before}{word}{after}")).collect::<Vec<_>>())
    };
    match cut() {
        Some(all) => all.iter().flat_map(|pattern| either(pattern)).collect(),
        None => vec![pattern.to_owned()],
    }
}

fn parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), Some((_, deeper))) => {
            parts(pattern, deeper) || parts(rest, deeper) || parts(rest, path)
        }
        (Some((first, rest)), Some((name, deeper))) => {
            let first: Vec<char> = first.chars().collect();
            let name: Vec<char> = name.chars().collect();
            word(&first, &name) && parts(rest, deeper)
        }
        _ => false,
    }
}

fn word(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            word(rest, name) || name.split_first().is_some_and(|(_, name)| word(pattern, name))
        }
        (Some((p, rest)), Some((n, name))) => p == n && word(rest, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_reach_as_far_as_they_say() {
        assert!(matches("{homes}/.cache/chromium/**", "/home/jo/.cache/chromium/a/b"));
        assert!(!matches("{homes}/.cache/chromium/**", "/home/jo/.cache/chromiumx/a"));
        assert!(!matches("{homes}/.cache/chromium/**", "/root/.cache/chromium/a"));
        assert!(matches("/var/log/*.{gz,1}", "/var/log/a.gz"));
        assert!(!matches("/var/log/*.gz", "/var/log/a/b.gz"));
    }
}
