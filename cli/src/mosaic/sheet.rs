//! A contact sheet: small pictures side by side, each with its name below.

use graticule_data::png::{Picture, PictureOptions, Plane, PngError};

use super::raster::Preview;

/// Pixels between pictures and around them.
const GAP: usize = 8;
/// Panels narrower than this are enlarged by a whole number.
const PANEL_SIDE_MIN: usize = 160;
/// A glyph's pixels, and how much they are enlarged.
const GLYPH: (usize, usize) = (3, 5);
const GLYPH_SCALE: usize = 3;
const BACKGROUND: [u8; 3] = [24, 26, 27];
const INK: [u8; 3] = [220, 224, 226];

/// Lays previews of one size out in rows, all stretched alike so that they can be compared.
///
/// # Errors
/// [`PngError`], if there are none.
pub(crate) fn contact_sheet(panels: &[(String, Preview)]) -> Result<Picture, PngError> {
    let none = || PngError::PlaneCount { got: 0 };
    let (_, first) = panels.first().ok_or_else(none)?;
    let pictures = stretched_alike(panels, first)?;
    let scale = PANEL_SIDE_MIN.div_ceil(first.width.max(first.height)).max(1);
    let label = GLYPH.1 * GLYPH_SCALE + GAP;
    let (panel_width, panel_height) = (first.width * scale + GAP, first.height * scale + label + GAP);
    let across = columns(panels.len(), panel_width, panel_height);
    let down = panels.len().div_ceil(across);
    let (width, height) = (across * panel_width + GAP, down * panel_height + GAP);
    let mut sheet = Sheet {
        width,
        bytes: BACKGROUND.repeat(width * height),
    };
    for (number, (name, _)) in panels.iter().enumerate() {
        let (x, y) = (
            GAP + number % across * panel_width,
            GAP + number / across * panel_height,
        );
        sheet.draw(&pictures, number * first.height, first, (x, y), scale);
        sheet.write(
            name.trim_start_matches("month-"),
            x,
            y + first.height * scale + GAP / 2,
        );
    }
    Ok(Picture {
        width: side(width),
        height: side(height),
        channel_count: 3,
        bytes: sheet.bytes,
    })
}

/// All panels one below the other as one picture: so they share their stretch.
fn stretched_alike(panels: &[(String, Preview)], first: &Preview) -> Result<Picture, PngError> {
    let plane = |index: usize| -> Vec<f32> {
        let planes = panels.iter().map(|(_, preview)| preview.plane(index));
        planes.flatten().copied().collect()
    };
    let joined: Vec<Vec<f32>> = (0..first.plane_count()).map(plane).collect();
    let planes: Vec<Plane<'_>> = joined.iter().map(|plane| Plane::Float32(plane)).collect();
    let (width, height) = (side(first.width), side(first.height * panels.len()));
    Picture::stretched(width, height, &planes, &PictureOptions::default())
}

fn side(len: usize) -> u32 {
    u32::try_from(len).expect("panels are of a limited size and number")
}

/// Panels in a row, so that the sheet is about as wide as high.
fn columns(count: usize, panel_width: usize, panel_height: usize) -> usize {
    let side = ((count * panel_height) as f64 / panel_width as f64).sqrt();
    (side.ceil() as usize).clamp(1, count)
}

struct Sheet {
    width: usize,
    bytes: Vec<u8>,
}

impl Sheet {
    fn set(&mut self, x: usize, y: usize, color: [u8; 3]) {
        let at = (y * self.width + x) * 3;
        if let Some(pixel) = self.bytes.get_mut(at..at + 3).filter(|_| x < self.width) {
            pixel.copy_from_slice(&color);
        }
    }

    /// Draws rows of `picture` from `row` on, as high as a panel, enlarged.
    fn draw(&mut self, picture: &Picture, row: usize, panel: &Preview, at: (usize, usize), scale: usize) {
        for y in 0..panel.height * scale {
            for x in 0..panel.width * scale {
                let from = ((row + y / scale) * panel.width + x / scale) * picture.channel_count;
                let pixel = &picture.bytes[from..from + picture.channel_count];
                let color = match *pixel {
                    [gray] => [gray; 3],
                    [gray, alpha] if alpha > 0 => [gray; 3],
                    [r, g, b] => [r, g, b],
                    [r, g, b, alpha] if alpha > 0 => [r, g, b],
                    _ => continue,
                };
                self.set(at.0 + x, at.1 + y, color);
            }
        }
    }

    /// Writes the digits and dashes of a name; its other characters are left out.
    fn write(&mut self, name: &str, x: usize, y: usize) {
        for (place, rows) in name.chars().filter_map(glyph).enumerate() {
            let left = x + place * (GLYPH.0 + 1) * GLYPH_SCALE;
            for (row, bits) in rows.into_iter().enumerate() {
                let is_inked = |column: &usize| bits >> (GLYPH.0 - 1 - column) & 1 == 1;
                for column in (0..GLYPH.0).filter(is_inked) {
                    self.dot(left + column * GLYPH_SCALE, y + row * GLYPH_SCALE);
                }
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize) {
        for at in 0..GLYPH_SCALE * GLYPH_SCALE {
            self.set(x + at % GLYPH_SCALE, y + at / GLYPH_SCALE, INK);
        }
    }
}

/// The rows of a glyph, three bits each, the highest on the left.
fn glyph(character: char) -> Option<[u8; 5]> {
    Some(match character {
        '0' => [0b111, 0b101, 0b101, 0b101, 0b111],
        '1' => [0b010, 0b110, 0b010, 0b010, 0b111],
        '2' => [0b111, 0b001, 0b111, 0b100, 0b111],
        '3' => [0b111, 0b001, 0b111, 0b001, 0b111],
        '4' => [0b101, 0b101, 0b111, 0b001, 0b001],
        '5' => [0b111, 0b100, 0b111, 0b001, 0b111],
        '6' => [0b111, 0b100, 0b111, 0b101, 0b111],
        '7' => [0b111, 0b001, 0b001, 0b010, 0b010],
        '8' => [0b111, 0b101, 0b111, 0b101, 0b111],
        '9' => [0b111, 0b101, 0b111, 0b001, 0b111],
        '-' => [0, 0, 0b111, 0, 0],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_years_months_make_a_sheet_that_is_about_square() {
        assert_eq!(columns(12, 100, 120), 4);
        assert_eq!(columns(1, 100, 100), 1);
        assert_eq!(columns(3, 1000, 10), 1);
    }

    #[test]
    fn names_are_written_in_ink_below_their_panel() {
        let mut sheet = Sheet {
            width: 60,
            bytes: BACKGROUND.repeat(60 * 20),
        };
        sheet.write("-1", 2, 2);
        let inked = |x: usize, y: usize| sheet.bytes[(y * 60 + x) * 3..][..3] == INK;
        assert!(inked(2, 2 + 2 * GLYPH_SCALE) && !inked(2, 2));
        assert!((0..60).any(|x| x > 12 && inked(x, 2)));
    }
}
