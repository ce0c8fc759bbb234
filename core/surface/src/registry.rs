//! The rows. One entry a host function; order is the documentation's order.

use protocol::Risk;

use crate::row::{Class, Kind, Noun, PlanKey, Row, Spec, Ty, Undo};

/// The row of a host function.
#[must_use]
pub fn find(name: &str) -> Option<&'static Row> {
    REGISTRY.iter().find(|row| row.name == name)
}

const fn spec(name: &'static str, ty: Ty, doc: &'static str) -> Spec {
    Spec { name, ty, doc }
}

const QUERY: Row = Row {
    name: "",
    doc: "",
    kind: Kind::Query,
    noun: Noun::Free,
    noun_arg: None,
    personal: false,
    least_risk: Risk::Low,
    class: Class::Look,
    args: &[],
    options: &[],
    gives: "",
    errors: &[],
    plan: PlanKey::None,
    undo: Undo::Nothing,
    verify: "",
};
const ACTION: Row = Row { kind: Kind::Action, undo: Undo::Never, plan: PlanKey::Exact, ..QUERY };
const REPORT: Row = Row { kind: Kind::Report, ..QUERY };

/// Every host function.
pub static REGISTRY: &[Row] = &[
    Row {
        name: "fs.find",
        doc: "Lists files beneath a permitted pattern; follows no symlink, stays on one device.",
        noun: Noun::Paths,
        noun_arg: Some(0),
        args: &[spec("pattern", Ty::Text, "one of the permission `fs.find`'s patterns")],
        options: &[
            spec("only", Ty::Text, "`files` (default) or `folders`"),
            spec("older", Ty::Int, "only what was last changed this many seconds ago or more"),
        ],
        gives: "list of maps: path, size (bytes), changed (seconds ago)",
        errors: &["too_many"],
        ..QUERY
    },
    Row {
        name: "fs.space",
        doc: "Space and inodes of the file system that holds a path.",
        args: &[spec("path", Ty::Text, "an absolute path")],
        gives: "map: total, free (bytes), free_pct, inodes_free_pct (0..100), device, read_only",
        errors: &["no_such_path"],
        ..QUERY
    },
    Row {
        name: "fs.remove",
        doc: "Removes files that `fs.find` gave in this run; skips one that changed since.",
        noun: Noun::Paths,
        least_risk: Risk::Low,
        class: Class::Files,
        args: &[spec("files", Ty::List, "what `fs.find` gave")],
        gives: "map: count, bytes (none for a file with another name), skipped",
        errors: &["failed"],
        plan: PlanKey::Within,
        verify: "path gone, free space",
        ..ACTION
    },
    Row {
        name: "pkg.cache_size",
        doc: "Bytes of downloaded package archives (`*.deb`, finished downloads).",
        gives: "bytes",
        errors: &["failed"],
        ..QUERY
    },
    Row {
        name: "pkg.installed",
        doc: "Installed packages, and days since one of their programs was last read, as far as the \
              file system keeps that.",
        noun: Noun::Bare,
        gives: "list of maps: name, version, idle_days (or nothing); nothing where dpkg is not there",
        ..QUERY
    },
    Row {
        name: "pkg.updates",
        doc: "Updates that the package lists know of, without asking the network.",
        gives: "map: waiting, security (numbers), lists_age (seconds); nothing where unknown",
        ..QUERY
    },
    Row {
        name: "pkg.clean_cache",
        doc: "Removes downloaded package archives under the package manager's lock.",
        noun: Noun::Bare,
        class: Class::Files,
        gives: "map: count, bytes",
        errors: &["locked", "failed"],
        plan: PlanKey::Within,
        verify: "pkg.cache_size",
        ..ACTION
    },
    Row {
        name: "proc.list",
        doc: "Processes of a program, by its name or the last part of the path it was started with.",
        noun: Noun::Programs,
        noun_arg: Some(0),
        args: &[spec("program", Ty::Text, "one of the permission's names")],
        gives: "list of maps: pid, user, started (seconds ago)",
        errors: &["failed"],
        ..QUERY
    },
    Row {
        name: "service.status",
        doc: "State of a systemd unit.",
        args: &[spec("unit", Ty::Text, "as in `cups.service`")],
        gives: "map: unit, state (active, failed, inactive, activating, masked, missing), sub, \
                result, since (text), restarts",
        errors: &["no_bus", "failed"],
        ..QUERY
    },
    Row {
        name: "service.failed",
        doc: "Units in state failed.",
        gives: "list of unit names",
        errors: &["no_bus"],
        ..QUERY
    },
    Row {
        name: "service.stays",
        doc: "Watches a unit for some seconds.",
        args: &[
            spec("unit", Ty::Text, "as in `cups.service`"),
            spec("state", Ty::Text, "the state it should keep"),
            spec("seconds", Ty::Int, "1..=120"),
        ],
        gives: "map: held (yes or no), state, after (seconds), restarts",
        errors: &["no_bus", "unknowable", "failed"],
        ..QUERY
    },
    Row {
        name: "service.log",
        doc: "Last lines of a unit's log, from the journal's files; very long lines are named only.",
        noun: Noun::Units,
        noun_arg: Some(0),
        args: &[
            spec("unit", Ty::Text, "one of the permission's units"),
            spec("lines", Ty::Int, "1..=200"),
        ],
        gives: "text",
        errors: &["unknowable", "failed"],
        ..QUERY
    },
    Row {
        name: "service.restart",
        doc: "Restarts a systemd unit and waits for the job.",
        noun: Noun::Units,
        noun_arg: Some(0),
        least_risk: Risk::Medium,
        class: Class::Services,
        args: &[spec("unit", Ty::Text, "one of the permission's units")],
        options: &[
            spec("clear_failed", Ty::Bool, "reset the failed state and start limit first"),
            spec("wait", Ty::Int, "seconds to wait for the job, 1..=120 (default 30)"),
        ],
        gives: "map: state, result",
        errors: &["no_bus", "masked", "missing", "failed"],
        undo: Undo::Partial,
        verify: "service.stays",
        ..ACTION
    },
    Row {
        name: "user.get",
        doc: "A local account, from the files, that of passwords among them.",
        noun: Noun::Bare,
        args: &[spec("user", Ty::Text, "the account's name")],
        gives: "nothing, or map: name, uid, human, source (local), password (set, locked, none), \
                locked, must_change, changed_days, failures (both nothing where unknown), expired",
        errors: &["unknowable", "failed"],
        ..QUERY
    },
    Row {
        name: "user.set_password",
        doc: "Sets a local account's password from a secret; the secret goes by stdin.",
        noun: Noun::Accounts,
        noun_arg: Some(0),
        least_risk: Risk::High,
        class: Class::Accounts,
        args: &[
            spec("user", Ty::Text, "a person's account"),
            spec("secret", Ty::Secret, "from `secret.one_time`"),
        ],
        errors: &["not_human", "failed"],
        verify: "user.get",
        ..ACTION
    },
    Row {
        name: "user.require_change",
        doc: "The next sign-in must choose a new password.",
        noun: Noun::Accounts,
        noun_arg: Some(0),
        least_risk: Risk::High,
        class: Class::Accounts,
        args: &[spec("user", Ty::Text, "a person's account")],
        errors: &["not_human", "failed"],
        verify: "user.get",
        ..ACTION
    },
    Row {
        name: "user.clear_failures",
        doc: "Forgets failed sign-ins.",
        noun: Noun::Accounts,
        noun_arg: Some(0),
        least_risk: Risk::Medium,
        class: Class::Accounts,
        args: &[spec("user", Ty::Text, "a person's account")],
        errors: &["not_human", "failed"],
        verify: "user.get",
        ..ACTION
    },
    Row {
        name: "user.sessions",
        doc: "Accounts of people who are signed in; personal: only where policy lists it.",
        noun: Noun::Bare,
        personal: true,
        gives: "list of names; nothing where logind is not there",
        ..QUERY
    },
    Row {
        name: "secret.one_time",
        doc: "A fresh secret, sealed to the order's signer before the script gets its handle.",
        noun: Noun::Bare,
        least_risk: Risk::High,
        class: Class::Look,
        options: &[
            spec("length", Ty::Int, "characters, 12..=64 (default 16)"),
            spec("minutes", Ty::Int, "until it should no longer be opened, 10..=1440 (default 60)"),
        ],
        gives: "a secret",
        errors: &["failed"],
        verify: "the escrow file's digest in the record",
        ..ACTION
    },
    Row {
        name: "host.info",
        doc: "Name, system, kernel, uptime in seconds, boot id.",
        gives: "map: name, system, kernel, uptime, boot",
        errors: &["failed"],
        ..QUERY
    },
    Row {
        name: "host.memory",
        doc: "Memory and swap.",
        gives: "map: total, available, swap_total, swap_free (bytes)",
        errors: &["failed"],
        ..QUERY
    },
    Row {
        name: "host.pressure",
        doc: "Pressure stall information: share of the last minute in which work waited.",
        gives: "map: cpu, memory, io (percent times 100); nothing where the kernel has none",
        ..QUERY
    },
    Row {
        name: "host.disks",
        doc: "Mounted file systems that hold files of people or the system.",
        gives: "list of maps: mount, device, total, free, free_pct, inodes_free_pct, read_only",
        errors: &["failed"],
        ..QUERY
    },
    Row {
        name: "host.reboot_needed",
        doc: "Whether the system asks for a restart.",
        gives: "map: needed, packages (list)",
        ..QUERY
    },
    Row {
        name: "host.boots",
        doc: "Starts in the last 30 days, and those that came without a shutdown before.",
        noun: Noun::Bare,
        gives: "map: count, unclean; nothing where no record of starts is kept",
        errors: &["failed"],
        ..QUERY
    },
    Row {
        name: "host.clock",
        doc: "What is known of the clock without asking the network.",
        gives: "map: synced (yes, no or nothing where unknown), source, zone",
        ..QUERY
    },
    Row {
        name: "host.certificates",
        doc: "Certificates of this machine's own services (Let's Encrypt, nginx, Apache, CUPS), \
              soonest to expire first.",
        gives: "list of maps: path, subject, days_left; nothing where none are known",
        ..QUERY
    },
    Row {
        name: "backup.last",
        doc: "Age of the last good backup that this machine knows of.",
        gives: "map: job, age (seconds), ok; nothing where no job is configured",
        ..QUERY
    },
    Row {
        name: "report.note",
        doc: "A sentence for the record.",
        args: &[spec("text", Ty::Text, "at most 300 characters")],
        ..REPORT
    },
    Row {
        name: "report.progress",
        doc: "How far it is, for who watches.",
        args: &[spec("text", Ty::Text, "at most 300 characters")],
        ..REPORT
    },
    Row {
        name: "report.skipped",
        doc: "What was left alone, and why.",
        args: &[spec("text", Ty::Text, "at most 300 characters")],
        ..REPORT
    },
    Row {
        name: "report.say",
        doc: "One sentence to the person with the problem; the last one counts.",
        args: &[spec("text", Ty::Text, "at most 300 characters")],
        ..REPORT
    },
    Row {
        name: "report.facts",
        doc: "What the desk's lists show of this machine; once, by a script that says nothing else.",
        args: &[spec("facts", Ty::Map, "as `host.facts` gives it: see docs/facts.md")],
        ..REPORT
    },
    Row {
        name: "report.attach",
        doc: "Text beside the record, as a log.",
        args: &[
            spec("name", Ty::Text, "what it is"),
            spec("text", Ty::Text, "counted against the output limit"),
        ],
        ..REPORT
    },
];
