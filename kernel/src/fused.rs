//! Chains of elementwise operations, evaluated tile by tile without arrays in between.

use std::collections::BTreeMap;

use graticule_ops::AxisSelection;
use graticule_plan::DType;

use crate::{
    Element, KernelError, Tensor, TensorMut,
    buffer::Buffer,
    elementwise::{BinaryFn, UnaryFn, select},
    lookup::LookupFn,
    view::View,
};

/// Elements evaluated at once where no reduction asks for other tiles: a few operands of them fit a core's cache.
pub(crate) const TILE_LEN: usize = 4096;

/// An elementwise expression over one index space: leaves in memory, and steps that each take leaves and earlier steps.
pub(crate) struct Group {
    /// Lengths of the index space.
    pub(crate) shape: Vec<usize>,
    leaves: Vec<Leaf>,
    steps: Vec<Step>,
    root: Slot,
    dtype: DType,
}

struct Leaf {
    tensor: Tensor,
    view: View,
}

struct Step {
    operation: Operation,
    args: Vec<Slot>,
    dtype: DType,
    /// Which of the temporaries holds the result.
    temporary: usize,
}

/// What a step does.
pub(crate) enum Operation {
    /// To one operand.
    Unary(UnaryFn),
    /// To two.
    Binary(BinaryFn),
    /// Looks the operand up in a list.
    Lookup(LookupFn),
    /// Chooses by the first operand between the two others.
    Select,
}

/// A value within a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    /// A leaf.
    Leaf(usize),
    /// A step's result.
    Step(usize),
}

impl Group {
    /// A group over an index space, so far without a value.
    pub(crate) fn new(shape: Vec<usize>) -> Self {
        Self {
            shape,
            leaves: vec![],
            steps: vec![],
            root: Slot::Leaf(0),
            dtype: DType::Bool,
        }
    }

    /// Adds a tensor in which axis `i` of the index space walks along axis `axes[i]`.
    pub(crate) fn leaf(&mut self, tensor: Tensor, axes: &[Option<usize>]) -> Slot {
        let view = View::mapped(&tensor, &self.shape, axes).collapsed();
        self.leaves.push(Leaf { tensor, view });
        Slot::Leaf(self.leaves.len() - 1)
    }

    /// Adds what is selected of a tensor, likewise.
    pub(crate) fn part(
        &mut self,
        tensor: Tensor,
        selection: &[Option<AxisSelection>],
        axes: &[Option<usize>],
    ) -> Slot {
        let view = View::selected(&tensor, selection, &self.shape, axes).collapsed();
        self.leaves.push(Leaf { tensor, view });
        Slot::Leaf(self.leaves.len() - 1)
    }

    /// Adds a step.
    pub(crate) fn step(&mut self, operation: Operation, args: Vec<Slot>, dtype: DType) -> Slot {
        self.steps.push(Step {
            operation,
            args,
            dtype,
            temporary: 0,
        });
        Slot::Step(self.steps.len() - 1)
    }

    /// Ends the building: `root` is the value.
    pub(crate) fn finish(mut self, root: Slot) -> Self {
        self.root = root;
        self.dtype = self.dtype_of(root);
        self.share_temporaries();
        self
    }

    /// Applies one more operation to the value.
    pub(crate) fn then(&mut self, operation: Operation, dtype: DType) {
        self.root = self.step(operation, vec![self.root], dtype);
        self.dtype = dtype;
        self.share_temporaries();
    }

    /// The value's dtype.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Elements of the index space.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the value is one tensor as it lies in memory.
    pub(crate) fn as_contiguous(&self) -> Option<&Tensor> {
        match self.root {
            Slot::Leaf(leaf) if self.leaves[leaf].view.is_contiguous() => {
                Some(&self.leaves[leaf].tensor).filter(|tensor| tensor.len() == self.len())
            }
            _ => None,
        }
    }

    fn dtype_of(&self, slot: Slot) -> DType {
        match slot {
            Slot::Leaf(leaf) => self.leaves[leaf].tensor.dtype(),
            Slot::Step(step) => self.steps[step].dtype,
        }
    }

    /// Gives each step a temporary that no later reader of another step's result still needs.
    ///
    /// Booleans have temporaries of their own, so that these never hold anything but 0 and 1.
    fn share_temporaries(&mut self) {
        let mut last_use: BTreeMap<Slot, usize> = BTreeMap::new();
        for (step, Step { args, .. }) in self.steps.iter().enumerate() {
            args.iter().for_each(|&arg| {
                last_use.insert(arg, step);
            });
        }
        last_use.insert(self.root, self.steps.len());
        let (mut free, mut count) = ([Vec::new(), Vec::new()], 0);
        for step in 0..self.steps.len() {
            let shelf = usize::from(self.steps[step].dtype == DType::Bool);
            // An operand's temporary is freed only after the step, which may not write over what it reads.
            self.steps[step].temporary = free[shelf].pop().unwrap_or_else(|| {
                count += 1;
                count - 1
            });
            let mut args = self.steps[step].args.clone();
            args.push(Slot::Step(step));
            args.sort_unstable();
            args.dedup();
            for arg in args {
                let ends = last_use.get(&arg).is_none_or(|&last| last == step);
                if let (Slot::Step(done), true) = (arg, ends) {
                    let shelf = usize::from(self.steps[done].dtype == DType::Bool);
                    free[shelf].push(self.steps[done].temporary);
                }
            }
        }
    }

    fn temporary_count(&self) -> usize {
        self.steps
            .iter()
            .map(|step| step.temporary + 1)
            .max()
            .unwrap_or(0)
    }

    /// The whole value in the order of the index space, as a tensor of `shape`.
    pub(crate) fn materialise(&self, shape: &[usize]) -> Result<Tensor, KernelError> {
        if let Some(tensor) = self.as_contiguous() {
            return tensor.reshape(shape);
        }
        let mut out = TensorMut::for_overwrite(self.dtype, shape)?;
        let len = self.len();
        if len == 0 {
            return Ok(out.freeze());
        }
        let tile = TILE_LEN.min(len);
        let mut tiles = Tiles::new(self, tile)?;
        let bytes = out
            .trusted_bytes_mut()
            .chunks_mut(tile * self.dtype.size_bytes() as usize);
        for (k, bytes) in bytes.enumerate() {
            tiles.write(k * tile, bytes)?;
        }
        Ok(out.freeze())
    }
}

/// Evaluates a group over ranges of flat positions of its index space.
pub(crate) struct Tiles<'g> {
    group: &'g Group,
    /// What each leaf is over the present range.
    places: Vec<Place>,
    /// For each leaf memory for elements that do not lie in one run; made when first needed.
    gathered: Vec<Option<Buffer>>,
    temporaries: Vec<Buffer>,
    len_max: usize,
}

#[derive(Clone, Copy)]
enum Place {
    /// The elements lie in the tensor, from this position on.
    Run(usize),
    /// They were gathered.
    Gathered,
    /// They are the same everywhere, and fill the gathered memory once and for all.
    Filled,
}

/// Bytes of the widest element, for which temporaries are made.
const ITEM_BYTES_MAX: usize = 16;

impl<'g> Tiles<'g> {
    /// An evaluator of ranges of at most `len_max` elements.
    pub(crate) fn new(group: &'g Group, len_max: usize) -> Result<Self, KernelError> {
        let temporaries = (0..group.temporary_count()).map(|_| Buffer::zeroed(len_max * ITEM_BYTES_MAX));
        Ok(Self {
            group,
            places: vec![Place::Gathered; group.leaves.len()],
            gathered: group.leaves.iter().map(|_| None).collect(),
            temporaries: temporaries.collect::<Result<_, _>>()?,
            len_max,
        })
    }

    /// The value at flat positions from `start` on, into all of `out`.
    pub(crate) fn write(&mut self, start: usize, out: &mut [u8]) -> Result<(), KernelError> {
        let item = self.group.dtype.size_bytes() as usize;
        let len = out.len() / item;
        match self.group.root {
            Slot::Leaf(leaf) => {
                let Leaf { tensor, view } = &self.group.leaves[leaf];
                view.gather(tensor.bytes(), item, start, out);
                Ok(())
            }
            Slot::Step(root) => {
                self.fetch(start, len)?;
                self.run_steps(root, len)?;
                self.apply(root, len, out)
            }
        }
    }

    /// The value at `len` flat positions from `start` on.
    pub(crate) fn values<T: Element>(&mut self, start: usize, len: usize) -> Result<&[T], KernelError> {
        self.fetch(start, len)?;
        if let Slot::Step(root) = self.group.root {
            self.run_steps(root + 1, len)?;
        }
        Ok(T::slice(self.arg(self.group.root, len)))
    }

    /// Finds or gathers every leaf's elements.
    fn fetch(&mut self, start: usize, len: usize) -> Result<(), KernelError> {
        debug_assert!(len <= self.len_max);
        for (leaf, Leaf { tensor, view }) in self.group.leaves.iter().enumerate() {
            let item = tensor.dtype().size_bytes() as usize;
            if matches!(self.places[leaf], Place::Filled) {
                continue;
            }
            if let Some(position) = view.run(start, len) {
                self.places[leaf] = Place::Run(position);
                continue;
            }
            let buffer = match &mut self.gathered[leaf] {
                Some(buffer) => buffer,
                none => none.insert(Buffer::zeroed(self.len_max * ITEM_BYTES_MAX)?),
            };
            let is_constant = view.is_constant();
            let count = if is_constant { self.len_max } else { len };
            view.gather(
                tensor.bytes(),
                item,
                start,
                &mut buffer.bytes_mut()[..count * item],
            );
            self.places[leaf] = if is_constant {
                Place::Filled
            } else {
                Place::Gathered
            };
        }
        Ok(())
    }

    /// Runs the first `count` steps, each into its temporary.
    fn run_steps(&mut self, count: usize, len: usize) -> Result<(), KernelError> {
        for step in 0..count {
            let Step { dtype, temporary, .. } = self.group.steps[step];
            let mut out = std::mem::replace(&mut self.temporaries[temporary], Buffer::empty());
            let done = self.apply(
                step,
                len,
                &mut out.bytes_mut()[..len * dtype.size_bytes() as usize],
            );
            self.temporaries[temporary] = out;
            done?;
        }
        Ok(())
    }

    fn apply(&self, step: usize, len: usize, out: &mut [u8]) -> Result<(), KernelError> {
        let Step {
            operation,
            args,
            dtype,
            ..
        } = &self.group.steps[step];
        let arg = |k: usize| self.arg(args[k], len);
        match operation {
            Operation::Unary(f) => f(arg(0), out),
            Operation::Binary(f) => f(arg(0), arg(1), out)?,
            Operation::Lookup(f) => f(arg(0), out),
            Operation::Select => select(dtype.size_bytes(), arg(0), arg(1), arg(2), out),
        }
        Ok(())
    }

    fn arg(&self, slot: Slot, len: usize) -> &[u8] {
        match slot {
            Slot::Step(step) => {
                let Step { dtype, temporary, .. } = self.group.steps[step];
                &self.temporaries[temporary].bytes()[..len * dtype.size_bytes() as usize]
            }
            Slot::Leaf(leaf) => {
                let tensor = &self.group.leaves[leaf].tensor;
                let item = tensor.dtype().size_bytes() as usize;
                match (self.places[leaf], &self.gathered[leaf]) {
                    (Place::Run(position), _) => &tensor.bytes()[position * item..(position + len) * item],
                    (_, Some(buffer)) => &buffer.bytes()[..len * item],
                    (_, None) => unreachable!("leaves are fetched before they are used"),
                }
            }
        }
    }
}
