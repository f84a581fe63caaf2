use graticule_kernel::{KernelError, Tensor};
use graticule_ops::{BinaryOp, Node, NodeId, UnaryOp};
use graticule_plan::DType;
use proptest::{prelude::*, sample::select};

use crate::{
    Tolerance, compare, evaluate_one, input,
    random::{Floats, any_computed, any_tensor, broadcastable, computed, config, dtypes, shapes, tensors},
};

use UnaryOp::*;

const UNARY: [UnaryOp; 38] = [
    Negative, Positive, Absolute, Sign, Square, Reciprocal, LogicalNot, Invert, IsNan, IsFinite, IsInf, Sqrt,
    Cbrt, Exp, Exp2, Expm1, Log, Log2, Log10, Log1p, Sin, Cos, Tan, Arcsin, Arccos, Arctan, Sinh, Cosh, Tanh,
    Arcsinh, Arccosh, Arctanh, Floor, Ceil, Trunc, Rint, Deg2rad, Rad2deg,
];

const BINARY: [BinaryOp; 29] = [
    BinaryOp::Add,
    BinaryOp::Subtract,
    BinaryOp::Multiply,
    BinaryOp::Divide,
    BinaryOp::FloorDivide,
    BinaryOp::Remainder,
    BinaryOp::Fmod,
    BinaryOp::Power,
    BinaryOp::Minimum,
    BinaryOp::Maximum,
    BinaryOp::Fmin,
    BinaryOp::Fmax,
    BinaryOp::Arctan2,
    BinaryOp::Hypot,
    BinaryOp::Copysign,
    BinaryOp::LogicalAnd,
    BinaryOp::LogicalOr,
    BinaryOp::LogicalXor,
    BinaryOp::BitwiseAnd,
    BinaryOp::BitwiseOr,
    BinaryOp::BitwiseXor,
    BinaryOp::LeftShift,
    BinaryOp::RightShift,
    BinaryOp::Equal,
    BinaryOp::NotEqual,
    BinaryOp::Less,
    BinaryOp::LessEqual,
    BinaryOp::Greater,
    BinaryOp::GreaterEqual,
];

/// Functions that are correctly rounded or exact on both sides.
fn tolerance(name: &str) -> Tolerance {
    let rounded = [
        "negative",
        "positive",
        "absolute",
        "sign",
        "square",
        "reciprocal",
        "sqrt",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "add",
        "subtract",
        "multiply",
        "divide",
        "minimum",
        "maximum",
        "fmin",
        "fmax",
        "copysign",
        "fmod",
        "remainder",
        "floor_divide",
    ];
    if rounded.contains(&name) {
        Tolerance::Exact
    } else {
        Tolerance::Ulps(4)
    }
}

/// The dtype in which kernels do what NumPy does in another.
fn in_kernels(dtype: DType) -> DType {
    if dtype == DType::Float16 {
        DType::Float32
    } else {
        dtype
    }
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn unary_operations_are_numpys(op in select(UNARY.to_vec()), x in any_computed(Floats::Any)) {
        let Ok((operand, _)) = op.dtypes(x.dtype()) else {
            let nodes = vec![input(0, &x), Node::Unary { op, x: NodeId(0) }];
            let refused = evaluate_one(nodes, &[&x]);
            prop_assert!(matches!(refused, Err(KernelError::Node { .. })), "{:?}", refused);
            return Ok(());
        };
        let operand = in_kernels(operand);
        let nodes = vec![
            input(0, &x),
            Node::Cast { x: NodeId(0), dtype: operand },
            Node::Unary { op, x: NodeId(1) },
        ];
        let name = op.name();
        // NumPy leaves 1 // 0 to the hardware; here it is 0.
        let expression = match op {
            Reciprocal if !operand.is_float() => {
                format!(
                    "(lambda x: np.where(x == 0, 0, np.reciprocal(np.where(x == 0, 1, x).astype(x.dtype))).astype(x.dtype))\
                     (x.astype('{operand}'))"
                )
            }
            _ => format!("np.{name}(x.astype('{operand}'))"),
        };
        compare(evaluate_one(nodes, &[&x]), &expression, &[("x", &x)], tolerance(name));
    }

    #[test]
    fn binary_operations_broadcast_and_are_numpys(
        op in select(BINARY.to_vec()),
        (x, y) in (computed(), shapes()).prop_flat_map(|(dtype, shape)| {
            (broadcastable(shape.clone()), broadcastable(shape)).prop_flat_map(move |(a, b)| {
                (tensors(dtype, a, Floats::Any), tensors(dtype, b, Floats::Any))
            })
        }),
    ) {
        let Ok((operand, _)) = op.dtypes(x.dtype()) else { return Ok(()) };
        let operand = in_kernels(operand);
        let nodes = vec![
            input(0, &x),
            input(1, &y),
            Node::Cast { x: NodeId(0), dtype: operand },
            Node::Cast { x: NodeId(1), dtype: operand },
            Node::Binary { op, x: NodeId(2), y: NodeId(3) },
        ];
        let operands = format!("x.astype('{operand}'), y.astype('{operand}')");
        let expression = match op {
            // NumPy takes the square root where one exponent 0.5 serves many bases, which differs for -inf: so each
            // base gets an exponent of its own.
            BinaryOp::Power => format!(
                "(lambda x, y: np.power(np.stack([x, x], -1), np.stack([y, y], -1))[..., 0])\
                 (*np.broadcast_arrays({operands}))"
            ),
            _ => format!("np.{}({operands})", op.name()),
        };
        compare(evaluate_one(nodes, &[&x, &y]), &expression, &[("x", &x), ("y", &y)], tolerance(op.name()));
    }

    #[test]
    fn casts_are_numpys_within_the_range_of_the_target(x in any_tensor(Floats::Any), dtype in dtypes()) {
        let nodes = vec![input(0, &x), Node::Cast { x: NodeId(0), dtype }];
        let is_defined = !x.dtype().is_float() || dtype.is_float() || dtype == DType::Bool;
        // Out of range NumPy's answer depends on the host: the test gives it what we define, saturation.
        let expression = if is_defined {
            format!("x.astype('{dtype}')")
        } else {
            format!(
                "np.array([0 if v != v else int(max(np.iinfo('{dtype}').min, min(np.iinfo('{dtype}').max, v))) \
                 for v in x.ravel().tolist()], dtype='{dtype}').reshape(x.shape)"
            )
        };
        compare(evaluate_one(nodes, &[&x]), &expression, &[("x", &x)], Tolerance::Exact);
    }

    #[test]
    fn where_broadcasts_and_is_numpys(
        (c, x, y) in (dtypes(), shapes()).prop_flat_map(|(dtype, shape)| {
            let part = || broadcastable(shape.clone());
            (part(), part(), part()).prop_flat_map(move |(a, b, c)| {
                let choice = tensors(DType::Bool, a, Floats::Any);
                (choice, tensors(dtype, b, Floats::Any), tensors(dtype, c, Floats::Any))
            })
        }),
    ) {
        let nodes = vec![
            input(0, &c),
            input(1, &x),
            input(2, &y),
            Node::Where { condition: NodeId(0), x: NodeId(1), y: NodeId(2) },
        ];
        let arrays = [("c", &c), ("x", &x), ("y", &y)];
        compare(evaluate_one(nodes, &[&c, &x, &y]), "np.where(c, x, y)", &arrays, Tolerance::Exact);
    }
}

#[test]
fn dtypes_of_operations_are_numpys() {
    for dtype in DType::REAL {
        let x = Tensor::zeros(dtype, &[1]).unwrap();
        let check = |ours: Option<DType>, name: &str, expression: &str| {
            let theirs = graticule_tests::numpy::Numpy::shared().eval(expression, &[("x", &x)]);
            assert_eq!(ours, theirs.ok().map(|made| made.dtype()), "{name} of {dtype}");
        };
        for op in UNARY {
            let name = op.name();
            check(
                op.dtypes(dtype).ok().map(|(_, made)| made),
                name,
                &format!("np.{name}(x)"),
            );
        }
        for op in BINARY {
            let name = op.name();
            check(
                op.dtypes(dtype).ok().map(|(_, made)| made),
                name,
                &format!("np.{name}(x, x)"),
            );
        }
    }
}

#[test]
fn integers_to_negative_powers_are_an_error() {
    let x = Tensor::from_vec(&[2], vec![2i32, 3]).unwrap();
    let y = Tensor::from_vec(&[2], vec![1i32, -1]).unwrap();
    let nodes = vec![
        input(0, &x),
        input(1, &y),
        Node::Binary {
            op: BinaryOp::Power,
            x: NodeId(0),
            y: NodeId(1),
        },
    ];
    assert!(matches!(
        evaluate_one(nodes, &[&x, &y]),
        Err(KernelError::NegativePower)
    ));
}
