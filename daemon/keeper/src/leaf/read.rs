//! The fields of one certificate (RFC 5280, RFC 8410): version 3, ed25519 and the extensions that our
//! CAs write. Says what stands there; who signed it is the caller's question.

use protocol::{PublicKey, Time, limits};

use super::der::{Der, tag};

/// `SEQUENCE { OID 1.3.101.112 }`: ed25519, as signature and as key.
const ED25519: [u8; 7] = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
/// Object identifiers of extensions.
mod oid {
    pub(super) const KEY_IDENTIFIER: [u8; 3] = [0x55, 0x1d, 14];
    pub(super) const KEY_USAGE: [u8; 3] = [0x55, 0x1d, 15];
    pub(super) const ALT_NAME: [u8; 3] = [0x55, 0x1d, 17];
    pub(super) const CONSTRAINTS: [u8; 3] = [0x55, 0x1d, 19];
    pub(super) const ISSUER_IDENTIFIER: [u8; 3] = [0x55, 0x1d, 35];
    pub(super) const PURPOSES: [u8; 3] = [0x55, 0x1d, 37];
}
/// `id-kp-serverAuth` and `id-kp-clientAuth`.
const SERVES: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 3, 1];
const DIALS: [u8; 8] = [0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a certificate says. Nothing here was verified.
#[derive(Debug)]
pub(super) struct Certificate<'b> {
    /// What the issuer signed.
    pub(super) signed: &'b [u8],
    pub(super) signature: &'b [u8],
    /// Big endian without leading zeros.
    pub(super) serial: &'b [u8],
    pub(super) issuer: &'b [u8],
    pub(super) subject: &'b [u8],
    pub(super) not_before: Time,
    pub(super) not_after: Time,
    pub(super) spki: &'b [u8],
    pub(super) key: PublicKey,
    /// The one alternative name, where it is a URI.
    pub(super) uri: Option<&'b [u8]>,
    pub(super) is_ca: bool,
    /// Purpose server.
    pub(super) serves: bool,
    /// Purpose client.
    pub(super) dials: bool,
}

#[derive(Debug, Default)]
struct Extensions<'b> {
    seen: Vec<&'b [u8]>,
    uri: Option<&'b [u8]>,
    is_ca: bool,
    serves: bool,
    dials: bool,
}

impl<'b> Certificate<'b> {
    /// None: not a certificate of ours, or bytes after it.
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        if bytes.len() > limits::CERTIFICATE_BYTES_MAX {
            return None;
        }
        let mut all = Der(bytes);
        let mut outer = all.enter(tag::SEQUENCE)?;
        let body = outer.take(tag::SEQUENCE)?;
        let algorithm = outer.take(tag::SEQUENCE)?;
        let signature = bits(outer.take(tag::BIT_STRING)?.inner)?;
        if !all.is_empty() || !outer.is_empty() || algorithm.whole != ED25519 {
            return None;
        }
        let mut fields = Der(body.inner);
        // Version 3 is written as 2.
        if fields.take(tag::VERSION)?.inner != [tag::INTEGER, 1, 2] {
            return None;
        }
        let serial = fields.take(tag::INTEGER)?.inner;
        if fields.take(tag::SEQUENCE)?.whole != ED25519 {
            return None;
        }
        let issuer = fields.take(tag::SEQUENCE)?.whole;
        let mut validity = fields.enter(tag::SEQUENCE)?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = fields.take(tag::SEQUENCE)?.whole;
        let spki = fields.take(tag::SEQUENCE)?;
        let mut key = Der(spki.inner);
        if key.take(tag::SEQUENCE)?.whole != ED25519 {
            return None;
        }
        let bytes = PublicKey(bits(key.take(tag::BIT_STRING)?.inner)?.try_into().ok()?);
        let mut list = fields.enter(tag::EXTENSIONS)?;
        let found = extensions(list.enter(tag::SEQUENCE)?)?;
        let whole = validity.is_empty() && key.is_empty() && list.is_empty() && fields.is_empty();
        whole.then(|| Self {
            signed: body.whole,
            signature,
            serial: unpadded(serial),
            issuer,
            subject,
            not_before,
            not_after,
            spki: spki.whole,
            key: bytes,
            uri: found.uri,
            is_ca: found.is_ca,
            serves: found.serves,
            dials: found.dials,
        })
    }
}

/// Big endian without leading zeros: how serials are compared.
pub(super) fn unpadded(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Whole bytes of a bit string.
fn bits(inner: &[u8]) -> Option<&[u8]> {
    inner.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bytes)| bytes)
}

/// UTC to the second, in the two spellings of RFC 5280.
fn time(fields: &mut Der<'_>) -> Option<Time> {
    let element = fields.element()?;
    let text = std::str::from_utf8(element.inner).ok()?;
    let text = match element.tag {
        // Two digits of a year: 1950 to 2049.
        tag::UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        tag::UTC_TIME => format!("20{text}"),
        tag::GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let digits = text.strip_suffix('Z')?;
    if digits.len() != 14 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let (year, month, day) = (part(0, 4), part(4, 6), part(6, 8));
    let (hour, minute, second) = (part(8, 10), part(10, 12), part(12, 14));
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

fn extensions(mut list: Der<'_>) -> Option<Extensions<'_>> {
    let mut found = Extensions::default();
    while !list.is_empty() {
        let mut one = list.enter(tag::SEQUENCE)?;
        let name = one.take(tag::OID)?.inner;
        // Whether it is critical does not matter: every one that is known is obeyed.
        let _ = one.maybe(tag::BOOLEAN);
        let value = one.take(tag::OCTET_STRING)?.inner;
        if !one.is_empty() || found.seen.contains(&name) {
            return None;
        }
        found.seen.push(name);
        extension(name, value, &mut found)?;
    }
    Some(found)
}

fn extension<'b>(name: &[u8], value: &'b [u8], found: &mut Extensions<'b>) -> Option<()> {
    let mut value = Der(value);
    if name == oid::ALT_NAME {
        let mut names = value.enter(tag::SEQUENCE)?;
        found.uri = Some(names.take(tag::URI)?.inner);
        return (names.is_empty() && value.is_empty()).then_some(());
    }
    if name == oid::CONSTRAINTS {
        let mut inside = value.enter(tag::SEQUENCE)?;
        found.is_ca = inside.maybe(tag::BOOLEAN).is_some_and(|is| is.inner != [0]);
        return value.is_empty().then_some(());
    }
    if name == oid::PURPOSES {
        let mut purposes = value.enter(tag::SEQUENCE)?;
        while !purposes.is_empty() {
            match purposes.take(tag::OID)?.inner {
                purpose if purpose == SERVES => found.serves = true,
                purpose if purpose == DIALS => found.dials = true,
                _ => return None,
            }
        }
        return value.is_empty().then_some(());
    }
    // They say nothing that is decided by here.
    let idle = [oid::KEY_IDENTIFIER, oid::KEY_USAGE, oid::ISSUER_IDENTIFIER];
    idle.iter().any(|known| name == known).then_some(())
}
