//! What is moved, and what is made of it.

use std::sync::Arc;

use graticule_plan::{AxisWindow, ChunkGrid, Input, InputMap, JobId, LayerId, Source, WorkerId};
use proptest::{prelude::*, sample::Index};

use super::{
    tests::{finished, joined, steps, story, task, told},
    *,
};
use crate::{LayerInfo, LayerPlan, Moved, MovedKind};

/// Rows of 40 x 40 elements of 8 bytes in chunks of 10 rows, then in chunks of 10 columns.
fn rechunk() -> Record {
    let plan = |chunks: &[u64], inputs| LayerPlan {
        grid: ChunkGrid::regular(&[40, 40], chunks).expect("a grid"),
        item_bytes: 8,
        inputs,
        keys: Vec::new(),
        is_output: false,
    };
    let same = |out_axis| AxisWindow::Affine {
        out_axis,
        start: 0,
        step: 1,
    };
    let aligned = [0, 1].map(same).to_vec();
    let input = Input {
        source: Source::Layer(LayerId(0)),
        map: InputMap::Product(aligned),
    };
    let layers = [
        ("rows", plan(&[10, 40], vec![])),
        ("columns", plan(&[40, 10], vec![input])),
    ];
    let layers = layers.map(|(name, plan)| LayerInfo {
        name: name.into(),
        task_count: 4,
        chunk_bytes: 3_200,
        origin: None,
        plan: Some(Arc::new(plan)),
    });
    Record::JobStarted {
        job: JobId(1),
        name: "rechunk".into(),
        layers: layers.into(),
    }
}

fn moved(kind: MovedKind, of: Option<u32>, by: Option<u32>, bytes: u64) -> Moved {
    let layer = |layer: Option<u32>| layer.map(|layer| (JobId(1), LayerId(layer)));
    Moved {
        kind,
        of: layer(of),
        by: layer(by),
        count: 2,
        bytes,
        busy_us: 300,
        cpu_us: 0,
        began_us: 5_000,
        ended_us: 6_000,
    }
}

fn report(worker: u64, moves: &[Moved]) -> Record {
    Record::Moved {
        worker: WorkerId(worker),
        moves: moves.into(),
        lost: 1,
    }
}

#[test]
fn a_rechunk_shows_what_it_moved_and_what_it_needed() {
    let mut records = vec![(0, joined(1)), (0, joined(2)), (0, rechunk())];
    records.extend((0..4).map(|block| (900, finished(task(1, 0, block), 1, 0, 100))));
    records.extend((0..4).map(|block| (9_000, finished(task(1, 1, block), 2, 0, 7_000))));
    let moves = [
        moved(MovedKind::Peer(WorkerId(1)), Some(0), Some(1), 12_800),
        moved(MovedKind::Source, None, Some(0), 500),
        moved(MovedKind::Spill, Some(0), None, 3_200),
        moved(MovedKind::ReadBack, Some(0), None, 800),
    ];
    records.push((9_500, report(2, &moves)));
    // Twice is once.
    records.push((9_500, report(2, &moves)));
    let mut aggregator = told(&records);
    let communication = aggregator.communication();
    let sums = |bytes| MoveSums {
        count: 2,
        bytes,
        busy_us: 300,
    };
    assert_eq!(communication.pairs, [(0, 1, sums(12_800))]);
    assert_eq!(
        communication.flows,
        [(None, Some(0), sums(500)), (Some(0), Some(1), sums(12_800))]
    );
    let own = [
        (1, MoveClass::Source, sums(500)),
        (1, MoveClass::Spill, sums(3_200)),
        (1, MoveClass::ReadBack, sums(800)),
    ];
    assert_eq!(communication.own, own);
    assert_eq!(communication.lost, 1);
    let [rows, columns] = &communication.layers[..] else {
        panic!("two operations moved something: {:?}", communication.layers);
    };
    assert_eq!(
        (rows.layer, rows.source, rows.spilled, rows.read_back, rows.excess),
        (0, 500, 3_200, 800, 4_000)
    );
    // Each column block needs 100 elements of each of four row blocks, and keeps those of one.
    let needed = 4 * 3 * 100 * 8;
    assert_eq!(
        (columns.layer, columns.moved, columns.needed),
        (1, 12_800, Some(needed))
    );
    assert_eq!(columns.excess, 12_800 - needed);
}

#[test]
fn the_timeline_has_movements_and_a_box_their_bytes() {
    let moves = [
        moved(MovedKind::Peer(WorkerId(1)), Some(0), Some(1), 1_000),
        moved(MovedKind::Spill, Some(0), None, 400),
    ];
    let aggregator = told(&[
        (0, joined(1)),
        (0, joined(2)),
        (0, rechunk()),
        (9_500, report(2, &moves)),
    ]);
    assert_eq!(aggregator.timeline_moves(0, 4_999).spans, []);
    let spans = aggregator.timeline_moves(5_500, 8_000).spans;
    assert_eq!(
        spans.iter().map(|it| (it.class, it.bytes)).collect::<Vec<_>>(),
        [(MoveClass::Peer, 1_000), (MoveClass::Spill, 400)]
    );
    let sums = aggregator.timeline_sums(5_500, 8_000, ((0, 0), (1, 9)));
    assert_eq!(sums.moved, [(MoveClass::Peer, 500), (MoveClass::Spill, 200)]);
    assert_eq!(aggregator.timeline_sums(0, 9_000, ((0, 0), (0, 9))).moved, []);
}

#[test]
fn many_movements_of_the_timeline_are_told_as_few() {
    let mut records = vec![(0, joined(1)), (0, rechunk())];
    for at in 0..10_000u64 {
        let mut row = moved(MovedKind::Source, None, Some(0), 10);
        (row.began_us, row.ended_us) = (at * 1_000, at * 1_000 + 100);
        records.push((at * 1_000 + 200, report(1, &[row])));
    }
    let told = told(&records).timeline_moves(0, 10_000_000).spans;
    assert!(told.len() <= MOVE_SPAN_TOLD_MAX, "{} spans", told.len());
    assert_eq!(told.iter().map(|span| span.bytes).sum::<u64>(), 100_000);
}

proptest! {
    #[test]
    fn movements_told_in_any_order_and_twice_are_the_same(
        steps in steps(),
        rows in prop::collection::vec((0u64..4, 0u64..5, 0u32..3, 1u64..9_999), 1..40),
        repeated in prop::collection::vec(any::<Index>(), 0..20),
    ) {
        let mut records = story(&steps);
        let begin = records.len();
        for (at, (worker, peer, layer, bytes)) in (0..).zip(rows) {
            let kind = match peer {
                0 => MovedKind::Source,
                1 => MovedKind::Spill,
                peer => MovedKind::Peer(WorkerId(peer)),
            };
            let row = moved(kind, Some(layer), Some(0), bytes);
            records.push((1_000 + at, report(worker + 1, &[row])));
        }
        let in_order = told(&records).communication();
        let mut again = records[begin..].to_vec();
        again.extend(repeated.iter().map(|at| at.get(&records[begin..]).clone()));
        again.reverse();
        let mut shuffled = records[..begin].to_vec();
        shuffled.extend(again);
        let in_disorder = told(&shuffled).communication();
        // Keys are given in order of hearing, so bytes are compared.
        let bytes = |it: &Communication| {
            let mut bytes: Vec<u64> = it.pairs.iter().map(|row| row.2.bytes).collect();
            bytes.extend(it.own.iter().map(|row| row.2.bytes));
            bytes.sort_unstable();
            (bytes, it.left_out, it.lost)
        };
        prop_assert_eq!(bytes(&in_order), bytes(&in_disorder));
    }
}
