//! Certificates as our CAs write them, and every way in which one can be another's.

use certs::{Ca, DAY, Kind, Profile, spki_of};
use trust::{Signer as _, SigningKey};

use super::*;

const NOW: Time = Time(1_795_000_000);
const HERE: EndpointId = EndpointId([4; 16]);

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(name.as_bytes()).0)
}

fn ca(kind: Kind, organisation: &str, name: &str) -> Ca {
    let key = key(name).pkcs8_der();
    Ca::create(kind, organisation, &key, [7; 16], NOW, NOW.plus(3650 * DAY)).unwrap()
}

struct House {
    ca: Ca,
    cas: Vec<Bytes>,
    denied: Vec<Vec<u8>>,
}

impl House {
    fn new() -> Self {
        let ca = ca(Kind::Endpoints, "demo", "endpoints");
        let other = Bytes(b"no certificate".to_vec());
        let cas = vec![other, Bytes(ca.certificate().to_vec())];
        Self { ca, cas, denied: Vec::new() }
    }
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            cas: &self.cas,
            organisation: "demo",
            endpoint: HERE,
            tls_key: Digest::of(&spki_of(&key("tls").public_key())),
            denied: &self.denied,
            now: NOW,
            after: NOW.plus(30 * DAY),
        }
    }
}

fn leaf(ca: &Ca, tls: &str, id: EndpointId, from: Time, to: Time) -> Vec<u8> {
    ca.issue_endpoint(&spki_of(&key(tls).public_key()), &id, [9; 16], from, to).unwrap()
}

fn good(ca: &Ca) -> Vec<u8> {
    leaf(ca, "tls", HERE, NOW.minus(120), NOW.plus(90 * DAY))
}

#[test]
fn a_certificate_of_our_ca_for_this_endpoint_is_taken_with_its_end() {
    let house = House::new();
    let good = good(&house.ca);
    assert_eq!(check(&good, &house.wanted()), Ok(NOW.plus(90 * DAY)));
    assert_eq!(ends(&good), Some(NOW.plus(90 * DAY)));
    // Past 2049 the other spelling of time is used.
    let far = Time(2_600_000_000);
    let late = leaf(&house.ca, "tls", HERE, NOW, far);
    assert_eq!(check(&late, &house.wanted()), Ok(far));
}

#[test]
fn each_fault_alone_is_found() {
    let mut house = House::new();
    let (soon, end) = (NOW.minus(120), NOW.plus(90 * DAY));
    let refused = |der: &[u8], house: &House| check(der, &house.wanted()).unwrap_err();
    let other = EndpointId([5; 16]);
    assert_eq!(refused(&leaf(&house.ca, "other", HERE, soon, end), &house), LeafFault::Key);
    assert_eq!(refused(&leaf(&house.ca, "tls", other, soon, end), &house), LeafFault::Name);
    let late = leaf(&house.ca, "tls", HERE, NOW.plus(300), end);
    assert_eq!(refused(&late, &house), LeafFault::Time);
    let over = leaf(&house.ca, "tls", HERE, NOW.minus(9 * DAY), NOW.minus(DAY));
    assert_eq!(refused(&over, &house), LeafFault::Time);
    let same = leaf(&house.ca, "tls", HERE, soon, NOW.plus(30 * DAY));
    assert_eq!(refused(&same, &house), LeafFault::NotLater);
    // A CA of the same name, one of another organisation, and that of the people.
    let twin = ca(Kind::Endpoints, "demo", "twin");
    assert_eq!(refused(&good(&twin), &house), LeafFault::Issuer);
    let foreign = ca(Kind::Endpoints, "other", "endpoints");
    assert_eq!(refused(&good(&foreign), &house), LeafFault::Issuer);
    house.cas.push(Bytes(foreign.certificate().to_vec()));
    assert_eq!(refused(&good(&foreign), &house), LeafFault::Name);
    let people = ca(Kind::People, "demo", "people");
    house.cas.push(Bytes(people.certificate().to_vec()));
    let spki = spki_of(&key("tls").public_key());
    let id = HERE.to_string();
    let desk = people.issue_desk(&spki, &id, [9; 16], soon, end).unwrap();
    assert_eq!(refused(&desk, &house), LeafFault::Name);
    let facts =
        certs::Leaf { spki: &spki, id: &id, serial: [9; 16], not_before: soon, not_after: end };
    let agent = people.issue(Profile::Agent, &facts).unwrap();
    assert_eq!(refused(&agent, &house), LeafFault::Profile);
    // The CA itself, and a leaf as issuer.
    assert_eq!(refused(house.ca.certificate(), &house), LeafFault::Profile);
    house.cas = vec![Bytes(good(&house.ca))];
    assert_eq!(refused(&good(&house.ca), &house), LeafFault::Issuer);
    let fresh = House::new();
    let serial = certs::read(&good(&fresh.ca)).unwrap().serial;
    let denied = House { denied: vec![serial], ..fresh };
    assert_eq!(refused(&good(&denied.ca), &denied), LeafFault::Denied);
}

#[test]
fn no_bit_may_be_another() {
    let house = House::new();
    let good = good(&house.ca);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(check(&bad, &house.wanted()).is_err(), "byte {at}, bit {bit}");
        }
    }
    for end in 0..good.len() {
        assert!(check(&good[..end], &house.wanted()).is_err(), "cut at {end}");
    }
    let mut long = good.clone();
    long.push(0);
    assert_eq!(check(&long, &house.wanted()), Err(LeafFault::Profile));
}
