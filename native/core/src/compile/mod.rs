//! What makes compiling a policy fast: plain lines of lists -> names, and names -> the image's hash table.
//!
//! Knows: how plain lines of each format are spelt, the sections TAGS, PLACES and BLOB of an image.
//! Does not know: files, YAML, what an odd line means (whoever calls reads that), which rule wins.

pub mod batch;
pub mod lines;
pub mod pairs;
pub mod shared;
pub mod spelling;
pub mod table;

pub use batch::NameBatch;
pub use lines::{read_lines, PlainLines};
pub use pairs::read_pairs;
pub use shared::SharedNames;
pub use spelling::Spelling;
pub use table::{Laid, LayError, NameTable, Rank, TableFull};
