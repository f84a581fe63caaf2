//! Reductions of the elements with the same label along one axis.

use graticule_ops::{Node, NodeId, Stage};

use super::{
    Layout, Positions, carried, check,
    drive::Rows,
    is_order_statistic, order,
    stage::{Combine, Elements, Empty},
    visit::visit,
    walked,
};
use crate::{
    Chunk, KernelError, lazy,
    movement::each_part,
    nodes::table,
    program::{Task, Values},
    shape,
};

/// The most groups along an axis.
const GROUP_COUNT_MAX: usize = 1 << 22;

/// The value of a `GroupReduce` node.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    step: &Node,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    let Node::GroupReduce {
        x,
        reduction,
        axis,
        group_count,
        stage,
        ..
    } = step
    else {
        unreachable!("{step:?} is no reduction of groups")
    };
    let misfit = |why| task.misfit(node, why);
    check(values, *x, reduction, &[*axis], *stage).map_err(misfit)?;
    let group_count = usize::try_from(*group_count).map_err(|e| misfit(e.to_string()))?;
    let result = match stage {
        Stage::Whole | Stage::Partial => elements(task, node, step, values, group_count)?,
        Stage::Combine | Stage::Final => {
            lazy::force(task, values, x.0 as usize)?;
            let partials = values.ready(x.0 as usize).expect("just forced");
            // Sets of `group_count` partials, one after the other: an axis of sets and one of groups.
            let mut shape = partials.shape().to_vec();
            let sets = shape[*axis].checked_div(group_count).unwrap_or(0);
            if sets * group_count != shape[*axis] {
                return Err(misfit(format!(
                    "{} partials in sets of {group_count}",
                    shape[*axis]
                )));
            }
            shape.splice(*axis..=*axis, [sets, group_count]);
            let partials = each_part(partials, |part| part.reshape(&shape))?;
            let layout = Layout::new(&shape, &[*axis], usize::MAX);
            shape.remove(*axis);
            let combine = Combine {
                reduction,
                partials: &partials,
                layout: &layout,
                stage: *stage,
                shape: &shape,
                empty: Empty::IsNan,
            };
            visit(reduction, combine).expect("order statistics have no partials")?
        }
    };
    Ok(result)
}

/// Stages `Whole` and `Partial`.
fn elements(
    task: &Task<'_>,
    node: usize,
    step: &Node,
    values: &mut Values,
    group_count: usize,
) -> Result<Chunk, KernelError> {
    let Node::GroupReduce {
        x,
        reduction,
        axis,
        codes,
        extent,
        stage,
        ..
    } = step
    else {
        unreachable!("{step:?} is no reduction of groups")
    };
    let misfit = |why| task.misfit(node, why);
    let shape = values.meta(NodeId(x.0)).shape;
    let whole: Vec<i32> = table(task, *codes)?;
    let range = shape::extent(extent, task.block_index).map_err(misfit)?;
    let part = usize::try_from(range.start)
        .ok()
        .zip(usize::try_from(range.end).ok());
    let codes = part
        .and_then(|(start, end)| whole.get(start..end))
        .filter(|codes| codes.len() == shape[*axis]);
    let codes = codes.ok_or_else(|| {
        misfit(format!(
            "codes {range:?} of {} for an axis of {}",
            whole.len(),
            shape[*axis]
        ))
    })?;
    let lists = rows_of_groups(codes, group_count).map_err(misfit)?;
    let rows: Vec<Rows<'_>> = lists.iter().map(|list| Rows::List(list)).collect();

    // Labels walk along the rows, so that a group is some of them.
    let mut layout = Layout::new(&shape, &[*axis], usize::MAX);
    layout.is_runs = false;
    let group = carried(lazy::group(task, values, x.0 as usize, &layout.order)?, reduction);
    let mut walked_shape = vec![group_count];
    walked_shape.extend(layout.result_shape(false));
    crate::tensor::sizes(graticule_plan::DType::Float64, &walked_shape)?;
    let chunk = if is_order_statistic(&reduction.kind) {
        let tensor = order::selections(reduction, &group, &layout, &rows)?;
        if let graticule_ops::ReduceKind::Quantile { qs } = &reduction.kind {
            walked_shape.insert(0, qs.len());
        }
        tensor.reshape(&walked_shape)?.into()
    } else {
        let positions = Positions::new(task, std::slice::from_ref(extent), &layout).map_err(misfit)?;
        let elements = Elements {
            reduction,
            group: &group,
            layout: &layout,
            rows: &rows,
            stage: *stage,
            shape: &walked_shape,
            positions: Some(&positions),
            empty: Empty::IsNan,
        };
        visit(reduction, elements).expect("order statistics go another way")?
    };
    // The groups' axis moves from the front (after that of the quantiles) to where the labels' axis was.
    let front = walked_shape.len() - shape.len();
    let mut order: Vec<usize> = (0..walked_shape.len()).filter(|&place| place != front).collect();
    order.insert(front + axis, front);
    each_part(&chunk, |part| walked(part, &order))
}

/// The rows of each group; a sentence if a code is not a group's.
fn rows_of_groups(codes: &[i32], group_count: usize) -> Result<Vec<Vec<usize>>, String> {
    if group_count > GROUP_COUNT_MAX {
        return Err(format!("{group_count} groups, the limit is {GROUP_COUNT_MAX}"));
    }
    let mut lists = vec![Vec::new(); group_count];
    for (row, &code) in codes.iter().enumerate() {
        match usize::try_from(code) {
            Ok(group) if group < group_count => lists[group].push(row),
            Err(_) if code == -1 => {}
            _ => return Err(format!("code {code} of {group_count} groups")),
        }
    }
    Ok(lists)
}
