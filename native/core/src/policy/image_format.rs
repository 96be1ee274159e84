//! How records of an image are spelt: their sizes, their numbers, and the complaint about octets that are none.
//!
//! Knows: sizes and byte order.  Does not know: sections (`image`), what a record says (`rules`, `table`).

use std::fmt;

/// Octets of one record of CLASSES.
pub const CLASS_OCTETS: usize = 16;
/// Octets of one record of RULES.
pub const RULE_OCTETS: usize = 72;
/// Octets of one record of INTERVALS.
pub const INTERVAL_OCTETS: usize = 24;
/// Octets of one record of REFS.
pub const ADDRESS_REF_OCTETS: usize = 32;
/// Octets of one reference behind a name.
pub const REF_OCTETS: usize = 6;

/// The octets are no image this program can serve: the text says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUnusable(pub String);

impl fmt::Display for ImageUnusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ImageUnusable {}

/// The name of `text` in an `ImageUnusable`.
pub(super) fn unusable<T>(text: impl Into<String>) -> Result<T, ImageUnusable> {
    Err(ImageUnusable(text.into()))
}

/// Two octets, little-endian; None: they are not there.
#[inline(always)]
pub(super) fn u16_at(octets: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(octets.get(offset..offset.checked_add(2)?)?.try_into().ok()?))
}

/// Four octets, little-endian; None: they are not there.
#[inline(always)]
pub(super) fn u32_at(octets: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(octets.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

/// Eight octets, little-endian; None: they are not there.
#[inline(always)]
pub(super) fn u64_at(octets: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(octets.get(offset..offset.checked_add(8)?)?.try_into().ok()?))
}
