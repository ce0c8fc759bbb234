//! Where the machine's files are: the root of the file system, or a made tree in tests.
//!
//! The shipped program knows one root only; no switch, file or variable changes it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Most bytes read of one small system file.
const SMALL_MAX: u64 = 4 * 1024 * 1024;

/// The root under which absolute paths are looked up.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    top: PathBuf,
}

impl Root {
    /// The machine's own.
    pub(crate) fn system() -> Self {
        Self { top: PathBuf::from("/") }
    }
    /// A made tree.
    #[cfg(test)]
    pub(crate) fn made(top: &Path) -> Self {
        Self { top: top.to_owned() }
    }
    /// The folder that stands for `/`.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }
    /// Where an absolute path of the machine is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.top.join(path.trim_start_matches('/'))
    }
    /// A small text file; bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&self, path: &str) -> io::Result<String> {
        read_small(&self.at(path))
    }
    /// The first line of a small file, trimmed; none where it cannot be read.
    pub(crate) fn line(&self, path: &str) -> Option<String> {
        let text = self.text(path).ok()?;
        text.lines().next().map(|line| line.trim().to_owned())
    }
}

/// A small file as text.
pub(crate) fn read_small(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(SMALL_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
