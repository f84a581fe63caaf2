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
    /// A row of the rows' numbers in the order in which they are pivots, `L` with ones on its diagonal, and `U`.
    Lu,
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
            LinalgKind::Lu => "lu",
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
            LinalgKind::Qr { .. } | LinalgKind::Svd { .. } | LinalgKind::SingularValues | LinalgKind::Lu
        )
    }

    /// Whether there is a second operand, with as many rows as the matrix.
    pub const fn has_right_side(self) -> bool {
        matches!(self, LinalgKind::Solve | LinalgKind::SolveTriangular { .. })
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
            LinalgKind::Eigh => (1 + rows, columns),
            LinalgKind::Eigvalsh => (1, columns),
            LinalgKind::Lu => (1 + rows + short, rows.max(columns)),
            LinalgKind::Slogdet => (2, 1),
            LinalgKind::Cholesky | LinalgKind::Inverse => (rows, columns),
            LinalgKind::Solve | LinalgKind::SolveTriangular { .. } => (columns, right),
        }
    }
}

/// Makes something of each matrix of a stack of float32 or float64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linalg {
    /// The matrices, and what else [`LinalgKind::has_right_side`] asks for, with the same axes before the last two.
    pub xs: Vec<NodeId>,
    /// What is made.
    pub kind: LinalgKind,
    /// The most elements of one matrix and of what is made of it.
    pub matrix_elements: u64,
}
