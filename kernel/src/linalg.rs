//! What is made of each matrix of a stack.

use graticule_numerics::linalg::{Item, Matrices, MatrixProblem};
use graticule_ops::{Linalg, LinalgKind};
use graticule_plan::DType;
use num_complex::Complex;

use crate::{
    Chunk, Element, KernelError, Tensor, TensorMut, lazy,
    program::{Task, Values, single},
};

/// The value of a `Linalg` node.
pub(crate) fn node(
    task: &Task<'_>,
    node: usize,
    step: &Linalg,
    values: &mut Values,
) -> Result<Chunk, KernelError> {
    for x in &step.xs {
        lazy::force(task, values, x.0 as usize)?;
    }
    let operand = |place: usize| single(values.ready(step.xs[place].0 as usize).expect("just forced"));
    let count = 1 + usize::from(step.kind.has_right_side());
    if step.xs.len() != count {
        return Err(task.misfit(node, format!("{} operands, want {count}", step.xs.len())));
    }
    let x = operand(0)?;
    let right = if count == 2 { Some(operand(1)?) } else { None };
    let stack = Stack::new(step.kind, x, right).map_err(|why| task.misfit(node, why))?;
    let made = match x.dtype() {
        DType::Float32 => stack.made::<f32>(x, right),
        DType::Float64 => stack.made::<f64>(x, right),
        DType::Complex64 => stack.made::<Complex<f32>>(x, right),
        DType::Complex128 => stack.made::<Complex<f64>>(x, right),
        dtype => {
            return Err(task.misfit(
                node,
                format!("matrices of {dtype}, want floats or complex numbers"),
            ));
        }
    };
    made.map(Chunk::from).map_err(|failed| match failed {
        Failed::Kernel(error) => error,
        Failed::Matrix { problem, matrix } => KernelError::Matrix {
            operation: step.kind.name(),
            problem,
            matrix,
            block: task.block_index.to_vec(),
        },
    })
}

enum Failed {
    Kernel(KernelError),
    Matrix { problem: MatrixProblem, matrix: usize },
}

/// Matrices in C order, one after the other.
struct Stack {
    kind: LinalgKind,
    batch: Vec<usize>,
    rows: usize,
    columns: usize,
    right: usize,
}

impl Stack {
    fn new(kind: LinalgKind, x: &Tensor, right: Option<&Tensor>) -> Result<Self, String> {
        let [batch @ .., rows, columns] = x.shape() else {
            return Err(format!("no matrices in shape {:?}", x.shape()));
        };
        if kind == LinalgKind::Eliminate && *columns == 0 {
            return Err("no column that names the rows".into());
        }
        if kind.needs_square() && rows != columns {
            return Err(format!(
                "matrices of {rows} rows and {columns} columns are not square"
            ));
        }
        let beside = kind.right_rows(*rows as u64, *columns as u64) as usize;
        let width = match right.map(|right| (right.dtype(), right.shape())) {
            None => 0,
            Some((dtype, [others @ .., height, width]))
                if dtype == x.dtype() && others == batch && *height == beside =>
            {
                *width
            }
            Some((dtype, shape)) => {
                let (own, have) = (x.dtype(), x.shape());
                return Err(format!(
                    "a right side of {dtype} and shape {shape:?} for {own} of {have:?}"
                ));
            }
        };
        Ok(Self {
            kind,
            batch: batch.to_vec(),
            rows: *rows,
            columns: *columns,
            right: width,
        })
    }

    fn made<T: Item + Element>(&self, x: &Tensor, right: Option<&Tensor>) -> Result<Tensor, Failed>
    where
        T::Complex: Element,
    {
        match self.kind {
            LinalgKind::Eig => self.each(x, right, |matrix: &Matrices<'_, T>, out| {
                T::eig(matrix, true, out)
            }),
            LinalgKind::Eigvals => self.each(x, right, |matrix: &Matrices<'_, T>, out| {
                T::eig(matrix, false, out)
            }),
            kind => self.each(x, right, |matrix: &Matrices<'_, T>, out| {
                T::make(matrix, kind, out)
            }),
        }
    }

    /// Makes results of type `O` of matrices of type `T`.
    fn each<T: Element, O: Element>(
        &self,
        x: &Tensor,
        right: Option<&Tensor>,
        make: impl Fn(&Matrices<'_, T>, &mut [O]) -> Result<(), MatrixProblem>,
    ) -> Result<Tensor, Failed> {
        let (rows, columns) = (self.rows, self.columns);
        let packed = self.kind.packed(rows as u64, columns as u64, self.right as u64);
        let packed = (packed.0 as usize, packed.1 as usize);
        let shape = [&self.batch[..], &[packed.0, packed.1]].concat();
        let mut out = TensorMut::zeros(O::DTYPE, &shape).map_err(Failed::Kernel)?;
        if shape.contains(&0) {
            return Ok(out.freeze());
        }
        let beside = self.kind.right_rows(rows as u64, columns as u64) as usize * self.right;
        let elements = T::slice(x.bytes());
        let right = right.map(|right| T::slice(right.bytes()));
        let places = out.slice_mut::<O>().chunks_exact_mut(packed.0 * packed.1);
        for (matrix, place) in places.enumerate() {
            let x = &elements[matrix * rows * columns..][..rows * columns];
            let right = right.map(|right| &right[matrix * beside..][..beside]);
            let matrices = Matrices {
                x,
                rows,
                columns,
                right: right.unwrap_or_default(),
                width: packed.1,
            };
            make(&matrices, place).map_err(|problem| Failed::Matrix { problem, matrix })?;
        }
        Ok(out.freeze())
    }
}
