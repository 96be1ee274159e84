//! What every format has: a way to write one record.
//!
//! Knows: records and kinds.  Does not know: formats.

use super::kind::Kind;
use super::taken::Record;

/// Writes records of one format.
pub(super) trait RecordWriter {
    /// What all records of a kind have in common, as `write` wants it.
    fn kind_part(&mut self, kind: &Kind) -> Vec<u8>;

    /// Append one record.
    fn write(&mut self, record: &Record, kind: &Kind, kind_part: &[u8], out: &mut Vec<u8>);
}
