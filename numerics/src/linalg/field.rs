use faer::{Mat, MatRef, traits::ComplexField};
use num_complex::Complex;

/// The type of a matrix' elements.
pub(super) trait Field: ComplexField<Real: Into<f64> + Copy> + Copy {
    /// Not a number.
    const NAN: Self;

    /// Whether it is a number and not infinite.
    fn is_finite(self) -> bool;

    /// Whether it is no number.
    fn is_nan(self) -> bool;

    /// Its greatest part, without its sign.
    fn magnitude(self) -> f64;

    /// Its distance from 0.
    fn abs_f64(self) -> f64;

    /// The sum of its parts without their signs.
    fn sum_of_parts(self) -> f64;

    /// Its real part.
    fn real_f64(self) -> f64;

    /// Both parts times a number.
    fn times(self, factor: f64) -> Self;

    /// Divided by another one, of which no square overflows or vanishes on the way.
    fn divided(self, by: Self) -> Self {
        let scale = 1.0 / by.magnitude();
        (self / by.times(scale)).times(scale)
    }

    /// The nearest value to one in float64.
    fn of_f64(value: f64) -> Self;

    /// The conjugate.
    fn conjugate(self) -> Self;

    /// The same without an imaginary part.
    fn real_part(self) -> Self;
}

macro_rules! fields {
    ($($type:ty),*) => {$(
        impl Field for $type {
            const NAN: Self = <$type>::NAN;

            fn is_finite(self) -> bool {
                <$type>::is_finite(self)
            }

            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }

            fn magnitude(self) -> f64 {
                f64::from(self.abs())
            }

            fn abs_f64(self) -> f64 {
                self.magnitude()
            }

            fn sum_of_parts(self) -> f64 {
                self.magnitude()
            }

            fn real_f64(self) -> f64 {
                f64::from(self)
            }

            fn times(self, factor: f64) -> Self {
                (f64::from(self) * factor) as Self
            }

            fn divided(self, by: Self) -> Self {
                self / by
            }

            fn of_f64(value: f64) -> Self {
                value as Self
            }

            fn conjugate(self) -> Self {
                self
            }

            fn real_part(self) -> Self {
                self
            }
        }

        impl Field for Complex<$type> {
            const NAN: Self = Complex::new(<$type>::NAN, <$type>::NAN);

            fn is_finite(self) -> bool {
                self.re.is_finite() && self.im.is_finite()
            }

            fn is_nan(self) -> bool {
                self.re.is_nan() || self.im.is_nan()
            }

            fn magnitude(self) -> f64 {
                self.re.magnitude().max(self.im.magnitude())
            }

            fn abs_f64(self) -> f64 {
                libm::hypot(self.re.into(), self.im.into())
            }

            fn sum_of_parts(self) -> f64 {
                self.re.magnitude() + self.im.magnitude()
            }

            fn real_f64(self) -> f64 {
                self.re.into()
            }

            fn times(self, factor: f64) -> Self {
                Complex::new(self.re.times(factor), self.im.times(factor))
            }

            fn of_f64(value: f64) -> Self {
                Complex::new(value as $type, 0.0)
            }

            fn conjugate(self) -> Self {
                Complex::new(self.re, -self.im)
            }

            fn real_part(self) -> Self {
                Complex::new(self.re, 0.0)
            }
        }
    )*};
}

fields!(f32, f64);

/// Writes a matrix into the first rows and columns of others, whose rows have `width` elements.
pub(super) fn put<T: Copy>(matrix: MatRef<'_, T>, width: usize, out: &mut [T]) {
    for (row, places) in out
        .chunks_exact_mut(width.max(1))
        .enumerate()
        .take(matrix.nrows())
    {
        for (column, place) in places.iter_mut().enumerate().take(matrix.ncols()) {
            *place = matrix[(row, column)];
        }
    }
}

/// The greatest power of two, and of one half, that numbers are scaled by.
const SCALE_BITS_MAX: i32 = 1000;

/// A matrix of moderate elements, of whose squares none overflows or vanishes: another one by a power of two.
pub(super) struct Scaled<T> {
    pub(super) matrix: Mat<T>,
    /// What its values are multiplied with to be those of the other one.
    pub(super) factor: f64,
}

impl<T: Field> Scaled<T> {
    /// Scales a matrix whose element at a row and a column is what `at` says.
    pub(super) fn new(rows: usize, columns: usize, at: impl Fn(usize, usize) -> T) -> Self {
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let most = places.fold(0.0f64, |most, (row, column)| {
            most.max(at(row, column).magnitude())
        });
        if most == 0.0 || (1e-12..1e12).contains(&most) {
            return Self {
                matrix: Mat::from_fn(rows, columns, at),
                factor: 1.0,
            };
        }
        let bits = libm::ilogb(most).clamp(-SCALE_BITS_MAX, SCALE_BITS_MAX);
        let down = libm::ldexp(1.0, -bits);
        Self {
            matrix: Mat::from_fn(rows, columns, |row, column| at(row, column).times(down)),
            factor: libm::ldexp(1.0, bits),
        }
    }

    /// A value of the scaled matrix, as the other one's.
    pub(super) fn unscaled<V: Field>(&self, value: V) -> V {
        value.times(self.factor)
    }

    /// A real value of the scaled matrix, as the other one's, in the type of its elements.
    pub(super) fn real(&self, value: T::Real) -> T {
        T::of_f64(value.into() * self.factor)
    }
}
