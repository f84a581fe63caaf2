//! Products of two matrices, of which each element is the same chain of sums on every machine that fuses a product with a
//! sum: one after the other along a panel, panels one after the other. `faer` is quicker than `matrixmultiply` with
//! large matrices, but goes other ways with small ones, where the order of its sums hangs on how they lie in memory.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul, prelude::ReborrowMut};
use matrixmultiply::CGemmOption;
use num_complex::Complex;

/// Terms that are added up before they are added to the others, of every element. No instruction set adds up fewer at a
/// time, so where a panel ends does not hang on a machine's caches.
pub const PANEL: usize = 256;

/// Products of this many terms at most, all elements together, are for `matrixmultiply`, as are those of one row or column.
const SMALL: usize = 16 * 16 * 16;

/// An operand: its elements, and the steps along the axis that it gives the product and along the one that is summed.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// From one element to the next along the axis that the product has too.
    pub free: usize,
    /// From one element to the next along the summed axis.
    pub summed: usize,
}

/// The type of a matrix' elements: a float or a complex number of 32 or 64 bits a part.
pub trait Multiply: Copy + sealed::Sealed {
    /// Writes the product of `x`, which has `m` rows, and `y`, which has `n` columns, over `out`, row after row; `k`
    /// terms make an element.
    ///
    /// # Panics
    /// If an operand is shorter than its sizes and steps say, or `out` has not `m * n` elements.
    fn multiply(x: Operand<'_, Self>, y: Operand<'_, Self>, sizes: [usize; 3], out: &mut [Self]);
}

mod sealed {
    pub trait Sealed {}
}

/// Functions of no type parameters, so that the algorithms are compiled here. `$small` is how `matrixmultiply` is called.
macro_rules! products {
    ($($type:ty => $one:expr, $small:expr;)*) => {$(
        impl sealed::Sealed for $type {}

        impl Multiply for $type {
            fn multiply(x: Operand<'_, $type>, y: Operand<'_, $type>, [m, k, n]: [usize; 3], out: &mut [$type]) {
                assert_eq!(m * n, out.len(), "the product has other sizes");
                if out.is_empty() {
                    return;
                }
                if k == 0 {
                    return out.fill(<$type>::default());
                }
                let last = |it: &Operand<'_, $type>, free: usize| (free - 1) * it.free + (k - 1) * it.summed;
                assert!(last(&x, m) < x.data.len() && last(&y, n) < y.data.len(), "an operand is too short");
                let steps = [x.free, x.summed, y.summed, y.free].map(|step| step as isize);
                for start in (0..k).step_by(PANEL) {
                    let terms = PANEL.min(k - start);
                    let (left, right) = (&x.data[start * x.summed..], &y.data[start * y.summed..]);
                    let is_first = start == 0;
                    // SAFETY: the last element of each operand, which has the greatest position as no step is negative,
                    // was found within its slice, of which these are parts; `out` has its `m * n` elements and is
                    // borrowed alone.
                    #[allow(unsafe_code)]
                    unsafe {
                        if m == 1 || n == 1 || m * n * terms <= SMALL {
                            $small([m, terms, n], left.as_ptr(), right.as_ptr(), steps, is_first, out.as_mut_ptr());
                            continue;
                        }
                        let left = MatRef::from_raw_parts(left.as_ptr(), m, terms, steps[0], steps[1]);
                        let right = MatRef::from_raw_parts(right.as_ptr(), terms, n, steps[2], steps[3]);
                        let mut out = MatMut::from_row_major_slice_mut(&mut *out, m, n);
                        let so_far = if is_first { Accum::Replace } else { Accum::Add };
                        matmul(out.rb_mut(), so_far, left, right, $one, Par::Seq);
                    }
                }
            }
        }
    )*};
}

macro_rules! small {
    ($type:ty, $gemm:ident) => {
        |[m, k, n]: [usize; 3], x, y, steps: [isize; 4], is_first, out| {
            let so_far: $type = if is_first { 0.0 } else { 1.0 };
            matrixmultiply::$gemm(
                m, k, n, 1.0, x, steps[0], steps[1], y, steps[2], steps[3], so_far, out, n as isize, 1,
            )
        }
    };
}

macro_rules! small_complex {
    ($type:ty, $gemm:ident) => {
        |[m, k, n]: [usize; 3],
         x: *const Complex<$type>,
         y: *const Complex<$type>,
         steps: [isize; 4],
         is_first,
         out: *mut Complex<$type>| {
            let so_far: $type = if is_first { 0.0 } else { 1.0 };
            let plain = CGemmOption::Standard;
            matrixmultiply::$gemm(
                plain,
                plain,
                m,
                k,
                n,
                [1.0, 0.0],
                x.cast(),
                steps[0],
                steps[1],
                y.cast(),
                steps[2],
                steps[3],
                [so_far, 0.0],
                out.cast(),
                n as isize,
                1,
            )
        }
    };
}

products!(
    f32 => 1.0, small!(f32, sgemm);
    f64 => 1.0, small!(f64, dgemm);
    Complex<f32> => Complex::new(1.0, 0.0), small_complex!(f32, cgemm);
    Complex<f64> => Complex::new(1.0, 0.0), small_complex!(f64, zgemm);
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows, terms and columns: small products and large ones, of one panel and of several, with what is left over.
    const SIZES: [[usize; 3]; 10] = [
        [2, 1, 2],
        [3, 3, 3],
        [2, 700, 5],
        [17, 31, 16],
        [64, 256, 65],
        [49, 257, 48],
        [100, 600, 7],
        [7, 513, 120],
        [1, 300, 90],
        [90, 300, 1],
    ];

    /// The operands of a product with the terms of each element side by side, and in each other layout.
    fn layouts<T: Copy>(
        a: &[T],
        b: &[T],
        [m, k, n]: [usize; 3],
        each: &mut dyn FnMut(Operand<'_, T>, Operand<'_, T>),
    ) {
        let turned = |from: &[T], rows: usize| -> Vec<T> {
            (0..from.len())
                .map(|at| from[at % rows * (from.len() / rows) + at / rows])
                .collect()
        };
        let (a_turned, b_turned) = (turned(a, m), turned(b, n));
        for (x, x_free, x_summed) in [(a, k, 1), (&a_turned, 1, m)] {
            for (y, y_free, y_summed) in [(b, k, 1), (&b_turned, 1, n)] {
                let x = Operand {
                    data: x,
                    free: x_free,
                    summed: x_summed,
                };
                let y = Operand {
                    data: y,
                    free: y_free,
                    summed: y_summed,
                };
                each(x, y);
            }
        }
    }

    fn value(i: usize) -> f64 {
        ((i * 7919 + 13) % 1009) as f64 / 331.0 - 1.5
    }

    macro_rules! chains {
        ($name:ident, $type:ty) => {
            #[test]
            fn $name() {
                if !has_fused_sums() {
                    return;
                }
                for sizes in SIZES {
                    let [m, k, n] = sizes;
                    let a: Vec<$type> = (0..m * k).map(|i| value(i) as $type).collect();
                    let b: Vec<$type> = (0..k * n).map(|i| value(i + 5) as $type).collect();
                    let element = |at: usize| {
                        let panel = |start: usize| {
                            (start..k.min(start + PANEL)).fold(0.0, |sum: $type, p| {
                                a[at / n * k + p].mul_add(b[at % n * k + p], sum)
                            })
                        };
                        let panels = (0..k).step_by(PANEL).map(panel);
                        panels.reduce(|sum, panel| sum + panel).unwrap_or(0.0)
                    };
                    let want: Vec<$type> = (0..m * n).map(element).collect();
                    layouts(&a, &b, sizes, &mut |x, y| {
                        let mut made = vec![<$type>::NAN; m * n];
                        <$type>::multiply(x, y, sizes, &mut made);
                        let differ = made
                            .iter()
                            .zip(&want)
                            .filter(|(a, b)| a.to_bits() != b.to_bits());
                        assert_eq!(
                            differ.count(),
                            0,
                            "{sizes:?}, steps {:?}",
                            [x.free, x.summed, y.free, y.summed]
                        );
                    });
                }
            }
        };
    }

    chains!(elements_are_chains_of_sums_in_any_layout, f64);
    chains!(elements_of_float32_are_too, f32);

    #[test]
    fn complex_elements_are_the_same_in_any_layout() {
        for sizes in SIZES {
            let [m, k, n] = sizes;
            let number = |i: usize| Complex::new(value(i), value(i + 331));
            let (a, b): (Vec<_>, Vec<_>) = (
                (0..m * k).map(number).collect(),
                (5..k * n + 5).map(number).collect(),
            );
            let mut first: Option<Vec<Complex<f64>>> = None;
            layouts(&a, &b, sizes, &mut |x, y| {
                let mut made = vec![Complex::new(f64::NAN, 0.0); m * n];
                Complex::<f64>::multiply(x, y, sizes, &mut made);
                let first = first.get_or_insert_with(|| made.clone());
                assert_eq!(
                    &made,
                    first,
                    "{sizes:?}, steps {:?}",
                    [x.free, x.summed, y.free, y.summed]
                );
            });
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn has_fused_sums() -> bool {
        std::arch::is_x86_feature_detected!("fma")
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn has_fused_sums() -> bool {
        true
    }

    #[test]
    fn products_of_nothing_are_zeros() {
        let mut out = [1.0; 4];
        let nothing = Operand {
            data: &[],
            free: 0,
            summed: 0,
        };
        f64::multiply(nothing, nothing, [2, 0, 2], &mut out);
        assert_eq!(out, [0.0; 4]);
    }
}
