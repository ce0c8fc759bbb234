//! Facts of a machine in words. All of them are its own: every text is escaped.

use protocol::facts::{Facts, Package};

use super::{Table, bytes, count, safe};

/// Days without a read from which a package counts as unused.
const UNUSED_DAYS: u32 = 90;

fn words(all: Option<&Vec<String>>, none: &str, unknown: &str) -> String {
    match all {
        None => unknown.to_owned(),
        Some(all) if all.is_empty() => none.to_owned(),
        Some(all) => all.iter().map(|one| safe(one)).collect::<Vec<_>>().join(", "),
    }
}

fn uptime(seconds: u64) -> String {
    match seconds {
        s if s >= 172_800 => count(s / 86_400, "day"),
        s if s >= 7200 => count(s / 3600, "hour"),
        s => count(s / 60, "minute"),
    }
}

fn boots(facts: &Facts) -> String {
    facts.boots.map_or_else(
        || "unknown".to_owned(),
        |boots| {
            let unclean = match boots.unclean {
                0 => "all after a shutdown".to_owned(),
                n => format!("{n} without a shutdown before"),
            };
            format!("{} in 30 days, {unclean}", boots.count)
        },
    )
}

fn packages(all: Option<&Vec<Package>>) -> String {
    let Some(all) = all else { return "unknown".to_owned() };
    let idle = |package: &&Package| package.idle_days.is_some_and(|days| days >= UNUSED_DAYS);
    let unused = all.iter().filter(idle).count();
    format!("{}, {unused} with programs that nobody read for {UNUSED_DAYS} days", all.len())
}

/// The page; with every package where they are wanted.
#[must_use]
pub fn page(facts: &Facts, all_packages: bool) -> String {
    let mut lines = vec![
        format!("  Host       {}", safe(&facts.host)),
        format!("  System     {}, kernel {}", safe(&facts.system), safe(&facts.kernel)),
        format!("  Up         {}", uptime(facts.uptime)),
        format!("  Starts     {}", boots(facts)),
        format!(
            "  Restart    {}",
            match facts.reboot_needed {
                Some(true) => "needed",
                Some(false) => "not needed",
                None => "unknown",
            }
        ),
        format!(
            "  Memory     {}",
            facts.memory.map_or_else(
                || "unknown".to_owned(),
                |m| format!("{} of {} available", bytes(m.available), bytes(m.total))
            )
        ),
    ];
    for disk in &facts.disks {
        let frozen = if disk.read_only { ", takes no writes" } else { "" };
        let (free, total) = (bytes(disk.free), bytes(disk.total));
        lines.push(format!("  Disk       {}: {free} of {total} free{frozen}", safe(&disk.mount)));
    }
    lines.push(format!(
        "  Failed     {}",
        words(facts.failed_units.as_ref(), "no service", "unknown")
    ));
    lines.push(format!(
        "  Signed in  {}",
        words(facts.signed_in.as_ref(), "nobody", "policy does not allow the question")
    ));
    lines.push(format!("  Packages   {}", packages(facts.packages.as_ref())));
    if all_packages {
        let mut table = Table::new(["PACKAGE", "VERSION", "UNREAD"]);
        for package in facts.packages.iter().flatten() {
            let idle = package.idle_days.map(|days| count(u64::from(days), "day"));
            table.row([&package.name, &package.version, &idle.unwrap_or_default()]);
        }
        lines.push(table.render().trim_end().to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_not_allowed_is_said_and_nothing_draws_on_the_screen() {
        let least = r#"{"host":"pc","system":"Debian 12","kernel":"6.1","uptime":7300,"disks":[]}"#;
        let mut facts = Facts::read(least.as_bytes()).unwrap();
        let shown = page(&facts, true);
        for words in ["2 hours", "policy does not allow the question", "Starts     unknown"] {
            assert!(shown.contains(words), "{words}\n{shown}");
        }
        facts.host = "pc\u{1b}[2J".to_owned();
        facts.signed_in = Some(Vec::new());
        let shown = page(&facts, false);
        assert!(shown.contains("nobody") && !shown.contains('\u{1b}'), "{shown}");
    }
}
