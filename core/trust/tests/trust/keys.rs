//! Keys in files: what OpenSSL reads, what the wrong passphrase says.

use std::io::Write as _;

use trust::{KeyError, SealingSecret, Signer as _, SigningKey};

use crate::sample;

#[expect(clippy::disallowed_methods, reason = "the other reader is a program")]
fn run_openssl(arguments: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl is one of the packages that the tests need");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// `openssl pkey -noout -text` of a PEM: its words, or its complaint.
fn openssl(pem: &str, passphrase: &str) -> Result<String, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let (path, passphrase) = (file.path().display().to_string(), format!("pass:{passphrase}"));
    run_openssl(&["pkey", "-noout", "-text", "-passin", &passphrase, "-in", &path])
}

fn spaced(key: &SigningKey) -> String {
    let hex = key.public_key().to_string();
    let pairs: Vec<&str> =
        hex.as_bytes().chunks(2).map(|p| std::str::from_utf8(p).unwrap()).collect();
    pairs.join(":")
}

#[test]
fn openssl_reads_our_keys_in_clear_and_encrypted() {
    let key = sample::key("admin a");
    for (pem, passphrase) in [
        (key.to_pem(), ""),
        (key.to_encrypted_pem(b"correct horse", [1; 16], [2; 16]).unwrap(), "correct horse"),
    ] {
        let text: String = openssl(&pem, passphrase).unwrap().split_whitespace().collect();
        assert!(text.contains("ED25519Private-Key"), "{text}");
        assert!(text.contains(&spaced(&key)), "{text} has not {}", spaced(&key));
    }
    assert!(openssl(&key.to_encrypted_pem(b"a", [1; 16], [2; 16]).unwrap(), "b").is_err());
}

#[test]
fn keys_that_openssl_makes_are_read() {
    let made = run_openssl(&["genpkey", "-algorithm", "ed25519"]).unwrap();
    let shown: String = openssl(&made, "").unwrap().split_whitespace().collect();
    assert!(shown.contains(&spaced(&SigningKey::from_pem(&made, None).unwrap())));
    let cipher = ["genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:correct"];
    let made = run_openssl(&cipher).unwrap();
    let shown: String = openssl(&made, "correct").unwrap().split_whitespace().collect();
    assert!(shown.contains(&spaced(&SigningKey::from_pem(&made, Some(b"correct")).unwrap())));
    let other = run_openssl(&["genpkey", "-algorithm", "x25519"]).unwrap();
    assert!(matches!(SigningKey::from_pem(&other, None), Err(KeyError::Malformed { .. })));
}

#[test]
fn a_passphrase_is_asked_for_and_must_be_the_right_one() {
    let key = sample::key("admin a");
    let pem = key.to_encrypted_pem(b"correct horse", [3; 16], [4; 16]).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert!(matches!(SigningKey::from_pem(&pem, None), Err(KeyError::PassphraseNeeded)));
    let wrong = SigningKey::from_pem(&pem, Some(b"battery staple"));
    assert!(matches!(wrong, Err(KeyError::PassphraseWrong)));
    let right = SigningKey::from_pem(&pem, Some(b"correct horse")).unwrap();
    assert_eq!(right.public_key(), key.public_key());
    let clear = SigningKey::from_pem(&key.to_pem(), Some(b"not needed")).unwrap();
    assert_eq!(clear.public_key(), key.public_key());
}

#[test]
fn a_wrong_passphrase_is_never_called_a_damaged_file() {
    // One wrong passphrase in 256 leaves good padding behind, these two among them.
    let pem = sample::key("admin a").to_encrypted_pem(b"x", [5; 16], [6; 16]).unwrap();
    for wrong in ["wrong 666", "wrong 955", "wrong 1"] {
        let answer = SigningKey::from_pem(&pem, Some(wrong.as_bytes()));
        assert!(matches!(answer, Err(KeyError::PassphraseWrong)), "{wrong}: {answer:?}");
    }
}

#[test]
fn what_is_no_ed25519_key_is_malformed() {
    let other = SealingSecret::from_seed([1; 32]).to_pem();
    for text in [
        "",
        "no pem",
        other.as_str(),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        assert!(
            matches!(SigningKey::from_pem(text, None), Err(KeyError::Malformed { .. })),
            "{text}"
        );
    }
}

#[test]
fn a_key_with_parameters_is_malformed() {
    // RFC 8410: the parameters must be absent; here they are NULL.
    let head = [0x30, 0x30, 2, 1, 0, 0x30, 7, 6, 3, 0x2b, 0x65, 0x70, 5, 0, 4, 0x22, 4, 0x20];
    let der = [&head[..], &[9; 32]].concat();
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let label = "PRIVATE KEY";
    let pem = |body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let answer = SigningKey::from_pem(&pem(&lines.join("\n")), None);
    assert!(matches!(answer, Err(KeyError::Malformed { .. })), "{answer:?}");
}

#[test]
fn nothing_private_is_printed() {
    let key = sample::key("admin a");
    let shown = format!("{key:?}");
    assert!(shown.contains(&key.public_key().to_string()));
    let seed: String = protocol::Digest::of(b"salve vectors: admin a").to_string();
    assert!(!shown.contains(&seed));
    assert_eq!(key.pkcs8_der().len(), 48);
}

#[test]
fn key_ids_are_those_of_securesystemslib() {
    // Computed by securesystemslib's `SSlibKey` for the all-zero seed's public key.
    let key = SigningKey::from_seed([0; 32]);
    assert_eq!(
        key.public_key().to_string(),
        "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
    );
    assert_eq!(trust::key_id(&key.public_key()), KEY_ID_OF_ZERO);
}

const KEY_ID_OF_ZERO: &str = "4cc3f338069d638e761ed397f5c53df4129a276face46a446c202617331ca1b3";
