use faer::{Mat, MatRef, traits::RealField};

use crate::Element;

/// The type of a matrix' elements.
pub(super) trait Field: Element + RealField + Copy {
    /// Not a number.
    const NAN: Self;

    /// Whether it is a number and not infinite.
    fn is_finite(self) -> bool;

    /// Whether it is no number.
    fn is_nan(self) -> bool;

    /// The value in float64.
    fn to_f64(self) -> f64;

    /// The nearest value to one in float64.
    fn of_f64(value: f64) -> Self;
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

            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            fn of_f64(value: f64) -> Self {
                value as Self
            }
        }
    )*};
}

fields!(f32, f64);

/// Writes a matrix into the first rows and columns of others, whose rows have `width` elements.
pub(super) fn put<T: Field>(matrix: MatRef<'_, T>, width: usize, out: &mut [T]) {
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
    factor: f64,
}

impl<T: Field> Scaled<T> {
    /// Scales a matrix whose element at a row and a column is what `at` says.
    pub(super) fn new(rows: usize, columns: usize, at: impl Fn(usize, usize) -> T) -> Self {
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let most = places.fold(0.0f64, |most, (row, column)| {
            most.max(at(row, column).to_f64().abs())
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
            matrix: Mat::from_fn(rows, columns, |row, column| {
                T::of_f64(at(row, column).to_f64() * down)
            }),
            factor: libm::ldexp(1.0, bits),
        }
    }

    /// A value of the scaled matrix, as the other one's.
    pub(super) fn unscaled(&self, value: T) -> T {
        T::of_f64(value.to_f64() * self.factor)
    }
}
