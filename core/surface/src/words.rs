//! Host functions in the words of the help desk: what a plan line is called, what was done.
//!
//! The texts hold foreign nouns as they came: whoever shows them makes them inert. A function that
//! has no words here is named as it is; nothing is left out.

use protocol::PlanLine;
use protocol::documents::ByFunction;

/// `812 MiB`, `3.1 GiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let Some((unit, one)) = UNITS.into_iter().find(|(_, one)| bytes >= *one) else {
        return format!("{bytes} B");
    };
    let tenths = bytes / (one / 10);
    match tenths >= 100 {
        true => format!("{} {unit}", tenths / 10),
        false => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

const CACHES: &str = "{homes}/.cache/";

/// What people call the things beneath a pattern.
fn place(pattern: &str) -> String {
    if let Some(rest) = pattern.strip_prefix(CACHES) {
        let folder = rest.split('/').next().unwrap_or_default();
        let browser = match folder {
            "mozilla" => Some("firefox"),
            "google-chrome" => Some("chrome"),
            "chromium" => Some("chromium"),
            _ => None,
        };
        return match browser {
            Some(browser) => format!("browser cache ({browser})"),
            None => format!("cache ({folder})"),
        };
    }
    match pattern {
        "/var/cache/apt/archives/*.deb" => "package cache".to_owned(),
        other => other.to_owned(),
    }
}

/// What a plan line is called: as its endpoint says, else in our words.
#[must_use]
pub fn thing(line: &PlanLine) -> String {
    if !line.label.is_empty() && line.label != line.key {
        return line.label.clone();
    }
    match line.function.as_str() {
        "fs.remove" | "pkg.clean_cache" => place(&line.key),
        "service.restart" => format!("restart of {}", line.key),
        other => format!("{other} {}", line.key),
    }
}

/// How many of what, where a function touches several things.
#[must_use]
pub fn amount(function: &str, count: u64) -> Option<String> {
    let thing = match function {
        "fs.remove" | "pkg.clean_cache" => "file",
        _ => return None,
    };
    Some(if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") })
}

/// A whole plan line, as in `package cache: 214 files, 3.1 GiB`.
#[must_use]
pub fn planned(line: &PlanLine) -> String {
    let much = (line.bytes > 0).then(|| size(line.bytes));
    let many: Vec<String> = amount(&line.function, line.count).into_iter().chain(much).collect();
    match many.is_empty() {
        true => thing(line),
        false => format!("{}: {}", thing(line), many.join(", ")),
    }
}

/// What just happened, as in `package cache 3.1 GiB freed`.
#[must_use]
pub fn happened(function: &str, key: &str, count: u64, bytes: u64) -> String {
    match function {
        "fs.remove" | "pkg.clean_cache" if bytes > 0 => {
            format!("{} {} freed", place(key), size(bytes))
        }
        "fs.remove" | "pkg.clean_cache" => {
            format!("{} {} removed", place(key), amount(function, count).unwrap_or_default())
        }
        "service.restart" => format!("{key} restarted"),
        "user.set_password" => format!("password of {key} set"),
        "user.require_change" => format!("{key} must choose a new password at the next sign-in"),
        "user.clear_failures" => format!("failed sign-ins of {key} forgotten"),
        "secret.one_time" => "one-time secret made".to_owned(),
        other => format!("{other} {key} done"),
    }
}

/// What a function did in a whole run, as in `206 files removed, 69 MiB`.
#[must_use]
pub fn sums(function: &str, by: &ByFunction) -> String {
    let (one, many, did) = match function {
        "fs.remove" => ("file", "files", " removed"),
        "pkg.clean_cache" => ("package file", "package files", " removed"),
        "service.restart" => ("service", "services", " restarted"),
        "user.set_password" => ("password", "passwords", " set"),
        "user.require_change" => ("change of password", "changes of password", " required"),
        "user.clear_failures" => ("lockout", "lockouts", " lifted"),
        "secret.one_time" => ("one-time secret", "one-time secrets", " made"),
        other => (other, other, " done"),
    };
    let thing = if by.done == 1 { one } else { many };
    let freed = if by.bytes > 0 { format!(", {}", size(by.bytes)) } else { String::new() };
    let failed = if by.failed > 0 { format!(", {} NOT done", by.failed) } else { String::new() };
    format!("{} {thing}{did}{freed}{failed}", by.done)
}

#[cfg(test)]
mod tests {
    use protocol::PlanReach;

    use super::*;

    #[test]
    fn every_action_of_the_registry_has_words_of_its_own() {
        let actions = crate::REGISTRY.iter().filter(|row| row.kind == crate::Kind::Action);
        let mut seen = 0;
        for row in actions {
            let by = ByFunction { done: 1, failed: 0, bytes: 0 };
            assert!(!sums(row.name, &by).contains(row.name), "{}", row.name);
            assert!(!happened(row.name, "x", 1, 0).contains(row.name), "{}", row.name);
            seen += 1;
        }
        assert!(seen >= 7, "{seen}");
    }

    #[test]
    fn plan_lines_are_called_what_people_call_them() {
        let line = |function: &str, key: &str, label: &str| PlanLine {
            function: function.into(),
            key: key.into(),
            reach: PlanReach::Within,
            count: 1,
            bytes: 0,
            label: label.into(),
        };
        let firefox = "{homes}/.cache/mozilla/firefox/**";
        assert_eq!(thing(&line("fs.remove", firefox, firefox)), "browser cache (firefox)");
        assert_eq!(thing(&line("fs.remove", "/var/crash/*", "")), "/var/crash/*");
        assert_eq!(thing(&line("pkg.clean_cache", "/x", "package cache")), "package cache");
        let unit = "cups.service";
        assert_eq!(thing(&line("service.restart", unit, unit)), "restart of cups.service");
        assert_eq!(thing(&line("disk.spin", "sda", "")), "disk.spin sda");
    }

    #[test]
    fn sizes_read_like_people_say_them() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(812 << 20), "812 MiB");
        assert_eq!(size((31 << 30) / 10), "3.1 GiB");
        assert_eq!(size(3 << 40), "3.0 TiB");
    }

    #[test]
    fn one_is_one_and_what_failed_is_said() {
        assert_eq!(amount("fs.remove", 1).as_deref(), Some("1 file"));
        assert_eq!(amount("service.restart", 1), None);
        let by = ByFunction { done: 1, failed: 2, bytes: 1024 };
        assert_eq!(sums("fs.remove", &by), "1 file removed, 1.0 KiB, 2 NOT done");
        assert_eq!(happened("pkg.clean_cache", "/x", 8, 3 << 30), "/x 3.0 GiB freed");
        assert_eq!(sums("disk.spin", &by), "1 disk.spin done, 1.0 KiB, 2 NOT done");
    }
}
