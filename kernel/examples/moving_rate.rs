//! How fast are reductions of moving windows, beside looking at each window anew?
//!
//! `cargo run --release -p graticule-kernel --example moving_rate`

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use graticule_kernel::{InlineReader, Tensor, Window, run};
use graticule_ops::{BlockAxis, Node, NodeId, Program, ReduceKind, Reduction, Sliding, Stage};
use graticule_plan::DType;

const ROUNDS: usize = 3;
/// Days by places: a chunk of a cube along time.
const SHAPE: [usize; 2] = [1460, 4050];

/// Windows along the first axis, reduced; an axis of one element between keeps each from being put together from others.
fn program(kind: &ReduceKind, skipna: bool, len: usize, anew: bool) -> Program {
    let dtype = DType::Float32;
    let mut nodes = vec![
        Node::Input {
            input: 0,
            parts: vec![dtype],
        },
        Node::Sliding(Sliding {
            x: NodeId(0),
            axis: 0,
            len: len as u64,
            start: 0,
            extent: BlockAxis::Whole {
                len: (SHAPE[0] - (len - 1)) as u64,
            },
        }),
    ];
    if anew {
        nodes.push(Node::ExpandDims {
            x: NodeId(1),
            axis: 0,
        });
    }
    let reduction = Reduction {
        kind: kind.clone(),
        skipna,
        dtype,
    };
    nodes.push(Node::Reduce {
        x: NodeId(nodes.len() as u32 - 1),
        reduction,
        axes: vec![1 + usize::from(anew)],
        keepdims: false,
        stage: Stage::Whole,
        positions: vec![],
    });
    Program::new(nodes)
}

fn time(program: &Program, x: &Tensor) -> Duration {
    let (tables, inputs) = (BTreeMap::new(), [Window::whole(x.clone().into())]);
    let start = Instant::now();
    let reader = InlineReader::new(&tables);
    black_box(run(program, &[], &inputs, &reader, &tables).expect("a valid program"));
    start.elapsed()
}

#[allow(clippy::print_stdout)]
fn main() {
    let n = SHAPE[0] * SHAPE[1];
    let wild = |i: usize| ((i * 7919) % 104_729) as f32 - 5e4;
    let x = Tensor::from_vec(&SHAPE, (0..n).map(wild).collect()).expect("as many as the shape says");
    let kinds = [
        ReduceKind::Sum,
        ReduceKind::Mean,
        ReduceKind::Std { ddof: 0 },
        ReduceKind::Max,
    ];
    println!("ns an element, in turn with windows looked at anew");
    for kind in kinds {
        for skipna in [false, true] {
            for len in [7, 10, 14, 30, 90, 365] {
                let (put_together, anew) = (
                    program(&kind, skipna, len, false),
                    program(&kind, skipna, len, true),
                );
                let times: Vec<(Duration, Duration)> = (0..ROUNDS)
                    .map(|_| (time(&put_together, &x), time(&anew, &x)))
                    .collect();
                let own = times.iter().map(|t| t.0).min().expect("there are rounds");
                let other = times.iter().map(|t| t.1).min().expect("there are rounds");
                let per = |time: Duration| time.as_secs_f64() * 1e9 / n as f64;
                println!(
                    "{:<5} skipna {skipna:<5} of {len:>3}: {:6.2}, anew {:7.2}, {:5.2} times as long",
                    kind.name(),
                    per(own),
                    per(other),
                    other.as_secs_f64() / own.as_secs_f64()
                );
            }
        }
    }
}
