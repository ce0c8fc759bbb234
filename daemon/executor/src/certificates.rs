//! `host.certificates`: what this machine's own services show to others, and until when.
//!
//! Looks into the few places where such certificates lie; reads dates and a name, checks nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::Time;
use surface::Value;

use crate::fail::Fail;
use crate::root::{Root, read_small};
use crate::run::Run;

/// Folders and how their certificates end; `/` stands for one folder in between.
const PLACES: [(&str, &str); 6] = [
    ("/etc/letsencrypt/live", "/cert.pem"),
    ("/etc/nginx/ssl", ".crt"),
    ("/etc/nginx/ssl", ".pem"),
    ("/etc/apache2/ssl", ".crt"),
    ("/etc/cups/ssl", ".crt"),
    ("/etc/pki/tls/certs", "localhost.crt"),
];
/// Most certificates in an answer.
const LIST_MAX: usize = 50;

/// `host.certificates`.
pub(crate) fn certificates(run: &mut Run) -> Result<Value, Fail> {
    let now = i64::try_from(run.clock.now().0).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for path in run.certificates.clone() {
        run.clock.check()?;
        let Ok(text) = read_small(&run.root.at(&path)) else { continue };
        let Some((until, subject)) = der(&text).and_then(|der| read(&der)) else { continue };
        let until = i64::try_from(until.0).unwrap_or(i64::MAX);
        found.push(((until - now).div_euclid(86_400), path, subject));
    }
    if found.is_empty() {
        return Ok(Value::Unit);
    }
    found.sort();
    let list = found.into_iter().map(|(days, path, subject)| {
        Value::map([
            ("path", Value::text(path)),
            ("subject", Value::text(subject)),
            ("days_left", Value::Int(days)),
        ])
    });
    Ok(Value::List(list.collect()))
}

/// The certificates that there are before the lock: the kernel leaves these files to the run and
/// not the folders, in which keys lie as well.
pub(crate) fn paths(root: &Root) -> Vec<String> {
    let names = |folder: &str| {
        let entries = std::fs::read_dir(root.at(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    for (folder, end) in PLACES {
        let paths = names(folder).into_iter();
        match end.strip_prefix('/') {
            Some(_) => all.extend(paths.map(|path| path + end)),
            None => all.extend(paths.filter(|path| path.ends_with(end))),
        }
    }
    all.truncate(LIST_MAX);
    all
}

/// The first certificate of a PEM file.
fn der(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(body).ok()
}

/// Tag, content and what follows of the first element.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=127 => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (len, rest) = rest.split_at_checked(usize::from(first & 7))?;
            (len.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// Until when it holds, and its subject's common name (RFC 5280, section 4.1).
fn read(der: &[u8]) -> Option<(Time, String)> {
    let (_, certificate, _) = element(der)?;
    let (_, body, _) = element(certificate)?;
    let (tag, _, rest) = element(body)?;
    // The version stands in front where it is not 1; then serial, algorithm, issuer.
    let rest = if tag == 0xa0 { element(rest)?.2 } else { rest };
    let (_, _, rest) = element(rest)?;
    let (_, _, rest) = element(rest)?;
    let (_, validity, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, after, _) = element(after)?;
    let digits = std::str::from_utf8(after).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let full = match (tag, digits.len()) {
        // Two digits of a year mean 1950 to 2049.
        (0x17, 12) if digits < "50" => format!("20{digits}"),
        (0x17, 12) => format!("19{digits}"),
        (0x18, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| full.get(from..to).unwrap_or_default();
    let [year, month, day] = [part(0, 4), part(4, 6), part(6, 8)];
    let [hour, minute, second] = [part(8, 10), part(10, 12), part(12, 14)];
    let until = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()?;
    Some((until, common_name(subject).unwrap_or_else(|| "(no name)".to_owned())))
}

fn common_name(mut subject: &[u8]) -> Option<String> {
    let mut name = None;
    while let Some((_, set, rest)) = element(subject) {
        subject = rest;
        let Some((_, pair, _)) = element(set) else { continue };
        let Some((_, kind, value)) = element(pair) else { continue };
        if let (&[0x55, 4, 3], Some((_, text, _))) = (kind, element(value)) {
            let clean = |c: char| if c.is_control() { ' ' } else { c };
            let text = String::from_utf8_lossy(text);
            name = Some(text.chars().map(clean).take(100).collect());
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use protocol::Mode;

    use super::*;
    use crate::testing::{self, put};

    /// Made for this test; nobody has its key.
    const PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBZzCCARmgAwIBAgIUBEuZp+tw7IqHtcSEZlDR6656wAowBQYDK2VwMCkxETAP
BgNVBAoMCERlbW8gTHRkMRQwEgYDVQQDDAt3d3cuZXhhbXBsZTAeFw0yNjExMjIx
NDA5MjNaFw0yNzAxMjExNDA5MjNaMCkxETAPBgNVBAoMCERlbW8gTHRkMRQwEgYD
VQQDDAt3d3cuZXhhbXBsZTAqMAUGAytlcAMhAG1IyClBcWQjJ2V5ayZ1FDvkPEKG
hVWjoPeIEkhKXAG6o1MwUTAdBgNVHQ4EFgQUbpydIKJHXwIJhMkTym+DzbUz5i0w
HwYDVR0jBBgwFoAUbpydIKJHXwIJhMkTym+DzbUz5i0wDwYDVR0TAQH/BAUwAwEB
/zAFBgMrZXADQQBTCjPT4QdXvEsv8L521wZZd0d8e68jZ7CBkXttusQHipT4nZdh
wp8GZcnSdJqNpysUK4svZCwO7cglmeUuQQUK
-----END CERTIFICATE-----
";

    #[test]
    fn certificates_of_services_are_told_soonest_first() {
        let tree = testing::machine();
        let start = || testing::start(Mode::Check, &[], &[]);
        let mut made = testing::open(&tree, start());
        assert_eq!(made.call("host.certificates", &[]), Ok(Value::Unit));
        put(&tree.root, "/etc/letsencrypt/live/www/cert.pem", PEM);
        put(&tree.root, "/etc/cups/ssl/broken.crt", PEM.replace("MII", "AAA"));
        put(&tree.root, "/etc/cups/ssl/key.key", "secret");
        let mut made = testing::open(&tree, start());
        let list = made.call("host.certificates", &[]).unwrap();
        let [one] = list.as_list().unwrap() else { panic!("{list:?}") };
        assert_eq!(one.get("subject"), Some(&Value::text("www.example")));
        assert_eq!(one.get("path"), Some(&Value::text("/etc/letsencrypt/live/www/cert.pem")));
        let until: Time = "2027-01-21T14:09:23Z".parse().unwrap();
        let days = i64::try_from(until.since(testing::NOW) / 86_400).unwrap();
        assert_eq!(one.get("days_left"), Some(&Value::Int(days)));
    }

    #[test]
    fn no_bytes_are_too_broken_to_be_read() {
        let good = der(PEM).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            let _ = read(&bad);
            let _ = read(&good[..at]);
        }
    }
}
