//! Each rewrite is done where it should be, and the plan is smaller for it. That none changes a value is tested against plain
//! evaluation elsewhere.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use graticule_array::{
    Along, Array, Chunks, Index, LowerOptions, Lowered, Over, Wanted, concatenate, lower,
    rewrite::{REWRITES, Rewrites},
    where_,
};
use graticule_ops::{ArraySource, OnError, Program, ReduceKind, ZarrArray};
use graticule_plan::{ChunkGrid, DType, Key};

/// An array that is read, of 8 x 6 x 10 in chunks of 2 x 3 x 10.
fn read(dtype: DType) -> Array {
    read_as("a", dtype, &[8, 6, 10], &[2, 3, 10])
}

fn read_as(name: &str, dtype: DType, shape: &[u64], chunks: &[u64]) -> Array {
    let source = ArraySource::Zarr(ZarrArray {
        url: format!("file:///nowhere/{name}.zarr"),
        metadata: "{}".into(),
        is_v2: false,
        dtype,
        shape: shape.to_vec(),
        chunks: chunks.to_vec(),
        on_error: OnError::Raise,
    });
    Array::from_source(&source, dtype, &ChunkGrid::regular(shape, chunks).unwrap()).unwrap()
}

fn float() -> Array {
    read(DType::Float64)
}

fn integer() -> Array {
    read(DType::Int32)
}

/// One whose elements are wanted whole as well, so that what is done with it stays behind it.
fn sorted() -> Array {
    float().sort(2, false).unwrap()
}

fn held(dtype: DType) -> Array {
    Array::held(
        Key(1),
        &ChunkGrid::regular(&[8, 6, 10], &[2, 3, 10]).unwrap(),
        dtype,
    )
}

/// A long one, of which lists of positions are taken.
fn scattered() -> Array {
    read_as("f", DType::UInt8, &[1000], &[10])
}

/// Positions without order along it.
fn squares(count: i64) -> Vec<i64> {
    (0..count).map(|k| k * k * 7 % 1000).collect()
}

fn rows(x: &Array, start: i64, stop: i64) -> Array {
    x.slice(&[Index::range(start, stop)]).unwrap()
}

fn columns(x: &Array, start: i64, stop: i64) -> Array {
    let full = || Index::Full;
    x.slice(&[full(), full(), Index::range(start, stop)]).unwrap()
}

/// What a rewrite is meant for.
#[allow(clippy::too_many_lines)] // A line or two for each.
fn case(name: &str) -> Vec<Array> {
    let one = match name {
        "common-parts" => {
            let sum = |x: &Array| x.sqrt().unwrap().sum(&Over::all()).unwrap();
            sum(&float()).add(sum(&float())).unwrap()
        }
        "empty-array" => rows(&float(), 2, 2).sqrt().unwrap(),
        "drop-same-chunks" => {
            let there = sorted()
                .rechunk(&[Chunks::Size(4), Chunks::Keep, Chunks::Keep])
                .unwrap();
            let back = there
                .rechunk(&[Chunks::Size(2), Chunks::Keep, Chunks::Keep])
                .unwrap();
            return vec![back, there];
        }
        "drop-whole-views" => sorted().flip(2).unwrap().flip(2).unwrap(),
        "merge-casts" => read(DType::UInt16)
            .astype(DType::Float32)
            .unwrap()
            .astype(DType::Float64)
            .unwrap(),
        "merge-transposes" => sorted().transpose().transpose(),
        "merge-axes" => float().expand_dims(1).unwrap().squeeze(None).unwrap(),
        "merge-broadcasts" => {
            let x = read_as("b", DType::Float64, &[10], &[10]);
            x.broadcast_to(&[6, 10])
                .unwrap()
                .broadcast_to(&[8, 6, 10])
                .unwrap()
        }
        "merge-reshapes" => {
            let x = read_as("c", DType::Float64, &[8, 6], &[2, 6]);
            x.reshape(&[48]).unwrap().reshape(&[8, 2, 3]).unwrap()
        }
        "full-views" => Array::ones(&[8, 6], &[Chunks::Size(2), Chunks::Whole], DType::Float64)
            .unwrap()
            .transpose()
            .expand_dims(0)
            .unwrap(),
        "double-negation" => float().negative().unwrap().negative().unwrap(),
        "repeated-function" => float().floor().unwrap().floor().unwrap(),
        "same-operands" => {
            let x = integer();
            x.subtract(&x).unwrap()
        }
        "neutral-number" => integer().add(0).unwrap(),
        "absorbing-number" => integer().multiply(0).unwrap(),
        "merge-numbers" => integer().add(7).unwrap().add(5).unwrap(),
        "fold-numbers" => {
            let number = Array::scalar(graticule_ops::Scalar::Float64(2.0))
                .multiply(3.0)
                .unwrap();
            float().add(number).unwrap()
        }
        "known-condition" => {
            let all = Array::ones(
                &[8, 6, 10],
                &[Chunks::Size(2), Chunks::Size(3), Chunks::Whole],
                DType::Bool,
            )
            .unwrap();
            where_(
                all,
                float(),
                read_as("d", DType::Float64, &[8, 6, 10], &[2, 3, 10]),
            )
            .unwrap()
        }
        "merge-slices" => rows(&rows(&held(DType::Float64), 1, 7), 1, 5),
        "slice-into-read" => rows(&float(), 2, 4),
        "slice-through-elementwise" => rows(&float().sqrt().unwrap(), 2, 4),
        "slice-through-views" => columns(&float().transpose(), 2, 4),
        "slice-through-rechunk" => {
            let x = sorted()
                .rechunk(&[Chunks::Size(4), Chunks::Keep, Chunks::Keep])
                .unwrap();
            rows(&x, 0, 1)
        }
        "slice-through-join" => rows(&concatenate(&[sorted(), float()], 0).unwrap(), 1, 3),
        "slice-through-list" => rows(&scattered().take(&squares(80), 0).unwrap(), 0, 2),
        "slice-through-reduction" => {
            let x = float().max(&Over::axis(2)).unwrap();
            rows(&x, 2, 4)
        }
        "slice-through-groups" => {
            let labels = [0, 1, 2, 0, 1, 2, 0, 1].map(Some);
            let (medians, _) = float()
                .groupby_reduce(0, &labels, ReduceKind::Median, false)
                .unwrap();
            medians.slice(&[Index::range(1, 2), Index::range(0, 3)]).unwrap()
        }
        "slice-through-scan" => rows(&float().cumulative_sum(&Along::axis(2)).unwrap(), 2, 3),
        "slice-through-windows" => {
            let x = float().sliding_window_view(&[3], [2]).unwrap();
            rows(&x, 2, 3)
        }
        "slice-by-blocks" => rows(&float().sum(&Over::axis(2)).unwrap(), 2, 3),
        "windows-to-slice" => {
            let depth = [(0, 0), (0, 0), (2, 1)];
            let boundary = [graticule_array::Boundary::Reflect; 3];
            float()
                .overlap(&depth, &boundary)
                .unwrap()
                .trim_overlap(&depth, &boundary)
                .unwrap()
        }
        "merge-lists" => {
            let listed: Vec<i64> = squares(70).iter().map(|k| k % 80).collect();
            scattered()
                .take(&squares(80), 0)
                .unwrap()
                .take(&listed, 0)
                .unwrap()
        }
        "list-to-slices" => float().take(&[2, 3], 0).unwrap(),
        "split-list" | "cull-list" => {
            let x = read_as("e", DType::Float64, &[1000, 4], &[1, 4]);
            let listed = (0..40)
                .map(|k| k * k % 90)
                .chain((0..40).map(|k| 900 + k * k % 90));
            let mut listed: Vec<i64> = listed.collect();
            listed.sort_unstable();
            x.take(&listed, 0).unwrap()
        }
        "list-through" => scattered()
            .astype(DType::Float64)
            .unwrap()
            .take(&squares(80), 0)
            .unwrap(),
        "merge-joins" => {
            let join = |x: &Array| concatenate(&[x.clone(), held(DType::Float64)], 0).unwrap();
            join(&join(&sorted()))
        }
        "join-neighbours" => {
            let x = sorted();
            let joined = concatenate(&[columns(&x, 0, 4), columns(&x, 4, 10)], 2).unwrap();
            joined
                .rechunk(&[Chunks::Keep, Chunks::Keep, Chunks::Whole])
                .unwrap()
        }
        "merge-reductions" => float().max(&Over::axis(0)).unwrap().max(&Over::axis(0)).unwrap(),
        "reduce-as-it-is-cut" => {
            let x = sorted()
                .rechunk(&[Chunks::Size(3), Chunks::Keep, Chunks::Keep])
                .unwrap();
            x.max(&Over::axis(0)).unwrap()
        }
        "merge-rechunks" => sorted()
            .rechunk(&[Chunks::Size(4), Chunks::Keep, Chunks::Keep])
            .unwrap()
            .rechunk(&[Chunks::Whole, Chunks::Keep, Chunks::Keep])
            .unwrap(),
        "rechunk-into-read" => float()
            .rechunk(&[Chunks::Whole, Chunks::Keep, Chunks::Keep])
            .unwrap(),
        "rechunk-through-elementwise" => {
            let x = float().sqrt().unwrap();
            x.rechunk(&[Chunks::Whole, Chunks::Keep, Chunks::Keep]).unwrap()
        }
        "rechunk-through-views" => {
            let x = float().transpose();
            x.rechunk(&[Chunks::Keep, Chunks::Keep, Chunks::Whole]).unwrap()
        }
        "share-rechunk" => {
            // An anomaly, as a series of each place.
            let (x, months) = (sorted(), [0, 1, 0, 1, 2, 0, 2, 1]);
            let whole = x.rechunk(&[Chunks::Whole, Chunks::Keep, Chunks::Keep]).unwrap();
            let means = whole
                .reduce_groups(0, &months, 3, ReduceKind::Mean, false)
                .unwrap();
            let own = means.take(&months.map(i64::from), 0).unwrap();
            let anomaly = x.subtract(own).unwrap();
            anomaly
                .rechunk(&[Chunks::Whole, Chunks::Size(2), Chunks::Size(5)])
                .unwrap()
        }
        "rechunk-in-steps" => {
            let side = 1024;
            let x = read_as("g", DType::Float64, &[side, side], &[4, side])
                .sort(1, false)
                .unwrap();
            x.rechunk(&[Chunks::Whole, Chunks::Size(4)]).unwrap()
        }
        "fuse-elementwise" => sorted().sqrt().unwrap().add(1.0).unwrap(),
        "fuse-into-read" => float().sqrt().unwrap(),
        "fuse-into-reduction" => float().sqrt().unwrap().sum(&Over::axis(2)).unwrap(),
        "fuse-cuts" => float().gradient(&[], [2], 1).unwrap().remove(0),
        "share-reads" => {
            let differences = float().diff(1, 2, None, None).unwrap();
            let part = [Index::Full, Index::Full, Index::range(0, 5)];
            differences.slice(&part).unwrap()
        }
        "fuse-small" => {
            let weights = Array::from_slice(&[6], &[Chunks::Whole], &[1.0; 6]).unwrap();
            float().multiply(weights.expand_dims(1).unwrap()).unwrap()
        }
        other => panic!("no case for {other}"),
    };
    vec![one]
}

fn lowered(arrays: &[Array], rewrites: Rewrites) -> Lowered {
    let wanted: Vec<_> = arrays.iter().map(|array| (array, Wanted::Deliver)).collect();
    let options = LowerOptions {
        rewrites,
        ..LowerOptions::default()
    };
    lower(&wanted, &options).unwrap()
}

/// Tasks; bytes read; bytes made by layers; steps of all tasks.
fn costs(lowered: &Lowered) -> [u64; 4] {
    let mut costs = [0; 4];
    for layer in lowered.plan.layers() {
        let blocks = layer.grid.block_count();
        let steps = Program::decode(&layer.body.bytes).unwrap().nodes.len() as u64;
        costs[0] += blocks;
        costs[1] += blocks * layer.source_bytes;
        costs[2] += layer.grid.element_count() * layer.item_bytes;
        costs[3] += blocks * steps;
    }
    costs
}

#[test]
fn each_rewrite_makes_the_plan_smaller_where_it_should() {
    let failed: Vec<String> = REWRITES
        .iter()
        .filter_map(|rewrite| failure(rewrite.name))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn failure(name: &str) -> Option<String> {
    let arrays = case(name);
    let others = REWRITES
        .iter()
        .map(|other| other.name)
        .filter(|other| *other != name);
    let with = lowered(&arrays, Rewrites::All);
    let without = lowered(&arrays, Rewrites::Only(others.collect()));
    let (is_done, is_left) = (
        with.rewritten.contains_key(name),
        without.rewritten.contains_key(name),
    );
    let (less, more) = (costs(&with), costs(&without));
    // This one moves all bytes twice, in fewer pieces.
    let is_smaller = name == "rechunk-in-steps" || less.iter().zip(&more).any(|(a, b)| a < b);
    let text = || {
        format!(
            "{name}: {less:?} {more:?}\nwithout it: {}with it: {}",
            without.explain(),
            with.explain()
        )
    };
    (!is_done || is_left || !is_smaller).then(text)
}

#[test]
fn there_are_no_two_rewrites_of_one_name() {
    let mut names: Vec<&str> = REWRITES.iter().map(|rewrite| rewrite.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 20, "{count}");
}

#[test]
fn differences_along_axes_of_one_block_are_one_task_each_with_what_they_are_made_of() {
    let (u, v) = (
        read_as("u", DType::Float32, &[240, 361, 720], &[8, 361, 720]),
        read_as("v", DType::Float32, &[240, 361, 720], &[8, 361, 720]),
    );
    let (of_u, of_v) = (u.gradient(&[], [1], 1).unwrap(), v.gradient(&[], [2], 1).unwrap());
    let vorticity = of_v[0].subtract(&of_u[0]).unwrap();
    let plan = lowered(&[vorticity], Rewrites::All);
    assert_eq!(
        (plan.plan.layers().len(), plan.plan.task_count()),
        (1, 30),
        "{}",
        plan.explain()
    );
}
