//! Where seeds come from: the vectors and the shipped scripts, read from the checkout.

use std::path::PathBuf;

/// `tests/vectors`.
#[must_use]
pub fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// Every file beneath a folder.
pub(crate) fn files(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                let name =
                    path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                found.push((name, bytes));
            }
        }
    }
    found.sort();
    found
}
