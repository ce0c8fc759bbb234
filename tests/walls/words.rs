//! Nothing secret and nothing of a maker's machine is committed.

use crate::tracked;

#[test]
fn no_private_key_and_no_machine_path_is_committed() {
    let begin = ["-----BEGIN ", "PRIVATE KEY-----"];
    for ending in
        [".rs", ".toml", ".md", ".sh", ".rhai", ".json", ".py", ".pem", "test", "demo", "package"]
    {
        for file in std::panic::catch_unwind(|| tracked(ending)).unwrap_or_default() {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            for line in text.lines() {
                assert!(
                    !(line.contains(begin[0])
                        && line.contains(begin[1])
                        && line.len() < 60
                        && !line.contains('"')),
                    "{}: a private key",
                    file.display()
                );
                for path in [
                    concat!("/work", "/main"),
                    concat!("/home", "/runner"),
                    concat!("/root", "/.cargo"),
                ] {
                    assert!(!line.contains(path), "{}: a machine's path: {line}", file.display());
                }
            }
        }
    }
}
