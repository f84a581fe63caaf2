//! Reductions over windows that move along an axis, in a time that does not depend on how long the windows are.
//!
//! The axis is cut into blocks as long as a window, so a window is the end of one block and the beginning of the next.
//! Ends and beginnings are made by one pass backwards and one forwards: van Herk, A fast algorithm for local minimum and
//! maximum filters (1992); Gil and Werman, Computing 2-D min, median, and max filters (1993). They need an operation that
//! is associative and nothing else, so NaN ends with its window.
//!
//! Only what comes out the same to the bit in whatever order it is taken is made so: counts and extremes. A sum of floats
//! would depend on where a block begins, and so on how an array is cut and what of it is sliced.

use graticule_ops::{Node, NodeId, ReduceKind, Stage};
use graticule_plan::DType;

use super::{
    Layout, Request, carried, carrier,
    drive::{SlicesOf, States, StatesOf},
    extreme::Extreme,
    fold::{Count, Fold},
    reducible::Reducible,
    sink::Sink,
    skips,
    stage::Empty,
};
use crate::{
    Chunk, KernelError,
    fused::{Group, Tiles},
    lazy, movement,
    program::{Value, Values},
    simd::{Kernel, dispatch},
};

/// Elements of a window from which on its length shall not matter; shorter ones are as well reduced one by one.
const WINDOW_LEN_MIN: usize = 4;
/// Bytes of the states of a block, which shall stay in a core's cache.
const STATES_BYTES: usize = 192 << 10;
/// Neighbouring elements of a row below which columns are put together from all axes.
const INNER_LEN_MIN: usize = 32;
/// Columns that are worked on together, if there are as many.
const WIDTH: std::ops::RangeInclusive<usize> = 16..=2048;

/// The windows of a reduction over them.
struct Windows {
    /// What they lie in.
    base: NodeId,
    axis: usize,
    len: usize,
}

/// The result, if this is a reduction over windows that is made so.
pub(super) fn reduced(
    request: &Request<'_>,
    x: NodeId,
    stage: Stage,
    values: &mut Values,
) -> Result<Option<Chunk>, KernelError> {
    let Some(windows) = windows(request, x, stage, values) else {
        return Ok(None);
    };
    let base = values.meta(windows.base).shape;
    let made = values.meta(x).shape;
    let layout = Layout::new(&made, request.axes, usize::MAX);
    let inner: usize = base[windows.axis + 1..].iter().product();
    // Where rows are short, all other axes together are the columns, and the result is turned back.
    let is_turned = inner < INNER_LEN_MIN && windows.axis > 0;
    let mut order: Vec<usize> = (0..base.len()).collect();
    if is_turned {
        order[..=windows.axis].rotate_right(1);
    }
    let is_only_user = values.users[x.0 as usize].len() == 1;
    if !is_only_user {
        // Who else looks at the windows needs what they lie in, too.
        lazy::force(request.task, values, windows.base.0 as usize)?;
    }
    let group = lazy::group(request.task, values, windows.base.0 as usize, &order)?;
    if is_only_user {
        values.taken(request.task.program, x.0 as usize);
    }
    let group = carried(group, request.reduction);
    let axis = if is_turned { 0 } else { windows.axis };
    let moving = Moving {
        request,
        group: &group,
        outer: group.shape[..axis].iter().product(),
        rows: group.shape[axis],
        inner: group.shape[axis + 1..].iter().product(),
        window: windows.len,
        shape: {
            let mut shape = group.shape.clone();
            shape[axis] -= windows.len - 1;
            shape
        },
    };
    let chunk = moving.run()?;
    let tensor = crate::program::single(&chunk)?;
    let tensor = if is_turned {
        let mut back: Vec<usize> = (0..base.len()).collect();
        back[..=windows.axis].rotate_left(1);
        movement::transpose(tensor, &back)?
    } else {
        tensor.clone()
    };
    let shape = layout.result_shape(request.keepdims);
    Ok(Some(tensor.reshape(&shape)?.into()))
}

fn windows(request: &Request<'_>, x: NodeId, stage: Stage, values: &Values) -> Option<Windows> {
    let node = &request.task.program.nodes[x.0 as usize];
    let (Node::Sliding { x: base, axis, len }, Value::Lazy(_)) = (node, &values.values[x.0 as usize]) else {
        return None;
    };
    let len = usize::try_from(*len).ok()?;
    let is_exact = matches!(
        request.reduction.kind,
        ReduceKind::Count | ReduceKind::Min | ReduceKind::Max
    );
    let is_float = matches!(carrier(request.reduction), DType::Float32 | DType::Float64);
    let is_some = values.meta(x).shape.iter().all(|&len| len > 0);
    let fits = stage == Stage::Whole && is_exact && is_float && is_some;
    (fits && len >= WINDOW_LEN_MIN && request.axes == [axis + 1]).then_some(Windows {
        base: *base,
        axis: *axis,
        len,
    })
}

/// A reduction over windows along the middle one of three axes.
struct Moving<'a> {
    request: &'a Request<'a>,
    group: &'a Group,
    outer: usize,
    rows: usize,
    inner: usize,
    window: usize,
    /// The result's shape in the order of the group.
    shape: Vec<usize>,
}

impl Moving<'_> {
    /// With the fold of the reduction: of floats alone, since windows without enough elements are NaN.
    fn run(&self) -> Result<Chunk, KernelError> {
        let (kind, skip) = (&self.request.reduction.kind, skips(self.request.reduction));
        match (self.group.dtype(), skip) {
            (DType::Float32, false) => self.of::<f32, false>(kind),
            (DType::Float32, true) => self.of::<f32, true>(kind),
            (_, false) => self.of::<f64, false>(kind),
            (_, true) => self.of::<f64, true>(kind),
        }
    }

    fn of<T: Reducible, const SKIP: bool>(&self, kind: &ReduceKind) -> Result<Chunk, KernelError> {
        match *kind {
            ReduceKind::Count => self.fold::<T, _>(Count),
            ReduceKind::Min => self.fold::<T, _>(Extreme::<false, SKIP>),
            ReduceKind::Max => self.fold::<T, _>(Extreme::<true, SKIP>),
            _ => unreachable!("no other reduction is made so"),
        }
    }

    fn fold<T: Reducible, F: Fold<T>>(&self, fold: F) -> Result<Chunk, KernelError> {
        let reduction = self.request.reduction;
        let mut sink = Sink::new::<T>(reduction, fold, Stage::Whole, &self.shape, Empty::Raises)?;
        let item = size_of::<T>() + size_of::<F::A>() + size_of::<F::B>() + size_of::<F::C>();
        let width = (STATES_BYTES / (item * self.window)).clamp(*WIDTH.start(), *WIDTH.end());
        let width = width.min(self.inner);
        let mut block = Block::<T, F>::new(fold, self.window, width);
        let mut tiles = Tiles::new(self.group, width)?;
        for outer in 0..self.outer {
            for first in (0..self.inner).step_by(width) {
                block.width = width.min(self.inner - first);
                self.columns(&mut block, &mut tiles, &mut sink, (outer, first))?;
            }
        }
        sink.finish()
    }

    /// All windows of some columns.
    fn columns<T: Reducible, F: Fold<T>>(
        &self,
        block: &mut Block<T, F>,
        tiles: &mut Tiles<'_>,
        sink: &mut Sink<'_, F>,
        (outer, first): (usize, usize),
    ) -> Result<(), KernelError> {
        let count = self.rows - (self.window - 1);
        let row_at = |row: usize| (outer * self.rows + row) * self.inner + first;
        let result_at = |row: usize| (outer * count + row) * self.inner + first;
        for row in 0..self.window {
            block.put(row, tiles.values::<T>(row_at(row), block.width)?);
        }
        for start in (0..count).step_by(self.window) {
            block.ends();
            sink.put::<T>(result_at(start), block.window(0))?;
            block.begin();
            for k in 1..self.window.min(count - start) {
                block.put(
                    k - 1,
                    tiles.values::<T>(row_at(start + self.window + k - 1), block.width)?,
                );
                block.extend(k - 1);
                sink.put::<T>(result_at(start + k), block.window(k))?;
            }
            // The last row of the next block, of which no window ends in this one.
            let last = start + 2 * self.window - 1;
            if start + self.window < count {
                block.put(self.window - 1, tiles.values::<T>(row_at(last), block.width)?);
            }
        }
        Ok(())
    }
}

/// The elements of a block and its states, for some columns.
struct Block<T: Reducible, F: Fold<T>> {
    fold: F,
    rows: usize,
    width: usize,
    elements: Vec<T>,
    /// For each row what is made of it and of all after it.
    ends: StatesOf<T, F>,
    /// What is made of the first rows of the block that follows.
    beginning: StatesOf<T, F>,
    /// The states of a window.
    both: StatesOf<T, F>,
}

impl<T: Reducible, F: Fold<T>> Block<T, F> {
    fn new(fold: F, rows: usize, width: usize) -> Self {
        let states = |len: usize| States::new(fold.start(), len);
        Self {
            fold,
            rows,
            width,
            elements: vec![T::default(); rows * width],
            ends: states(rows * width),
            beginning: states(width),
            both: states(width),
        }
    }

    fn of_row(&self, row: usize) -> std::ops::Range<usize> {
        row * self.width..(row + 1) * self.width
    }

    fn put(&mut self, row: usize, elements: &[T]) {
        let range = self.of_row(row);
        self.elements[range].copy_from_slice(elements);
    }

    /// Makes the ends of the block whose elements are there.
    fn ends(&mut self) {
        let len = self.rows * self.width;
        dispatch(Ends::<T, F> {
            fold: self.fold,
            width: self.width,
            elements: &self.elements[..len],
            states: (
                &mut self.ends.a[..len],
                &mut self.ends.b[..len],
                &mut self.ends.c[..len],
            ),
        });
    }

    /// Begins the next block.
    fn begin(&mut self) {
        let start = self.fold.start();
        self.beginning.a[..self.width].fill(start.0);
        self.beginning.b[..self.width].fill(start.1);
        self.beginning.c[..self.width].fill(start.2);
    }

    /// Takes one more row into the beginning.
    fn extend(&mut self, row: usize) {
        let (range, width) = (self.of_row(row), self.width);
        dispatch(Extend::<T, F> {
            fold: self.fold,
            elements: &self.elements[range],
            states: (
                &mut self.beginning.a[..width],
                &mut self.beginning.b[..width],
                &mut self.beginning.c[..width],
            ),
        });
    }

    /// The states of the window that starts in a row of the block.
    fn window(&mut self, row: usize) -> SlicesOf<'_, T, F> {
        let (range, width) = (self.of_row(row), self.width);
        let ends = (
            &self.ends.a[range.clone()],
            &self.ends.b[range.clone()],
            &self.ends.c[range],
        );
        if row == 0 {
            return ends;
        }
        let both = (
            &mut self.both.a[..width],
            &mut self.both.b[..width],
            &mut self.both.c[..width],
        );
        dispatch(Join::<T, F> {
            fold: self.fold,
            earlier: ends,
            later: (
                &self.beginning.a[..width],
                &self.beginning.b[..width],
                &self.beginning.c[..width],
            ),
            both,
        });
        (
            &self.both.a[..width],
            &self.both.b[..width],
            &self.both.c[..width],
        )
    }
}

/// The state of one element.
#[inline(always)]
fn single<T: Reducible, F: Fold<T>>(fold: F, x: T) -> (F::A, F::B, F::C) {
    let (mut a, mut b, mut c) = fold.start();
    fold.step(&mut a, &mut b, &mut c, x, 0);
    fold.settle(&mut a, &mut b, 1);
    if F::TWO_PASSES {
        fold.step_again(&mut a, &mut b, &mut c, x);
    }
    (a, b, c)
}

type SlicesMut<'a, A, B, C> = (&'a mut [A], &'a mut [B], &'a mut [C]);

/// From the last row to the first, what is made of each and all after it.
struct Ends<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    width: usize,
    elements: &'a [T],
    states: SlicesMut<'a, F::A, F::B, F::C>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Ends<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (width, len) = (self.width, self.elements.len());
        let (a, b, c) = self.states;
        for at in (len - width..len).rev() {
            (a[at], b[at], c[at]) = single(self.fold, self.elements[at]);
        }
        for first in (0..len - width).step_by(width).rev() {
            let (own_a, later_a) = a[first..first + 2 * width].split_at_mut(width);
            let (own_b, later_b) = b[first..first + 2 * width].split_at_mut(width);
            let (own_c, later_c) = c[first..first + 2 * width].split_at_mut(width);
            let elements = &self.elements[first..first + width];
            for j in 0..width {
                let (mut x, mut y, mut z) = single(self.fold, elements[j]);
                let later = (later_a[j], later_b[j], later_c[j]);
                self.fold.combine((&mut x, &mut y, &mut z), later);
                (own_a[j], own_b[j], own_c[j]) = (x, y, z);
            }
        }
    }
}

/// Takes one more row into states.
struct Extend<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    elements: &'a [T],
    states: SlicesMut<'a, F::A, F::B, F::C>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Extend<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let states = self.states.0.iter_mut().zip(self.states.1).zip(self.states.2);
        for (((a, b), c), &x) in states.zip(self.elements) {
            self.fold.combine((a, b, c), single(self.fold, x));
        }
    }
}

/// Combines states with those of what comes after.
struct Join<'a, T: Reducible, F: Fold<T>> {
    fold: F,
    earlier: SlicesOf<'a, T, F>,
    later: SlicesOf<'a, T, F>,
    both: SlicesMut<'a, F::A, F::B, F::C>,
}

impl<T: Reducible, F: Fold<T>> Kernel for Join<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let earlier = self.earlier.0.iter().zip(self.earlier.1).zip(self.earlier.2);
        let later = self.later.0.iter().zip(self.later.1).zip(self.later.2);
        let both = self.both.0.iter_mut().zip(self.both.1).zip(self.both.2);
        for ((((a, b), c), ((&p, &q), &r)), ((&x, &y), &z)) in both.zip(earlier).zip(later) {
            (*a, *b, *c) = (p, q, r);
            self.fold.combine((a, b, c), (x, y, z));
        }
    }
}
