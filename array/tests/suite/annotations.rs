//! How tasks shall run, written beside what they do.

#![allow(clippy::unwrap_used)]

use graticule_array::{
    Annotations, Array, ArrayError, Chunks, Index, LowerOptions, Lowered, Over, Wanted, annotate, lower,
};
use graticule_ops::ReduceKind;
use graticule_plan::{DType, Layer};

fn x() -> Array {
    Array::arange(0.0, 64.0, 1.0, DType::Float64, Chunks::Size(4)).unwrap()
}

fn lowered(array: &Array) -> Lowered {
    lower(&[(array, Wanted::Deliver)], &LowerOptions::default()).unwrap()
}

fn gpus(layer: &Layer) -> u32 {
    let of_layer = layer.resources.iter().find(|resource| &*resource.name == "GPU");
    of_layer.map_or(0, |resource| resource.count)
}

#[test]
fn all_steps_of_an_annotated_reduction_need_what_it_needs_and_others_do_not() {
    let on_gpu = Annotations::new().resource("GPU", 2).retries(7).priority(3);
    let sum = annotate(&on_gpu, || {
        x().sin()?.reduce(ReduceKind::Sum, &Over::all().split_every(4))
    })
    .unwrap();
    let plan = lowered(&sum).plan;
    assert!(plan.layers().len() > 2, "partials, levels, the sum");
    for layer in plan.layers() {
        assert_eq!(
            (gpus(layer), layer.retries, layer.priority),
            (2, 7, 3),
            "{}",
            layer.name
        );
    }
    let plain = x()
        .sin()
        .unwrap()
        .reduce(ReduceKind::Sum, &Over::all().split_every(4))
        .unwrap();
    assert!(lowered(&plain).plan.layers().iter().all(|layer| gpus(layer) == 0));
}

#[test]
fn an_inner_scope_s_word_goes_first_and_scopes_end() {
    let (outer, inner) = (
        Annotations::new().priority(1).worker("a"),
        Annotations::new().priority(-1),
    );
    let both = annotate(&outer, || annotate(&inner, || x().sin())).unwrap();
    let layer = lowered(&both).plan.layers()[0].clone();
    assert_eq!((layer.priority, &*layer.workers[0]), (-1, "a"));
    let after = lowered(&x().sin().unwrap()).plan;
    assert_eq!(
        (after.layers()[0].priority, after.layers()[0].workers.len()),
        (0, 0)
    );
}

#[test]
fn what_is_rewritten_keeps_what_was_said_of_it() {
    let noted = annotate(&Annotations::new().resource("GPU", 1), || {
        x().rechunk(&[Chunks::Size(16)])
    })
    .unwrap();
    let sliced = noted.sin().unwrap().slice(&[Index::range(8, 40)]).unwrap();
    let plan = lowered(&sliced).plan;
    assert!(
        plan.layers().iter().any(|layer| gpus(layer) == 1),
        "{}",
        lowered(&sliced).explain()
    );
}

#[test]
fn options_hold_for_all_layers() -> Result<(), ArrayError> {
    let options = LowerOptions {
        annotations: Annotations::new().worker("here").retries(1),
        retries: 5,
        ..LowerOptions::default()
    };
    let plan = lower(&[(&x().sum(&Over::all())?, Wanted::Deliver)], &options)?.plan;
    let of_layer = |layer: &Layer| (layer.retries, layer.workers.clone());
    assert!(
        plan.layers()
            .iter()
            .all(|layer| of_layer(layer) == (1, vec!["here".into()]))
    );
    Ok(())
}
