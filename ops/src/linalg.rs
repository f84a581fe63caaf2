use graticule_plan::DType;
use serde::{Deserialize, Serialize};

use crate::NodeId;

/// What is made of each matrix of a stack, whose last two axes are rows and columns.
///
/// What has several results lays them below one another in the rows of one matrix ([`LinalgKind::packed`]), so that one
/// task makes all of them at once and each is a slice. Rows that are shorter than others end in zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LinalgKind {
    /// The lower triangle `L` with `L @ L.T` the matrix, of which the lower triangle alone is read.
    Cholesky,
    /// `Q` and below it `R`: of all rows, or of as many as the shorter axis has.
    Qr {
        /// `Q` is square.
        complete: bool,
    },
    /// `U`, a row of the singular values, and `Vh`.
    Svd {
        /// `U` and `Vh` are square.
        full_matrices: bool,
    },
    /// A row of the singular values.
    SingularValues,
    /// A row of the eigenvalues, rising, and a column of a matrix below it for each. The lower triangle alone is read.
    Eigh,
    /// A row of the eigenvalues, rising. The lower triangle alone is read.
    Eigvalsh,
    /// A row of the eigenvalues, and a column of a matrix below it for each: complex whatever the matrix is.
    Eig,
    /// A row of the eigenvalues, complex whatever the matrix is.
    Eigvals,
    /// A column of the rows' numbers in the order in which they are pivots, and at its right `U` and, below its diagonal,
    /// `L`, whose ones on the diagonal are left out.
    Lu,
    /// What [`LinalgKind::Lu`] of some columns, the first operand, does to others: rows put in order, those of the upper
    /// triangle solved for, and the others with what was eliminated taken off.
    Eliminate,
    /// The matrix times the second operand.
    Times,
    /// The inverse.
    Inverse,
    /// The determinant's sign, and below it the logarithm of its magnitude.
    Slogdet,
    /// What the matrix is multiplied with to give the second operand.
    Solve,
    /// As `Solve`, of a matrix of which one triangle alone is read.
    SolveTriangular {
        /// The lower triangle.
        lower: bool,
        /// The diagonal counts as ones, whatever stands there.
        unit_diagonal: bool,
    },
}

impl LinalgKind {
    /// NumPy's or Dask's name.
    pub const fn name(self) -> &'static str {
        match self {
            LinalgKind::Cholesky => "cholesky",
            LinalgKind::Qr { .. } => "qr",
            LinalgKind::Svd { .. } => "svd",
            LinalgKind::SingularValues => "svdvals",
            LinalgKind::Eigh => "eigh",
            LinalgKind::Eigvalsh => "eigvalsh",
            LinalgKind::Eig => "eig",
            LinalgKind::Eigvals => "eigvals",
            LinalgKind::Lu => "lu",
            LinalgKind::Eliminate => "eliminate",
            LinalgKind::Times => "matmul",
            LinalgKind::Inverse => "inv",
            LinalgKind::Slogdet => "slogdet",
            LinalgKind::Solve => "solve",
            LinalgKind::SolveTriangular { .. } => "solve_triangular",
        }
    }

    /// Whether only square matrices will do.
    pub const fn needs_square(self) -> bool {
        !matches!(
            self,
            LinalgKind::Qr { .. }
                | LinalgKind::Svd { .. }
                | LinalgKind::SingularValues
                | LinalgKind::Lu
                | LinalgKind::Eliminate
                | LinalgKind::Times
        )
    }

    /// Whether there is a second operand, of [`LinalgKind::right_rows`].
    pub const fn has_right_side(self) -> bool {
        matches!(
            self,
            LinalgKind::Solve
                | LinalgKind::SolveTriangular { .. }
                | LinalgKind::Eliminate
                | LinalgKind::Times
        )
    }

    /// Rows of the second operand for a matrix of `rows` and `columns`.
    pub const fn right_rows(self, rows: u64, columns: u64) -> u64 {
        if matches!(self, LinalgKind::Times) {
            columns
        } else {
            rows
        }
    }

    /// The result's dtype for matrices of another.
    pub const fn dtype(self, operand: DType) -> DType {
        match (self, operand) {
            (LinalgKind::Eig | LinalgKind::Eigvals, DType::Float32) => DType::Complex64,
            (LinalgKind::Eig | LinalgKind::Eigvals, DType::Float64) => DType::Complex128,
            _ => operand,
        }
    }

    /// Rows and columns of the result for a matrix of `rows` and `columns`, and a second operand of `right` columns.
    pub fn packed(self, rows: u64, columns: u64, right: u64) -> (u64, u64) {
        let short = rows.min(columns);
        match self {
            LinalgKind::Qr { complete } => {
                let inner = if complete { rows } else { short };
                (rows + inner, inner.max(columns))
            }
            LinalgKind::Svd { full_matrices: true } => (rows + 1 + columns, rows.max(columns)),
            LinalgKind::Svd { full_matrices: false } => (rows + 1 + short, columns),
            LinalgKind::SingularValues => (1, short),
            LinalgKind::Eigh | LinalgKind::Eig => (1 + rows, columns),
            LinalgKind::Eigvalsh | LinalgKind::Eigvals => (1, columns),
            LinalgKind::Lu => (rows, 1 + columns),
            LinalgKind::Eliminate | LinalgKind::Times => (rows, right),
            LinalgKind::Slogdet => (2, 1),
            LinalgKind::Cholesky | LinalgKind::Inverse => (rows, columns),
            LinalgKind::Solve | LinalgKind::SolveTriangular { .. } => (columns, right),
        }
    }
}

/// Makes something of each matrix of a stack of floats or complex numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linalg {
    /// The matrices, and what else [`LinalgKind::has_right_side`] asks for, with the same axes before the last two.
    pub xs: Vec<NodeId>,
    /// What is made.
    pub kind: LinalgKind,
    /// The most elements of one matrix and of what is made of it.
    pub matrix_elements: u64,
}
