//! Local accounts from the files: `passwd`, `shadow`, `login.defs`, `nsswitch.conf`, the tallies of
//! failed sign-ins.
//!
//! Only reads; never gives out a password's hash beyond this process.

use std::io;

use crate::root::{self, Root};
use crate::sys::AsPerson;

/// One line of `passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Name.
    pub(crate) name: String,
    /// Number.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Home, absolute.
    pub(crate) home: String,
    shell: String,
}

/// One line of `shadow`. Its `Debug` prints no hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Shadow {
    hash: String,
    /// Day of the last change since 1970; 0 asks for a new password.
    pub(crate) changed: Option<i64>,
    /// Day after which the account is closed.
    pub(crate) expires: Option<i64>,
}

impl std::fmt::Debug for Shadow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shadow({})", self.password())
    }
}

impl Shadow {
    /// `set`, `locked` or `none`.
    pub(crate) fn password(&self) -> &'static str {
        match self.hash.chars().next() {
            None => "none",
            Some('!' | '*') => "locked",
            Some(_) => "set",
        }
    }
    /// Whether it is another password than `before`.
    pub(crate) fn differs(&self, before: &Self) -> bool {
        self.hash != before.hash
    }
}

/// What the files say about people.
#[derive(Debug, Clone)]
pub(crate) struct People {
    accounts: Vec<Account>,
    uid_min: u32,
    uid_max: u32,
}

impl People {
    /// Reads `passwd` and the range of people's numbers.
    pub(crate) fn read(root: &Root) -> io::Result<Self> {
        let defs = root.text("/etc/login.defs").unwrap_or_default();
        let number = |key: &str, preset| {
            let value = defs.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some(key)).then(|| words.next()?.parse().ok())?
            });
            value.unwrap_or(preset)
        };
        let passwd = root.text("/etc/passwd")?;
        let accounts = passwd.lines().filter_map(account).collect();
        // What a file may not do: name root and the system's own accounts people.
        let uid_min = number("UID_MIN", 1000).max(100);
        Ok(Self { accounts, uid_min, uid_max: number("UID_MAX", 60_000) })
    }
    /// An account by name.
    pub(crate) fn get(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }
    /// The name of a number.
    pub(crate) fn name_of(&self, uid: u32) -> Option<&str> {
        self.accounts.iter().find(|account| account.uid == uid).map(|a| a.name.as_str())
    }
    /// Whether an account is a person's: not root, not a system account, may sign in.
    pub(crate) fn is_human(&self, account: &Account) -> bool {
        let shell = account.shell.rsplit('/').next().unwrap_or_default();
        self.in_range(account) && !matches!(shell, "nologin" | "false")
    }
    fn in_range(&self, account: &Account) -> bool {
        // A second name of the number 0 or of nobody is as little a person as the first.
        account.uid >= self.uid_min && account.uid <= self.uid_max && account.uid != 65_534
    }
    /// People's accounts that have a home of their own, whether or not it exists.
    pub(crate) fn with_homes(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(|account| {
            let home = account.home.trim_end_matches('/');
            self.in_range(account) && home.starts_with('/') && home.matches('/').count() >= 2
        })
    }
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
    Some(Account {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    })
}

/// An account's line of `shadow`; none where there is no such line.
pub(crate) fn shadow(root: &Root, name: &str) -> io::Result<Option<Shadow>> {
    let text = root.text("/etc/shadow")?;
    let line = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    Ok(line.filter(|fields| fields.first() == Some(&name)).find_map(|fields| {
        let day = |place: usize| fields.get(place).and_then(|day| day.parse().ok());
        let hash = (*fields.get(1)?).to_owned();
        Some(Shadow { hash, changed: day(2), expires: day(7) })
    }))
}

/// Whether `passwd` names other places than files, so that an account may exist and not be here.
pub(crate) fn has_directory(root: &Root) -> bool {
    let text = root.text("/etc/nsswitch.conf").unwrap_or_default();
    let sources = text.lines().find_map(|line| line.trim().strip_prefix("passwd:"));
    sources.is_some_and(|sources| {
        let mut words = sources.split_whitespace().filter(|word| !word.starts_with('['));
        words.any(|word| !matches!(word, "files" | "compat" | "systemd" | "altfiles"))
    })
}

/// Bytes of one record of a tally file (`struct tally` of pam_faillock): source 52, reserved 2,
/// status 2, time 8.
const TALLY_BYTES: usize = 64;
/// Bit of its status: the record counts.
const TALLY_VALID: u8 = 1;

/// The folder of the tallies.
pub(crate) fn tallies(root: &Root) -> String {
    let conf = root.text("/etc/security/faillock.conf").unwrap_or_default();
    let folder = conf.lines().find_map(|line| {
        let (key, value) = line.split('#').next()?.split_once('=')?;
        (key.trim() == "dir").then(|| value.trim().to_owned())
    });
    let absolute = folder.filter(|folder| folder.starts_with('/'));
    absolute.unwrap_or_else(|| "/var/run/faillock".to_owned())
}

/// Failed sign-ins on record; none where the tally cannot be read.
pub(crate) fn failures(root: &Root, account: &Account) -> Option<u64> {
    let folder = tallies(root);
    let path = root.at(&format!("{folder}/{}", account.name));
    let bytes = match read_tally(&path, account) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(0),
        Err(_) => return None,
    };
    let valid = |record: &[u8]| record.get(54).is_some_and(|status| status & TALLY_VALID != 0);
    u64::try_from(bytes.chunks_exact(TALLY_BYTES).filter(|record| valid(record)).count()).ok()
}

fn read_tally(path: &std::path::Path, account: &Account) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    // The tally belongs to the person and is closed to others, so it is read in their name where
    // root's right to pass over permissions is gone.
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let _person = AsPerson::enter(account.uid, account.gid)?;
            std::fs::File::open(path)?
        }
        other => other?,
    };
    let mut bytes = Vec::new();
    file.by_ref().take(1 << 20).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The zone's name from `timezone` or the link `localtime`.
pub(crate) fn zone(root: &Root) -> Option<String> {
    let named = root::read_small(&root.at("/etc/timezone")).ok();
    named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).or_else(|| {
        let link = std::fs::read_link(root.at("/etc/localtime")).ok()?;
        link.to_str()?.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, put};

    #[test]
    fn people_are_those_who_may_sign_in() {
        let tree = testing::machine();
        let people = People::read(&tree.root).unwrap();
        let human = |name: &str| people.is_human(people.get(name).unwrap());
        assert!(human("jo") && human("mo"));
        for name in ["root", "toor", "daemon", "nobody", "svc", "quiet"] {
            assert!(!human(name), "{name}");
        }
        assert!(people.get("ghost").is_none());
        assert_eq!(people.name_of(1001), Some("jo"));
        let homes: Vec<_> = people.with_homes().map(|a| a.name.as_str()).collect();
        assert_eq!(homes, ["jo", "mo", "quiet"]);
    }

    #[test]
    fn a_low_uid_min_does_not_make_root_a_person() {
        let tree = testing::machine();
        put(&tree.root, "/etc/login.defs", "UID_MIN 0\n");
        let people = People::read(&tree.root).unwrap();
        assert!(!people.is_human(people.get("root").unwrap()));
        assert!(!people.is_human(people.get("toor").unwrap()));
    }

    #[test]
    fn shadow_words() {
        let tree = testing::machine();
        let word = |name: &str| shadow(&tree.root, name).unwrap().unwrap().password();
        assert_eq!((word("jo"), word("mo"), word("quiet")), ("set", "locked", "none"));
        assert_eq!(shadow(&tree.root, "ghost").unwrap(), None);
        let jo = shadow(&tree.root, "jo").unwrap().unwrap();
        assert!(!format!("{jo:?}").contains("$y$"), "{jo:?}");
    }

    #[test]
    fn tallies_count_valid_records() {
        let tree = testing::machine();
        let people = People::read(&tree.root).unwrap();
        let jo = people.get("jo").unwrap();
        assert_eq!(failures(&tree.root, jo), Some(0));
        let record = |status: u8| {
            let mut bytes = vec![0u8; TALLY_BYTES];
            bytes[54] = status;
            bytes
        };
        let bytes = [record(1), record(0), record(5)].concat();
        put(&tree.root, "/var/run/faillock/jo", bytes);
        assert_eq!(failures(&tree.root, jo), Some(2));
        put(&tree.root, "/etc/security/faillock.conf", "# dir = /no\ndir = /elsewhere\n");
        assert_eq!(failures(&tree.root, jo), Some(0));
    }

    #[test]
    fn other_sources_are_seen() {
        let tree = testing::machine();
        assert!(!has_directory(&tree.root));
        put(&tree.root, "/etc/nsswitch.conf", "passwd: files [NOTFOUND=continue] sss systemd\n");
        assert!(has_directory(&tree.root));
    }
}
