use graticule_plan::DType;
use serde::{Deserialize, Serialize};

use crate::NodeId;

/// Which transform is made of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FourierKind {
    /// Of real or complex numbers, to as many complex ones.
    Forward,
    /// Of real or complex numbers, back.
    Inverse,
    /// Of real numbers: the first half of the result and the element in its middle, of which the others are conjugates.
    RealForward,
    /// Of such a half, back to real numbers.
    RealInverse,
}

/// Which direction of a transform is divided by the number of elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FourierNorm {
    /// The inverse one.
    #[default]
    Backward,
    /// Both, by the root of it.
    Ortho,
    /// The forward one.
    Forward,
}

impl FourierNorm {
    /// The norm that does to one direction what this one does to the other.
    #[must_use]
    pub const fn swapped(self) -> Self {
        match self {
            FourierNorm::Backward => FourierNorm::Forward,
            FourierNorm::Ortho => FourierNorm::Ortho,
            FourierNorm::Forward => FourierNorm::Backward,
        }
    }
}

/// What is made of each line along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Transform {
    /// The axis.
    pub axis: usize,
    /// Elements of the whole transform, at least 1. Lines that are shorter end in zeros, of longer ones the first elements
    /// count.
    pub len: u64,
    /// Which.
    pub kind: FourierKind,
    /// What it is divided by.
    pub norm: FourierNorm,
}

impl Transform {
    /// NumPy's name.
    pub const fn name(self) -> &'static str {
        match self.kind {
            FourierKind::Forward => "fft",
            FourierKind::Inverse => "ifft",
            FourierKind::RealForward => "rfft",
            FourierKind::RealInverse => "irfft",
        }
    }

    /// Elements of a line that count.
    pub const fn read_len(self) -> u64 {
        match self.kind {
            FourierKind::RealInverse => self.len / 2 + 1,
            _ => self.len,
        }
    }

    /// Elements of a line of the result.
    pub const fn made_len(self) -> u64 {
        match self.kind {
            FourierKind::RealForward => self.len / 2 + 1,
            _ => self.len,
        }
    }

    /// The result's dtype; `None` for an operand that must be converted first.
    pub fn dtype(self, operand: DType) -> Option<DType> {
        let (real, complex) = match operand {
            DType::Float32 | DType::Complex64 => (DType::Float32, DType::Complex64),
            DType::Float64 | DType::Complex128 => (DType::Float64, DType::Complex128),
            _ => return None,
        };
        match (self.kind, operand.is_complex()) {
            (FourierKind::Forward | FourierKind::Inverse, _) | (FourierKind::RealForward, false) => {
                Some(complex)
            }
            (FourierKind::RealInverse, true) => Some(real),
            (FourierKind::RealForward, true) | (FourierKind::RealInverse, false) => None,
        }
    }

    /// What each sum is multiplied with.
    pub fn factor(self) -> f64 {
        let is_inverse = matches!(self.kind, FourierKind::Inverse | FourierKind::RealInverse);
        let len = self.len as f64;
        match self.norm {
            FourierNorm::Ortho => 1.0 / len.sqrt(),
            FourierNorm::Backward if is_inverse => 1.0 / len,
            FourierNorm::Forward if !is_inverse => 1.0 / len,
            FourierNorm::Backward | FourierNorm::Forward => 1.0,
        }
    }

    /// Lines that are transformed side by side, so that what lies side by side in memory is read together.
    pub const fn lines(self) -> u64 {
        let fit = STRIP_LEN / if self.len == 0 { 1 } else { self.len };
        if fit == 0 {
            1
        } else if fit > LINES_MAX {
            LINES_MAX
        } else {
            fit
        }
    }
}

/// Elements of lines that are transformed side by side.
const STRIP_LEN: u64 = 1 << 16;
/// The most lines of them: one cache line each way.
const LINES_MAX: u64 = 16;

/// Fourier transforms of lines along an axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fourier {
    /// Operand, with all elements of the axis.
    pub x: NodeId,
    /// Which transform.
    pub transform: Transform,
}
