//! Conversions of float16 (IEEE 754's binary16), which is kept as its bits.
//!
//! Rounds to the nearest, halves to even ones, and once: from float64 too, which by way of float32 would round twice. Without
//! branches, so that loops over them vectorise on every host and give the same bytes.

/// The bits of a NaN.
pub const NAN: u16 = 0x7e00;
/// The greatest finite float16.
pub const MAX: f64 = 65504.0;
/// The least positive float16 of full precision, 2^-14.
pub const MIN_POSITIVE: f64 = 6.103515625e-5;
/// The distance from 1 to the next float16, 2^-10.
pub const EPSILON: f64 = 9.765625e-4;

const SIGN: u16 = 0x8000;
const INFINITY: u16 = 0x7c00;

/// The value as a float32, which holds each of them.
#[inline(always)]
pub fn to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & !SIGN) << 13;
    // The exponent is 112 too small then; a product corrects it for subnormal ones too.
    let finite = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = magnitude | 0xff << 23;
    let magnitude = if bits & INFINITY == INFINITY {
        special
    } else {
        finite
    };
    f32::from_bits(magnitude | u32::from(bits & SIGN) << 16)
}

/// The nearest float16; beyond the greatest one infinity.
#[inline(always)]
pub fn from_f32(value: f32) -> u16 {
    let sign = (value.to_bits() >> 16) as u16 & SIGN;
    let magnitude = value.to_bits() & 0x7fff_ffff;
    // 13 bits of the fraction go: half of their worth less one, and one more where the last bit that stays is odd.
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // Below 2^-14 the sum with 1/2 rounds at the bit that is the last of a subnormal float16.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let rounded = if magnitude < 113 << 23 { subnormal } else { normal };
    let is_nan = magnitude > 0xff << 23;
    let beyond = if is_nan { NAN } else { INFINITY };
    // 65520 is halfway to what would come after the greatest one.
    let bits = if magnitude >= 65520f32.to_bits() {
        beyond
    } else {
        rounded as u16
    };
    sign | bits
}

/// The nearest float16; beyond the greatest one infinity.
#[inline(always)]
pub fn from_f64(value: f64) -> u16 {
    from_f32(to_odd(value))
}

/// The float32 towards 0 whose last bit is set where anything was lost: what is rounded from it is rounded once.
#[inline(always)]
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    // NaN and infinity stay; an inexact one beside which the truth lies becomes the odd one of its two neighbours.
    let is_inexact = back != value && value.is_finite();
    let is_away = back.abs() > value.abs();
    let bits = nearest.to_bits();
    let odd = bits.wrapping_sub(u32::from(is_away)) | 1;
    f32::from_bits(if is_inexact { odd } else { bits })
}

/// The distance from the value up to the next greater float16; infinity of the greatest one, as NumPy's `spacing`.
pub fn spacing(bits: u16) -> u16 {
    let above = match bits {
        _ if bits & INFINITY == INFINITY => return NAN,
        SIGN => 1,
        _ if bits & SIGN == 0 => bits + 1,
        _ => bits - 1,
    };
    from_f32(to_f32(above) - to_f32(bits))
}

/// The next float16 after `x` towards `y`: NumPy's `nextafter`.
pub fn nextafter(x: u16, y: u16) -> u16 {
    let (from, towards) = (to_f32(x), to_f32(y));
    if from.is_nan() || towards.is_nan() {
        NAN
    } else if from == towards {
        y
    } else if from == 0.0 {
        y & SIGN | 1
    } else if (towards > from) == (from > 0.0) {
        x + 1
    } else {
        x - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float16_survives_both_ways() {
        for bits in 0..=u16::MAX {
            let value = to_f32(bits);
            if value.is_nan() {
                assert!(to_f32(from_f32(value)).is_nan() && to_f32(from_f64(value.into())).is_nan());
            } else {
                assert_eq!((from_f32(value), from_f64(value.into())), (bits, bits));
            }
        }
        assert_eq!(
            [to_f32(0x3c00), to_f32(0xc000), to_f32(1)],
            [1.0, -2.0, 2f32.powi(-24)]
        );
    }

    #[test]
    fn what_lies_between_two_goes_to_the_nearest_and_halves_to_the_even_one() {
        for bits in 0..INFINITY - 1 {
            let (low, high) = (f64::from(to_f32(bits)), f64::from(to_f32(bits + 1)));
            let middle = f64::midpoint(low, high);
            let even = bits + (bits & 1);
            assert_eq!(
                (from_f64(middle), from_f32(middle as f32)),
                (even, even),
                "{middle}"
            );
            // As near to the middle as only a float64 lies: a float32 between would round it to the middle first.
            assert_eq!(
                (from_f64(middle.next_down()), from_f64(middle.next_up())),
                (bits, bits + 1),
                "{middle}"
            );
            assert_eq!(from_f64(-middle.next_up()), SIGN | (bits + 1));
            let middle = middle as f32;
            assert_eq!(
                (from_f32(middle.next_down()), from_f32(middle.next_up())),
                (bits, bits + 1),
                "{middle}"
            );
        }
        assert_eq!(
            [from_f64(65519.99), from_f64(65520.0), from_f64(-1e300)],
            [0x7bff, INFINITY, SIGN | INFINITY]
        );
        assert_eq!([from_f64(1e-300), from_f64(-0.0), from_f32(1e-40)], [0, SIGN, 0]);
    }
}
