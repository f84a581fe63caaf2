//! Reductions over axes, at every stage, and reductions of groups along one axis.

mod drive;
mod extreme;
mod fold;
mod group;
mod key;
mod moving;
mod network;
mod order;
mod panes;
mod reducible;
mod scatter;
mod sink;
mod stage;
mod visit;

pub(crate) use reducible::Reducible;

use graticule_ops::{BlockAxis, Node, NodeId, ReduceKind, Reduction, Stage};
use graticule_plan::{DType, Kind};

use crate::{
    Chunk, KernelError, Tensor,
    elementwise::cast,
    fused::{Group, Operation},
    lazy,
    program::{Task, Values},
};

/// Neighbouring elements below which a reduction of each run is not worth its fixed cost.
const RUN_LEN_MIN: usize = 32;
/// Columns below which a reduction across rows leaves most lanes idle.
const COLUMNS_MIN: usize = 8;

/// How an operand's elements are walked in a reduction.
#[derive(Debug, Clone, PartialEq)]
struct Layout {
    /// The operand's axes in the order of the walk.
    order: Vec<usize>,
    /// Elements reduced to one.
    rows: usize,
    /// Results.
    columns: usize,
    /// Whether each result's elements are neighbours in the walk; else the results are.
    is_runs: bool,
    /// Reduced axes, rising.
    axes: Vec<usize>,
    shape: Vec<usize>,
}

impl Layout {
    /// The walk for a reduction over `axes` of an array of `shape`. It depends on nothing else.
    fn new(shape: &[usize], axes: &[usize], run_len_min: usize) -> Self {
        let is_reduced = |axis: &usize| axes.contains(axis);
        let len = |is_wanted: &dyn Fn(&usize) -> bool| -> usize {
            (0..shape.len())
                .filter(is_wanted)
                .map(|axis| shape[axis])
                .product()
        };
        let (rows, columns) = (len(&is_reduced), len(&|axis| !is_reduced(axis)));
        let last = (0..shape.len()).rev().find(|&axis| shape[axis] != 1);
        let ends_reduced = last.is_some_and(|axis| is_reduced(&axis));
        let is_runs = rows >= run_len_min && (ends_reduced || columns < COLUMNS_MIN);
        let mut order: Vec<usize> = (0..shape.len()).collect();
        // A stable sort keeps the order of the axes on each side.
        order.sort_by_key(|axis| is_reduced(axis) == is_runs);
        Self {
            order,
            rows,
            columns,
            is_runs,
            axes: axes.to_vec(),
            shape: shape.to_vec(),
        }
    }

    /// The result's shape with the reduced axes of length 1, or without them.
    fn result_shape(&self, keepdims: bool) -> Vec<usize> {
        let axes = 0..self.shape.len();
        if keepdims {
            axes.map(|axis| {
                if self.axes.contains(&axis) {
                    1
                } else {
                    self.shape[axis]
                }
            })
            .collect()
        } else {
            axes.filter(|axis| !self.axes.contains(axis))
                .map(|axis| self.shape[axis])
                .collect()
        }
    }
}

/// Positions along the flattened reduced axes of the whole array, for positions within a block.
struct Positions {
    /// Of each reduced axis: elements of the block, its first element, elements of the whole.
    axes: Vec<(u64, u64, u64)>,
}

impl Positions {
    fn new(task: &Task<'_>, positions: &[BlockAxis], layout: &Layout) -> Result<Self, String> {
        if positions.len() != layout.axes.len() {
            return Err(format!(
                "{} positions for {} axes",
                positions.len(),
                layout.axes.len()
            ));
        }
        let extents = crate::shape::extents(positions, task.block_index)?;
        let mut axes = Vec::new();
        for ((extent, axis), whole) in extents.iter().zip(&layout.axes).zip(positions) {
            let len = layout.shape[*axis] as u64;
            if extent.end - extent.start != len {
                return Err(format!("positions {extent:?} of an axis of {len}"));
            }
            axes.push((len, extent.start, whole.len()));
        }
        Ok(Self { axes })
    }

    /// The position in the whole array.
    fn whole(&self, position: i64) -> i64 {
        let (mut rest, mut index) = (position as u64, Vec::with_capacity(self.axes.len()));
        for (len, start, _) in self.axes.iter().rev() {
            index.push(start + rest % len);
            rest /= len;
        }
        let whole = self.axes.iter().zip(index.iter().rev());
        whole.fold(0u64, |all, ((_, _, len), i)| {
            all.wrapping_mul(*len).wrapping_add(*i)
        }) as i64
    }
}

/// The value of a `Reduce` or `GroupReduce` node.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    step: &Node,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    match step {
        Node::Reduce {
            x,
            reduction,
            axes,
            keepdims,
            stage,
            positions,
        } => {
            check(values, *x, reduction, axes, *stage).map_err(|why| task.misfit(node, why))?;
            let request = Request {
                task,
                node,
                reduction,
                axes,
                keepdims: *keepdims,
                positions,
            };
            let chunk = request.run(*x, *stage, values)?;
            labelled(chunk, reduction, *stage)
        }
        Node::GroupReduce { reduction, stage, .. } => {
            let chunk = group::node(task, node, step, values)?;
            labelled(chunk, reduction, *stage)
        }
        other => unreachable!("{other:?} reduces nothing"),
    }
}

/// A chunk of times under the dtypes that a stage of a reduction gives: folds know of times, but not of their units.
fn labelled(chunk: Chunk, reduction: &Reduction, stage: Stage) -> Result<Chunk, KernelError> {
    if !reduction.dtype.is_time() {
        return Ok(chunk);
    }
    let dtypes: Vec<DType> = match stage {
        Stage::Whole | Stage::Final => vec![reduction.result_dtype().expect("it was checked")],
        Stage::Partial | Stage::Combine => {
            let parts = reduction.partial().expect("it was checked");
            parts.into_iter().map(|(_, dtype)| dtype).collect()
        }
    };
    let parts = chunk.parts().iter().zip(dtypes);
    Chunk::new(parts.map(|(part, dtype)| part.clone().labelled(dtype)).collect())
}

/// What a `Reduce` node asks for.
struct Request<'a> {
    task: &'a Task<'a>,
    node: usize,
    reduction: &'a Reduction,
    axes: &'a [usize],
    keepdims: bool,
    positions: &'a [BlockAxis],
}

impl Request<'_> {
    fn run(&self, x: NodeId, stage: Stage, values: &mut Values) -> Result<Chunk, KernelError> {
        match stage {
            Stage::Whole | Stage::Partial => self.elements(x, stage, values),
            Stage::Combine | Stage::Final => {
                lazy::force(self.task, values, x.0 as usize)?;
                let partials = values.ready(x.0 as usize).expect("just forced").clone();
                let layout = Layout::new(partials.shape(), self.axes, usize::MAX);
                let kept = self.keepdims || stage == Stage::Combine;
                let shape = layout.result_shape(kept);
                stage::combine(self.reduction, &partials, &layout, stage, &shape)
            }
        }
    }

    fn elements(&self, x: NodeId, stage: Stage, values: &mut Values) -> Result<Chunk, KernelError> {
        if let Some(chunk) = moving::reduced(self, x, stage, values)? {
            return Ok(chunk);
        }
        let shape = values.meta(x).shape;
        let is_ordered = is_order_statistic(&self.reduction.kind);
        let run_len_min = if is_ordered {
            order::RUN_LEN_MIN
        } else {
            RUN_LEN_MIN
        };
        let layout = Layout::new(&shape, self.axes, run_len_min);
        let misfit = |why| self.task.misfit(self.node, why);
        let positions = match self.reduction.kind {
            ReduceKind::ArgMin | ReduceKind::ArgMax | ReduceKind::First | ReduceKind::Last => {
                Some(Positions::new(self.task, self.positions, &layout).map_err(misfit)?)
            }
            _ => None,
        };
        let group = lazy::group(self.task, values, x.0 as usize, &layout.order)?;
        let shape = layout.result_shape(self.keepdims || stage == Stage::Partial);
        let group = carried(group, self.reduction);
        if is_ordered {
            return order::whole(self.reduction, &group, &layout, &shape);
        }
        stage::elements(self.reduction, &group, &layout, stage, &shape, positions.as_ref())
    }
}

fn is_order_statistic(kind: &ReduceKind) -> bool {
    matches!(
        kind,
        ReduceKind::Median | ReduceKind::Quantile { .. } | ReduceKind::Mode
    )
}

/// Whether NaN is left out: a reduction of what has none has nothing to leave out.
fn skips(reduction: &Reduction) -> bool {
    reduction.skipna && reduction.dtype.holds_nan()
}

/// The dtype in which a reduction takes its elements: where it does not matter, one for many, so that there is less
/// code. Each element converts without loss, or as the reduction would convert it anyway.
fn carrier(reduction: &Reduction) -> DType {
    let dtype = reduction.dtype;
    match reduction.kind {
        _ if dtype.holds_nan() => match reduction.kind {
            // Only `any` sees a difference between NaN left out and NaN that is true.
            ReduceKind::Any if reduction.skipna => dtype,
            ReduceKind::Any | ReduceKind::All => DType::Bool,
            _ => dtype,
        },
        ReduceKind::Sum | ReduceKind::Prod if dtype.kind() == Kind::Unsigned => DType::UInt64,
        ReduceKind::Sum | ReduceKind::Prod => DType::Int64,
        ReduceKind::Mean | ReduceKind::Var { .. } | ReduceKind::Std { .. } => DType::Float64,
        ReduceKind::Any | ReduceKind::All | ReduceKind::Count => DType::Bool,
        _ if is_order_statistic(&reduction.kind) && dtype == DType::Bool => DType::UInt8,
        _ => dtype,
    }
}

/// A group whose elements have the reduction's [`carrier`].
fn carried(mut group: Group, reduction: &Reduction) -> Group {
    let carrier = carrier(reduction);
    if group.dtype() != carrier {
        group.then(Operation::Unary(cast(group.dtype(), carrier)), carrier);
    }
    group
}

/// Checks operand and axes; a sentence if they do not fit.
fn check(
    values: &Values,
    x: NodeId,
    reduction: &Reduction,
    axes: &[usize],
    stage: Stage,
) -> Result<(), String> {
    let meta = values.meta(x);
    let rising = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if !rising || axes.last().is_some_and(|&axis| axis >= meta.shape.len()) {
        return Err(format!("axes {axes:?} of shape {:?}", meta.shape));
    }
    reduction.result_dtype().map_err(|e| e.to_string())?;
    if let ReduceKind::Quantile { qs } = &reduction.kind
        && let Some(q) = qs.iter().find(|q| !(0.0..=1.0).contains(*q))
    {
        return Err(format!("quantile {q} is not within 0..=1"));
    }
    match stage {
        Stage::Whole | Stage::Partial => {
            if meta.dtype != Some(reduction.dtype) {
                return Err(format!("operand is {:?}, want {}", meta.dtype, reduction.dtype));
            }
            if stage == Stage::Partial && reduction.partial().is_none() {
                return Err("it needs all elements at once".into());
            }
            Ok(())
        }
        Stage::Combine | Stage::Final => {
            let want = reduction.partial().ok_or("it needs all elements at once")?;
            let want: Vec<DType> = want.into_iter().map(|(_, dtype)| dtype).collect();
            let got = match values.ready(x.0 as usize) {
                Some(chunk) => chunk.dtypes(),
                None => meta.dtype.into_iter().collect(),
            };
            if got == want {
                Ok(())
            } else {
                Err(format!("partials are {got:?}, want {want:?}"))
            }
        }
    }
}

/// A tensor's elements in the order of a walk.
fn walked(tensor: &Tensor, order: &[usize]) -> Result<Tensor, KernelError> {
    crate::movement::transpose(tensor, order)
}
