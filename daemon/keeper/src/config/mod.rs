//! `salved.toml`: one file, one struct, all faults at once. Never guesses what a misspelt key
//! meant.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use hatch::Exceptions;
use protocol::limits;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::state::Layout;

/// Where the file lies where nobody says otherwise.
pub const PATH: &str = "/etc/salve/salved.toml";

/// What the daemon is told by its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the gate listens (UDP).
    pub listen: SocketAddr,
    /// Desks to hold a line to, `HOST:PORT`, best first: for endpoints that nobody can dial.
    pub desks: Vec<String>,
    /// Folder of keys, ledger and catalogue; root's alone.
    pub state: PathBuf,
    /// Folder of gate, interpreter, executor and prompter.
    pub libexec: PathBuf,
    /// The gate's own user.
    pub gate_user: String,
    /// Defences that may be missing on this machine.
    pub exceptions: Exceptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], limits::PORT_DEFAULT)),
            desks: Vec::new(),
            state: "/var/lib/salve".into(),
            libexec: "/usr/lib/salve".into(),
            gate_user: "salve-gate".into(),
            exceptions: Exceptions::default(),
        }
    }
}

/// One thing that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, `{key}`: {why}; {try_this}")]
pub struct Fault {
    /// The key.
    pub key: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
    /// What would be right.
    pub try_this: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It has faults: all of them.
    #[error("`{}` has {} fault(s):\n  {}", path.display(), faults.len(), lines(faults))]
    Faults {
        /// Its path.
        path: PathBuf,
        /// All of them.
        faults: Vec<Fault>,
    },
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
}

/// Reads the named file; without a name the usual one, and what is usual where there is none.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn load(named: Option<&Path>) -> Result<Config, ConfigError> {
    let path = named.unwrap_or(Path::new(PATH));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            String::new()
        }
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    let read = read(&text);
    let mut config =
        read.map_err(|faults| ConfigError::Faults { path: path.to_owned(), faults })?;
    if config.desks.is_empty() {
        config.desks = told_desks(&config.state);
    }
    Ok(config)
}

/// The desks that this machine was told of when it joined, where the file names none. Whoever may not
/// read the state sees none.
fn told_desks(state: &Path) -> Vec<String> {
    let told = std::fs::read_to_string(Layout::new(state).desks()).unwrap_or_default();
    let desks = told.lines().filter(|desk| is_host_and_port(desk));
    desks.take(limits::DESKS_MAX).map(str::to_owned).collect()
}

struct Reader<'t> {
    text: &'t str,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, key: &str, at: usize, why: &str, try_this: &str) {
        let line = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let (key, why, try_this) = (key.to_owned(), why.to_owned(), try_this.to_owned());
        self.faults.push(Fault { key, line, why, try_this });
    }

    fn text<'v>(&mut self, key: &str, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        let found = value.get_ref().as_str();
        if found.is_none() {
            self.fault(key, value.span().start, "is no text", "put it in double quotes");
        }
        found
    }

    fn path(&mut self, key: &str, value: &Spanned<DeValue<'_>>, into: &mut PathBuf) {
        let Some(text) = self.text(key, value) else { return };
        if Path::new(text).is_absolute() {
            *into = text.into();
        } else {
            self.fault(key, value.span().start, "is no absolute path", "begin it with /");
        }
    }

    /// One desk, or a list of them.
    fn desks(&mut self, value: &Spanned<DeValue<'_>>, into: &mut Vec<String>) {
        let usual = "use one like \"desk.example.org:7434\", or a list of them";
        let single = std::slice::from_ref(value);
        let list = value.get_ref().as_array().map_or(single, |list| &**list);
        for item in list {
            match item.get_ref().as_str() {
                Some(text) if is_host_and_port(text) => into.push(text.to_owned()),
                _ => self.fault("desk", item.span().start, "is no HOST:PORT", usual),
            }
        }
        if list.len() > limits::DESKS_MAX {
            let why = format!("names more than {} desks", limits::DESKS_MAX);
            self.fault("desk", value.span().start, &why, "keep the nearest of them");
        }
    }

    fn exceptions(&mut self, value: &Spanned<DeValue<'_>>, into: &mut Exceptions) {
        let usual = "use a list of \"uid\" and \"cgroup\", usually []";
        let Some(list) = value.get_ref().as_array() else {
            return self.fault("exceptions", value.span().start, "is no list", usual);
        };
        for item in list {
            match item.get_ref().as_str() {
                Some("uid") => into.uid = true,
                Some("cgroup") => into.cgroup = true,
                _ => {
                    let why = "names a defence that cannot be missing";
                    self.fault("exceptions", item.span().start, why, usual);
                }
            }
        }
    }
}

/// A name or an address (IPv6 in brackets) and a port.
/// Whether this is `HOST:PORT`.
pub(crate) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    port && match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            let ok = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
            (1..=253).contains(&host.len()) && host.bytes().all(ok)
        }
    }
}

/// Reads the file's text.
///
/// # Errors
/// Every fault, in the order of the file.
pub fn read(text: &str) -> Result<Config, Vec<Fault>> {
    let mut reader = Reader { text, faults: Vec::new() };
    let mut config = Config::default();
    match DeTable::parse(text) {
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let why = error.message().to_owned();
            reader.fault("salved.toml", at, &why, "see the packaged salved.toml");
        }
        Ok(table) => {
            for (name, value) in table.get_ref() {
                let at = name.span().start;
                key(&mut reader, name.get_ref(), at, value, &mut config);
            }
        }
    }
    reader.faults.sort_by_key(|fault| fault.line);
    if reader.faults.is_empty() { Ok(config) } else { Err(reader.faults) }
}

fn key(
    reader: &mut Reader<'_>,
    name: &str,
    at: usize,
    value: &Spanned<DeValue<'_>>,
    config: &mut Config,
) {
    match name {
        "listen" => {
            let Some(text) = reader.text(name, value) else { return };
            match text.parse() {
                Ok(address) => config.listen = address,
                Err(_) => {
                    let why = "is no address with a port";
                    reader.fault(name, value.span().start, why, "use one like 0.0.0.0:7433");
                }
            }
        }
        "desk" => reader.desks(value, &mut config.desks),
        "state" => reader.path(name, value, &mut config.state),
        "libexec" => reader.path(name, value, &mut config.libexec),
        "gate_user" => match reader.text(name, value) {
            Some("root" | "0" | "") => {
                let why = "must not be root";
                reader.fault(name, value.span().start, why, "use the package's salve-gate");
            }
            Some(user) => user.clone_into(&mut config.gate_user),
            None => {}
        },
        "exceptions" => reader.exceptions(value, &mut config.exceptions),
        _ => {
            let known = "known are listen, desk, state, libexec, gate_user, exceptions";
            reader.fault(name, at, "is not known here", known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_file_says_what_the_daemon_does_without_one() {
        let packaged = include_str!("../../../package/salved.toml");
        assert_eq!(read(packaged).unwrap(), Config::default());
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn all_faults_come_at_once_with_their_lines() {
        let text = "listen = \"everywhere\"\nsatte = \"/x\"\nstate = \"x\"\n\
                    gate_user = \"root\"\nexceptions = [\"uid\", \"landlock\"]\n";
        let faults = read(text).unwrap_err();
        let seen: Vec<_> = faults.iter().map(|f| (f.line, f.key.as_str())).collect();
        let keys = ["listen", "satte", "state", "gate_user", "exceptions"];
        assert_eq!(seen, (1..).zip(keys).collect::<Vec<_>>());
        assert!(read("listen = [").is_err());
        assert!(read("listen = 7433").is_err());
        for bad in ["\"desk\"", "7434", "\"h:0\"", "\"a b:1\"", "\"::1:7434\"", "[\"h:1\", 2]"] {
            let faults = read(&format!("desk = {bad}")).unwrap_err();
            assert_eq!((faults.len(), faults[0].key.as_str()), (1, "desk"), "{bad}");
        }
        let many = read("desk = [\"a:1\", \"b:1\", \"c:1\", \"d:1\", \"e:1\"]").unwrap_err();
        assert!(many[0].why.contains("more than 4"));
        assert_eq!(read("desk = \"desk.lan:7434\"").unwrap().desks, ["desk.lan:7434"]);
        let list = "desk = [\"10.0.0.9:7434\", \"[fd00::9]:7434\"]";
        assert_eq!(read(list).unwrap().desks, ["10.0.0.9:7434", "[fd00::9]:7434"]);
        let fine = read("exceptions = [\"cgroup\"]").unwrap();
        assert!(fine.exceptions.cgroup && !fine.exceptions.uid);
    }
}
