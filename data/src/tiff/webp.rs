//! Blocks that are WebP images.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::format::{Interleave, SampleFormat};
use super::image::ImageInfo;

/// Whether an image's samples are such as WebP has: 8 bits of red, green and blue side by side, perhaps alpha.
pub(crate) fn is_decodable(info: &ImageInfo) -> bool {
    (info.bits, info.sample_format) == (8, SampleFormat::Unsigned)
        && matches!(info.band_count, 3 | 4)
        && info.interleave == Interleave::Pixel
}

/// Decodes a WebP image of `shape` (rows, columns) into `out`, `samples` bytes a pixel.
///
/// As in libtiff: an image without alpha is opaque where the file has four samples, one with alpha is refused where it
/// has three.
pub(crate) fn decode(
    encoded: &[u8],
    shape: (u32, u32),
    samples: usize,
    out: &mut [u8],
) -> Result<(), String> {
    let fault = |error: image_webp::DecodingError| format!("its WebP image: {error}");
    let mut decoder = WebPDecoder::new(Cursor::new(encoded)).map_err(fault)?;
    let (width, height) = decoder.dimensions();
    if decoder.is_animated() {
        return Err("its WebP image is an animation".to_owned());
    }
    if (height, width) != shape {
        let (rows, cols) = shape;
        return Err(format!(
            "its WebP image has {height} x {width} pixels, the block has {rows} x {cols}"
        ));
    }
    check_frames(encoded, shape)?;
    match (decoder.has_alpha(), samples) {
        (true, 4) | (false, 3) => decoder.read_image(out).map_err(fault),
        (false, 4) => {
            let mut colors = vec![0; out.len() / 4 * 3];
            decoder.read_image(&mut colors).map_err(fault)?;
            for (to, from) in out.chunks_exact_mut(4).zip(colors.chunks_exact(3)) {
                to[..3].copy_from_slice(from);
                to[3] = 255;
            }
            Ok(())
        }
        (alpha, samples) => Err(format!(
            "its WebP image has {} samples per pixel, the image has {samples}",
            if alpha { 4 } else { 3 }
        )),
    }
}

/// Checks the sizes that lossy frames give themselves: the decoder takes memory for them before it compares them.
fn check_frames(encoded: &[u8], shape: (u32, u32)) -> Result<(), String> {
    let mut rest = encoded.get(12..).unwrap_or_default();
    while let Some((head, content)) = rest.split_first_chunk::<8>() {
        let [name @ .., a, b, c, d] = *head;
        if let (b"VP8 ", Some(&[w0, w1, h0, h1])) = (&name, content.get(6..).and_then(<[u8]>::first_chunk)) {
            // The two highest bits say how to scale when the image is shown.
            let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff);
            let (width, height) = (side([w0, w1]), side([h0, h1]));
            if (height, width) != shape {
                return Err(format!(
                    "its WebP image has a frame of {height} x {width} pixels, the block has {} x {}",
                    shape.0, shape.1
                ));
            }
        }
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        rest = content.get(len.saturating_add(len % 2)..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first block of a fixture: 32 x 32 pixels.
    fn block(name: &str) -> Vec<u8> {
        let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiff");
        let file = std::fs::read(folder.join(name)).unwrap();
        let start = file.windows(4).position(|bytes| bytes == b"RIFF").unwrap();
        let size = u32::from_le_bytes(file[start + 4..start + 8].try_into().unwrap());
        file[start..start + 8 + size as usize].to_vec()
    }

    #[test]
    fn frame_larger_than_the_image_is_an_error() {
        let mut image = block("webp_rgba_lossy.tif");
        let mut out = vec![0; 32 * 32 * 4];
        decode(&image, (32, 32), 4, &mut out).unwrap();
        let frame = image.windows(4).position(|bytes| bytes == b"VP8 ").unwrap();
        image[frame + 14..frame + 18].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
        let error = decode(&image, (32, 32), 4, &mut out).unwrap_err();
        assert!(error.contains("16383 x 16383"), "{error}");
    }

    #[test]
    fn image_of_another_shape_or_number_of_samples_is_an_error() {
        let (opaque, clear) = (block("webp_rgb.tif"), block("webp_rgba.tif"));
        let mut out = vec![0; 32 * 32 * 4];
        for shape in [(32, 33), (31, 32)] {
            assert!(decode(&clear, shape, 4, &mut out).is_err(), "{shape:?}");
        }
        assert!(decode(&clear, (32, 32), 3, &mut out[..32 * 32 * 3]).is_err());
        decode(&opaque, (32, 32), 4, &mut out).unwrap();
        assert!(out.chunks_exact(4).all(|pixel| pixel[3] == 255));
    }
}
