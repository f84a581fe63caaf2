//! Reductions of the elements with the same label along one or several axes.

use std::ops::Range;

use graticule_ops::{GroupCodes, Node, NodeId, ReduceKind, Reduction, Stage};

use super::{
    Layout, Positions, RUN_LEN_MIN, carried, check,
    drive::Rows,
    is_order_statistic, order,
    scatter::{Labels, Scattered, is_scattered},
    stage::{Combine, Elements, Empty},
    visit::visit,
    walked,
};
use crate::{
    Chunk, KernelError, lazy,
    movement::each_part,
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
        axes,
        groups,
        stage,
        ..
    } = step
    else {
        unreachable!("{step:?} is no reduction of groups")
    };
    let misfit = |why| task.misfit(node, why);
    check(values, *x, reduction, axes, *stage).map_err(misfit)?;
    let groups = shape::extent(groups, task.block_index).map_err(misfit)?;
    let group_count = usize::try_from(groups.end - groups.start).map_err(|e| misfit(e.to_string()))?;
    if axes.is_empty() || group_count > GROUP_COUNT_MAX {
        let why = format!("{group_count} groups of {axes:?}, the limit is {GROUP_COUNT_MAX}");
        return Err(misfit(why));
    }
    match stage {
        Stage::Whole | Stage::Partial => elements(task, node, step, values, group_count),
        Stage::Combine | Stage::Final => {
            lazy::force(task, values, x.0 as usize)?;
            let partials = values.ready(x.0 as usize).expect("just forced");
            combined(partials, reduction, axes, *stage, group_count)?.map_err(misfit)
        }
    }
}

/// Stages `Combine` and `Final`; a sentence if the partials do not come in sets.
fn combined(
    partials: &Chunk,
    reduction: &Reduction,
    axes: &[usize],
    stage: Stage,
    group_count: usize,
) -> Result<Result<Chunk, String>, KernelError> {
    // Sets of `group_count` partials, one after the other: an axis of sets and one of groups.
    let (first, others) = axes.split_first().expect("the caller looked");
    let mut shape = partials.shape().to_vec();
    let sets = shape[*first].checked_div(group_count).unwrap_or(0);
    if sets * group_count != shape[*first] {
        let why = format!("{} partials in sets of {group_count}", shape[*first]);
        return Ok(Err(why));
    }
    shape.splice(*first..=*first, [sets, group_count]);
    let partials = each_part(partials, |part| part.reshape(&shape))?;
    let reduced: Vec<usize> = std::iter::once(*first)
        .chain(others.iter().map(|axis| axis + 1))
        .collect();
    let layout = Layout::new(&shape, &reduced, usize::MAX);
    let shape = layout.result_shape(false);
    let combine = Combine {
        reduction,
        partials: &partials,
        layout: &layout,
        stage,
        shape: &shape,
        empty: Empty::IsNan,
    };
    let chunk = visit(reduction, combine).expect("order statistics have no partials")?;
    Ok(Ok(with_ones(chunk, others, stage == Stage::Combine)?))
}

/// A result with an axis of one element for each reduced axis but the first, if it is a partial.
fn with_ones(chunk: Chunk, others: &[usize], is_partial: bool) -> Result<Chunk, KernelError> {
    if !is_partial || others.is_empty() {
        return Ok(chunk);
    }
    let mut shape = chunk.shape().to_vec();
    others.iter().for_each(|&axis| shape.insert(axis, 1));
    each_part(&chunk, |part| part.reshape(&shape))
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
        axes,
        codes,
        extents,
        stage,
        ..
    } = step
    else {
        unreachable!("{step:?} is no reduction of groups")
    };
    let misfit = |why| task.misfit(node, why);
    let shape = values.meta(NodeId(x.0)).shape;
    let table = task
        .tables
        .table(*codes)
        .ok_or(KernelError::NoSuchTable(*codes))?;
    let mut layout = Layout::new(&shape, axes, RUN_LEN_MIN);
    let is_ordered = is_order_statistic(&reduction.kind);
    let is_scattered = !is_ordered && is_scattered(reduction, &layout, group_count);
    if !is_scattered {
        // Labels walk along the rows, so that a group is some of them.
        layout.is_runs = false;
        layout.order.sort_by_key(|axis| !axes.contains(axis));
    }
    let positions = Positions::new(task, extents, &layout).map_err(misfit)?;
    let codes = GroupCodes::new(&table)?;

    let group = carried(lazy::group(task, values, x.0 as usize, &layout.order)?, reduction);
    let mut walked_shape = layout.result_shape(false);
    let free = walked_shape.len();
    walked_shape.insert(if is_scattered { free } else { 0 }, group_count);
    crate::tensor::sizes(graticule_plan::DType::Float64, &walked_shape)?;
    if is_scattered {
        let labels = labels_of_block(codes, &positions).map_err(misfit)?;
        match &labels {
            Labels::Runs(runs) => check_codes(runs.iter().map(|run| run.0), group_count),
            Labels::Each(codes) => check_codes(codes.iter().copied(), group_count),
        }
        .map_err(misfit)?;
        let scattered = Scattered {
            reduction,
            group: &group,
            columns: layout.columns,
            rows: layout.rows,
            labels: &labels,
            group_count,
            stage: *stage,
            shape: &walked_shape,
            positions: &positions,
        };
        let chunk = visit(reduction, scattered).expect("order statistics go another way")?;
        return placed(&chunk, free, axes, 0, *stage);
    }
    let codes = codes_of_block(codes, &positions).map_err(misfit)?;
    check_codes(codes.iter().copied(), group_count).map_err(misfit)?;
    let lists = rows_of_groups(&codes, group_count);
    let rows: Vec<Rows<'_>> = lists.iter().map(|list| Rows::List(list)).collect();
    if is_ordered {
        let tensor = order::selections(reduction, &group, &layout, &rows)?;
        if let ReduceKind::Quantile { qs } = &reduction.kind {
            walked_shape.insert(0, qs.len());
        }
        let lead = walked_shape.len() - 1 - free;
        return placed(&tensor.reshape(&walked_shape)?.into(), lead, axes, lead, *stage);
    }
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
    let chunk = visit(reduction, elements).expect("order statistics go another way")?;
    placed(&chunk, 0, axes, 0, *stage)
}

/// A result whose groups are at axis `place`, with them where the labels' first axis was, behind `lead` axes of quantiles.
fn placed(
    chunk: &Chunk,
    place: usize,
    axes: &[usize],
    lead: usize,
    stage: Stage,
) -> Result<Chunk, KernelError> {
    let mut order: Vec<usize> = (0..chunk.shape().len()).filter(|&axis| axis != place).collect();
    order.insert(lead + axes[0], place);
    let chunk = each_part(chunk, |part| walked(part, &order))?;
    with_ones(chunk, &axes[1..], stage == Stage::Partial)
}

/// The codes of a block's elements; a sentence if there is not one for each element of the whole.
fn codes_of_block(whole: GroupCodes<'_>, block: &Positions) -> Result<Vec<i32>, String> {
    let mut codes = Vec::new();
    for range in ranges_of_block(whole, block)? {
        whole.read(range, &mut codes);
    }
    Ok(codes)
}

/// Labels of a run on the average, from which on they are kept as runs.
const LABEL_RUN_MIN: usize = 8;

/// [`codes_of_block`], as runs if there are many alike side by side.
fn labels_of_block(whole: GroupCodes<'_>, block: &Positions) -> Result<Labels, String> {
    let (mut runs, mut count) = (Vec::new(), 0);
    for range in ranges_of_block(whole, block)? {
        count += range.len();
        whole.read_runs(range, &mut runs);
        if runs.len() > 1 + count / LABEL_RUN_MIN {
            return codes_of_block(whole, block).map(Labels::Each);
        }
    }
    Ok(Labels::Runs(runs))
}

/// Where the codes of a block's elements are in the whole, in their order.
fn ranges_of_block(whole: GroupCodes<'_>, block: &Positions) -> Result<Vec<Range<usize>>, String> {
    let wrong = || format!("{} codes for axes of {:?}", whole.len(), block.axes);
    let count = block
        .axes
        .iter()
        .try_fold(1u64, |count, axis| count.checked_mul(axis.2));
    if count != Some(whole.len() as u64) {
        return Err(wrong());
    }
    let (last, others) = block.axes.split_last().ok_or_else(wrong)?;
    let mut starts = vec![0u64];
    for (len, start, whole_len) in others {
        starts = starts
            .iter()
            .flat_map(|at| (*start..start + len).map(move |row| at * whole_len + row))
            .collect();
    }
    let range = |at: u64| {
        let from = (at * last.2 + last.1) as usize;
        let end = from + last.0 as usize;
        (end <= whole.len()).then_some(from..end).ok_or_else(wrong)
    };
    starts.into_iter().map(range).collect()
}

/// Checks that each code is a group's or -1; a sentence if one is not.
fn check_codes(codes: impl Iterator<Item = i32> + Clone, group_count: usize) -> Result<(), String> {
    // One more is a group's number one above, and 0 for none: what is less than none is very great.
    let is_wrong = |code: i32| code.wrapping_add(1) as u32 as usize > group_count;
    if codes.clone().fold(false, |any, code| any | is_wrong(code)) {
        let code = codes.into_iter().find(|&code| is_wrong(code)).expect("one is");
        return Err(format!("code {code} of {group_count} groups"));
    }
    Ok(())
}

/// The rows of each group.
fn rows_of_groups(codes: &[i32], group_count: usize) -> Vec<Vec<usize>> {
    let mut lists = vec![Vec::new(); group_count];
    for (row, &code) in codes.iter().enumerate() {
        if let Ok(group) = usize::try_from(code) {
            lists[group].push(row);
        }
    }
    lists
}
