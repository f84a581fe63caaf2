//! The file's structure: signature, directories, tags and their values. Knows nothing of what a tag means.
//!
//! TIFF 6.0 section 2; BigTIFF as in libtiff's design note.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::error::TiffError;
use super::source::{HeaderBytes, RangeSource};
use super::tag::{self, Tag};
use super::{DIRECTORY_COUNT_MAX, TAG_COUNT_MAX, TAG_VALUE_BYTES_MAX};

/// The order of the bytes in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The lowest byte first (`II`).
    Little,
    /// The highest byte first (`MM`).
    Big,
}

impl ByteOrder {
    /// Whether numbers must be turned round on this machine.
    pub(crate) fn is_foreign(self) -> bool {
        (self == ByteOrder::Big) != cfg!(target_endian = "big")
    }

    fn unsigned(self, bytes: &[u8]) -> u64 {
        let push = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        match self {
            ByteOrder::Little => bytes.iter().rev().fold(0, push),
            ByteOrder::Big => bytes.iter().fold(0, push),
        }
    }
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) order: ByteOrder,
    pub(crate) big: bool,
    first: u64,
}

/// A tag's value as it stands in the file.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    kind: u16,
    order: ByteOrder,
    bytes: Bytes,
}

/// One directory (one image) with the values of the tags that this reader knows.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) index: usize,
    values: BTreeMap<u16, Value>,
}

/// A tag's place in a directory, its value not yet read.
struct Entry {
    tag: u16,
    kind: u16,
    place: Place,
}

enum Place {
    Inline(Bytes),
    At { offset: u64, len: u64 },
}

/// Bytes of one element of a field type; `None` if the type is unknown.
fn element_bytes(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

/// Reads the signature and every directory of the chain.
pub(crate) async fn read_directories<S: RangeSource + ?Sized>(
    bytes: &mut HeaderBytes<'_, S>,
) -> Result<(Signature, Vec<Directory>), TiffError> {
    let signature = read_signature(bytes).await?;
    let mut directories = Vec::new();
    let mut seen = HashSet::new();
    let mut next = signature.first;
    while next != 0 {
        if !seen.insert(next) {
            return Err(TiffError::DirectoryLoop { offset: next });
        }
        if directories.len() >= DIRECTORY_COUNT_MAX {
            return Err(TiffError::LimitExceeded {
                what: "the number of directories",
                got: directories.len() as u64 + 1,
                limit: DIRECTORY_COUNT_MAX as u64,
            });
        }
        let (directory, after) = read_directory(bytes, signature, next, directories.len()).await?;
        directories.push(directory);
        next = after;
    }
    Ok((signature, directories))
}

async fn read_signature<S: RangeSource + ?Sized>(
    bytes: &mut HeaderBytes<'_, S>,
) -> Result<Signature, TiffError> {
    let head = bytes.up_to(0, 16).await?;
    let not_tiff = || TiffError::NotTiff {
        found: head[..head.len().min(8)].to_vec(),
    };
    let order = match head.get(..2) {
        Some(b"II") => ByteOrder::Little,
        Some(b"MM") => ByteOrder::Big,
        _ => return Err(not_tiff()),
    };
    let truncated = |want: u64| TiffError::Truncated {
        what: "the file's signature",
        offset: 0,
        want,
        got: head.len() as u64,
    };
    let version = order.unsigned(head.get(2..4).ok_or_else(|| truncated(8))?);
    let first = match version {
        42 => order.unsigned(head.get(4..8).ok_or_else(|| truncated(8))?),
        43 if order.unsigned(head.get(4..6).ok_or_else(|| truncated(16))?) == 8 => {
            order.unsigned(head.get(8..16).ok_or_else(|| truncated(16))?)
        }
        _ => return Err(not_tiff()),
    };
    Ok(Signature {
        order,
        big: version == 43,
        first,
    })
}

async fn read_directory<S: RangeSource + ?Sized>(
    bytes: &mut HeaderBytes<'_, S>,
    signature: Signature,
    offset: u64,
    index: usize,
) -> Result<(Directory, u64), TiffError> {
    let Signature { order, big, .. } = signature;
    let (count_len, entry_len, next_len) = if big { (8, 20, 8) } else { (2, 12, 4) };
    let count = order.unsigned(&bytes.exact("a directory", offset, count_len).await?);
    if count > TAG_COUNT_MAX {
        return Err(TiffError::LimitExceeded {
            what: "the number of tags in a directory",
            got: count,
            limit: TAG_COUNT_MAX,
        });
    }
    let body_len = count * entry_len;
    let body_offset = offset.saturating_add(count_len);
    let body = bytes.exact("a directory", body_offset, body_len).await?;
    // Some writers leave out the link after the last directory.
    let link = bytes
        .up_to(body_offset.saturating_add(body_len), next_len)
        .await?;
    let next = if link.len() as u64 == next_len {
        order.unsigned(&link)
    } else {
        0
    };

    let mut values = BTreeMap::new();
    for at in (0..body.len()).step_by(entry_len as usize) {
        let raw = body.slice(at..at + entry_len as usize);
        let Some(entry) = parse_entry(&raw, signature, index)? else {
            continue;
        };
        let content = match entry.place {
            Place::Inline(content) => content,
            Place::At { offset, len } => bytes.exact(tag::name(entry.tag), offset, len).await?,
        };
        values.entry(entry.tag).or_insert(Value {
            kind: entry.kind,
            order,
            bytes: content,
        });
    }
    Ok((Directory { index, values }, next))
}

/// Gives `None` for tags and field types that this reader doesn't know.
fn parse_entry(raw: &Bytes, signature: Signature, image: usize) -> Result<Option<Entry>, TiffError> {
    let Signature { order, big, .. } = signature;
    let tag = order.unsigned(&raw[0..2]) as u16;
    let kind = order.unsigned(&raw[2..4]) as u16;
    if !tag::is_known(tag) {
        return Ok(None);
    }
    let Some(element) = element_bytes(kind) else {
        return Ok(None);
    };
    let (count, field) = if big {
        (&raw[4..12], 12..20)
    } else {
        (&raw[4..8], 8..12)
    };
    let count = order.unsigned(count);
    let len = count.saturating_mul(element);
    if len > TAG_VALUE_BYTES_MAX {
        return Err(TiffError::BadTag {
            image,
            tag,
            name: tag::name(tag),
            reason: format!("its value has {len} bytes, the limit is {TAG_VALUE_BYTES_MAX}"),
        });
    }
    let field = raw.slice(field);
    let place = if len <= field.len() as u64 {
        Place::Inline(field.slice(..len as usize))
    } else {
        Place::At {
            offset: order.unsigned(&field),
            len,
        }
    };
    Ok(Some(Entry { tag, kind, place }))
}

impl Value {
    /// The unsigned integers of a value of an integer type, negative ones refused.
    fn unsigned(&self) -> Option<Vec<u64>> {
        let element = match self.kind {
            1 | 7 => 1,
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            _ => return None,
        };
        Some(
            self.bytes
                .chunks_exact(element)
                .map(|raw| self.order.unsigned(raw))
                .collect(),
        )
    }

    fn doubles(&self) -> Option<Vec<f64>> {
        let order = self.order;
        match self.kind {
            11 => {
                let one = |raw: &[u8]| f64::from(f32::from_bits(order.unsigned(raw) as u32));
                Some(self.bytes.chunks_exact(4).map(one).collect())
            }
            12 => Some(
                self.bytes
                    .chunks_exact(8)
                    .map(|raw| f64::from_bits(order.unsigned(raw)))
                    .collect(),
            ),
            _ => self
                .unsigned()
                .map(|all| all.into_iter().map(|v| v as f64).collect()),
        }
    }

    fn text(&self) -> Option<String> {
        matches!(self.kind, 1 | 2 | 7).then(|| {
            let text = String::from_utf8_lossy(&self.bytes);
            text.trim_end_matches('\0').to_owned()
        })
    }
}

impl Directory {
    /// An error about one of this directory's tags.
    pub(crate) fn bad(&self, tag: Tag, reason: impl Into<String>) -> TiffError {
        TiffError::BadTag {
            image: self.index,
            tag: tag.0,
            name: tag::name(tag.0),
            reason: reason.into(),
        }
    }

    pub(crate) fn has(&self, tag: Tag) -> bool {
        self.values.contains_key(&tag.0)
    }

    /// The numbers of an integer tag; `None` if the tag is absent.
    pub(crate) fn integers(&self, tag: Tag) -> Result<Option<Vec<u64>>, TiffError> {
        let Some(value) = self.values.get(&tag.0) else {
            return Ok(None);
        };
        let all = value.unsigned().ok_or_else(|| {
            self.bad(
                tag,
                format!("field type {} is not an unsigned integer", value.kind),
            )
        })?;
        Ok(Some(all))
    }

    /// The first number of an integer tag.
    pub(crate) fn integer(&self, tag: Tag) -> Result<Option<u64>, TiffError> {
        match self.integers(tag)? {
            None => Ok(None),
            Some(all) => match all.first() {
                Some(first) => Ok(Some(*first)),
                None => Err(self.bad(tag, "the value is empty")),
            },
        }
    }

    /// The first number of a tag that must fit 16 bits, or `default` if the tag is absent.
    pub(crate) fn short(&self, tag: Tag, default: u16) -> Result<u16, TiffError> {
        match self.integer(tag)? {
            None => Ok(default),
            Some(value) => {
                u16::try_from(value).map_err(|_| self.bad(tag, format!("{value} needs more than 16 bits")))
            }
        }
    }

    /// The numbers of a float tag; `None` if the tag is absent or of another type.
    pub(crate) fn doubles(&self, tag: Tag) -> Option<Vec<f64>> {
        self.values.get(&tag.0).and_then(Value::doubles)
    }

    /// The text of a tag without the zero bytes at its end; `None` if the tag is absent or no text.
    pub(crate) fn text(&self, tag: Tag) -> Option<String> {
        self.values.get(&tag.0).and_then(Value::text)
    }
}
