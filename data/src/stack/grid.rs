//! The output's grid: the files' own where they share one, else as odc-stac lays it out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use graticule_ops::Grid;

use crate::{error::DataError, stac::Crs};

use super::{
    StackOptions,
    assets::{Picked, Picks},
    project::from_lonlat,
};

/// The part of a pixel by which an edge may miss a multiple of the resolution and still be taken for one.
const SNAP_TOLERANCE: f64 = 0.01;
/// The part of a pixel by which grids may differ and still be one.
const SAME_TOLERANCE: f64 = 1e-6;
/// The most rows or columns of an output.
const SIDE_MAX: f64 = 1e9;

/// An output's grid.
pub(super) struct Layout {
    pub(super) grid: Grid,
    /// Whether every file has this very grid, or one of which this is a part.
    pub(super) is_one: bool,
}

pub(super) fn layout(picks: &Picks<'_>, options: &StackOptions) -> Result<Layout, DataError> {
    let files: Vec<&Picked<'_>> = picks
        .bands
        .iter()
        .flat_map(|band| &band.files)
        .flatten()
        .collect();
    let crs = common_crs(&files)?;
    check_crs(&crs, options.crs)?;
    let grids: Vec<Grid> = files.iter().map(|file| file.grid()).collect::<Result<_, _>>()?;
    let first = grids.first().ok_or(DataError::NoItems)?.clone();
    let bounds = asked_bounds(first.epsg, options)?;
    let resolution = options.resolution.map(valid_resolution).transpose()?;
    let is_one = grids.iter().all(|grid| same(grid, &first));
    let keeps_resolution = resolution.is_none_or(|asked| {
        let own = [first.transform[0].abs(), first.transform[4].abs()];
        is_straight(&first) && (0..2).all(|i| (asked[i] - own[i]).abs() <= own[i] * 1e-9)
    });
    if is_one && bounds.is_none() && (resolution.is_none() || keeps_resolution) {
        return Ok(Layout {
            grid: first,
            is_one: true,
        });
    }
    if let Some((file, grid)) = files.iter().zip(&grids).find(|(_, grid)| !is_straight(grid)) {
        return Err(DataError::Rotated {
            item: file.item.id.clone(),
            asset: file.key.to_owned(),
            transform: grid.transform,
        });
    }
    if let (true, true, Some(bounds)) = (is_one, keeps_resolution, bounds) {
        return Ok(Layout {
            grid: part(&first, bounds)?,
            is_one: true,
        });
    }
    let covered = grids
        .iter()
        .map(footprint)
        .reduce(union)
        .expect("there is a first grid");
    if let Some(bounds) = bounds {
        check_touch(bounds, covered)?;
    }
    let (size, phase) = match resolution {
        Some(size) => (size, [0.0, 0.0]),
        None => most_common(&files, &grids),
    };
    let grid = snapped(bounds.unwrap_or(covered), size, phase, first.epsg)?;
    Ok(Layout { grid, is_one: false })
}

/// The one system of all files.
fn common_crs(files: &[&Picked<'_>]) -> Result<Crs, DataError> {
    let mut items: BTreeMap<&Crs, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        items.entry(file.crs()?).or_default().insert(&file.item.id);
    }
    let mut systems = items.iter();
    match (systems.next(), systems.next()) {
        (Some((crs, _)), None) => Ok((*crs).clone()),
        (None, _) => Err(DataError::NoItems),
        (Some(_), Some(_)) => {
            let mut counts: Vec<_> = items
                .iter()
                .map(|(crs, ids)| (crs.to_string(), ids.len()))
                .collect();
            counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            Err(DataError::SeveralCrs { counts })
        }
    }
}

fn check_crs(have: &Crs, asked: Option<u32>) -> Result<(), DataError> {
    match asked {
        Some(code) if *have != Crs::Epsg(code) => Err(DataError::OtherCrs {
            have: have.to_string(),
            want: format!("EPSG:{code}"),
        }),
        _ => Ok(()),
    }
}

/// West, south, east and north of the output, if they were asked for.
fn asked_bounds(epsg: Option<u32>, options: &StackOptions) -> Result<Option<[f64; 4]>, DataError> {
    let bounds = match (options.bounds, options.bbox) {
        (Some(_), Some(_)) => {
            return Err(DataError::Grid(
                "both bounds and a longitude/latitude box were given".to_owned(),
            ));
        }
        (bounds, None) => bounds,
        (None, Some([west, _, east, _])) if east < west => {
            return Err(DataError::Grid(
                "a box over the date line cannot be one grid".to_owned(),
            ));
        }
        (None, Some(bbox)) => Some(from_lonlat(epsg, bbox)?),
    };
    match bounds {
        Some([west, south, east, north]) if !(west < east && south < north) => Err(DataError::Grid(format!(
            "bounds must be west < east and south < north, got {west}, {south}, {east}, {north}"
        ))),
        other => Ok(other),
    }
}

fn valid_resolution(size: [f64; 2]) -> Result<[f64; 2], DataError> {
    if size.iter().all(|side| side.is_finite() && *side > 0.0) {
        Ok(size)
    } else {
        Err(DataError::Grid(format!(
            "the resolution must be above 0, got {size:?}"
        )))
    }
}

/// Whether rows run along x and columns along y.
fn is_straight(grid: &Grid) -> bool {
    grid.transform[1] == 0.0 && grid.transform[3] == 0.0
}

/// Whether two grids have the same pixels.
fn same(a: &Grid, b: &Grid) -> bool {
    let pixel =
        (a.transform[0].abs() + a.transform[1].abs()).min(a.transform[3].abs() + a.transform[4].abs());
    // Steps are compared over the whole width and height, where a small difference adds up.
    let steps = a.width.max(a.height) as f64;
    let close = |i: usize| {
        let weight = if i % 3 == 2 { 1.0 } else { steps };
        (a.transform[i] - b.transform[i]).abs() * weight <= pixel * SAME_TOLERANCE
    };
    (a.width, a.height) == (b.width, b.height) && (0..6).all(close)
}

/// West, south, east and north.
fn footprint(grid: &Grid) -> [f64; 4] {
    let [a, _, c, _, e, f] = grid.transform;
    let (x, y) = (c + a * grid.width as f64, f + e * grid.height as f64);
    [c.min(x), f.min(y), c.max(x), f.max(y)]
}

fn union(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

fn check_touch(bounds: [f64; 4], covered: [f64; 4]) -> Result<(), DataError> {
    let touch =
        bounds[0] < covered[2] && covered[0] < bounds[2] && bounds[1] < covered[3] && covered[1] < bounds[3];
    if touch {
        Ok(())
    } else {
        Err(DataError::Disjoint { bounds, covered })
    }
}

/// The pixels of a grid that `bounds` touch: whole ones, as they are, and none beyond the grid.
fn part(grid: &Grid, bounds: [f64; 4]) -> Result<Grid, DataError> {
    check_touch(bounds, footprint(grid))?;
    let [a, b, c, d, e, f] = grid.transform;
    let span = |start: f64, end: f64, origin: f64, step: f64, len: u64| {
        let (p, q) = ((start - origin) / step, (end - origin) / step);
        let first = nearly(p.min(q)).floor().clamp(0.0, len as f64 - 1.0);
        let last = nearly(p.max(q)).ceil().clamp(first + 1.0, len as f64);
        (first as u64, (last - first) as u64)
    };
    let (col, width) = span(bounds[0], bounds[2], c, a, grid.width);
    let (row, height) = span(bounds[1], bounds[3], f, e, grid.height);
    let transform = [a, b, c + a * col as f64, d, e, f + e * row as f64];
    Ok(Grid {
        transform,
        height,
        width,
        epsg: grid.epsg,
    })
}

/// A whole number where `x` is one but for [`SNAP_TOLERANCE`].
fn nearly(x: f64) -> f64 {
    if (x - x.round()).abs() < SNAP_TOLERANCE {
        x.round()
    } else {
        x
    }
}

/// The pixel size that most items have (of an item's files the finest), and where its edges lie, as parts of a pixel.
///
/// If hardly two items agree on both, their size alone counts, and edges lie at multiples of it.
fn most_common(files: &[&Picked<'_>], grids: &[Grid]) -> ([f64; 2], [f64; 2]) {
    let mut finest: BTreeMap<&str, &Grid> = BTreeMap::new();
    let side = |grid: &Grid| grid.transform[0].abs().min(grid.transform[4].abs());
    for (file, grid) in files.iter().zip(grids) {
        let best = finest.entry(&file.item.id).or_insert(grid);
        if side(grid) < side(best) {
            *best = grid;
        }
    }
    // In the files' order, so that the first of equally common sizes wins.
    let mut ids = BTreeSet::new();
    let items = files
        .iter()
        .filter(|file| ids.insert(&file.item.id))
        .map(|file| finest[file.item.id.as_str()]);
    let layouts: Vec<[f64; 4]> = items
        .map(|grid| {
            let [a, _, c, _, e, f] = grid.transform;
            [a.abs(), e.abs(), phase(c / a.abs()), phase(f / e.abs())]
        })
        .collect();
    let top = |len: usize| {
        let mut counts: HashMap<Vec<u64>, usize> = HashMap::new();
        let key = |layout: &[f64; 4]| layout[..len].iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        layouts
            .iter()
            .for_each(|layout| *counts.entry(key(layout)).or_default() += 1);
        let most = counts.values().copied().max().unwrap_or(0);
        let first = layouts
            .iter()
            .find(|layout| counts[&key(layout)] == most)
            .expect("there is an item");
        (*first, most)
    };
    let ([x, y, phase_x, phase_y], count) = top(4);
    if count as f64 / layouts.len() as f64 > 0.1 {
        return ([x, y], [phase_x, phase_y]);
    }
    let ([x, y, ..], _) = top(2);
    ([x, y], [0.0, 0.0])
}

/// The part of a pixel by which an edge is off the multiples of the pixel size; nearly nothing is nothing.
fn phase(edge: f64) -> f64 {
    let part = edge.rem_euclid(1.0);
    if !(1e-3..=1.0 - 1e-3).contains(&part) {
        0.0
    } else {
        part
    }
}

/// The smallest grid with edges at multiples of the pixel size (moved by `phase`) that covers `bounds`.
fn snapped(bounds: [f64; 4], size: [f64; 2], phase: [f64; 2], epsg: Option<u32>) -> Result<Grid, DataError> {
    let axis = |start: f64, end: f64, size: f64, phase: f64| {
        let first = nearly(start / size - phase).floor();
        let last = nearly(end / size - phase).ceil();
        (first, (last - first).max(1.0))
    };
    let (col, width) = axis(bounds[0], bounds[2], size[0], phase[0]);
    let (row, height) = axis(bounds[1], bounds[3], size[1], phase[1]);
    if !(width <= SIDE_MAX && height <= SIDE_MAX) {
        return Err(DataError::Grid(format!(
            "{height} rows and {width} columns of {size:?} are more than {SIDE_MAX}; is the resolution in the units \
             of the coordinate reference system?"
        )));
    }
    let (west, north) = ((col + phase[0]) * size[0], (row + height + phase[1]) * size[1]);
    Ok(Grid {
        transform: [size[0], 0.0, west, 0.0, -size[1], north],
        height: height as u64,
        width: width as u64,
        epsg,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_lie_at_multiples_of_the_resolution() {
        let grid = snapped(
            [388953.78, 4347000.0, 758100.0, 4742613.5],
            [3000.0; 2],
            [0.0; 2],
            Some(32618),
        )
        .unwrap();
        assert_eq!(grid.transform, [3000.0, 0.0, 387000.0, 0.0, -3000.0, 4743000.0]);
        assert_eq!((grid.height, grid.width), (132, 124));
    }

    #[test]
    fn a_part_of_a_grid_has_its_pixels() {
        let grid = Grid {
            transform: [0.5, 0.0, 10.25, 0.0, -0.5, 20.25],
            height: 8,
            width: 6,
            epsg: Some(4326),
        };
        let cut = part(&grid, [10.9, 18.0, 11.5, 19.3]).unwrap();
        assert_eq!(cut.transform, [0.5, 0.0, 10.75, 0.0, -0.5, 19.75]);
        assert_eq!((cut.height, cut.width), (4, 2));
        assert!(matches!(
            part(&grid, [0.0, 0.0, 1.0, 1.0]),
            Err(DataError::Disjoint { .. })
        ));
    }

    #[test]
    fn absurd_resolutions_are_refused() {
        let error = snapped([0.0, 0.0, 4e5, 4e5], [1e-5; 2], [0.0; 2], None).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("units of the coordinate reference system"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn snapped_grids_cover_their_bounds(
            west in -1e6f64..1e6, south in -1e6f64..1e6, across in 1.0f64..1e5, down in 1.0f64..1e5,
            size in 10.0f64..5000.0, phase in 0.0f64..0.99,
        ) {
            let bounds = [west, south, west + across, south + down];
            let grid = snapped(bounds, [size; 2], [phase; 2], None).unwrap();
            let covered = footprint(&grid);
            let slack = size * (SNAP_TOLERANCE + 1e-6);
            prop_assert!(covered[0] <= west + slack && covered[1] <= south + slack);
            prop_assert!(covered[2] >= bounds[2] - slack && covered[3] >= bounds[3] - slack);
            prop_assert!(covered[0] > west - size - slack && covered[3] < bounds[3] + size + slack);
        }
    }
}
