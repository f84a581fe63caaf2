use std::{collections::BTreeMap, str::FromStr};

use graticule_ops::Grid;

use crate::{error::DataError, stac::Item};

use super::project::to_lonlat;

/// Which items share a time of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupBy {
    /// None: each item has its own.
    Id,
    /// Items of the same instant.
    #[default]
    Time,
    /// Items of the same day by the sun over the middle of the output: UTC and whole hours by its longitude.
    SolarDay,
}

impl FromStr for GroupBy {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "id" => Ok(GroupBy::Id),
            "time" => Ok(GroupBy::Time),
            "solar_day" => Ok(GroupBy::SolarDay),
            _ => Err(DataError::Option {
                option: "groupby",
                text: text.to_owned(),
                why: "expected id, time or solar_day".to_owned(),
            }),
        }
    }
}

/// Positions of the items by date, then id.
pub(super) fn date_order(items: &[Item]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|&a, &b| (items[a].datetime, &items[a].id).cmp(&(items[b].datetime, &items[b].id)));
    order
}

/// The items of each time, both in order.
pub(super) fn group(items: &[Item], order: &[usize], by: GroupBy, longitude: f64) -> Vec<Vec<usize>> {
    // As odc-stac has it: the offset is cut to whole hours, toward zero.
    let hours = (longitude / 15.0).trunc() as i64;
    let mut groups: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (position, &item) in order.iter().enumerate() {
        let key = match by {
            GroupBy::Id => position as i64,
            GroupBy::Time => items[item].datetime.0,
            GroupBy::SolarDay => items[item].datetime.day_at(hours),
        };
        groups.entry(key).or_default().push(item);
    }
    groups.into_values().collect()
}

/// The longitude of the grid's centre; where its system cannot be brought to degrees, the middle of the items' boxes.
pub(super) fn longitude(grid: &Grid, items: &[Item]) -> Result<f64, DataError> {
    let [a, b, c, d, e, f] = grid.transform;
    let (col, row) = (grid.width as f64 / 2.0, grid.height as f64 / 2.0);
    let centre = [a * col + b * row + c, d * col + e * row + f];
    let error = match to_lonlat(grid.epsg, centre) {
        Ok([longitude, _]) => return Ok(longitude),
        Err(error) => error,
    };
    let edges = items
        .iter()
        .filter_map(|item| item.bbox)
        .map(|[west, _, east, _]| (west, east));
    let (west, east) = edges.fold((f64::INFINITY, f64::NEG_INFINITY), |(w, e), (a, b)| {
        (w.min(a), e.max(b))
    });
    if west <= east {
        Ok((west + east) / 2.0)
    } else {
        Err(error)
    }
}
