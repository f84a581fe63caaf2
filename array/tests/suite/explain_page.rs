//! The page that shows what `explain` prints shows what it prints.
#![allow(clippy::unwrap_used)] // A test's helpers fail as tests do.

use graticule_array::{Array, Index, LowerOptions, Over, explain};
use graticule_ops::{ArraySource, OnError, ZarrArray};
use graticule_plan::{ChunkGrid, DType};

/// The page's expression.
fn expression() -> Array {
    let (shape, stored) = ([240, 361, 720], [8, 361, 720]);
    let wind = |name: &str| {
        let source = ArraySource::Zarr(ZarrArray {
            url: format!("file:///data/{name}.zarr"),
            metadata: "{}".into(),
            is_v2: false,
            dtype: DType::Float32,
            shape: shape.to_vec(),
            chunks: stored.to_vec(),
            on_error: OnError::Raise,
        });
        Array::from_source(
            &source,
            DType::Float32,
            &ChunkGrid::regular(&shape, &stored).unwrap(),
        )
        .unwrap()
    };
    let (u, v) = (wind("u"), wind("v"));
    let east = v.diff(1, 2, None, None).unwrap();
    let east = east.slice(&[Index::Full, Index::range(0, 360)]).unwrap();
    let north = u.diff(1, 1, None, None).unwrap();
    let north = north
        .slice(&[Index::Full, Index::Full, Index::range(0, 719)])
        .unwrap();
    let vorticity = east.subtract(north).unwrap();
    let northern = vorticity.slice(&[Index::Full, Index::range(0, 180)]).unwrap();
    northern.absolute().unwrap().max(&Over::axis(2)).unwrap()
}

#[test]
fn the_page_shows_what_explain_prints() {
    let text = explain(&[&expression()], &LowerOptions::default()).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/explain.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("```text\n").unwrap();
    let (shown, after) = rest.split_once("```\n").unwrap();
    if std::env::var_os("GRATICULE_WRITE").is_some() {
        std::fs::write(path, format!("{before}```text\n{text}```\n{after}")).unwrap();
        return;
    }
    assert_eq!(shown, text, "run this test with GRATICULE_WRITE=1 to put it in");
}
