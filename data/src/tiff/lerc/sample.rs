//! The types of values in a blob.

/// A type of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleKind {
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Float32,
    Float64,
}

/// The types in the order of their codes in a blob.
const KINDS: [SampleKind; 8] = [
    SampleKind::Int8,
    SampleKind::UInt8,
    SampleKind::Int16,
    SampleKind::UInt16,
    SampleKind::Int32,
    SampleKind::UInt32,
    SampleKind::Float32,
    SampleKind::Float64,
];

impl SampleKind {
    pub(super) fn from_code(code: i32) -> Option<Self> {
        KINDS.get(usize::try_from(code).ok()?).copied()
    }

    /// Bytes of a value.
    pub(crate) fn size(self) -> usize {
        match self {
            SampleKind::Int8 | SampleKind::UInt8 => 1,
            SampleKind::Int16 | SampleKind::UInt16 => 2,
            SampleKind::Int32 | SampleKind::UInt32 | SampleKind::Float32 => 4,
            SampleKind::Float64 => 8,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, SampleKind::Float32 | SampleKind::Float64)
    }

    /// The smaller type in which a tile stores its offset, by the two bits for it in the tile's flag.
    pub(super) fn reduced(self, code: u8) -> Option<Self> {
        use SampleKind::{Float32, Float64, Int8, Int16, Int32, UInt8, UInt16, UInt32};
        let found = match (self, code) {
            (kind, 0) => kind,
            (Int8 | UInt8, _) => self,
            (Int16, 1) | (UInt16, 1) | (Int32, 3) | (UInt32, 2) | (Float32, 2 | 3) => UInt8,
            (Int16, 2) => Int8,
            (Int32, 1) | (UInt32, 1) => UInt16,
            (Int32, 2) | (Float32, 1) | (Float64, 3) => Int16,
            (Float64, 2) => Int32,
            (Float64, 1) => Float32,
            _ => return None,
        };
        Some(found)
    }

    /// Reads a value from little-endian bytes; `None` if they are too few.
    pub(super) fn read_f64(self, bytes: &[u8]) -> Option<f64> {
        fn read<T: Sample>(bytes: &[u8]) -> Option<f64> {
            let bytes = bytes.get(..T::KIND.size())?;
            Some(T::from_le(bytes).to_f64())
        }
        match self {
            SampleKind::Int8 => read::<i8>(bytes),
            SampleKind::UInt8 => read::<u8>(bytes),
            SampleKind::Int16 => read::<i16>(bytes),
            SampleKind::UInt16 => read::<u16>(bytes),
            SampleKind::Int32 => read::<i32>(bytes),
            SampleKind::UInt32 => read::<u32>(bytes),
            SampleKind::Float32 => read::<f32>(bytes),
            SampleKind::Float64 => read::<f64>(bytes),
        }
    }
}

/// A value of a blob.
pub(super) trait Sample: Copy {
    const KIND: SampleKind;
    /// What a pixel outside the mask is.
    const MISSING: Option<Self>;

    /// From the first bytes of `bytes`, which has enough.
    fn from_le(bytes: &[u8]) -> Self;
    /// The nearest value towards zero.
    fn from_f64(number: f64) -> Self;
    fn to_f64(self) -> f64;
    /// Writes to the start of `to` in native byte order.
    fn put(self, to: &mut [u8]);
    /// Reads from the start of `from` in native byte order.
    fn take(from: &[u8]) -> Self;
}

macro_rules! sample {
    ($($number:ident, $kind:ident, $missing:expr;)*) => {
        $(impl Sample for $number {
            const KIND: SampleKind = SampleKind::$kind;
            const MISSING: Option<Self> = $missing;

            fn from_le(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(&bytes[..size_of::<Self>()]);
                Self::from_le_bytes(own)
            }

            fn from_f64(number: f64) -> Self {
                number as Self
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn put(self, to: &mut [u8]) {
                to[..size_of::<Self>()].copy_from_slice(&self.to_ne_bytes());
            }

            fn take(from: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(&from[..size_of::<Self>()]);
                Self::from_ne_bytes(own)
            }
        })*
    };
}

sample! {
    i8, Int8, None;
    u8, UInt8, None;
    i16, Int16, None;
    u16, UInt16, None;
    i32, Int32, None;
    u32, UInt32, None;
    f32, Float32, Some(f32::NAN);
    f64, Float64, Some(f64::NAN);
}
