//! What can go wrong with a TIFF file.

use std::path::PathBuf;

use thiserror::Error;

/// The failure of a byte source, whatever it reads from.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Why a TIFF could not be opened, decoded or written.
#[derive(Debug, Error)]
pub enum TiffError {
    /// The byte source failed; the only variant that may be worth a retry.
    #[error("reading {len} bytes at offset {offset} failed: {source}")]
    Source {
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// The source's own error.
        source: SourceError,
    },
    /// The file begins with none of the four TIFF signatures.
    #[error(
        "not a TIFF: the first bytes are {found:02x?}, expected \"II\" or \"MM\" and the number 42 or 43"
    )]
    NotTiff {
        /// The first bytes, at most eight.
        found: Vec<u8>,
    },
    /// The file ends before something that it refers to.
    #[error("the file is cut off: {what} needs {want} bytes at offset {offset}, {got} are there")]
    Truncated {
        /// What should stand there.
        what: &'static str,
        /// First byte of it.
        offset: u64,
        /// Bytes needed.
        want: u64,
        /// Bytes found.
        got: u64,
    },
    /// A tag is missing or holds something that no TIFF may hold.
    #[error("image {image}: tag {tag} ({name}): {reason}")]
    BadTag {
        /// Index of the directory in the file.
        image: usize,
        /// The tag's number.
        tag: u16,
        /// The tag's name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The chain of directories does not end.
    #[error("the directory at offset {offset} comes a second time in the chain of directories")]
    DirectoryLoop {
        /// Offset of the directory.
        offset: u64,
    },
    /// The file has no directory.
    #[error("the file holds no image")]
    NoImage,
    /// Something is larger than the reader allows.
    #[error("{what} is {got}, the limit is {limit}")]
    LimitExceeded {
        /// What is too large.
        what: &'static str,
        /// Its size.
        got: u64,
        /// The largest size allowed.
        limit: u64,
    },
    /// The file is sound, but this reader can't decode it.
    #[error("not supported: {what}")]
    Unsupported {
        /// The feature, with the numbers that the file gives for it.
        what: String,
    },
    /// A block's bytes are damaged.
    #[error("block {block} at offset {offset} is damaged: {reason}")]
    CorruptBlock {
        /// Index of the block in the image.
        block: usize,
        /// Its first byte in the file.
        offset: u64,
        /// What the decoder says.
        reason: String,
    },
    /// Fewer bytes of a block came than the file says it has.
    #[error("block {block} at offset {offset} is cut off: {got} of {want} bytes are there")]
    TruncatedBlock {
        /// Index of the block in the image.
        block: usize,
        /// Its first byte in the file.
        offset: u64,
        /// Bytes that the file's index states.
        want: u64,
        /// Bytes that came.
        got: u64,
    },
    /// A window reaches over the image's edge.
    #[error(
        "window of {height} x {width} pixels at row {row}, column {col} is not inside the image of \
         {image_height} x {image_width}"
    )]
    WindowOutside {
        /// First row.
        row: u32,
        /// First column.
        col: u32,
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// The image's rows.
        image_height: u32,
        /// The image's columns.
        image_width: u32,
    },
    /// A band index is too large.
    #[error("band index {band} is out of range: the image has {band_count} bands")]
    BandOutside {
        /// Index asked for, from 0.
        band: usize,
        /// Bands in the image.
        band_count: usize,
    },
    /// The caller's buffer has the wrong size.
    #[error("the buffer has {got} bytes, {want} are needed")]
    BufferSize {
        /// Bytes given.
        got: usize,
        /// Bytes needed.
        want: usize,
    },
    /// A writer's options contradict each other or the format.
    #[error("cannot write: {reason}")]
    BadOption {
        /// What does not fit.
        reason: String,
    },
    /// A block came out of turn, or the file was finished before the last block.
    #[error("block {got} was given, block {want} of {block_count} comes next")]
    BlockOrder {
        /// Block given, or the block count where the file was finished early.
        got: usize,
        /// Block that comes next.
        want: usize,
        /// Blocks in the file.
        block_count: usize,
    },
    /// Writing to disk failed; nothing is left at the target's name.
    #[error("writing {path:?} failed: {source}")]
    Io {
        /// The file that was to be written.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl TiffError {
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        TiffError::Unsupported { what: what.into() }
    }

    /// Whether another try may succeed: the source failed, the file itself is not at fault.
    pub fn is_source(&self) -> bool {
        matches!(self, TiffError::Source { .. })
    }
}
