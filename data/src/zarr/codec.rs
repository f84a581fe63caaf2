//! Decodes chunks. The usual codecs write straight into the target; all others go by `zarrs`.

use std::{borrow::Cow, cell::RefCell};

use graticule_plan::DType;
use serde_json::Value;
use zarrs::array::{ArrayToBytesCodecTraits, CodecOptions};

use super::Layout;

/// Elements in C order, compressed by at most one of the usual codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fast {
    compression: Compression,
    /// Whether a CRC-32C follows the compressed bytes.
    has_checksum: bool,
    /// Whether the elements' bytes must be reversed.
    is_swapped: bool,
    /// Whether it is nothing but zstd, at whatever level the writer takes.
    pub(super) is_zstd_of_any_level: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Zstd,
    Gzip,
    Zlib,
}

/// How chunks are decoded without detour, if their codecs are of the usual kind.
pub(super) fn fast_path(document: &Value, is_v2: bool, dtype: DType) -> Option<Fast> {
    let is_swapped = |is_big: bool| dtype.size_bytes() > 1 && is_big == cfg!(target_endian = "little");
    if is_v2 {
        let filters = document
            .get("filters")
            .and_then(Value::as_array)
            .is_some_and(|filters| !filters.is_empty());
        if filters || document.get("order").and_then(Value::as_str) != Some("C") {
            return None;
        }
        let compression = match document.get("compressor") {
            None | Some(Value::Null) => Compression::None,
            Some(codec) => compression(codec.get("id")?.as_str()?)?,
        };
        let is_big = document.get("dtype")?.as_str()?.starts_with('>');
        let is_swapped = is_swapped(is_big);
        let is_any = document.get("compressor").is_some_and(is_zstd_of_any_level);
        return Some(Fast {
            compression,
            has_checksum: false,
            is_swapped,
            is_zstd_of_any_level: is_any && !is_swapped,
        });
    }
    let codecs = document.get("codecs")?.as_array()?;
    let name = |codec: &Value| codec.get("name").and_then(Value::as_str).map(str::to_owned);
    let (first, rest) = codecs.split_first()?;
    if name(first)? != "bytes" {
        return None;
    }
    let endian = first
        .get("configuration")
        .and_then(|c| c.get("endian"))
        .and_then(Value::as_str);
    let mut rest: Vec<String> = rest.iter().map(name).collect::<Option<_>>()?;
    let has_checksum = rest.pop_if(|last| last == "crc32c").is_some();
    let compression = match &rest[..] {
        [] => Compression::None,
        [only] => compression(only)?,
        _ => return None,
    };
    let is_swapped = is_swapped(endian == Some("big"));
    let is_any = codecs[1..]
        .iter()
        .all(|codec| codec.get("configuration").is_some_and(is_zstd_of_any_level));
    Some(Fast {
        compression,
        has_checksum,
        is_swapped,
        is_zstd_of_any_level: compression == Compression::Zstd && is_any && !has_checksum && !is_swapped,
    })
}

/// Whether a configuration of zstd says level 0, which is the writer's choice, and asks for no checksum.
fn is_zstd_of_any_level(configuration: &Value) -> bool {
    let is_zstd = configuration.get("id").is_none_or(|id| id == "zstd");
    let level = configuration.get("level").and_then(Value::as_i64);
    let has_checksum = configuration.get("checksum").and_then(Value::as_bool) == Some(true);
    is_zstd && level == Some(0) && !has_checksum
}

fn compression(name: &str) -> Option<Compression> {
    match name {
        "zstd" => Some(Compression::Zstd),
        "gzip" => Some(Compression::Gzip),
        "zlib" => Some(Compression::Zlib),
        _ => None,
    }
}

/// One thread's decompressors, which are costly to make.
struct Decompressors {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    deflate: Option<libdeflater::Decompressor>,
}

thread_local! {
    static DECOMPRESSORS: RefCell<Decompressors> = const { RefCell::new(Decompressors { zstd: None, deflate: None }) };
}

impl Layout {
    /// Decodes a chunk into `out`, which is as long as [`chunk_bytes`](Self::chunk_bytes) says; native endian.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(crate) fn decode(&self, bytes: &[u8], out: &mut [u8]) -> Result<(), String> {
        match self.fast {
            Some(fast) => self.decode_fast(fast, bytes, out),
            None => {
                let shape = self.chunk_shape();
                let options = CodecOptions::default();
                let decoded = self
                    .chain
                    .decode(
                        Cow::Borrowed(bytes),
                        &shape,
                        &self.data_type,
                        &self.fill_value,
                        &options,
                    )
                    .map_err(|e| e.to_string())?;
                let decoded = decoded.into_fixed().map_err(|e| e.to_string())?;
                same_len(decoded.len(), out.len())?;
                out.copy_from_slice(&decoded);
                Ok(())
            }
        }
    }

    fn decode_fast(&self, fast: Fast, bytes: &[u8], out: &mut [u8]) -> Result<(), String> {
        let bytes = if fast.has_checksum { checked(bytes)? } else { bytes };
        let written = match fast.compression {
            Compression::None => {
                same_len(bytes.len(), out.len())?;
                out.copy_from_slice(bytes);
                out.len()
            }
            Compression::Zstd => DECOMPRESSORS.with_borrow_mut(|all| {
                let zstd = match &mut all.zstd {
                    Some(zstd) => zstd,
                    none => none.insert(zstd::bulk::Decompressor::new().map_err(|e| e.to_string())?),
                };
                zstd.decompress_to_buffer(bytes, out)
                    .map_err(|e| format!("zstd: {e}"))
            })?,
            Compression::Gzip | Compression::Zlib => DECOMPRESSORS.with_borrow_mut(|all| {
                let deflate = all.deflate.get_or_insert_with(libdeflater::Decompressor::new);
                let written = match fast.compression {
                    Compression::Gzip => deflate.gzip_decompress(bytes, out),
                    _ => deflate.zlib_decompress(bytes, out),
                };
                written.map_err(|e| format!("deflate: {e}"))
            })?,
        };
        same_len(written, out.len())?;
        if fast.is_swapped {
            out.chunks_exact_mut(self.dtype.real().size_bytes() as usize)
                .for_each(<[u8]>::reverse);
        }
        Ok(())
    }
}

fn same_len(got: usize, want: usize) -> Result<(), String> {
    if got == want {
        Ok(())
    } else {
        Err(format!("it decodes to {got} bytes, expected {want}"))
    }
}

/// The bytes before the CRC-32C that they end with.
pub(crate) fn checked(bytes: &[u8]) -> Result<&[u8], String> {
    let (content, sum) = bytes
        .split_last_chunk::<4>()
        .ok_or("it is shorter than its checksum")?;
    let (stated, got) = (u32::from_le_bytes(*sum), crc32c::crc32c(content));
    if stated == got {
        Ok(content)
    } else {
        Err(format!("its CRC-32C is {got:08x}, {stated:08x} is stated"))
    }
}
