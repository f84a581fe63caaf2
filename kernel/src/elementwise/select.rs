use bytemuck::Pod;

use crate::{
    Element,
    simd::{Kernel, dispatch},
};

/// An unsigned integer that holds any element of its size.
trait Bits: Pod {
    /// `x` or `y`, under a mask of ones or zeros. A choice written as such is compiled to a choice of addresses, which
    /// no vector instruction loads from.
    fn choose(condition: bool, x: Self, y: Self) -> Self;
}

macro_rules! bits {
    ($($type:ty),*) => {$(
        impl Bits for $type {
            #[inline(always)]
            fn choose(condition: bool, x: Self, y: Self) -> Self {
                let mask = (0 as Self).wrapping_sub(Self::from(condition));
                y ^ ((x ^ y) & mask)
            }
        }
    )*};
}

bits!(u8, u16, u32, u64);

impl Bits for [u64; 2] {
    #[inline(always)]
    fn choose(condition: bool, x: Self, y: Self) -> Self {
        [
            u64::choose(condition, x[0], y[0]),
            u64::choose(condition, x[1], y[1]),
        ]
    }
}

struct Select<'a, T> {
    condition: &'a [bool],
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [T],
}

impl<T: Bits> Kernel for Select<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let choices = self.condition.iter().zip(self.x.iter().zip(self.y));
        let places = self.out.iter_mut().zip(choices);
        places.for_each(|(out, (&condition, (&x, &y)))| *out = T::choose(condition, x, y));
    }
}

/// `out[i] = condition[i] ? x[i] : y[i]` for elements of `item` bytes.
pub(crate) fn select(item: u64, condition: &[u8], x: &[u8], y: &[u8], out: &mut [u8]) {
    match item {
        1 => typed::<u8>(condition, x, y, out),
        2 => typed::<u16>(condition, x, y, out),
        4 => typed::<u32>(condition, x, y, out),
        8 => typed::<u64>(condition, x, y, out),
        _ => typed::<[u64; 2]>(condition, x, y, out),
    }
}

fn typed<T: Bits>(condition: &[u8], x: &[u8], y: &[u8], out: &mut [u8]) {
    dispatch(Select {
        condition: bool::slice(condition),
        x: bytemuck::cast_slice::<u8, T>(x),
        y: bytemuck::cast_slice(y),
        out: bytemuck::cast_slice_mut(out),
    });
}
