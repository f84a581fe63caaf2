//! Scans, products, random numbers, sorting and counting from anywhere: what does not fit is an error, never a panic.
#![allow(clippy::unwrap_used)] // A test's helpers fail as the test does.

use std::{collections::BTreeMap, sync::Arc};

use graticule_kernel::{InlineReader, Tensor, Window, run, run_unfused};
use graticule_ops::{
    AxisSelection, Binning, BlockAxis, Contract, Contraction, Count, Distribution, Fourier, FourierKind,
    FourierNorm, Linalg, LinalgKind, Node, NodeId, Program, Random, Scalar, Scan, ScanKind, ScanStep, Search,
    SearchKind, Sort, Sorting, Transform,
};
use graticule_plan::{AxisChunks, DType, Digest};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn id() -> impl Strategy<Value = NodeId> {
    (0u32..6).prop_map(NodeId)
}

fn dtype() -> impl Strategy<Value = DType> {
    select(DType::ALL.to_vec())
}

fn block_axis() -> impl Strategy<Value = BlockAxis> {
    prop_oneof![
        (0u64..5).prop_map(|len| BlockAxis::Whole { len }),
        (0usize..3, 0u64..6, 0u64..4).prop_map(|(out_axis, len, chunk)| BlockAxis::Cut {
            out_axis,
            chunks: AxisChunks::Regular { len, chunk },
        }),
    ]
}

fn scan() -> impl Strategy<Value = Node> {
    use ScanKind::*;
    let kind = select(vec![Sum, Prod, Min, Max, Last]);
    let scan = (kind, any::<bool>(), dtype(), 0usize..4).prop_map(|(kind, skipna, dtype, axis)| Scan {
        kind,
        skipna,
        dtype,
        axis,
    });
    (scan, vec(id(), 0..3), option::of(id()), any::<bool>()).prop_map(|(scan, states, x, to_state)| {
        Node::Scan(ScanStep {
            scan,
            states,
            x,
            to_state,
        })
    })
}

fn contract() -> impl Strategy<Value = Node> {
    let pairs = || vec((0usize..4, 0usize..4), 0..3);
    (
        id(),
        id(),
        (0usize..4, 0usize..4),
        pairs(),
        pairs(),
        select(vec![0, 1, 3, usize::MAX]),
    )
        .prop_map(|(x, y, ndims, batch, summed, parts)| {
            let contraction = Contraction { batch, summed, parts };
            Node::Contract(Contract {
                x,
                y,
                ndims,
                contraction,
            })
        })
}

fn random() -> impl Strategy<Value = Node> {
    let distribution = select(vec![
        Distribution::Unit,
        Distribution::Normal,
        Distribution::Exponential,
        Distribution::Integers {
            low: u64::MAX,
            count: 0,
        },
        Distribution::Integers { low: 3, count: 5 },
        Distribution::Poisson {
            mean: Scalar::Float64(f64::NAN),
        },
        Distribution::Poisson {
            mean: Scalar::Int8(20),
        },
    ]);
    let selection = (
        select(vec![0, 3, u64::MAX]),
        select(vec![1, -2, i64::MIN]),
        0u64..9,
    )
        .prop_map(|(start, step, len)| AxisSelection { start, step, len });
    let shape = vec(select(vec![0, 4, u64::MAX]), 0..3);
    (
        distribution,
        dtype(),
        shape,
        vec(selection, 0..3),
        vec(block_axis(), 0..3),
    )
        .prop_map(|(distribution, dtype, shape, selection, axes)| {
            Node::Random(Random {
                seed: 1,
                stream: 2,
                distribution,
                dtype,
                shape,
                selection,
                axes,
            })
        })
}

fn order() -> impl Strategy<Value = Node> {
    let sorting = (
        0usize..4,
        any::<bool>(),
        any::<bool>(),
        option::of(select(vec![0, 2, u64::MAX])),
    );
    let sorting = sorting.prop_map(|(axis, descending, positions, count)| Sorting {
        axis,
        descending,
        positions,
        count,
    });
    let kind = select(vec![SearchKind::Left, SearchKind::Right, SearchKind::Contains]);
    let binning = (select(vec![0, 3, u64::MAX]), any::<bool>())
        .prop_map(|(count, drop_others)| Binning { count, drop_others });
    prop_oneof![
        (id(), sorting).prop_map(|(x, sorting)| Node::Sort(Sort {
            x,
            sorting,
            len_max: 0
        })),
        (id(), id(), kind).prop_map(|(sorted, x, kind)| Node::Search(Search { sorted, x, kind })),
        (id(), option::of(id()), binning).prop_map(|(x, weights, binning)| Node::Count(Count {
            x,
            weights,
            binning
        })),
    ]
}

fn linalg() -> impl Strategy<Value = Node> {
    let kind = select(vec![
        LinalgKind::Cholesky,
        LinalgKind::Qr { complete: false },
        LinalgKind::Qr { complete: true },
        LinalgKind::Svd { full_matrices: true },
        LinalgKind::Svd { full_matrices: false },
        LinalgKind::SingularValues,
        LinalgKind::Eigh,
        LinalgKind::Eigvalsh,
        LinalgKind::Eig,
        LinalgKind::Eigvals,
        LinalgKind::Eliminate,
        LinalgKind::Times,
        LinalgKind::Lu,
        LinalgKind::Inverse,
        LinalgKind::Slogdet,
        LinalgKind::Solve,
        LinalgKind::SolveTriangular {
            lower: true,
            unit_diagonal: true,
        },
        LinalgKind::SolveTriangular {
            lower: false,
            unit_diagonal: false,
        },
    ]);
    (vec(id(), 0..3), kind).prop_map(|(xs, kind)| {
        Node::Linalg(Linalg {
            xs,
            kind,
            matrix_elements: 0,
        })
    })
}

fn fourier() -> impl Strategy<Value = Node> {
    let kind = select(vec![
        FourierKind::Forward,
        FourierKind::Inverse,
        FourierKind::RealForward,
        FourierKind::RealInverse,
    ]);
    (id(), 0usize..4, select(vec![0, 1, 2, 5, u64::MAX]), kind).prop_map(|(x, axis, len, kind)| {
        let norm = FourierNorm::Ortho;
        let transform = Transform {
            axis,
            len,
            kind,
            norm,
        };
        Node::Fourier(Fourier { x, transform })
    })
}

fn node() -> impl Strategy<Value = Node> {
    let input = (0usize..3, dtype()).prop_map(|(input, dtype)| Node::Input {
        input,
        parts: vec![dtype],
    });
    let cast = (id(), dtype()).prop_map(|(x, dtype)| Node::Cast { x, dtype });
    prop_oneof![2 => input, 1 => cast, 2 => scan(), 2 => contract(), 1 => random(), 2 => order(), 2 => linalg(), 2 => fourier()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_give_a_chunk_or_an_error(
        nodes in vec(node(), 1..7),
        shapes in vec(vec(0usize..4, 0..4), 3),
        dtypes in vec(dtype(), 3),
        is_one_dtype in any::<bool>(),
        index in vec(0u64..4, 0..3),
    ) {
        // Operands that stand before their users, and often of the dtype that is asked for.
        let nodes = nodes.into_iter().enumerate().map(|(k, mut node)| {
            node.rename(|id| if k == 0 { id } else { NodeId(id.0 % k as u32) });
            match &mut node {
                Node::Input { parts, .. } if is_one_dtype => parts[0] = dtypes[0],
                Node::Scan(step) if is_one_dtype => step.scan.dtype = dtypes[0],
                _ => {}
            }
            node
        });
        let program = Program::new(nodes.collect());
        let inputs = shapes.iter().zip(&dtypes).map(|(shape, &dtype)| {
            Window::whole(Tensor::zeros(if is_one_dtype { dtypes[0] } else { dtype }, shape).unwrap().into())
        });
        let inputs: Vec<Window> = inputs.collect();
        let tables: BTreeMap<Digest, Arc<[u8]>> = BTreeMap::new();
        let reader = InlineReader::new(&tables);
        let fused = run(&program, &index, &inputs, &reader, &tables);
        let unfused = run_unfused(&program, &index, &inputs, &reader, &tables);
        prop_assert_eq!(fused.ok(), unfused.ok());
    }
}
