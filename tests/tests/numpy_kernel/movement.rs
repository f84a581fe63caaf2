use graticule_ops::{BlockAxis, Node, NodeId, encode_table};
use graticule_plan::Digest;
use proptest::prelude::*;

use crate::{
    Tolerance, compare, evaluate, evaluate_one, input,
    random::{Floats, any_tensor, config, tensors},
};

fn tuple(values: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    let values: Vec<String> = values.into_iter().map(|v| format!("{v},")).collect();
    format!("({})", values.join(" "))
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn transposes_are_numpys(x in any_tensor(Floats::Any), seed in any::<u64>()) {
        let mut order: Vec<usize> = (0..x.ndim()).collect();
        order.sort_by_key(|axis| seed.rotate_left(17 * *axis as u32) % 97);
        let nodes = vec![input(0, &x), Node::Transpose { x: NodeId(0), order: order.clone() }];
        let expression = format!("np.transpose(x, {})", tuple(&order));
        compare(evaluate_one(nodes, &[&x]), &expression, &[("x", &x)], Tolerance::Exact);
    }

    #[test]
    fn strides_are_numpys_slices(
        (x, steps) in any_tensor(Floats::Any).prop_flat_map(|x| {
            let step = prop_oneof![-4i64..=-1, 1i64..=4, Just(i64::MAX), Just(i64::MIN + 1)];
            let steps = proptest::collection::vec(step, x.ndim());
            (Just(x), steps)
        }),
    ) {
        let nodes = vec![input(0, &x), Node::Stride { x: NodeId(0), steps: steps.clone() }];
        let slices: Vec<String> = steps.iter().map(|step| format!("slice(None, None, {step})")).collect();
        let expression = format!("x[{}]", tuple(slices));
        compare(evaluate_one(nodes, &[&x]), &expression, &[("x", &x)], Tolerance::Exact);
    }

    #[test]
    fn concatenations_broadcasts_and_new_axes_are_numpys(
        (x, y, axis) in any_tensor(Floats::Any).prop_flat_map(|x| {
            let axis = 0..x.ndim().max(1);
            (Just(x), axis, 0usize..5).prop_flat_map(|(x, axis, len)| {
                let mut shape = x.shape().to_vec();
                if let Some(place) = shape.get_mut(axis) {
                    *place = len;
                }
                let y = tensors(x.dtype(), shape, Floats::Any);
                (Just(x), y, Just(axis))
            })
        }),
    ) {
        let nodes = vec![
            input(0, &x),
            input(1, &y),
            Node::Concatenate { xs: vec![NodeId(0), NodeId(1), NodeId(0)], axis },
        ];
        let expression = format!("np.concatenate([x, y, x], axis={axis})");
        compare(evaluate_one(nodes, &[&x, &y]), &expression, &[("x", &x), ("y", &y)], Tolerance::Exact);

        let mut axes: Vec<BlockAxis> = vec![BlockAxis::Whole { len: 3 }];
        let before = x.shape().iter().map(|&len| BlockAxis::Whole { len: len as u64 });
        axes.extend(before);
        axes.insert(1 + axis.min(x.ndim()), BlockAxis::Whole { len: 2 });
        let nodes = vec![
            input(0, &x),
            Node::ExpandDims { x: NodeId(0), axis },
            Node::BroadcastTo { x: NodeId(1), axes: axes.clone() },
        ];
        let expression = format!(
            "np.broadcast_to(np.expand_dims(x, {axis}), {})",
            tuple(axes.iter().map(BlockAxis::len))
        );
        compare(evaluate_one(nodes, &[&x]), &expression, &[("x", &x)], Tolerance::Exact);
    }

    #[test]
    fn takes_are_numpys(
        (x, axis, positions) in any_tensor(Floats::Any)
            .prop_filter("an axis with elements", |x| x.shape().iter().any(|&len| len > 0))
            .prop_flat_map(|x| {
                let axis = x.shape().iter().position(|&len| len > 0).unwrap();
                let len = x.shape()[axis] as u64;
                (Just(x), Just(axis), proptest::collection::vec(0..len, 0..12))
            }),
    ) {
        let table = encode_table(&positions);
        let digest = Digest::of(&table);
        let tables = [(digest, table.into())].into();
        let extent = BlockAxis::Whole { len: positions.len() as u64 };
        let nodes = vec![input(0, &x), Node::Take { x: NodeId(0), axis, positions: digest, extent }];
        let ours = evaluate(nodes, &[x.clone().into()], &tables).map(|chunk| chunk.single().unwrap().clone());
        let expression = format!("np.take(x, np.array({positions:?}, dtype='i8'), axis={axis})");
        compare(ours, &expression, &[("x", &x)], Tolerance::Exact);
    }
}
