//! Plans that need an array twice, which is larger than workers' memory: an anomaly, the array less its mean. By the time the
//! mean is there, the array is held, spilled, or let go and made again.

use std::sync::Arc;

use graticule_plan::{
    AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, Layer, LayerId, Output, PlanBuilder, Source,
};

use crate::{
    generate::{Generated, TASK_BYTES_MAX},
    oracle::{Expected, expect},
    rng::Rng,
};

/// Bytes of one of the array's chunks.
const CHUNK_BYTES: u64 = TASK_BYTES_MAX / 12;
const FAN_IN: u64 = 4;

/// One of the plan's layers, with what each of its chunks must be.
type Made = (LayerId, ChunkGrid, Arc<Expected>);

/// Makes a plan whose client awaits all of the result.
pub(crate) fn generate_twice(rng: &mut Rng, blocks_max: u64) -> Generated {
    let count = rng.within(16..61).min(blocks_max.max(1));
    let mut maker = Maker {
        builder: PlanBuilder::new(),
        rng,
    };
    let aligned = || AxisWindow::Aligned { out_axis: 0 };
    let group = AxisWindow::Group {
        out_axis: 0,
        fan_in: FAN_IN,
    };
    let array = maker.layer(count, CHUNK_BYTES, &[]);
    let parts = maker.layer(count, 8, &[(&array, aligned())]);
    let groups = maker.layer(count.div_ceil(FAN_IN), 8, &[(&parts, group)]);
    let mean = maker.layer(1, 8, &[(&groups, AxisWindow::All)]);
    let anomaly = maker.layer(count, 8, &[(&array, aligned()), (&mean, AxisWindow::All)]);
    let mut builder = maker.builder;
    let output = Output {
        layer: anomaly.0,
        keep: None,
    };
    builder.output(output).expect("the layer was just added");
    let plan = builder.finish();
    let bytes = plan.depth_first_bytes(|_| None, u64::MAX);
    Generated {
        plan: Arc::new(plan.with_depth_first_hint(bytes)),
        expected: [array, parts, groups, mean, anomaly].map(|made| made.2).into(),
        bases: Vec::new(),
    }
}

struct Maker<'a> {
    builder: PlanBuilder,
    rng: &'a mut Rng,
}

impl Maker<'_> {
    /// Adds a layer of so many blocks of one element.
    fn layer(&mut self, count: u64, item_bytes: u64, reads: &[(&Made, AxisWindow)]) -> Made {
        let axis = AxisChunks::regular(count, 1).expect("small");
        let grid = ChunkGrid::new(vec![axis]).expect("one axis");
        let inputs = reads.iter().map(|((layer, ..), window)| Input {
            source: Source::Layer(*layer),
            map: InputMap::Product(vec![window.clone()]),
        });
        let body = Body::new(self.rng.next().to_le_bytes().to_vec());
        let mut layer = Layer::new("twice", grid.clone(), item_bytes, body, inputs.collect());
        layer.cost_ns = self.rng.within(1..1_000_000);
        layer.retries = 3;
        let read: Vec<_> = reads.iter().map(|((_, grid, made), _)| (grid, &**made)).collect();
        let expected = Arc::new(expect(&layer, &read));
        let id = self.builder.layer(layer).expect("maps were made for the grids");
        (id, grid, expected)
    }
}
