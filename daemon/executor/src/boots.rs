//! `host.boots`: starts of the machine and how many came without a shutdown before, from `wtmp`.
//!
//! The file also holds who signed in; nothing but starts and stops is taken from it.

use surface::Value;

use crate::fail::Fail;
use crate::run::Run;

const WTMP: &str = "/var/log/wtmp";
/// Bytes of one entry on Linux (utmp(5), all architectures that keep 32-bit times in it).
const ENTRY: usize = 384;
/// Entries from the end that are read: years of starts.
const ENTRIES_MAX: u64 = 32_768;
/// How far back starts count, seconds.
const BACK: u64 = 30 * 86_400;

/// What an entry says.
enum Said {
    Start,
    Stop,
    Other,
}

fn number<const N: usize>(entry: &[u8], at: usize) -> Option<[u8; N]> {
    entry.get(at..at.saturating_add(N))?.try_into().ok()
}

/// Kind and time of an entry.
fn said(entry: &[u8]) -> Option<(Said, u64)> {
    let kind = i16::from_ne_bytes(number(entry, 0)?);
    let user = entry.get(44..76)?;
    let at = u32::from_ne_bytes(number(entry, 340)?);
    let said = match kind {
        2 => Said::Start,
        // RUN_LVL of the pseudo user `shutdown`.
        1 if user.starts_with(b"shutdown\0") => Said::Stop,
        _ => Said::Other,
    };
    Some((said, u64::from(at)))
}

/// `host.boots`.
pub(crate) fn boots(run: &mut Run) -> Result<Value, Fail> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let unread = |error: std::io::Error| Fail::failed(format!("could not read {WTMP}: {error}"));
    let mut file = match std::fs::File::open(run.root.at(WTMP)) {
        Ok(file) => file,
        // Newer systems keep a database that this does not read.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Unit),
        Err(error) => return Err(unread(error)),
    };
    let size = file.metadata().map_err(unread)?.len();
    let entries = size / ENTRY as u64;
    let skipped = entries.saturating_sub(ENTRIES_MAX);
    file.seek(SeekFrom::Start(skipped.saturating_mul(ENTRY as u64))).map_err(unread)?;
    let mut bytes = Vec::new();
    file.take(ENTRIES_MAX * ENTRY as u64).read_to_end(&mut bytes).map_err(unread)?;
    let since = run.clock.now().0.saturating_sub(BACK);
    let (mut count, mut unclean, mut stopped) = (0u64, 0u64, None);
    for (kind, at) in bytes.chunks_exact(ENTRY).filter_map(said) {
        match kind {
            Said::Start => {
                if at >= since {
                    count = count.saturating_add(1);
                    // Before the first start that is known nothing is known.
                    unclean = unclean.saturating_add(u64::from(stopped == Some(false)));
                }
                stopped = Some(false);
            }
            Said::Stop => stopped = Some(true),
            Said::Other => {}
        }
    }
    if stopped.is_none() {
        return Ok(Value::Unit);
    }
    Ok(Value::map([("count", Value::count(count)), ("unclean", Value::count(unclean))]))
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing::{self, NOW, put};

    fn entry(kind: i16, user: &str, at: u64) -> Vec<u8> {
        let mut bytes = vec![0; ENTRY];
        bytes.splice(0..2, kind.to_ne_bytes());
        bytes.splice(44..44 + user.len(), user.bytes());
        bytes.splice(340..344, u32::try_from(at).unwrap().to_ne_bytes());
        bytes
    }

    #[test]
    fn starts_without_a_shutdown_before_are_unclean() {
        let tree = testing::machine();
        let mut made =
            testing::open(&tree, testing::start(Mode::Check, &[("host.boots", &[])], &[]));
        assert_eq!(made.call("host.boots", &[]), Ok(Value::Unit), "no such file");
        let (day, now) = (86_400, NOW.0);
        let all = [
            entry(2, "reboot", now - 40 * day),
            entry(7, "jo", now - 35 * day),
            entry(2, "reboot", now - 20 * day),
            entry(1, "shutdown", now - 10 * day),
            entry(2, "reboot", now - 9 * day),
            entry(2, "reboot", now - day),
        ];
        put(&tree.root, WTMP, all.concat());
        let said = Value::map([("count", Value::Int(3)), ("unclean", Value::Int(2))]);
        assert_eq!(made.call("host.boots", &[]), Ok(said));
        put(&tree.root, WTMP, [&[7; 100][..], &[0xff; 900]].concat());
        assert_eq!(made.call("host.boots", &[]), Ok(Value::Unit), "of other bytes nothing is made");
    }
}
