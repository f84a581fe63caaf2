//! Mistakes are found when the expression is built, wherever NumPy raises.

use graticule_array::{Array, ArrayError, Chunks, Index, Over, concatenate, stack};
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;

fn zeros(shape: &[u64]) -> Array {
    Array::zeros(shape, &vec![Chunks::Size(2); shape.len()], DType::Float64).unwrap()
}

#[test]
fn what_numpy_refuses_is_refused() {
    let (x, empty) = (zeros(&[2, 3]), zeros(&[0, 3]));
    let cases: Vec<(Result<Array, ArrayError>, &str)> = vec![
        (x.add(zeros(&[4])), "np.zeros((2, 3)) + np.zeros(4)"),
        (x.sum(&Over::axis(2)), "np.zeros((2, 3)).sum(axis=2)"),
        (x.sum(&Over::axes([0, -2])), "np.zeros((2, 3)).sum(axis=(0, -2))"),
        (x.slice(&[Index::At(2)]), "np.zeros((2, 3))[2]"),
        (x.slice(&[Index::At(-3)]), "np.zeros((2, 3))[-3]"),
        (
            x.slice(&[Index::At(0), Index::At(0), Index::At(0)]),
            "np.zeros((2, 3))[0, 0, 0]",
        ),
        (
            x.slice(&[Index::Ellipsis, Index::Ellipsis]),
            "np.zeros((2, 3))[..., ...]",
        ),
        (
            x.slice(&[Index::Slice {
                start: None,
                stop: None,
                step: 0,
            }]),
            "np.zeros((2, 3))[::0]",
        ),
        (x.take(&[3], 1), "np.take(np.zeros((2, 3)), [3], axis=1)"),
        (x.take(&[0], 2), "np.take(np.zeros((2, 3)), [0], axis=2)"),
        (concatenate(&[], 0), "np.concatenate([])"),
        (
            concatenate(&[x.clone(), zeros(&[3])], 0),
            "np.concatenate([np.zeros((2, 3)), np.zeros(3)])",
        ),
        (
            concatenate(&[x.clone(), zeros(&[2, 4])], 0),
            "np.concatenate([np.zeros((2, 3)), np.zeros((2, 4))])",
        ),
        (
            concatenate(std::slice::from_ref(&x), 2),
            "np.concatenate([np.zeros((2, 3))], axis=2)",
        ),
        (
            stack(&[x.clone(), zeros(&[2, 4])], 0),
            "np.stack([np.zeros((2, 3)), np.zeros((2, 4))])",
        ),
        (x.permute_dims(&[0]), "np.zeros((2, 3)).transpose([0])"),
        (x.permute_dims(&[0, 0]), "np.zeros((2, 3)).transpose([0, 0])"),
        (x.squeeze(Some(&[0])), "np.zeros((2, 3)).squeeze(0)"),
        (x.expand_dims(3), "np.expand_dims(np.zeros((2, 3)), 3)"),
        (
            x.broadcast_to(&[3, 3]),
            "np.broadcast_to(np.zeros((2, 3)), (3, 3))",
        ),
        (x.broadcast_to(&[3]), "np.broadcast_to(np.zeros((2, 3)), (3,))"),
        (empty.min(&Over::axis(0)), "np.zeros((0, 3)).min(axis=0)"),
        (empty.argmax(&Over::axis(0)), "np.zeros((0, 3)).argmax(axis=0)"),
        (empty.max(&Over::all()), "np.zeros((0, 3)).max()"),
        (
            x.quantile(&[1.5], &Over::all()),
            "np.quantile(np.zeros((2, 3)), [1.5])",
        ),
        (
            empty.quantile(&[0.5], &Over::axis(0)),
            "np.quantile(np.zeros((0, 3)), [0.5], axis=0)",
        ),
        (x.bitwise_and(1), "np.zeros((2, 3)) & 1"),
        (
            x.astype(DType::Bool).unwrap().negative(),
            "-np.zeros((2, 3), dtype=bool)",
        ),
        (
            x.astype(DType::UInt8).unwrap().add(300),
            "np.zeros((2, 3), dtype='u1') + 300",
        ),
        (
            x.astype(DType::Int8).unwrap().power(-1),
            "np.zeros((2, 3), dtype='i1') ** -1",
        ),
    ];
    for (built, python) in cases {
        assert!(
            Numpy::shared().eval(python, &[]).is_err(),
            "NumPy allows {python}"
        );
        let refused = built.expect_err(python);
        assert!(!refused.to_string().is_empty());
    }
}

#[test]
fn what_numpy_allows_of_empty_arrays_is_allowed() {
    let empty = zeros(&[0, 3]);
    assert_eq!(empty.min(&Over::axis(1)).unwrap().shape(), [0]);
    assert_eq!(empty.argmin(&Over::axis(1)).unwrap().shape(), [0]);
    assert_eq!(zeros(&[3, 0]).max(&Over::axis(0)).unwrap().shape(), [0]);
}

#[test]
fn messages_name_what_does_not_fit() {
    let x = zeros(&[2, 3]);
    let message = |built: Result<Array, ArrayError>| built.unwrap_err().to_string();
    assert_eq!(
        message(x.add(zeros(&[4]))),
        "operands could not be broadcast together with shapes (2,3) (4,)"
    );
    assert_eq!(
        message(x.sum(&Over::axis(-3))),
        "axis -3 is out of bounds for array of dimension 2"
    );
    assert_eq!(
        message(x.rechunk(&[Chunks::Lengths(vec![1, 2]), Chunks::Keep])),
        "chunks add up to 3 along axis 0, but its length is 2"
    );
    assert_eq!(
        message(x.take(&[5], 0)),
        "index 5 is out of bounds for axis 0 with size 2"
    );
}
