//! The modified Bessel function of the first kind, of order 0.

use std::f64::consts::TAU;

/// From here on the asymptotic series is exact to the last bits before it diverges, and the power series long.
const LARGE: f64 = 20.0;
/// Terms of a series that are added at most; of either far fewer matter.
const TERMS_MAX: u32 = 100;

/// Below [`LARGE`] the power series (NIST Handbook of Mathematical Functions, 10.25.2), above the asymptotic one for large
/// arguments (10.40.1). All terms of both are positive, so nothing cancels. As NumPy's it is infinite where `exp` is.
pub(super) fn i0(x: f64) -> f64 {
    let x = x.abs();
    if x < LARGE {
        let quarter = x * x / 4.0;
        return series(|k| quarter / f64::from(k * k));
    }
    if x.is_infinite() {
        return x;
    }
    let odd = |k: u32| f64::from(2 * k - 1);
    libm::exp(x) / (TAU * x).sqrt() * series(|k| odd(k) * odd(k) / (8.0 * x * f64::from(k)))
}

/// 1 plus terms, each the one before it times a factor of its number, until they add nothing or grow.
fn series(factor: impl Fn(u32) -> f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..TERMS_MAX {
        let next = term * factor(k);
        if sum + next == sum || (next > term && k > 2 * LARGE as u32) {
            break;
        }
        term = next;
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_series_give_what_tables_have() {
        // NIST Handbook, and Abramowitz and Stegun, table 9.11 for the scaled values.
        let known = [
            (0.0, 1.0),
            (1.0, 1.266_065_877_752_008_4),
            (-1.0, 1.266_065_877_752_008_4),
        ];
        for (x, want) in known {
            assert!((i0(x) / want - 1.0).abs() < 1e-15, "{x}");
        }
        // At the border either series may be used.
        let x = LARGE;
        let below = series(|k| x * x / 4.0 / f64::from(k * k));
        assert!((i0(x) / below - 1.0).abs() < 1e-14);
        assert!(i0(f64::NAN).is_nan());
        assert_eq!(i0(f64::NEG_INFINITY), f64::INFINITY);
    }
}
