//! Longitude and latitude to a projected system and back.

use proj4rs::{Proj, transform::transform};

use crate::error::DataError;

/// Geographic systems: degrees on an ellipsoid so close to WGS 84's that pixels do not notice.
const GEOGRAPHIC: [u32; 4] = [4326, 4258, 4269, 4979];

/// Projected systems other than UTM: definitions of the EPSG registry as PROJ writes them.
const PROJECTED: [(u32, &str); 15] = [
    (
        2154,
        "+proj=lcc +lat_0=46.5 +lon_0=3 +lat_1=49 +lat_2=44 +x_0=700000 +y_0=6600000 +ellps=GRS80 +units=m",
    ),
    (
        3031,
        "+proj=stere +lat_0=-90 +lat_ts=-71 +lon_0=0 +x_0=0 +y_0=0 +datum=WGS84 +units=m",
    ),
    (
        3034,
        "+proj=lcc +lat_0=52 +lon_0=10 +lat_1=35 +lat_2=65 +x_0=4000000 +y_0=2800000 +ellps=GRS80 +units=m",
    ),
    (
        3035,
        "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +units=m",
    ),
    (
        3395,
        "+proj=merc +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m",
    ),
    (
        3413,
        "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +x_0=0 +y_0=0 +datum=WGS84 +units=m",
    ),
    (
        3577,
        "+proj=aea +lat_0=0 +lon_0=132 +lat_1=-18 +lat_2=-36 +x_0=0 +y_0=0 +ellps=GRS80 +units=m",
    ),
    (
        3832,
        "+proj=merc +lon_0=150 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m",
    ),
    (
        3857,
        "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m",
    ),
    (
        3976,
        "+proj=stere +lat_0=-90 +lat_ts=-70 +lon_0=0 +x_0=0 +y_0=0 +datum=WGS84 +units=m",
    ),
    (
        3978,
        "+proj=lcc +lat_0=49 +lon_0=-95 +lat_1=49 +lat_2=77 +x_0=0 +y_0=0 +ellps=GRS80 +units=m",
    ),
    (
        3979,
        "+proj=lcc +lat_0=49 +lon_0=-95 +lat_1=49 +lat_2=77 +x_0=0 +y_0=0 +ellps=GRS80 +units=m",
    ),
    (
        3995,
        "+proj=stere +lat_0=90 +lat_ts=71 +lon_0=0 +x_0=0 +y_0=0 +datum=WGS84 +units=m",
    ),
    (
        5070,
        "+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +x_0=0 +y_0=0 +ellps=GRS80 +units=m",
    ),
    (
        9473,
        "+proj=aea +lat_0=0 +lon_0=132 +lat_1=-18 +lat_2=-36 +x_0=0 +y_0=0 +ellps=GRS80 +units=m",
    ),
];

/// PROJ's definition of a projected system.
fn definition(epsg: u32) -> Option<String> {
    let utm = |zone: u32, rest: &str| Some(format!("+proj=utm +zone={zone} {rest} +units=m"));
    match epsg {
        32601..=32660 => utm(epsg - 32600, "+datum=WGS84"),
        32701..=32760 => utm(epsg - 32700, "+south +datum=WGS84"),
        25828..=25838 => utm(epsg - 25800, "+ellps=GRS80"),
        26901..=26923 => utm(epsg - 26900, "+ellps=GRS80"),
        _ => PROJECTED
            .iter()
            .find(|(code, _)| *code == epsg)
            .map(|(_, text)| (*text).to_owned()),
    }
}

/// The systems to go between, or `None` for a geographic one, which needs no conversion.
fn systems(epsg: Option<u32>) -> Result<Option<(Proj, Proj)>, DataError> {
    let crs = epsg.map_or("a system without an EPSG code".to_owned(), |code| {
        format!("EPSG:{code}")
    });
    let failed = |why: String| DataError::Projection {
        crs: crs.clone(),
        why,
    };
    let unknown = || failed("its definition is not known here".to_owned());
    let epsg = epsg.ok_or_else(unknown)?;
    if GEOGRAPHIC.contains(&epsg) {
        return Ok(None);
    }
    let make = |text: &str| Proj::from_proj_string(text).map_err(|e| failed(e.to_string()));
    let projected = make(&definition(epsg).ok_or_else(unknown)?)?;
    Ok(Some((make("+proj=longlat +datum=WGS84")?, projected)))
}

fn convert(epsg: Option<u32>, from: &Proj, to: &Proj, point: (f64, f64)) -> Result<(f64, f64), DataError> {
    let mut moved = (point.0, point.1, 0.0);
    let failed = |why: String| DataError::Projection {
        crs: format!("EPSG:{}", epsg.unwrap_or(0)),
        why,
    };
    transform(from, to, &mut moved).map_err(|e| failed(e.to_string()))?;
    if moved.0.is_finite() && moved.1.is_finite() {
        Ok((moved.0, moved.1))
    } else {
        Err(failed("a corner lies outside of the projection".to_owned()))
    }
}

/// West, south, east and north in a projected system of a box in longitude and latitude: the box around its corners.
///
/// # Errors
/// [`DataError::Projection`] if the system's definition is not known here, or the box lies outside of it.
pub fn from_lonlat(epsg: Option<u32>, bbox: [f64; 4]) -> Result<[f64; 4], DataError> {
    let Some((geographic, projected)) = systems(epsg)? else {
        return Ok(bbox);
    };
    let [west, south, east, north] = bbox;
    let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for (lon, lat) in [(west, south), (west, north), (east, south), (east, north)] {
        let (x, y) = convert(
            epsg,
            &geographic,
            &projected,
            (lon.to_radians(), lat.to_radians()),
        )?;
        bounds = [
            bounds[0].min(x),
            bounds[1].min(y),
            bounds[2].max(x),
            bounds[3].max(y),
        ];
    }
    Ok(bounds)
}

/// Longitude and latitude of a point.
pub(super) fn to_lonlat(epsg: Option<u32>, point: [f64; 2]) -> Result<[f64; 2], DataError> {
    let Some((geographic, projected)) = systems(epsg)? else {
        return Ok(point);
    };
    let (lon, lat) = convert(epsg, &projected, &geographic, (point[0], point[1]))?;
    Ok([lon.to_degrees(), lat.to_degrees()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points computed with pyproj 3.7 (PROJ 9).
    const KNOWN: &[(u32, [f64; 2], [f64; 2])] = &[
        (32618, [-73.9, 40.7], [592930.738, 4506036.842]),
        (32733, [17.5, -30.2], [740672.253, 6656410.449]),
        (25832, [9.1, 48.5], [507387.185, 5371880.405]),
        (26918, [-75.0, 40.0], [500000.000, 4427757.219]),
        (2154, [2.3, 48.8], [648583.262, 6855774.716]),
        (3031, [100.0, -75.0], [1613886.439, -284571.723]),
        (3034, [9.0, 50.0], [3930763.715, 2585609.114]),
        (3035, [9.0, 50.0], [4249298.599, 2987999.019]),
        (3395, [10.0, 45.0], [1113194.908, 5591295.919]),
        (3413, [-40.0, 75.0], [142401.981, -1627662.093]),
        (3577, [140.0, -30.0], [762760.051, -3287210.337]),
        (3832, [160.0, -10.0], [1113194.908, -1111475.103]),
        (3857, [-74.0, 41.0], [-8237642.319, 5012341.664]),
        (3976, [20.0, -72.0], [672220.298, 1846910.089]),
        (3978, [-100.0, 55.0], [-313590.934, 673133.942]),
        (3995, [20.0, 80.0], [372521.314, -1023493.897]),
        (5070, [-100.0, 40.0], [-338390.588, 1894100.140]),
        (9473, [140.0, -30.0], [762760.051, -3287210.337]),
    ];

    #[test]
    fn points_agree_with_proj() {
        for &(epsg, [lon, lat], [x, y]) in KNOWN {
            let bounds = from_lonlat(Some(epsg), [lon, lat, lon, lat]).unwrap();
            assert!(
                (bounds[0] - x).abs() < 0.01 && (bounds[1] - y).abs() < 0.01,
                "EPSG:{epsg}: {bounds:?}"
            );
            let [back_lon, back_lat] = to_lonlat(Some(epsg), [x, y]).unwrap();
            assert!(
                (back_lon - lon).abs() < 1e-6 && (back_lat - lat).abs() < 1e-6,
                "EPSG:{epsg}"
            );
        }
    }

    #[test]
    fn every_definition_is_understood() {
        for (epsg, _) in PROJECTED {
            assert!(systems(Some(epsg)).unwrap().is_some(), "EPSG:{epsg}");
        }
    }

    #[test]
    fn unknown_systems_are_named() {
        let error = from_lonlat(Some(27700), [0.0, 0.0, 1.0, 1.0]).unwrap_err();
        assert!(
            matches!(&error, DataError::Projection { crs, .. } if crs == "EPSG:27700"),
            "{error}"
        );
    }
}
