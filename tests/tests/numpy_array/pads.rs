//! `pad` in all modes.

use graticule_array::{Array, Pad};
use graticule_ops::Scalar;
use graticule_plan::DType;
use proptest::prelude::*;

use crate::{
    compare::Near,
    compose::{Made, Value, config, value},
    inputs::{Random, Values},
    moves::pair,
    operations::check_built,
};

/// A step of a composition: modes that move elements and compute nothing.
pub(crate) fn pad(random: &mut Random, x: &Value) -> Made {
    let (mode, text) = moving(random);
    let (widths, width_text) = widths(random, x.array.ndim(), 3);
    let python = format!("np.pad({}, {width_text}, mode={text})", x.python);
    value(x.array.pad(&widths, &mode)?, python)
}

fn widths(random: &mut Random, ndim: usize, most: usize) -> (Vec<(u64, u64)>, String) {
    let count = if random.one_in(3) || ndim == 0 { 1 } else { ndim };
    let pair = |random: &mut Random| (random.below(most + 1) as u64, random.below(most + 1) as u64);
    let widths: Vec<(u64, u64)> = (0..count).map(|_| pair(random)).collect();
    let text = format!("{widths:?}");
    (widths, text)
}

fn moving(random: &mut Random) -> (Pad, String) {
    match random.below(5) {
        0 => {
            let (low, high) = (random.within(0, 9), random.within(0, 9));
            let text = format!("'constant', constant_values=[({low}, {high})]");
            (
                Pad::Constant(vec![(Scalar::Int64(low), Scalar::Int64(high))]),
                text,
            )
        }
        1 => (Pad::Edge, "'edge'".into()),
        2 => (Pad::Wrap, "'wrap'".into()),
        3 => (Pad::Reflect(false), "'reflect'".into()),
        _ => (Pad::Symmetric(false), "'symmetric'".into()),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn moving_modes_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Wild);
        let x = &case.values[0];
        let (mode, text) = moving(&mut random);
        let (widths, width_text) = widths(&mut random, x.array.ndim(), 11);
        let python = format!("np.pad({}, {width_text}, mode={text})", x.python);
        check_built(x.array.pad(&widths, &mode), &python, &case.inputs, &Near::Same)
            .map_err(TestCaseError::fail)?;
    }

    #[test]
    fn computing_modes_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Tame);
        let x = &case.values[0];
        let count = (!random.one_in(2)).then(|| random.below(4) as u64);
        let count_text = count.map_or("None".into(), |count| count.to_string());
        let (mode, text) = match random.below(6) {
            0 => (Pad::Maximum(count), format!("'maximum', stat_length={count_text}")),
            1 => (Pad::Minimum(count), format!("'minimum', stat_length={count_text}")),
            2 | 3 => {
                let (low, high) = (random.within(0, 9), random.within(0, 9));
                let text = format!("'linear_ramp', end_values=[({low}, {high})]");
                (Pad::LinearRamp(vec![(low as f64, high as f64)]), text)
            }
            which => {
                let count = count.map(|count| count + 1);
                let count_text = count.map_or("None".into(), |count| count.to_string());
                if which == 4 {
                    (Pad::Mean(count), format!("'mean', stat_length={count_text}"))
                } else {
                    (Pad::Median(count), format!("'median', stat_length={count_text}"))
                }
            }
        };
        let near = match (&mode, x.array.dtype()) {
            (Pad::Mean(_), DType::Float32) => Near::Ulps(8),
            (Pad::Mean(_), DType::Float64) => Near::Ulps(4),
            _ => Near::Same,
        };
        let (widths, width_text) = widths(&mut random, x.array.ndim(), 5);
        let python = format!("np.pad({}, {width_text}, mode={text})", x.python);
        check_built(x.array.pad(&widths, &mode), &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn odd_mirrors_are_numpys(seed in any::<u64>()) {
        let (mut random, case) = pair(seed, Values::Tame);
        let x = &case.values[0];
        if x.array.dtype() == DType::Bool {
            return Ok(());
        }
        let (mode, text) = match random.one_in(2) {
            true => (Pad::Reflect(true), "reflect"),
            false => (Pad::Symmetric(true), "symmetric"),
        };
        let (widths, width_text) = widths(&mut random, x.array.ndim(), 6);
        let python = format!("np.pad({}, {width_text}, mode='{text}', reflect_type='odd')", x.python);
        // NumPy mirrors what it has mirrored already, and rounds each time.
        let near = match x.array.dtype() {
            DType::Float16 => {
                let result = format!("({python}).astype(float)");
                Near::Part(4e-3, format!("0 * {result} + np.abs({result}).max(initial=1)"))
            }
            _ => Near::Same,
        };
        check_built(x.array.pad(&widths, &mode), &python, &case.inputs, &near)
            .map_err(TestCaseError::fail)?;
    }
}

#[test]
fn pairs_that_fit_no_array_are_refused() {
    let mut random = Random::new(3);
    let x: Array = {
        let tensor = crate::inputs::tensor(&mut random, DType::Int8, &[2, 3], Values::Tame);
        crate::inputs::array(&mut random, &tensor)
    };
    let message = x
        .pad(&[(1, 1), (1, 1), (1, 1)], &Pad::Edge)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "3 pairs of widths for an array of dimension 2: give one for each axis, or one for all"
    );
    let four = Scalar::Int8(4);
    assert!(x.pad(&[(0, 0)], &Pad::Constant(vec![(four, four); 3])).is_err());
    assert_eq!(x.pad(&[(1, 2)], &Pad::Empty).unwrap().shape(), [5, 6]);
}
