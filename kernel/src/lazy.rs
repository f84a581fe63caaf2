//! Elementwise nodes that wait to be evaluated together.

use graticule_ops::{AxisSelection, Node, NodeId, Program, Search, Sliding};
use graticule_plan::DType;

use crate::{
    Chunk, KernelError, Tensor,
    buffer::with_scratch,
    elementwise::{binary, cast, unary},
    fused::{Group, Operation, Slot},
    lookup::{found_dtype, lookup},
    program::{Task, Value, Values, check_ndim},
    shape,
    tensor::sizes,
};

/// What a value will be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meta {
    /// The elements' dtype; `None` for a tuple.
    pub(crate) dtype: Option<DType>,
    /// Elements along each axis.
    pub(crate) shape: Vec<usize>,
}

/// Checks an elementwise node against its operands and says what it will be.
pub(crate) fn describe(
    task: &Task<'_>,
    node: usize,
    step: &Node,
    values: &Values,
) -> Result<Meta, KernelError> {
    let made = match step {
        Node::Full { value, axes } => block_shape(task, axes).map(|shape| (value.dtype(), shape)),
        Node::BroadcastTo { x, axes } => broadcast_to(task, values, *x, axes),
        Node::ExpandDims { x, .. } | Node::Squeeze { x, .. } | Node::Sliding(Sliding { x, .. }) => {
            let meta = values.meta(*x);
            single(&meta).and_then(|dtype| {
                let shape = reshaped(step, &meta.shape)?;
                if let Node::Sliding(sliding) = step {
                    check_windows(task, sliding, shape[sliding.axis])?;
                }
                Ok((dtype, shape))
            })
        }
        Node::Slice { x, selection } => sliced(&values.meta(*x), selection),
        Node::Search(step) => searched(&values.meta(step.sorted), &values.meta(step.x), step),
        _ => calculated(step, values),
    };
    let (dtype, shape) = made.map_err(|why| task.misfit(node, why))?;
    check_ndim(shape.len()).map_err(|why| task.misfit(node, why))?;
    sizes(dtype, &shape)?;
    Ok(Meta {
        dtype: Some(dtype),
        shape,
    })
}

/// Checks that there are as many windows as the block should have.
fn check_windows(task: &Task<'_>, sliding: &Sliding, count: usize) -> Result<(), String> {
    let extent = shape::extent(&sliding.extent, task.block_index)?;
    if extent.end - extent.start == count as u64 {
        return Ok(());
    }
    Err(format!("{count} windows, of which the block has {extent:?}"))
}

fn single(meta: &Meta) -> Result<DType, String> {
    meta.dtype.ok_or_else(|| "an operand is a tuple".to_owned())
}

fn block_shape(task: &Task<'_>, axes: &[graticule_ops::BlockAxis]) -> Result<Vec<usize>, String> {
    shape::shape_of(&shape::extents(axes, task.block_index)?)
}

fn broadcast_to(
    task: &Task<'_>,
    values: &Values,
    x: NodeId,
    axes: &[graticule_ops::BlockAxis],
) -> Result<(DType, Vec<usize>), String> {
    let (meta, shape) = (values.meta(x), block_shape(task, axes)?);
    if shape::broadcast(&meta.shape, &shape).as_ref() != Some(&shape) {
        return Err(format!("shape {:?} does not broadcast to {shape:?}", meta.shape));
    }
    Ok((single(&meta)?, shape))
}

fn sliced(operand: &Meta, selection: &[Option<AxisSelection>]) -> Result<(DType, Vec<usize>), String> {
    let shape = &operand.shape;
    let selected = |(len, selection): (&usize, &Option<AxisSelection>)| {
        let Some(selection) = selection else {
            return Some(*len);
        };
        let last = i128::from(selection.len) - 1;
        let end = i128::from(selection.start) + i128::from(selection.step) * last;
        let within = |at: i128| (0..*len as i128).contains(&at);
        let fits = last < 0 || (selection.step != 0 && within(selection.start.into()) && within(end));
        usize::try_from(selection.len).ok().filter(|_| fits)
    };
    let axes = shape.iter().zip(selection).map(selected);
    let made: Option<Vec<usize>> = axes.collect();
    let made = made.filter(|made| made.len() == shape.len() && shape.len() == selection.len());
    let made = made.ok_or_else(|| format!("selection {selection:?} of shape {shape:?}"))?;
    Ok((single(operand)?, made))
}

fn searched(sorted: &Meta, x: &Meta, step: &Search) -> Result<(DType, Vec<usize>), String> {
    let (dtype, of) = (single(x)?, single(sorted)?);
    if sorted.shape.len() != 1 || of != dtype {
        return Err(format!(
            "{dtype} is looked up in {of} of shape {:?}",
            sorted.shape
        ));
    }
    Ok((found_dtype(step.kind), x.shape.clone()))
}

/// The shape that `ExpandDims`, `Squeeze` or `Sliding` make of another.
pub(crate) fn reshaped(step: &Node, shape: &[usize]) -> Result<Vec<usize>, String> {
    let mut shape = shape.to_vec();
    match step {
        Node::ExpandDims { axis, .. } if *axis <= shape.len() => shape.insert(*axis, 1),
        Node::Squeeze { axis, .. } if shape.get(*axis) == Some(&1) => {
            shape.remove(*axis);
        }
        Node::Sliding(Sliding { axis, len, .. }) => {
            let window = usize::try_from(*len).ok().filter(|len| *len > 0);
            let have = shape
                .get(*axis)
                .zip(window)
                .filter(|(have, window)| *have >= window);
            let Some((have, window)) = have else {
                return Err(format!("windows of {len} along axis {axis} of shape {shape:?}"));
            };
            shape[*axis] = have - (window - 1);
            shape.insert(axis + 1, window);
        }
        Node::ExpandDims { axis, .. } | Node::Squeeze { axis, .. } => {
            return Err(format!("axis {axis} of shape {shape:?}"));
        }
        _ => {}
    }
    Ok(shape)
}

fn calculated(step: &Node, values: &Values) -> Result<(DType, Vec<usize>), String> {
    let operands: Vec<Meta> = step.operands().into_iter().map(|o| values.meta(o)).collect();
    let mut shape = Vec::new();
    for operand in &operands {
        shape = shape::broadcast(&shape, &operand.shape).ok_or_else(|| {
            format!(
                "shapes {:?} do not broadcast",
                operands.iter().map(|o| &o.shape).collect::<Vec<_>>()
            )
        })?;
    }
    let dtypes = operands.iter().map(single).collect::<Result<Vec<_>, _>>()?;
    let want = |want: DType, got: &[DType]| {
        if got.iter().all(|&dtype| dtype == want) {
            Ok(())
        } else {
            Err(format!("operands are {got:?}, want {want}"))
        }
    };
    let dtype = match step {
        Node::Cast { dtype, .. } => *dtype,
        Node::Unary { op, .. } => {
            let (operand, result) = op.dtypes(dtypes[0]).map_err(|e| e.to_string())?;
            want(operand, &dtypes)?;
            result
        }
        Node::Binary { op, .. } => {
            let (operand, result) = op.dtypes(dtypes[0]).map_err(|e| e.to_string())?;
            want(operand, &dtypes)?;
            result
        }
        Node::Where { .. } => {
            want(DType::Bool, &dtypes[..1])?;
            want(dtypes[1], &dtypes[2..])?;
            dtypes[1]
        }
        other => unreachable!("{other:?} is not elementwise"),
    };
    Ok((dtype, shape))
}

/// Makes a lazy value in memory.
pub(crate) fn force(task: &Task<'_>, values: &mut Values, node: usize) -> Result<(), KernelError> {
    if values.ready(node).is_some() {
        return Ok(());
    }
    let mut stack = vec![node];
    while let Some(&top) = stack.last() {
        if values.ready(top).is_some() {
            stack.pop();
            continue;
        }
        let meta = values.meta(NodeId(top as u32));
        let is_scratch = values.is_scratch(top);
        if let Node::Full { value, .. } = &task.program.nodes[top] {
            let full = with_scratch(is_scratch, || Tensor::full(*value, &meta.shape))?;
            values.values[top] = Value::Ready(full.into());
            continue;
        }
        if let Node::Slice { x, .. } = &task.program.nodes[top] {
            if values.ready(x.0 as usize).is_none() {
                stack.push(x.0 as usize);
                continue;
            }
            let axes: Vec<usize> = (0..meta.shape.len()).collect();
            let part = slice(task, values, top, &axes)?;
            let tensor = with_scratch(is_scratch, || part.materialise(&meta.shape))?;
            values.values[top] = Value::Ready(Chunk::from(tensor));
            values.taken(task.program, top);
            continue;
        }
        let members = match members(task.program, values, top) {
            Ok(members) => members,
            Err(needed) => {
                // One at a time: forcing it may settle the others.
                stack.extend(needed.last());
                continue;
            }
        };
        let axes: Vec<usize> = (0..meta.shape.len()).collect();
        let group = compile(task, values, &members, &axes)?;
        let tensor = with_scratch(is_scratch, || group.materialise(&meta.shape))?;
        drop(group);
        release(task.program, values, &members);
        values.values[top] = Value::Ready(Chunk::from(tensor));
    }
    Ok(())
}

/// The value of `node` as a group over an index space whose axis `i` is the value's axis `order[i]`, for a user that is
/// the only one to take it. A value that has other users, or is in memory, is the group's only leaf.
pub(crate) fn group(
    task: &Task<'_>,
    values: &mut Values,
    node: usize,
    order: &[usize],
) -> Result<Group, KernelError> {
    if let (Node::Slice { x, .. }, Value::Lazy(_)) = (&task.program.nodes[node], &values.values[node]) {
        force(task, values, x.0 as usize)?;
        return slice(task, values, node, order);
    }
    let is_only_user = values.users[node].len() == 1;
    // Windows are looked at anew by each user: in memory they would take all their elements several times.
    let is_view = matches!(task.program.nodes[node], Node::Sliding(_));
    if (is_only_user || is_view) && !matches!(task.program.nodes[node], Node::Full { .. }) {
        while matches!(values.values[node], Value::Lazy(_)) {
            match members(task.program, values, node) {
                Ok(members) => {
                    let group = compile(task, values, &members, order)?;
                    if is_only_user {
                        release(task.program, values, &members);
                    }
                    return Ok(group);
                }
                Err(needed) => needed
                    .into_iter()
                    .try_for_each(|node| force(task, values, node))?,
            }
        }
    }
    force(task, values, node)?;
    let tensor = crate::program::single(values.ready(node).expect("just forced"))?;
    let shape = order.iter().map(|&axis| tensor.shape()[axis]).collect();
    let mut group = Group::new(shape);
    let axes: Vec<_> = order.iter().map(|&axis| Some(axis)).collect();
    let root = group.leaf(tensor.clone(), &axes);
    Ok(group.finish(root))
}

/// A lazy slice of a value in memory as a group of nothing else.
fn slice(task: &Task<'_>, values: &Values, node: usize, order: &[usize]) -> Result<Group, KernelError> {
    let shape = values.meta(NodeId(node as u32)).shape;
    let mut group = Group::new(order.iter().map(|&axis| shape[axis]).collect());
    let axes: Vec<_> = order.iter().map(|&axis| Some(axis)).collect();
    let root = leaf(task, values, &mut group, NodeId(node as u32), &axes, shape.len())?;
    Ok(group.finish(root))
}

/// Notes that a group's nodes have taken their operands.
fn release(program: &Program, values: &mut Values, members: &[usize]) {
    // Users first, so that a member within is dropped before its own operands are counted down.
    members
        .iter()
        .rev()
        .for_each(|&member| values.taken(program, member));
}

/// The lazy nodes to evaluate together with `root`, rising; or those that must be in memory before.
///
/// A node is a member if all its users are, and if each takes it element by element in the same order.
fn members(program: &Program, values: &Values, root: usize) -> Result<Vec<usize>, Vec<usize>> {
    let mut is_member = vec![false; root + 1];
    let mut needed = Vec::new();
    is_member[root] = true;
    for node in (0..=root).rev() {
        let Value::Lazy(meta) = &values.values[node] else {
            continue;
        };
        if let Node::Slice { x, .. } = &program.nodes[node] {
            // What is selected is looked at where it lies.
            let is_used = values.users[node]
                .iter()
                .any(|&user| user <= root && is_member[user]);
            if is_used && values.ready(x.0 as usize).is_none() {
                needed.push(x.0 as usize);
            }
            continue;
        }
        if node != root {
            let users = &values.users[node];
            let all = users.iter().all(|&user| user <= root && is_member[user]);
            let same = |user: &usize| takes_in_order(program, values, *user, meta);
            is_member[node] = all && users.iter().all(same) && !users.is_empty();
            let is_used = users.iter().any(|&user| user <= root && is_member[user]);
            if is_used && !is_member[node] && !matches!(program.nodes[node], Node::Full { .. }) {
                needed.push(node);
            }
        }
        if matches!(program.nodes[node], Node::Full { .. }) {
            // A constant is a leaf wherever it is used.
            is_member[node] = false;
        }
    }
    if !needed.is_empty() {
        return Err(needed);
    }
    Ok((0..=root).filter(|&node| is_member[node]).collect())
}

/// Whether element `i` of `user`'s value depends on element `i` of its operand alone.
fn takes_in_order(program: &Program, values: &Values, user: usize, operand: &Meta) -> bool {
    match (&program.nodes[user], &values.values[user]) {
        (Node::ExpandDims { .. } | Node::Squeeze { .. }, _) => true,
        (_, Value::Lazy(meta)) => meta.shape == operand.shape,
        (_, Value::Ready(_) | Value::Gone) => false,
    }
}

/// Builds the group of the given members, the last of which is the root, over its axes in the given order.
fn compile(
    task: &Task<'_>,
    values: &Values,
    members: &[usize],
    order: &[usize],
) -> Result<Group, KernelError> {
    let root = *members.last().expect("a group has a root");
    let root_shape = values.meta(NodeId(root as u32)).shape;
    let mut group = Group::new(order.iter().map(|&axis| root_shape[axis]).collect());
    let axes = member_axes(task.program, members, order);
    let mut slots: Vec<Option<Slot>> = vec![None; root + 1];
    for (k, &member) in members.iter().enumerate() {
        let step = &task.program.nodes[member];
        let operand_axes = axes_before(step, &axes[k]);
        let ndim = match step {
            Node::ExpandDims { x, .. } | Node::Squeeze { x, .. } | Node::Sliding(Sliding { x, .. }) => {
                values.meta(*x).shape.len()
            }
            _ => values.meta(NodeId(member as u32)).shape.len(),
        };
        let mut args = Vec::new();
        for operand in taken_in_order(step) {
            let slot = match slots[operand.0 as usize] {
                Some(slot) => slot,
                None => leaf(task, values, &mut group, operand, &operand_axes, ndim)?,
            };
            args.push(slot);
        }
        let dtype = values
            .meta(NodeId(member as u32))
            .dtype
            .expect("lazy values are no tuples");
        slots[member] = Some(match operation(step, values)? {
            Some(operation) => group.step(operation, args, dtype),
            None => args[0],
        });
    }
    let root = slots[root].expect("the root is the last member");
    Ok(group.finish(root))
}

/// The operands that a node takes element by element.
fn taken_in_order(step: &Node) -> Vec<NodeId> {
    match step {
        // The list is in memory.
        Node::Search(step) => vec![step.x],
        _ => step.operands(),
    }
}

/// Adds an operand in memory (or a constant) to a group.
fn leaf(
    task: &Task<'_>,
    values: &Values,
    group: &mut Group,
    operand: NodeId,
    axes: &[Option<usize>],
    ndim: usize,
) -> Result<Slot, KernelError> {
    // Shapes align at their last axes; a leading axis that the operand lacks repeats it.
    let aligned = |tensor: &Tensor| -> Vec<Option<usize>> {
        let missing = ndim - tensor.ndim();
        let axes = axes.iter();
        axes.map(|axis| axis.and_then(|axis| axis.checked_sub(missing)))
            .collect()
    };
    let tensor = match (
        &task.program.nodes[operand.0 as usize],
        values.ready(operand.0 as usize),
    ) {
        (_, Some(chunk)) => crate::program::single(chunk)?.clone(),
        (Node::Full { value, .. }, None) => Tensor::scalar(*value),
        (Node::Slice { x, selection }, None) => {
            let whole = values.ready(x.0 as usize).expect("members asks for it");
            let whole = crate::program::single(whole)?;
            return Ok(group.part(whole.clone(), selection, &aligned(whole)));
        }
        _ => unreachable!("an operand outside the group is in memory"),
    };
    let axes = aligned(&tensor);
    Ok(group.leaf(tensor, &axes))
}

/// What a member computes; `None` if it only shows its operand in another shape.
fn operation(step: &Node, values: &Values) -> Result<Option<Operation>, KernelError> {
    let dtype = |node: &NodeId| {
        values
            .meta(*node)
            .dtype
            .expect("checked when the node was described")
    };
    Ok(Some(match step {
        Node::Cast { x, dtype: to } => Operation::Unary(cast(dtype(x), *to)),
        Node::Unary { op, x } => {
            Operation::Unary(unary(*op, dtype(x)).expect("an operation exists where it has dtypes"))
        }
        Node::Binary { op, x, .. } => {
            Operation::Binary(binary(*op, dtype(x)).expect("an operation exists where it has dtypes"))
        }
        Node::Where { .. } => Operation::Select,
        Node::Search(step) => {
            let sorted = values
                .ready(step.sorted.0 as usize)
                .expect("it was made before the node was described");
            let count = values.meta(step.x).shape.iter().product();
            Operation::Lookup(lookup(crate::program::single(sorted)?, step.kind, count))
        }
        _ => return Ok(None),
    }))
}

/// For each member which of its axes each axis of the index space walks along.
fn member_axes(program: &Program, members: &[usize], order: &[usize]) -> Vec<Vec<Option<usize>>> {
    let mut axes: Vec<Vec<Option<usize>>> = vec![Vec::new(); members.len()];
    *axes.last_mut().expect("a group has a root") = order.iter().map(|&axis| Some(axis)).collect();
    for k in (0..members.len()).rev() {
        let step = &program.nodes[members[k]];
        let before = axes_before(step, &axes[k]);
        for operand in step.operands() {
            if let Ok(at) = members.binary_search(&(operand.0 as usize)) {
                axes[at].clone_from(&before);
            }
        }
    }
    axes
}

/// The axes of a node's operands (before they broadcast), given those of the node.
fn axes_before(step: &Node, axes: &[Option<usize>]) -> Vec<Option<usize>> {
    let of = |axis: &Option<usize>| match (step, *axis) {
        (Node::ExpandDims { axis: new, .. }, Some(axis)) => match axis.cmp(new) {
            std::cmp::Ordering::Less => Some(axis),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(axis - 1),
        },
        (Node::Sliding(sliding), Some(axis)) => Some(axis - usize::from(axis > sliding.axis)),
        (Node::Squeeze { axis: gone, .. }, Some(axis)) => Some(axis + usize::from(axis >= *gone)),
        (_, axis) => axis,
    };
    axes.iter().map(of).collect()
}
