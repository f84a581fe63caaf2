//! Which pixel of a file each pixel of the target grid takes: odc-stac's and GDAL's rules for nearest resampling.

use std::ops::Range;

use graticule_ops::Grid;

use crate::tiff::{Tiff, Transform};

/// By how much a position may miss a pixel's edge and still count as on it, as GDAL has it.
const EDGE_EPSILON: f64 = 1e-10;
/// How far scales may differ from one (or a whole number) for pixels to be pasted, as odc-geo has it.
const SCALE_TOLERANCE: f64 = 1e-3;
/// How far a rotation may move a pixel over the whole image, in pixels.
const ROTATION_TOLERANCE: f64 = 1e-6;

/// Target pixels to file pixels along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum AxisMap {
    /// Pixels are the same but for a shift.
    Shift(i64),
    /// `offset + scale * (target + 0.5)`, of which the whole part counts.
    Linear { offset: f64, scale: f64 },
}

impl AxisMap {
    /// The file's pixel for a target pixel, if it has one.
    pub(super) fn pixel(&self, target: u64, len: u64) -> Option<u64> {
        match *self {
            AxisMap::Shift(shift) => target.checked_add_signed(shift).filter(|pixel| *pixel < len),
            AxisMap::Linear { offset, scale } => {
                let position = offset + scale * (target as f64 + 0.5);
                if !(0.0..=len as f64).contains(&position) {
                    return None;
                }
                Some(((position + EDGE_EPSILON).floor() as u64).min(len - 1))
            }
        }
    }
}

/// How the target's pixels lie in one image of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GridMap {
    pub(super) rows: AxisMap,
    pub(super) cols: AxisMap,
}

/// Target pixel positions to file pixel positions: `x = a * col + b * row + c`, `y = d * col + e * row + f`.
fn between(target: &Transform, file: &Transform) -> Option<Transform> {
    let [a, b, c, d, e, f] = *file;
    if b == 0.0 && d == 0.0 {
        if a == 0.0 || e == 0.0 {
            return None;
        }
        // The inverse first, then the product, in GDAL's order.
        let (inverse_x, inverse_y) = (1.0 / a, 1.0 / e);
        let (zero_x, zero_y) = (-c / a, -f / e);
        let [ta, tb, tc, td, te, tf] = *target;
        return Some([
            inverse_x * ta,
            inverse_x * tb,
            zero_x + inverse_x * tc,
            inverse_y * td,
            inverse_y * te,
            zero_y + inverse_y * tf,
        ]);
    }
    let determinant = a * e - b * d;
    if determinant == 0.0 {
        return None;
    }
    let [ta, tb, tc, td, te, tf] = *target;
    let x = |dx: f64, dy: f64| (e * dx - b * dy) / determinant;
    let y = |dx: f64, dy: f64| (a * dy - d * dx) / determinant;
    Some([
        x(ta, td),
        x(tb, te),
        x(tc - c, tf - f),
        y(ta, td),
        y(tb, te),
        y(tc - c, tf - f),
    ])
}

/// The map between two grids, or `None` where their axes are not parallel.
pub(super) fn grid_map(target: &Grid, file: &Transform) -> Option<GridMap> {
    let [sx, b, tx, d, sy, ty] = between(&target.transform, file)?;
    let shear = (b * target.height as f64)
        .abs()
        .max((d * target.width as f64).abs());
    if shear > ROTATION_TOLERANCE || sx == 0.0 || sy == 0.0 {
        return None;
    }
    let is_one = |scale: f64| (scale - 1.0).abs() <= SCALE_TOLERANCE;
    if is_one(sx) && is_one(sy) {
        // Pixels of the same size are pasted, moved by the nearest whole number of pixels.
        return Some(GridMap {
            rows: AxisMap::Shift(nearest(ty)),
            cols: AxisMap::Shift(nearest(tx)),
        });
    }
    let linear = |offset: f64, scale: f64| AxisMap::Linear { offset, scale };
    Some(GridMap {
        rows: linear(ty, sy),
        cols: linear(tx, sx),
    })
}

/// The nearest whole number; of two equally near ones that nearer to zero.
fn nearest(x: f64) -> i64 {
    let (whole, part) = (x.trunc(), x.fract());
    let step = if part > 0.5 {
        1.0
    } else if part < -0.5 {
        -1.0
    } else {
        0.0
    };
    (whole + step) as i64
}

/// The overview to read from: the smallest that still has the target's resolution. `None` for the image itself.
pub(super) fn pick_overview(target: &Grid, file: &Transform, tiff: &Tiff) -> Option<usize> {
    let [sx, b, _, d, sy, _] = between(&target.transform, file)?;
    let scale = sx.hypot(d).min(sy.hypot(b));
    // Just below a whole number counts as it.
    let shrink = if (scale - scale.round()).abs() < SCALE_TOLERANCE {
        scale.round()
    } else {
        scale.floor()
    };
    let width = f64::from(tiff.main().info().width);
    let factors: Vec<f64> = tiff
        .overviews()
        .map(|overview| (width / f64::from(overview.info().width)).round())
        .collect();
    factors.iter().rposition(|factor| *factor <= shrink)
}

/// The file's pixels that some of the target's pixels take: an empty range if none does.
pub(super) fn needed(map: &AxisMap, targets: impl Iterator<Item = u64>, len: u64) -> Range<u64> {
    let pixels = targets.filter_map(|target| map.pixel(target, len));
    pixels.fold(0..0, |needed: Range<u64>, pixel| {
        if needed.is_empty() {
            pixel..pixel + 1
        } else {
            needed.start.min(pixel)..needed.end.max(pixel + 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(transform: Transform, height: u64, width: u64) -> Grid {
        Grid {
            transform,
            height,
            width,
            epsg: None,
        }
    }

    #[test]
    fn one_grid_is_taken_as_it_is() {
        let transform = [
            9.99479222007154,
            0.0,
            465181.0522318204,
            0.0,
            -9.997448467363668,
            5080254.63349641,
        ];
        let map = grid_map(&grid(transform, 101, 100), &transform).unwrap();
        assert_eq!(
            map,
            GridMap {
                rows: AxisMap::Shift(0),
                cols: AxisMap::Shift(0)
            }
        );
    }

    #[test]
    fn rotated_grids_agree_only_with_themselves() {
        let turned = [8.0, 3.0, 100.0, 3.0, -8.0, 900.0];
        let shifted = [
            8.0,
            3.0,
            100.0 + 8.0 * 2.0 + 3.0 * 5.0,
            3.0,
            -8.0,
            900.0 + 3.0 * 2.0 - 8.0 * 5.0,
        ];
        let map = grid_map(&grid(shifted, 50, 50), &turned).unwrap();
        assert_eq!(
            map,
            GridMap {
                rows: AxisMap::Shift(5),
                cols: AxisMap::Shift(2)
            }
        );
        assert_eq!(
            grid_map(&grid([8.0, 0.0, 0.0, 0.0, -8.0, 0.0], 50, 50), &turned),
            None
        );
    }

    #[test]
    fn the_pixel_that_holds_the_centre_is_taken() {
        let target = grid([30.0, 0.0, 0.0, 0.0, -30.0, 300.0], 10, 10);
        let map = grid_map(&target, &[20.0, 0.0, 0.0, 0.0, -20.0, 300.0]).unwrap();
        let cols: Vec<_> = (0..5).map(|col| map.cols.pixel(col, 15)).collect();
        assert_eq!(cols, [Some(0), Some(2), Some(3), Some(5), Some(6)]);
        assert_eq!(map.cols.pixel(10, 15), None);
        // South-up files are read upside down.
        let map = grid_map(&target, &[20.0, 0.0, 0.0, 0.0, 20.0, 0.0]).unwrap();
        assert_eq!(
            (map.rows.pixel(0, 15), map.rows.pixel(9, 15)),
            (Some(14), Some(0))
        );
    }

    #[test]
    fn shifts_below_a_pixel_round() {
        assert_eq!([0.4, 0.5, 0.6, -0.5, -0.6, 2.5].map(nearest), [0, 0, 1, 0, -1, 2]);
    }
}
