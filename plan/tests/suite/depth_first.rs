//! What plans need when their tasks run one by one.

use graticule_plan::{
    AxisChunks, AxisWindow, Body, ChunkGrid, Input, InputMap, Key, Layer, LayerId, Output, PlanBuilder,
    Source,
};

const ITEM: u64 = 8;

fn line(count: u64) -> ChunkGrid {
    let axis = AxisChunks::regular(count, 1).expect("a valid axis");
    ChunkGrid::new(vec![axis]).expect("a valid grid")
}

fn add(builder: &mut PlanBuilder, count: u64, inputs: &[(u32, AxisWindow)]) -> LayerId {
    let inputs = inputs.iter().map(|(layer, window)| Input {
        source: Source::Layer(LayerId(*layer)),
        map: InputMap::Product(vec![window.clone()]),
    });
    let body = Body::new(b"body".to_vec());
    let layer = Layer::new("layer", line(count), ITEM, body, inputs.collect());
    builder.layer(layer).expect("a valid layer")
}

fn output(builder: &mut PlanBuilder, layer: LayerId, keep: Option<Key>) {
    builder.output(Output { layer, keep }).expect("a valid output");
}

const fn group(fan_in: u64) -> AxisWindow {
    AxisWindow::Group { out_axis: 0, fan_in }
}

const ALIGNED: AxisWindow = AxisWindow::Aligned { out_axis: 0 };

#[test]
fn a_tree_holds_the_path_from_the_root_and_no_more() {
    let mut builder = PlanBuilder::new();
    add(&mut builder, 256, &[]);
    for level in 0..4 {
        add(&mut builder, 64 >> (2 * level), &[(level, group(4))]);
    }
    output(&mut builder, LayerId(4), None);
    let plan = builder.finish();
    // Three done on each of the four levels, a fourth source comes to be: its combination holds four and makes one.
    let held = 3 * 3 + 4;
    let combining = 4 + 1;
    assert_eq!(
        plan.depth_first_bytes(|_| None, 1000),
        Some((held + combining) * ITEM)
    );
    assert_eq!(plan.depth_first_bytes(|_| None, 340), None, "it has 341 tasks");
}

#[test]
fn an_array_that_is_needed_twice_is_held_whole() {
    let mut builder = PlanBuilder::new();
    add(&mut builder, 100, &[]);
    add(&mut builder, 1, &[(0, AxisWindow::All)]);
    let anomaly = add(&mut builder, 100, &[(0, ALIGNED), (1, AxisWindow::All)]);
    output(&mut builder, anomaly, None);
    let plan = builder.finish();
    let mean_runs = 100 + (100 + 1);
    assert_eq!(plan.depth_first_bytes(|_| None, 1000), Some(mean_runs * ITEM));
}

#[test]
fn what_is_kept_is_counted_by_whoever_keeps_it() {
    let mut builder = PlanBuilder::new();
    let source = add(&mut builder, 100, &[]);
    output(&mut builder, source, Some(Key(1)));
    assert_eq!(builder.finish().depth_first_bytes(|_| None, 1000), Some(ITEM));
}

#[test]
fn a_chunk_of_another_plan_counts_as_a_task_s_window() {
    let mut builder = PlanBuilder::new();
    let body = Body::new(b"body".to_vec());
    let input = Input {
        source: Source::Held(Key(7)),
        map: InputMap::Product(vec![ALIGNED]),
    };
    let layer = Layer::new("layer", line(5), ITEM, body, vec![input]);
    let layer = builder.layer(layer).expect("a valid layer");
    output(&mut builder, layer, None);
    let held = line(5);
    let bytes = builder
        .finish()
        .depth_first_bytes(|key| (key == Key(7)).then_some((&held, 100)), 1000);
    assert_eq!(bytes, Some(100 + ITEM));
}
