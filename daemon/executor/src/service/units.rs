//! The few questions to systemd's manager.

use std::collections::BTreeMap;

use bus::{Bus, BusError, Target};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

use crate::clock::Deadline;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: Target<'_> = Target {
    to: SYSTEMD,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const DAEMON: Target<'_> = Target {
    to: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
/// The signal that tells how a job ended.
const REMOVED: &str = "type='signal',sender='org.freedesktop.systemd1',\
                       interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// A unit as systemd sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unit {
    /// `active`, `failed`, `inactive`, `activating`, ..., `masked`, `missing`.
    pub(crate) state: String,
    /// Its own kind's word, as in `running`.
    pub(crate) sub: String,
    /// How it last ended, as in `exit-code`.
    pub(crate) result: String,
    /// Since when, microseconds since 1970; 0 where it never changed.
    pub(crate) since: u64,
    /// Automatic restarts.
    pub(crate) restarts: u64,
}

type Properties = BTreeMap<String, OwnedVariant>;

fn text(properties: &Properties, key: &str) -> String {
    match properties.get(key).map(|value| &**value) {
        Some(Variant::Str(text)) => text.as_str().to_owned(),
        _ => String::new(),
    }
}

fn number(properties: &Properties, key: &str) -> u64 {
    match properties.get(key).map(|value| &**value) {
        Some(Variant::U64(n)) => *n,
        Some(Variant::U32(n)) => u64::from(*n),
        _ => 0,
    }
}

fn all(bus: &mut Bus, path: &str, of: &str, until: Deadline) -> Result<Properties, BusError> {
    let target = Target { to: SYSTEMD, path, interface: "org.freedesktop.DBus.Properties" };
    bus.call(target, "GetAll", &(of,), until)
}

/// Looks at a unit. Loading one that is not loaded changes nothing and everybody may.
pub(crate) fn get(bus: &mut Bus, name: &str, until: Deadline) -> Result<Unit, BusError> {
    let path: OwnedObjectPath = bus.call(MANAGER, "LoadUnit", &(name,), until)?;
    let unit = all(bus, path.as_str(), "org.freedesktop.systemd1.Unit", until)?;
    let state = match text(&unit, "LoadState").as_str() {
        "masked" => "masked".to_owned(),
        "not-found" => "missing".to_owned(),
        _ => text(&unit, "ActiveState"),
    };
    let kind = name.rsplit_once('.').map(|(_, kind)| kind).unwrap_or_default();
    let own = match kind {
        "service" => "org.freedesktop.systemd1.Service",
        "socket" => "org.freedesktop.systemd1.Socket",
        "timer" => "org.freedesktop.systemd1.Timer",
        "mount" => "org.freedesktop.systemd1.Mount",
        _ => "",
    };
    let own = if own.is_empty() { Properties::new() } else { all(bus, path.as_str(), own, until)? };
    Ok(Unit {
        state,
        sub: text(&unit, "SubState"),
        result: text(&own, "Result"),
        since: number(&unit, "StateChangeTimestamp"),
        restarts: number(&own, "NRestarts"),
    })
}

/// One line of the list of units.
type Listed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Units in state failed.
pub(crate) fn failed(bus: &mut Bus, until: Deadline) -> Result<Vec<String>, BusError> {
    let states = vec!["failed"];
    let list: Vec<Listed> = bus.call(MANAGER, "ListUnitsFiltered", &(states,), until)?;
    Ok(list.into_iter().map(|unit| unit.0).collect())
}

/// Restarts a unit and waits for the job's result.
pub(crate) fn restart(
    bus: &mut Bus,
    name: &str,
    clear: bool,
    until: Deadline,
) -> Result<String, BusError> {
    // Before the job exists, so that its end cannot be missed.
    bus.call::<_, ()>(DAEMON, "AddMatch", &(REMOVED,), until)?;
    match bus.call::<_, ()>(MANAGER, "Subscribe", &(), until) {
        Err(BusError::Refused { name, .. }) if name.ends_with("AlreadySubscribed") => {}
        other => other?,
    }
    if clear {
        match bus.call::<_, ()>(MANAGER, "ResetFailedUnit", &(name,), until) {
            // A unit that never failed has nothing to reset.
            Err(BusError::Refused { name, .. }) if name.ends_with("NoSuchUnit") => {}
            other => other?,
        }
    }
    let job: OwnedObjectPath = bus.call(MANAGER, "RestartUnit", &(name, "replace"), until)?;
    bus.job(job.as_str(), until)
}
