//! Functions of complex numbers, with the branch cuts and special values of the C standard (ISO C11, annex G), which are
//! NumPy's.
//!
//! The real functions are those of `libm`, so that every host gives the same bytes. What would overflow or cancel on the
//! way to a result that does not is arranged as in Kahan: Branch cuts for complex elementary functions (1987), the inverse
//! sine and cosine as in Hull, Fairgrieve and Tang: Implementing the complex arcsine and arccosine functions using exception
//! handling (1997).

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, LOG2_E, LOG10_E, PI};

use num_complex::Complex;

type C = Complex<f64>;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// Beyond this the exponential of a real number may overflow, though half of it does not.
const EXP_MAX: f64 = 700.0;
/// Squares of what lies between this and its inverse are exact enough.
const LARGE: f64 = 1e150;
/// Below this an odd function is its argument.
const TINY: f64 = 1e-9;

fn c(re: f64, im: f64) -> C {
    Complex::new(re, im)
}

/// `i z`.
fn turned(z: C) -> C {
    c(-z.im, z.re)
}

/// `-i z`.
fn turned_back(z: C) -> C {
    c(z.im, -z.re)
}

pub(super) fn exp(z: C) -> C {
    let C { re: x, im: y } = z;
    if y == 0.0 {
        return c(libm::exp(x), y);
    }
    if !y.is_finite() {
        return match x {
            f64::NEG_INFINITY => c(0.0, 0.0),
            f64::INFINITY => c(INF, NAN),
            _ => c(NAN, NAN),
        };
    }
    let (sin, cos) = libm::sincos(y);
    if x.is_finite() && x > EXP_MAX {
        let half = libm::exp(x / 2.0);
        return c(half * (half * cos), half * (half * sin));
    }
    let scale = libm::exp(x);
    c(scale * cos, scale * sin)
}

pub(super) fn exp2(z: C) -> C {
    exp(z * LN_2)
}

/// `exp(x) cos(y) - 1` is taken apart so that neither term cancels the other.
pub(super) fn expm1(z: C) -> C {
    let half = libm::sin(z.im / 2.0);
    let re = libm::expm1(z.re) * libm::cos(z.im) - 2.0 * half * half;
    c(re, libm::exp(z.re) * libm::sin(z.im))
}

pub(super) fn log(z: C) -> C {
    let (x, y) = (z.re.abs(), z.im.abs());
    let (large, small) = if x > y { (x, y) } else { (y, x) };
    let re = if (0.5..2.0).contains(&large) && small.is_finite() {
        libm::log1p((large - 1.0) * (large + 1.0) + small * small) / 2.0
    } else if large > f64::MAX / 4.0 && large.is_finite() {
        libm::log(libm::hypot(x / 4.0, y / 4.0)) + 2.0 * LN_2
    } else {
        libm::log(libm::hypot(x, y))
    };
    c(re, libm::atan2(z.im, z.re))
}

pub(super) fn log2(z: C) -> C {
    log(z) * LOG2_E
}

pub(super) fn log10(z: C) -> C {
    log(z) * LOG10_E
}

/// The real part is that of NumPy, by the magnitude of `1 + z`, where that is not near 1.
pub(super) fn log1p(z: C) -> C {
    let (x, y) = (z.re, z.im);
    let re = if x.abs() < 0.5 && y.abs() < 0.5 {
        libm::log1p(x * (2.0 + x) + y * y) / 2.0
    } else {
        libm::log(libm::hypot(x + 1.0, y))
    };
    c(re, libm::atan2(y, x + 1.0))
}

pub(super) fn power(x: C, y: C) -> C {
    exp(y * log(x))
}

pub(super) fn sqrt(z: C) -> C {
    let C { re: x, im: y } = z;
    if x == 0.0 && y == 0.0 {
        return c(0.0, y);
    }
    if y.is_infinite() {
        return c(INF, y);
    }
    if x.is_nan() || (y.is_nan() && x.is_finite()) {
        return c(NAN, NAN);
    }
    if x == INF {
        return c(INF, if y.is_nan() { NAN } else { 0f64.copysign(y) });
    }
    if x == f64::NEG_INFINITY {
        return if y.is_nan() {
            c(NAN, INF)
        } else {
            c(0.0, INF.copysign(y))
        };
    }
    // A power of 4 away from where sums of squares or halves would not be exact enough.
    let large = x.abs().max(y.abs());
    let (scale, unscale) = if large > LARGE {
        (0.25, 2.0)
    } else if large < 1.0 / LARGE {
        (2f64.powi(200), 2f64.powi(-100))
    } else {
        (1.0, 1.0)
    };
    let (x, y) = (x * scale, y * scale);
    let root = (x.abs() / 2.0 + libm::hypot(x, y) / 2.0).sqrt();
    let other = y.abs() / root / 2.0;
    let (re, im) = if x >= 0.0 { (root, other) } else { (other, root) };
    c(re * unscale, (im * unscale).copysign(y))
}

/// Hyperbolic cosine and sine of a large number, each times `factor`, where they alone would overflow.
fn large_exponential(x: f64, factor: f64) -> f64 {
    let half = libm::exp(x.abs() / 2.0);
    0.5 * half * (half * factor)
}

pub(super) fn sinh(z: C) -> C {
    let C { re: x, im: y } = z;
    if y == 0.0 {
        return c(libm::sinh(x), y);
    }
    if !y.is_finite() {
        return match x {
            _ if x == 0.0 => c(x, NAN),
            _ if x.is_infinite() => c(INF, NAN),
            _ => c(NAN, NAN),
        };
    }
    let (sin, cos) = libm::sincos(y);
    if x == 0.0 {
        return c(x.copysign(x * cos), sin);
    }
    if x.is_finite() && x.abs() > EXP_MAX {
        return c(
            large_exponential(x, cos).copysign(x * cos),
            large_exponential(x, sin),
        );
    }
    c(libm::sinh(x) * cos, libm::cosh(x) * sin)
}

pub(super) fn cosh(z: C) -> C {
    let C { re: x, im: y } = z;
    if y == 0.0 {
        return c(libm::cosh(x), if x.is_nan() { y } else { x.signum() * y });
    }
    if !y.is_finite() {
        return match x {
            _ if x == 0.0 => c(NAN, 0.0),
            _ if x.is_infinite() => c(INF, NAN),
            _ => c(NAN, NAN),
        };
    }
    let (sin, cos) = libm::sincos(y);
    if x == 0.0 {
        return c(cos, x * sin);
    }
    if x.is_finite() && x.abs() > EXP_MAX {
        return c(
            large_exponential(x, cos),
            large_exponential(x, sin).copysign(x * sin),
        );
    }
    c(libm::cosh(x) * cos, libm::sinh(x) * sin)
}

pub(super) fn tanh(z: C) -> C {
    /// Beyond this the real part is 1.
    const ONE: f64 = 22.0;
    let C { re: x, im: y } = z;
    if x.is_infinite() {
        let sign = if y.is_finite() { libm::sin(2.0 * y) } else { y };
        return c(x.signum(), 0f64.copysign(sign));
    }
    if x.is_nan() {
        return c(NAN, if y == 0.0 { y } else { NAN });
    }
    if !y.is_finite() {
        return c(if x == 0.0 { x } else { NAN }, NAN);
    }
    if x.abs() > ONE {
        let (sin, cos) = libm::sincos(y);
        return c(x.signum(), 4.0 * sin * cos * libm::exp(-2.0 * x.abs()));
    }
    let (tan, sinh) = (libm::tan(y), libm::sinh(x));
    let (secant, cosh) = (1.0 + tan * tan, libm::hypot(1.0, sinh));
    if tan.is_infinite() {
        return c(cosh / sinh, 1.0 / tan);
    }
    let scale = 1.0 + secant * sinh * sinh;
    c(secant * cosh * sinh / scale, tan / scale)
}

pub(super) fn sin(z: C) -> C {
    if z.im.is_infinite() && !z.re.is_finite() {
        // Neither sign is wrong; this is the usual one.
        return c(NAN, INF);
    }
    turned_back(sinh(turned(z)))
}

pub(super) fn cos(z: C) -> C {
    cosh(turned(z))
}

pub(super) fn tan(z: C) -> C {
    turned_back(tanh(turned(z)))
}

/// What the inverse sine and cosine of a number in the first quadrant have in common.
struct Inverse {
    /// The real part of the inverse sine, and of the inverse cosine.
    sine: f64,
    cosine: f64,
    /// The magnitude of the imaginary part of either.
    imag: f64,
}

/// Both inverses for finite `x >= 0` and `y >= 0`.
fn inverse(x: f64, y: f64) -> Inverse {
    /// Below this the ratio is far enough from 1.
    const RATIO_MAX: f64 = 0.6417;
    /// Below this the logarithm is near 0.
    const NEAR_ONE: f64 = 1.5;
    if x.max(y) > LARGE {
        let size = libm::log(libm::hypot(x / 4.0, y / 4.0)) + 3.0 * LN_2;
        return Inverse {
            sine: libm::atan2(x, y),
            cosine: libm::atan2(y, x),
            imag: size,
        };
    }
    // Distances from 1 and -1.
    let (r, s) = (libm::hypot(x + 1.0, y), libm::hypot(x - 1.0, y));
    let a = (r + s) / 2.0;
    let ratio = x / a;
    let (sine, cosine) = if ratio <= RATIO_MAX {
        (libm::asin(ratio), libm::acos(ratio))
    } else {
        let ax = a + x;
        let height = if x <= 1.0 {
            (0.5 * ax * (y * y / (r + (x + 1.0)) + (s + (1.0 - x)))).sqrt()
        } else {
            y * (0.5 * (ax / (r + (x + 1.0)) + ax / (s + (x - 1.0)))).sqrt()
        };
        (libm::atan2(x, height), libm::atan2(height, x))
    };
    let imag = if a <= NEAR_ONE {
        let beyond = if x < 1.0 {
            0.5 * (y * y / (r + (x + 1.0)) + y * y / (s + (1.0 - x)))
        } else {
            0.5 * (y * y / (r + (x + 1.0)) + (s + (x - 1.0)))
        };
        libm::log1p(beyond + (beyond * (a + 1.0)).sqrt())
    } else {
        libm::log(a + (a * a - 1.0).sqrt())
    };
    Inverse { sine, cosine, imag }
}

pub(super) fn arcsinh(z: C) -> C {
    turned_back(arcsin(turned(z)))
}

pub(super) fn arcsin(z: C) -> C {
    let (x, y) = (z.re.abs(), z.im.abs());
    let (re, im) = match (x, y) {
        _ if x.is_nan() => (NAN, if y.is_infinite() { INF } else { NAN }),
        _ if y.is_nan() => match x {
            0.0 => (0.0, NAN),
            INF => (NAN, INF),
            _ => (NAN, NAN),
        },
        _ if x.is_infinite() => (if y.is_infinite() { FRAC_PI_4 } else { FRAC_PI_2 }, INF),
        _ if y.is_infinite() => (0.0, INF),
        _ if x.max(y) < TINY => (x, y),
        _ => {
            let Inverse { sine, imag, .. } = inverse(x, y);
            (sine, imag)
        }
    };
    c(re.copysign(z.re), im.copysign(z.im))
}

pub(super) fn arccos(z: C) -> C {
    let (x, y) = (z.re.abs(), z.im.abs());
    let (re, im) = match (x, y) {
        _ if x.is_nan() => (NAN, if y.is_infinite() { INF } else { NAN }),
        _ if y.is_nan() => match x {
            0.0 => (FRAC_PI_2, NAN),
            INF => (NAN, INF),
            _ => (NAN, NAN),
        },
        _ if x.is_infinite() => (if y.is_infinite() { FRAC_PI_4 } else { 0.0 }, INF),
        _ if y.is_infinite() => (FRAC_PI_2, INF),
        _ => {
            let Inverse { cosine, imag, .. } = inverse(x, y);
            (cosine, imag)
        }
    };
    let re = if z.re.is_sign_negative() && !x.is_nan() {
        PI - re
    } else {
        re
    };
    c(re, im.copysign(-z.im))
}

pub(super) fn arccosh(z: C) -> C {
    let C { re, im } = arccos(z);
    c(im.abs(), re.copysign(z.im))
}

pub(super) fn arctan(z: C) -> C {
    turned_back(arctanh(turned(z)))
}

pub(super) fn arctanh(z: C) -> C {
    let (x, y) = (z.re.abs(), z.im.abs());
    let (re, im) = match (x, y) {
        _ if x.is_nan() => (
            if y.is_infinite() { 0.0 } else { NAN },
            if y.is_infinite() { FRAC_PI_2 } else { NAN },
        ),
        _ if y.is_nan() => (if x == 0.0 || x.is_infinite() { 0.0 } else { NAN }, NAN),
        _ if x.is_infinite() || y.is_infinite() => (0.0, FRAC_PI_2),
        _ if x.max(y) < TINY => (x, y),
        _ if x.max(y) > LARGE => {
            let size = libm::hypot(x / 2.0, y / 2.0);
            (x / size / size / 4.0, FRAC_PI_2)
        }
        _ => {
            let below = 1.0 - x;
            // The square of `y` may vanish, though its logarithm does not.
            let re = if x == 1.0 && y < 1.0 / LARGE {
                (LN_2 - libm::log(y)) / 2.0
            } else {
                libm::log1p(4.0 * x / (below * below + y * y)) / 4.0
            };
            (re, libm::atan2(2.0 * y, below * (1.0 + x) - y * y) / 2.0)
        }
    };
    c(re.copysign(z.re), im.copysign(z.im))
}
