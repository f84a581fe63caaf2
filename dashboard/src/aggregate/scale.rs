//! Sizes and times in one byte: four steps to an octave, so a value is off by at most 9 %. Enough for a colour.

/// Steps from a value to its double.
const STEPS: f64 = 4.0;

/// `value` on the scale; 0 stands for nothing, 1 for one.
pub(super) fn quantised(value: u64) -> u8 {
    if value == 0 {
        return 0;
    }
    let step = ((value as f64).log2() * STEPS).round();
    // Not negative, since `value` is at least one.
    (step as u32 + 1).min(255) as u8
}

/// What a step stands for.
pub(super) fn value_of(step: u8) -> u64 {
    if step == 0 {
        return 0;
    }
    ((f64::from(step) - 1.0) / STEPS).exp2().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(step: u8) -> f64 {
        ((f64::from(step) - 1.0) / STEPS).exp2()
    }

    #[test]
    fn values_are_off_by_a_tenth_at_most_and_keep_their_order() {
        assert_eq!((quantised(0), quantised(1), quantised(2)), (0, 1, 5));
        let mut before = 0;
        for exact in (3..63).flat_map(|at| [4, 5, 6, 7].map(|of| (1u64 << (at - 2)) * of)) {
            let step = quantised(exact);
            assert!(step >= before, "{exact}");
            before = step;
            let ratio = value(step) / exact as f64;
            assert!((0.9..1.1).contains(&ratio), "{exact} became {ratio}");
        }
        assert_eq!(
            (value_of(0), value_of(1), value_of(quantised(1 << 40))),
            (0, 1, 1 << 40)
        );
    }
}
