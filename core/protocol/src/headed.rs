//! A file of ours that people carry about: one line that says what it is, then strict JSON.
//!
//! The line is `MAGIC HEX`, as in `salve evidence 1 sha256 HEX`; the digest is that of all behind the
//! line. It finds what was altered by accident and proves nothing: whoever writes a file can write a
//! digest. What proves something are the seals inside.

use crate::Digest;

/// The file of this body; `magic` as in `salve evidence 1 sha256 `.
#[must_use]
pub fn write(magic: &str, body: &[u8]) -> Vec<u8> {
    let mut file = format!("{magic}{}\n", Digest::of(body)).into_bytes();
    file.extend_from_slice(body);
    file
}

/// The body, and whether it is to the byte what was written; nothing where the line is another.
#[must_use]
pub fn read<'a>(magic: &str, file: &'a [u8]) -> Option<(&'a [u8], bool)> {
    let mut parts = file.splitn(2, |byte| *byte == b'\n');
    let (head, body) = (parts.next()?, parts.next()?);
    let hex = std::str::from_utf8(head).ok()?.strip_prefix(magic)?;
    let digest: Digest = hex.parse().ok()?;
    Some((body, digest == Digest::of(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_altered_is_told_from_what_is_another_file() {
        let file = write("salve x 1 sha256 ", b"{}");
        assert_eq!(read("salve x 1 sha256 ", &file), Some((b"{}".as_slice(), true)));
        let mut altered = file.clone();
        altered.push(b' ');
        assert_eq!(read("salve x 1 sha256 ", &altered), Some((b"{} ".as_slice(), false)));
        assert_eq!(read("salve x 2 sha256 ", &file), None);
        assert_eq!(read("salve x 1 sha256 ", b"salve x 1 sha256 00\n{}"), None);
        assert_eq!(read("salve x 1 sha256 ", b""), None);
    }
}
