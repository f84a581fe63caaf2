use bytemuck::Pod;
use graticule_ops::AxisSelection;

use crate::{Tensor, tensor::strides};

/// A way to walk over a tensor's elements: an index space whose steps are strides of elements.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Lengths of the index space.
    pub(crate) shape: Vec<usize>,
    /// Elements from one to the next along each axis; 0 repeats.
    strides: Vec<isize>,
    /// The element at index 0.
    offset: usize,
}

impl View {
    /// A tensor as it lies.
    pub(crate) fn of(tensor: &Tensor) -> Self {
        let shape = tensor.shape().to_vec();
        let strides = strides(&shape).into_iter().map(|s| s as isize).collect();
        Self {
            shape,
            strides,
            offset: 0,
        }
    }

    /// A tensor over an index space in which axis `i` walks along the tensor's axis `axes[i]`, or repeats for `None`.
    /// Two axes may walk along the same one: that is a window that moves along it.
    pub(crate) fn mapped(tensor: &Tensor, shape: &[usize], axes: &[Option<usize>]) -> Self {
        let own = strides(tensor.shape());
        let stride = |axis: &Option<usize>| match axis {
            Some(axis) if tensor.shape()[*axis] != 1 => own[*axis] as isize,
            _ => 0,
        };
        Self {
            shape: shape.to_vec(),
            strides: axes.iter().map(stride).collect(),
            offset: 0,
        }
    }

    /// As [`View::mapped`], of the selected elements alone. The selections lie within the tensor.
    pub(crate) fn selected(
        tensor: &Tensor,
        selection: &[Option<AxisSelection>],
        shape: &[usize],
        axes: &[Option<usize>],
    ) -> Self {
        let mut own: Vec<isize> = strides(tensor.shape()).into_iter().map(|s| s as isize).collect();
        let mut offset = 0;
        for (axis, selection) in selection.iter().enumerate() {
            let len = selection.map_or(tensor.shape()[axis] as u64, |s| s.len);
            if let Some(AxisSelection {
                start,
                step,
                len: 1..,
            }) = selection
            {
                offset += *start as usize * own[axis] as usize;
                // Wrapping is harmless: a step beyond the axis leaves one element, whose stride is never used.
                own[axis] = own[axis].wrapping_mul(*step as isize);
            }
            if len == 1 {
                own[axis] = 0;
            }
        }
        Self {
            shape: shape.to_vec(),
            strides: axes.iter().map(|axis| axis.map_or(0, |axis| own[axis])).collect(),
            offset,
        }
    }

    pub(crate) fn stepped(mut self, steps: &[i64]) -> Self {
        if self.shape.contains(&0) {
            let shorter = |(len, step): (&usize, &i64)| len.div_ceil(step.unsigned_abs() as usize);
            self.shape = self.shape.iter().zip(steps).map(shorter).collect();
            return self;
        }
        for (axis, &step) in steps.iter().enumerate() {
            let len = self.shape[axis];
            if step < 0 {
                self.offset = (self.offset as isize + (len as isize - 1) * self.strides[axis]) as usize;
            }
            // Wrapping is harmless: a step beyond the axis leaves one element, whose stride is never used.
            self.strides[axis] = self.strides[axis].wrapping_mul(step as isize);
            self.shape[axis] = len.div_ceil(step.unsigned_abs() as usize);
        }
        self
    }

    pub(crate) fn permuted(&self, order: &[usize]) -> Self {
        let shape = order.iter().map(|&axis| self.shape[axis]).collect();
        Self {
            shape,
            strides: order.iter().map(|&axis| self.strides[axis]).collect(),
            offset: self.offset,
        }
    }

    /// Whether the elements lie in C order without gaps, from the tensor's first.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut want = 1isize;
        let fits = |(&len, &stride): (&usize, &isize)| {
            let fits = len == 1 || stride == want;
            want = want.saturating_mul(len as isize);
            fits
        };
        self.offset == 0 && self.shape.iter().zip(&self.strides).rev().all(fits)
    }

    /// Whether every index names the same element.
    pub(crate) fn is_constant(&self) -> bool {
        self.shape
            .iter()
            .zip(&self.strides)
            .all(|(&len, &stride)| len == 1 || stride == 0)
    }

    /// The same walk with fewer axes: neighbours that are walked as one are one, and axes of length 1 are gone.
    pub(crate) fn collapsed(&self) -> Self {
        let (mut shape, mut strides): (Vec<usize>, Vec<isize>) = (Vec::new(), Vec::new());
        for (&len, &stride) in self.shape.iter().zip(&self.strides) {
            match (shape.last_mut(), strides.last_mut()) {
                _ if len == 1 => {}
                (Some(outer), Some(step)) if *step == stride.wrapping_mul(len as isize) => {
                    *outer *= len;
                    *step = stride;
                }
                _ => {
                    shape.push(len);
                    strides.push(stride);
                }
            }
        }
        Self {
            shape,
            strides,
            offset: self.offset,
        }
    }

    /// Copies all elements.
    pub(crate) fn gather_all(&self, source: &[u8], item: usize, out: &mut [u8]) {
        let Some(unit) = self.crossing() else {
            return self.gather(source, item, 0, out);
        };
        match item {
            1 => self.gather_across::<u8>(unit, source, out),
            2 => self.gather_across::<u16>(unit, source, out),
            4 => self.gather_across::<u32>(unit, source, out),
            8 => self.gather_across::<u64>(unit, source, out),
            _ => self.gather_across::<[u64; 2]>(unit, source, out),
        }
    }

    /// The axis along which the source's neighbours lie, if it is not the last one, and both have several elements.
    fn crossing(&self) -> Option<usize> {
        let (&step, outer) = self.strides.split_last()?;
        let is_far = step.unsigned_abs() > 1 && self.shape[outer.len()] > 1 && !self.shape.contains(&0);
        (0..outer.len()).find(|&axis| is_far && outer[axis] == 1 && self.shape[axis] > 1)
    }

    /// Copies plane after plane of the axis `unit` and the last one, each in squares of which source and target stay in a
    /// core's first cache: row by row each element would be in a cache line of its own.
    fn gather_across<T: Pod>(&self, unit: usize, source: &[u8], out: &mut [u8]) {
        /// Elements along a square's edge: at least a cache line of most types.
        const EDGE: usize = 16;
        let (source, out): (&[T], &mut [T]) = (bytemuck::cast_slice(source), bytemuck::cast_slice_mut(out));
        let last = self.shape.len() - 1;
        let (rows, columns, step) = (self.shape[unit], self.shape[last], self.strides[last]);
        let target_strides = strides(&self.shape);
        let others: Vec<usize> = (0..last).filter(|&axis| axis != unit).collect();
        let other_shape: Vec<usize> = others.iter().map(|&axis| self.shape[axis]).collect();
        let mut index = vec![0; others.len()];
        for _ in 0..other_shape.iter().product() {
            let (mut base, mut at) = (self.offset as isize, 0);
            for (&axis, &i) in others.iter().zip(&index) {
                base += i as isize * self.strides[axis];
                at += i * target_strides[axis];
            }
            for row in (0..rows).step_by(EDGE) {
                for column in (0..columns).step_by(EDGE) {
                    let width = EDGE.min(columns - column);
                    for row in row..rows.min(row + EDGE) {
                        let target = &mut out[at + row * target_strides[unit] + column..][..width];
                        let from = base + row as isize + column as isize * step;
                        for (place, k) in target.iter_mut().zip(0..) {
                            *place = source[(from + k * step) as usize];
                        }
                    }
                }
            }
            crate::tensor::advance(&mut index, &other_shape);
        }
    }

    /// Copies the elements at flat positions from `start` on, as many as `out` has room for.
    pub(crate) fn gather(&self, source: &[u8], item: usize, start: usize, out: &mut [u8]) {
        match item {
            1 => self.gather_items::<u8>(source, start, out),
            2 => self.gather_items::<u16>(source, start, out),
            4 => self.gather_items::<u32>(source, start, out),
            8 => self.gather_items::<u64>(source, start, out),
            _ => self.gather_items::<[u64; 2]>(source, start, out),
        }
    }

    fn gather_items<T: Pod>(&self, source: &[u8], start: usize, out: &mut [u8]) {
        let (source, out): (&[T], &mut [T]) = (bytemuck::cast_slice(source), bytemuck::cast_slice_mut(out));
        if out.is_empty() {
            return;
        }
        let Some((&inner, outer)) = self.shape.split_last().filter(|_| !self.is_constant()) else {
            out.fill(source[self.offset]);
            return;
        };
        let step = self.strides[outer.len()];
        let (mut index, mut column) = (unravel(start / inner, outer), start % inner);
        let mut filled = 0;
        loop {
            let base = index
                .iter()
                .zip(&self.strides)
                .map(|(&i, &stride)| i as isize * stride)
                .sum::<isize>();
            let base = self.offset as isize + base + column as isize * step;
            let count = (inner - column).min(out.len() - filled);
            let run = &mut out[filled..filled + count];
            match step {
                1 => run.copy_from_slice(&source[base as usize..base as usize + count]),
                0 => run.fill(source[base as usize]),
                _ => run
                    .iter_mut()
                    .zip(0..)
                    .for_each(|(place, k)| *place = source[(base + k * step) as usize]),
            }
            filled += count;
            if filled == out.len() {
                return;
            }
            column = 0;
            crate::tensor::advance(&mut index, outer);
        }
    }

    /// The first element's position in the tensor if those at flat positions `start..start + len` lie in one run.
    pub(crate) fn run(&self, start: usize, len: usize) -> Option<usize> {
        let Some((&inner, outer)) = self.shape.split_last() else {
            return (len == 1).then_some(self.offset);
        };
        let column = start % inner;
        if self.strides[outer.len()] != 1 || column + len > inner {
            return None;
        }
        let mut base = self.offset as isize + column as isize;
        let mut rest = start / inner;
        for (&len, &stride) in outer.iter().zip(&self.strides).rev() {
            base += (rest % len) as isize * stride;
            rest /= len;
        }
        Some(base as usize)
    }
}

fn unravel(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (place, &len) in index.iter_mut().zip(shape).rev() {
        *place = position % len;
        position /= len;
    }
    index
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn squares_copy_what_rows_do(
            shape in vec(1..40usize, 1..4), turn in vec(any::<prop::sample::Index>(), 4), steps in vec(-3..4i64, 4),
        ) {
            let len: usize = shape.iter().product();
            let x = Tensor::from_vec(&shape, (0..len as u32).collect()).unwrap();
            let mut order: Vec<usize> = (0..shape.len()).collect();
            for (axis, with) in turn.iter().enumerate().take(shape.len()) {
                order.swap(axis, with.index(shape.len()));
            }
            let steps: Vec<i64> = steps[..shape.len()].iter().map(|&step| if step == 0 { 1 } else { step }).collect();
            let view = View::of(&x).stepped(&steps).permuted(&order);
            for view in [view.collapsed(), view] {
                let count: usize = view.shape.iter().product();
                let (mut by_rows, mut by_squares) = (vec![0; 4 * count], vec![0; 4 * count]);
                view.gather(x.bytes(), 4, 0, &mut by_rows);
                view.gather_all(x.bytes(), 4, &mut by_squares);
                prop_assert_eq!(by_rows, by_squares);
            }
        }
    }

    #[test]
    fn a_transposed_matrix_is_copied_in_squares() {
        let x = Tensor::from_vec(&[3, 5], (0..15u8).collect()).unwrap();
        assert_eq!(View::of(&x).permuted(&[1, 0]).crossing(), Some(0));
        assert_eq!(View::of(&x).crossing(), None);
    }
}
