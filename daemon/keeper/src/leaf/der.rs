//! DER, as much of it as our certificates use: definite lengths in their one spelling, nothing left
//! over. Never recurses, never copies.

/// Tags of X.690 that our certificates have.
pub(super) mod tag {
    pub(in super::super) const BOOLEAN: u8 = 0x01;
    pub(in super::super) const INTEGER: u8 = 0x02;
    pub(in super::super) const BIT_STRING: u8 = 0x03;
    pub(in super::super) const OCTET_STRING: u8 = 0x04;
    pub(in super::super) const OID: u8 = 0x06;
    pub(in super::super) const UTC_TIME: u8 = 0x17;
    pub(in super::super) const GENERALIZED_TIME: u8 = 0x18;
    pub(in super::super) const SEQUENCE: u8 = 0x30;
    /// `[0]`, constructed: a certificate's version.
    pub(in super::super) const VERSION: u8 = 0xa0;
    /// `[3]`, constructed: a certificate's extensions.
    pub(in super::super) const EXTENSIONS: u8 = 0xa3;
    /// `[6]`, primitive: a URI among general names.
    pub(in super::super) const URI: u8 = 0x86;
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'b>(pub(super) &'b [u8]);

/// One element: its tag, what is in it, and all of its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'b> {
    pub(super) tag: u8,
    pub(super) inner: &'b [u8],
    pub(super) whole: &'b [u8],
}

impl<'b> Der<'b> {
    pub(super) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
    /// The next element, whatever it is.
    pub(super) fn element(&mut self) -> Option<Element<'b>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&length, rest) = rest.split_first()?;
                (usize::from(length), rest)
            }
            0x82 => {
                let (bytes, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*bytes)), rest)
            }
            _ => return None,
        };
        // One length has one spelling.
        let shortest = match first {
            0x81 => length > 0x7f,
            0x82 => length > 0xff,
            _ => true,
        };
        let (inner, after) = rest.split_at_checked(length)?;
        let size = self.0.len().checked_sub(after.len())?;
        let whole = self.0.get(..size)?;
        self.0 = after;
        shortest.then_some(Element { tag, inner, whole })
    }
    /// The next element, which must have this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<Element<'b>> {
        self.element().filter(|element| element.tag == tag)
    }
    /// What is in the next element, which must have this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(|element| Self(element.inner))
    }
    /// The next element, where it has this tag.
    pub(super) fn maybe(&mut self, tag: u8) -> Option<Element<'b>> {
        if self.0.first() == Some(&tag) { self.element() } else { None }
    }
}
