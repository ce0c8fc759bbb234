//! What others must be able to rely on: OpenSSL reads it, webpki admits it, profiles stay apart.

use std::process::{Command, Output};

use protocol::{EndpointId, Time};
use rustls::pki_types::{CertificateDer, UnixTime};
use trust::{Signer as _, SigningKey};

use super::*;

const START: Time = Time(1_795_000_000);

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32])
}

fn ca(kind: Kind) -> Ca {
    let end = START.plus(CA_DAYS * DAY);
    Ca::create(kind, "demo", &key(kind as u8).pkcs8_der(), [0xff; 16], START, end).unwrap()
}

fn agent() -> Vec<u8> {
    let spki = spki_of(&key(9).public_key());
    let end = START.plus(AGENT_DAYS * DAY);
    ca(Kind::People).issue_agent(&spki, &"a.kaya".parse().unwrap(), [0; 16], START, end).unwrap()
}

fn endpoint() -> Vec<u8> {
    let spki = spki_of(&key(8).public_key());
    let end = START.plus(ENDPOINT_DAYS * DAY);
    ca(Kind::Endpoints).issue_endpoint(&spki, &EndpointId([7; 16]), [1; 16], START, end).unwrap()
}

fn desk() -> Vec<u8> {
    let spki = spki_of(&key(7).public_key());
    ca(Kind::People).issue_desk(&spki, "desk-1", [2; 16], START, START.plus(DAY)).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test asks OpenSSL what it reads")]
fn openssl(args: &[&str]) -> Output {
    Command::new("openssl").args(args).output().unwrap()
}

fn openssl_text(der: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.pem");
    std::fs::File::create(&path)
        .and_then(|mut f| std::io::Write::write_all(&mut f, to_pem([der]).as_bytes()))
        .unwrap();
    let shown = openssl(&["x509", "-in", path.to_str().unwrap(), "-noout", "-text"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8(shown.stdout).unwrap()
}

#[test]
fn each_leaf_says_one_uri_its_usages_and_no_ca_as_openssl_reads_it() {
    let text = openssl_text(&agent());
    assert!(text.contains("URI:salve://demo/agent/a.kaya\n"), "{text}");
    assert!(text.contains("TLS Web Client Authentication\n"), "{text}");
    assert!(!text.contains("TLS Web Server Authentication"), "{text}");
    assert!(text.contains("CA:FALSE") && text.contains("ED25519"), "{text}");
    assert!(text.contains("Digital Signature") && !text.contains("Certificate Sign"), "{text}");

    let text = openssl_text(&endpoint());
    assert!(text.contains(&format!("URI:salve://demo/endpoint/{}\n", EndpointId([7; 16]))));
    assert!(text.contains("TLS Web Server Authentication, TLS Web Client Authentication"));

    let text = openssl_text(&desk());
    assert!(text.contains("URI:salve://demo/desk/desk-1\n"), "{text}");

    let text = openssl_text(ca(Kind::People).certificate());
    assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
    assert!(text.contains("Certificate Sign, CRL Sign"), "{text}");
    assert!(text.contains("CN = demo people CA") || text.contains("CN=demo people CA"), "{text}");
}

#[test]
fn openssl_verifies_a_leaf_under_its_own_ca_only() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, der: &[u8]| {
        let path = dir.path().join(name);
        std::fs::File::create(&path)
            .and_then(|mut f| std::io::Write::write_all(&mut f, to_pem([der]).as_bytes()))
            .unwrap();
        path.to_str().unwrap().to_owned()
    };
    let people = put("people.pem", ca(Kind::People).certificate());
    let endpoints = put("endpoints.pem", ca(Kind::Endpoints).certificate());
    let leaf = put("leaf.pem", &agent());
    let at = (START.0 + 60).to_string();
    let verify = |root: &str| openssl(&["verify", "-attime", &at, "-CAfile", root, &leaf]).status;
    assert!(verify(&people).success());
    assert!(!verify(&endpoints).success());
}

/// As `link` asks webpki.
fn webpki_admits(leaf: &[u8], root: &[u8], at: Time, usage: webpki::KeyUsage) -> bool {
    let (leaf, root) = (CertificateDer::from(leaf), CertificateDer::from(root));
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    webpki::EndEntityCert::try_from(&leaf)
        .unwrap()
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.0)),
            usage,
            None,
            None,
        )
        .is_ok()
}

#[test]
fn webpki_admits_each_leaf_for_its_usage_within_its_days_and_not_beyond() {
    let (people, endpoints) = (ca(Kind::People), ca(Kind::Endpoints));
    let (client, server) = (webpki::KeyUsage::client_auth, webpki::KeyUsage::server_auth);
    let soon = START.plus(60);
    assert!(webpki_admits(&agent(), people.certificate(), soon, client()));
    assert!(!webpki_admits(&agent(), people.certificate(), soon, server()));
    assert!(webpki_admits(&desk(), people.certificate(), soon, client()));
    assert!(webpki_admits(&desk(), people.certificate(), soon, server()));
    assert!(webpki_admits(&endpoint(), endpoints.certificate(), soon, server()));
    assert!(!webpki_admits(&endpoint(), people.certificate(), soon, server()));
    let late = START.plus(AGENT_DAYS * DAY + 1);
    assert!(!webpki_admits(&agent(), people.certificate(), late, client()));
    assert!(!webpki_admits(&agent(), people.certificate(), START.minus(1), client()));
}

#[test]
fn a_ca_signs_only_its_own_profiles() {
    let spki = spki_of(&key(9).public_key());
    let leaf = Leaf {
        spki: &spki,
        id: "x",
        serial: [0; 16],
        not_before: START,
        not_after: START.plus(DAY),
    };
    assert!(matches!(
        ca(Kind::Endpoints).issue(Profile::Agent, &leaf),
        Err(CertError::WrongCa { wanted: "people", .. })
    ));
    assert!(matches!(
        ca(Kind::People).issue(Profile::Endpoint, &leaf),
        Err(CertError::WrongCa { wanted: "endpoints", .. })
    ));
}

#[test]
fn requests_that_would_say_something_else_are_refused() {
    let people = ca(Kind::People);
    let spki = spki_of(&key(9).public_key());
    let long = "x".repeat(65);
    for id in ["", "a/b", "a b", "ö", "a\0", long.as_str()] {
        let leaf =
            Leaf { spki: &spki, id, serial: [0; 16], not_before: START, not_after: Time(u64::MAX) };
        assert!(matches!(people.issue(Profile::Agent, &leaf), Err(CertError::Id(_))), "{id:?}");
    }
    let leaf =
        |spki, not_after| Leaf { spki, id: "x", serial: [0; 16], not_before: START, not_after };
    let issue = |leaf| people.issue(Profile::Agent, &leaf);
    assert!(matches!(issue(leaf(&spki, START)), Err(CertError::Validity)));
    assert!(matches!(issue(leaf(&spki, Time(u64::MAX))), Err(CertError::Validity)));
    let mut other = spki.clone();
    other[8] = 0x6e; // X25519
    assert!(matches!(issue(leaf(&other, START.plus(1))), Err(CertError::PublicKey)));
    assert!(matches!(issue(leaf(&spki[..43], START.plus(1))), Err(CertError::PublicKey)));
    for organisation in ["", "Demo Ltd", "a/b", "../x"] {
        let made = Ca::create(
            Kind::People,
            organisation,
            &key(1).pkcs8_der(),
            [0; 16],
            START,
            START.plus(1),
        );
        assert!(matches!(made, Err(CertError::Organisation(_))), "{organisation:?}");
    }
}

#[test]
fn a_ca_comes_back_from_its_files_and_only_from_its_own() {
    let made = ca(Kind::People);
    let pem = to_pem([made.certificate()]);
    let certificate = from_pem(&pem).unwrap().remove(0);
    let own = key(Kind::People as u8).pkcs8_der();
    let loaded = Ca::load(Kind::People, &certificate, &own).unwrap();
    assert_eq!(loaded.organisation(), "demo");
    let spki = spki_of(&key(7).public_key());
    let again = loaded.issue_desk(&spki, "desk-1", [2; 16], START, START.plus(DAY)).unwrap();
    assert_eq!(again, desk());
    assert!(Ca::load(Kind::Endpoints, &certificate, &own).is_err());
    assert!(Ca::load(Kind::People, &certificate, &key(5).pkcs8_der()).is_err());
    assert!(Ca::load(Kind::People, &agent(), &key(9).pkcs8_der()).is_err());
    assert!(from_pem("").is_err() && from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n").is_err());
}

#[test]
fn facts_are_what_was_asked_for_and_serials_are_positive() {
    let facts = read(&agent()).unwrap();
    assert_eq!(facts.uris, ["salve://demo/agent/a.kaya"]);
    assert_eq!((facts.not_before, facts.not_after), (START, START.plus(AGENT_DAYS * DAY)));
    assert_eq!(facts.spki, spki_of(&key(9).public_key()));
    assert!(!facts.is_ca);
    assert_eq!((facts.serial.len(), facts.serial[0]), (16, 0x40));
    assert_eq!(read(ca(Kind::People).certificate()).unwrap().serial[0], 0x7f);
    let mut longer = agent();
    longer.push(0);
    assert!(read(&longer).is_err());
}

#[test]
fn a_ca_never_shows_its_key() {
    assert_eq!(format!("{:?}", ca(Kind::People)), "Ca(people of demo, key hidden)");
}
