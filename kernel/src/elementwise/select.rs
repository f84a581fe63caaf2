use bytemuck::Pod;

use crate::{
    Element,
    simd::{Kernel, dispatch},
};

struct Select<'a, T> {
    condition: &'a [bool],
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [T],
}

impl<T: Copy> Kernel for Select<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let choices = self.condition.iter().zip(self.x.iter().zip(self.y));
        self.out
            .iter_mut()
            .zip(choices)
            .for_each(|(out, (&condition, (&x, &y)))| *out = if condition { x } else { y });
    }
}

/// `out[i] = condition[i] ? x[i] : y[i]` for elements of `item` bytes.
pub(crate) fn select(item: u64, condition: &[u8], x: &[u8], y: &[u8], out: &mut [u8]) {
    match item {
        1 => typed::<u8>(condition, x, y, out),
        2 => typed::<u16>(condition, x, y, out),
        4 => typed::<u32>(condition, x, y, out),
        _ => typed::<u64>(condition, x, y, out),
    }
}

fn typed<T: Pod>(condition: &[u8], x: &[u8], y: &[u8], out: &mut [u8]) {
    dispatch(Select {
        condition: bool::slice(condition),
        x: bytemuck::cast_slice::<u8, T>(x),
        y: bytemuck::cast_slice(y),
        out: bytemuck::cast_slice_mut(out),
    });
}
