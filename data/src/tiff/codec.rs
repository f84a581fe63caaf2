//! Undoes the compression of one block, where it is of bytes and not of pixels.

use std::io::Read;

use libdeflater::DecompressionError;

use super::BLOCK_BYTES_MAX;
use super::format::Compression;
use super::lerc::{self, LercFault};
use super::lzw::Lzw;

/// The decompressors' states and memory, made when they are first needed and kept from block to block.
#[derive(Default)]
pub(crate) struct Codecs {
    deflate: Option<libdeflater::Decompressor>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    lzw: Option<Lzw>,
    lerc: Vec<u8>,
}

/// Why a block was not decompressed.
enum Fault {
    /// It decodes to more bytes than there is room for.
    NoRoom,
    Damaged(String),
}

impl Codecs {
    /// Decompresses `encoded` into the start of `out`; gives the bytes written.
    ///
    /// A block that decodes to more than `out` holds (a last strip that some writers fill up to its full height)
    /// gives its first bytes.
    pub(crate) fn decompress(
        &mut self,
        compression: Compression,
        encoded: &[u8],
        out: &mut [u8],
    ) -> Result<usize, String> {
        match self.try_decompress(compression, encoded, out) {
            Ok(written) => Ok(written),
            Err(Fault::Damaged(reason)) => Err(reason),
            Err(Fault::NoRoom) => self.decompress_first(compression, encoded, out),
        }
    }

    fn try_decompress(
        &mut self,
        compression: Compression,
        encoded: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Fault> {
        match compression {
            Compression::Deflate => self.inflate(encoded, out),
            Compression::Zstd => self.unzstd(encoded, out),
            Compression::Lzw => self
                .lzw
                .get_or_insert_with(Lzw::new)
                .decode(encoded, out)
                .map_err(Fault::Damaged),
            Compression::PackBits => Ok(unpack_bits(encoded, out)),
            Compression::Lzma => unxz(encoded, out).map_err(Fault::Damaged),
            Compression::None
            | Compression::Lerc
            | Compression::LercDeflate
            | Compression::LercZstd
            | Compression::WebP
            | Compression::Other(_) => Err(Fault::Damaged(format!("{compression} has no decoder"))),
        }
    }

    /// Decompresses into larger and larger buffers of its own, and keeps what `out` has room for.
    fn decompress_first(
        &mut self,
        compression: Compression,
        encoded: &[u8],
        out: &mut [u8],
    ) -> Result<usize, String> {
        let mut room = out.len();
        loop {
            room = room.saturating_mul(4).max(64 * 1024);
            if room as u64 > BLOCK_BYTES_MAX {
                return Err(format!("it decodes to far more than {} bytes", out.len()));
            }
            let mut larger = vec![0; room];
            match self.try_decompress(compression, encoded, &mut larger) {
                Ok(written) => {
                    let kept = written.min(out.len());
                    out[..kept].copy_from_slice(&larger[..kept]);
                    return Ok(kept);
                }
                Err(Fault::Damaged(reason)) => return Err(reason),
                Err(Fault::NoRoom) => {}
            }
        }
    }

    /// Decodes the LERC blobs of a block, after the compression on top of them is undone.
    pub(crate) fn decode_lerc(
        &mut self,
        compression: Compression,
        encoded: &[u8],
        layout: &lerc::Layout,
        out: &mut [u8],
    ) -> Result<(), LercFault> {
        let outer = match compression {
            Compression::LercDeflate => Compression::Deflate,
            Compression::LercZstd => Compression::Zstd,
            _ => return lerc::decode(encoded, layout, out),
        };
        let room = layout.blob_bytes_max();
        let mut blobs = std::mem::take(&mut self.lerc);
        if blobs.len() < room {
            // Not grown in place: the old content is of no use.
            drop(blobs);
            blobs = vec![0; room];
        }
        let result = match self.try_decompress(outer, encoded, &mut blobs[..room]) {
            Ok(len) => lerc::decode(&blobs[..len], layout, out),
            Err(Fault::Damaged(reason)) => Err(LercFault::Damaged(reason)),
            Err(Fault::NoRoom) => Err(LercFault::Damaged(format!(
                "its LERC blobs have more than {room} bytes"
            ))),
        };
        self.lerc = blobs;
        result
    }

    fn inflate(&mut self, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
        let inflater = self.deflate.get_or_insert_with(libdeflater::Decompressor::new);
        inflater
            .zlib_decompress(encoded, out)
            .map_err(|error| match error {
                DecompressionError::InsufficientSpace => Fault::NoRoom,
                DecompressionError::BadData => Fault::Damaged("its deflate stream is not valid".to_owned()),
            })
    }

    fn unzstd(&mut self, encoded: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
        let fault = |error: std::io::Error| Fault::Damaged(format!("its ZSTD frame: {error}"));
        if self.zstd.is_none() {
            self.zstd = Some(zstd::bulk::Decompressor::new().map_err(fault)?);
        }
        let decompressor = self.zstd.as_mut().expect("it was just made");
        let capacity = out.len();
        decompressor.decompress_to_buffer(encoded, out).map_err(|error| {
            // The frame's header says how much there is, where the writer knew it.
            match zstd::zstd_safe::get_frame_content_size(encoded) {
                Ok(Some(size)) if size > capacity as u64 => Fault::NoRoom,
                _ => fault(error),
            }
        })
    }
}

/// Memory that an xz stream may ask for: libtiff's strongest setting has a dictionary of 64 MiB.
const XZ_MEMORY_KIB_MAX: u32 = 160 * 1024;

fn unxz(encoded: &[u8], out: &mut [u8]) -> Result<usize, String> {
    let mut reader = lzma_rust2::XzReader::new_mem_limit(encoded, false, XZ_MEMORY_KIB_MAX);
    let mut written = 0;
    while written < out.len() {
        match reader.read(&mut out[written..]) {
            Ok(0) => break,
            Ok(len) => written += len,
            Err(error) => return Err(format!("its xz stream: {error}")),
        }
    }
    Ok(written)
}

/// Undoes PackBits until the input or the room ends (TIFF 6.0 section 9).
fn unpack_bits(encoded: &[u8], out: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(&head) = encoded.get(from) {
        from += 1;
        let room = out.len() - to;
        match head as i8 {
            -128 => {}
            head if head >= 0 => {
                let len = (head as usize + 1).min(room).min(encoded.len() - from);
                out[to..to + len].copy_from_slice(&encoded[from..from + len]);
                from += len;
                to += len;
            }
            head => {
                let Some(&byte) = encoded.get(from) else { break };
                let len = (1 - isize::from(head)).unsigned_abs().min(room);
                out[to..to + len].fill(byte);
                from += 1;
                to += len;
            }
        }
        if to == out.len() {
            break;
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packbits_example_of_the_specification_is_decoded() {
        let packed = [
            0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa,
        ];
        let mut out = [0; 64];
        let len = unpack_bits(&packed, &mut out);
        let want = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(out[..len], want);
    }

    #[test]
    fn packbits_that_ends_early_gives_what_is_there() {
        let mut out = [0; 8];
        assert_eq!(unpack_bits(&[5, 1, 2], &mut out), 2);
        assert_eq!(unpack_bits(&[0xfe], &mut out), 0);
        assert_eq!(unpack_bits(&[0x81, 9], &mut out), 8);
    }

    #[test]
    fn block_that_decodes_to_more_than_the_room_gives_its_first_bytes() {
        let content: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut deflated = vec![0; compressor.zlib_compress_bound(content.len())];
        let len = compressor.zlib_compress(&content, &mut deflated).unwrap();
        deflated.truncate(len);
        let zstandard = zstd::bulk::compress(&content, 3).unwrap();
        for (compression, encoded) in [(Compression::Deflate, deflated), (Compression::Zstd, zstandard)] {
            let mut out = vec![0; 1000];
            let written = Codecs::default().decompress(compression, &encoded, &mut out);
            assert_eq!(written, Ok(1000), "{compression}");
            assert_eq!(out, content[..1000], "{compression}");
        }
    }
}
