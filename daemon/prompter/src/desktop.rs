//! A person's desktop: a notification with two buttons (Desktop Notifications Specification 1.2), on
//! the person's own bus.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use bus::{Bus, BusError, Deadline, Target, Variant};
use hatch::messages::Question;
use protocol::documents::Heard;

use crate::screen::Screen;
use crate::words;

const NOTIFICATIONS: Target<'static> = Target {
    to: "org.freedesktop.Notifications",
    path: "/org/freedesktop/Notifications",
    interface: "org.freedesktop.Notifications",
};
const DAEMON: Target<'static> = Target {
    to: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
/// Longest wait for one answer of the bus.
const ANSWER: Duration = Duration::from_secs(3);
/// `expire_timeout` of one that does not expire by itself.
const NEVER: i32 = 0;
/// The urgency that stays on the screen until it is answered.
const CRITICAL: u8 = 2;

/// A desktop that shows notifications.
#[derive(Debug)]
pub(crate) struct Desktop {
    bus: Bus,
    shown: Option<u32>,
}

/// Ours, not the bus's: whoever is asked owns that bus, and these words are signed.
const fn words(error: &BusError) -> &'static str {
    match error {
        BusError::Refused { .. } | BusError::Form => "the desktop shows no questions",
        BusError::Closed | BusError::Line(_) | BusError::Late | BusError::Auth => {
            "the desktop does not answer"
        }
    }
}

impl Desktop {
    /// Connects to the person's bus as the person.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) fn open(runtime: &Path, uid: u32) -> Result<Self, String> {
        let bus = Bus::connect(&runtime.join("bus"), uid, Deadline::within(ANSWER));
        bus.map(|bus| Self { bus, shown: None }).map_err(|error| words(&error).to_owned())
    }

    /// Shows or replaces it; gives its number.
    fn notify(&mut self, title: &str, body: &str, buttons: &[&str]) -> Result<u32, BusError> {
        let replaces = self.shown.unwrap_or(0);
        let hints = BTreeMap::from([("urgency", Variant::U8(CRITICAL))]);
        let message = ("salve", replaces, "", title, body, buttons, hints, NEVER);
        self.bus.call(NOTIFICATIONS, "Notify", &message, Deadline::within(ANSWER))
    }
}

impl Screen for Desktop {
    fn name(&self) -> &str {
        "desktop"
    }

    fn show(&mut self, question: &Question, _: &str) -> Result<(), String> {
        let rule = "type='signal',interface='org.freedesktop.Notifications'";
        let matched: Result<(), BusError> =
            self.bus.call(DAEMON, "AddMatch", &rule, Deadline::within(ANSWER));
        matched.map_err(|error| words(&error).to_owned())?;
        let body = words::body(question).join("\n");
        // Its text may be read as markup (specification, "Markup").
        let body = body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let shown = self.notify(&words::title(question), &body, &["yes", "Yes", "no", "No"]);
        self.shown = Some(shown.map_err(|error| words(&error).to_owned())?);
        Ok(())
    }

    fn answers(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bus.as_fd())
    }

    fn answer(&mut self) -> Option<Heard> {
        let now = Deadline::within(Duration::ZERO);
        loop {
            let (id, key): (u32, String) = self.bus.heard("ActionInvoked", now).ok()?;
            match (Some(id) == self.shown, key.as_str()) {
                (true, "yes") => return Some(Heard::Yes),
                (true, "no") => return Some(Heard::No),
                _ => {}
            }
        }
    }

    fn close(&mut self, heard: Heard) {
        if let Some(id) = self.shown {
            let _ = match heard {
                // What was answered here closed itself.
                Heard::Yes | Heard::No => self
                    .bus
                    .call::<_, ()>(
                        NOTIFICATIONS,
                        "CloseNotification",
                        &id,
                        Deadline::within(ANSWER),
                    )
                    .err(),
                Heard::NobodyThere | Heard::NoAnswer | Heard::NotShown => {
                    self.notify(words::over(heard), "", &[]).err()
                }
            };
        }
    }
}
