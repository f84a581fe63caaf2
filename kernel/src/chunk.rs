use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use graticule_plan::{DType, NDIM_MAX};

use crate::{ALIGN_BYTES, KernelError, Tensor, tensor::sizes};

/// The most parts of a chunk.
pub const PART_COUNT_MAX: usize = 16;

const MAGIC: &[u8; 4] = b"GCH1";
/// Magic, part count, bytes of the header with its padding.
const PREFIX_BYTES: usize = 12;
/// The longest header.
pub(crate) const HEADER_BYTES_MAX: usize =
    (PREFIX_BYTES + PART_COUNT_MAX * (2 + 8 * NDIM_MAX)).next_multiple_of(ALIGN_BYTES);

/// A block's data: one tensor, or several of one shape where it is a partial result (count with mean and M2).
///
/// Cloning is cheap. A chunk without parts stands for data that nobody had to send: an empty window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunk {
    parts: Vec<Tensor>,
}

impl From<Tensor> for Chunk {
    fn from(part: Tensor) -> Self {
        Self { parts: vec![part] }
    }
}

impl Chunk {
    /// Puts parts together.
    ///
    /// # Errors
    /// [`KernelError::Window`] if their shapes differ or there are more than [`PART_COUNT_MAX`].
    pub fn new(parts: Vec<Tensor>) -> Result<Self, KernelError> {
        if parts.len() > PART_COUNT_MAX || parts.windows(2).any(|pair| pair[0].shape() != pair[1].shape()) {
            let shapes: Vec<_> = parts.iter().map(Tensor::shape).collect();
            return Err(KernelError::Window(format!(
                "parts of shapes {shapes:?} make no chunk"
            )));
        }
        Ok(Self { parts })
    }

    /// The parts.
    pub fn parts(&self) -> &[Tensor] {
        &self.parts
    }

    /// The parts, handed over.
    pub fn into_parts(self) -> Vec<Tensor> {
        self.parts
    }

    /// The tensor of a chunk that is no tuple.
    pub fn single(&self) -> Option<&Tensor> {
        if let [only] = &self.parts[..] {
            Some(only)
        } else {
            None
        }
    }

    /// Elements along each axis; empty for a chunk without parts.
    pub fn shape(&self) -> &[usize] {
        self.parts.first().map_or(&[], Tensor::shape)
    }

    /// The parts' dtypes.
    pub fn dtypes(&self) -> Vec<DType> {
        self.parts.iter().map(Tensor::dtype).collect()
    }

    /// Bytes of all elements.
    pub fn nbytes(&self) -> u64 {
        self.parts.iter().map(Tensor::nbytes).sum()
    }

    /// The elements of a box: the chunk itself if it is the whole, else a copy.
    ///
    /// # Errors
    /// [`KernelError::Window`] if the box is not within the chunk.
    pub fn region(&self, region: &[Range<u64>]) -> Result<Self, KernelError> {
        let parts = self.parts.iter().map(|part| part.region(region));
        Ok(Self {
            parts: parts.collect::<Result<_, _>>()?,
        })
    }

    /// The header of the encoded form: dtypes and shapes, little endian, padded to [`ALIGN_BYTES`].
    ///
    /// After it come the parts' bytes, each padded to [`ALIGN_BYTES`]; see [`frames`](Self::frames).
    pub fn encode_header(&self) -> Bytes {
        let mut header = BytesMut::with_capacity(self.header_len());
        self.put_header(&mut header);
        header.freeze()
    }

    fn header_len(&self) -> usize {
        let body: usize = self.parts.iter().map(|part| 2 + 8 * part.ndim()).sum();
        (PREFIX_BYTES + body).next_multiple_of(ALIGN_BYTES)
    }

    /// Writes the header; nothing stands before it.
    fn put_header(&self, header: &mut BytesMut) {
        let len = self.header_len();
        header.put_slice(MAGIC);
        header.put_u32_le(self.parts.len() as u32);
        header.put_u32_le(len as u32);
        for part in &self.parts {
            header.put_u8(dtype_code(part.dtype()));
            header.put_u8(part.ndim() as u8);
            part.shape()
                .iter()
                .for_each(|&axis| header.put_u64_le(axis as u64));
        }
        header.resize(len, 0);
    }

    /// The encoded form in pieces, of which the parts' are handles on the chunk's own memory.
    pub fn frames(&self) -> Vec<Bytes> {
        static PADDING: [u8; ALIGN_BYTES] = [0; ALIGN_BYTES];
        let mut frames = vec![self.encode_header()];
        for part in &self.parts {
            let bytes = part.to_bytes();
            let padding = bytes.len().next_multiple_of(ALIGN_BYTES) - bytes.len();
            frames.push(bytes);
            frames.push(Bytes::from_static(&PADDING[..padding]));
        }
        frames.retain(|frame| !frame.is_empty());
        frames
    }

    /// Bytes of the encoded form.
    pub fn encoded_len(&self) -> u64 {
        let padded = |part: &Tensor| part.nbytes().next_multiple_of(ALIGN_BYTES as u64);
        self.header_len() as u64 + self.parts.iter().map(padded).sum::<u64>()
    }

    /// The encoded form in one piece, copied.
    pub fn encode(&self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.encoded_len() as usize);
        self.put_header(&mut all);
        for part in &self.parts {
            all.put_slice(part.bytes());
            all.resize(all.len().next_multiple_of(ALIGN_BYTES), 0);
        }
        all.freeze()
    }

    /// Reads the encoded form; parts that lie aligned are handles on `bytes`.
    ///
    /// # Errors
    /// [`KernelError::Decode`] for bytes that are damaged, cut short or too many.
    pub fn decode(bytes: &Bytes) -> Result<Self, KernelError> {
        let (parts, mut at) = decode_header(bytes)?;
        let mut tensors = Vec::with_capacity(parts.len());
        for (dtype, shape) in parts {
            let (_, len) = sizes(dtype, &shape).map_err(|e| KernelError::Decode(e.to_string()))?;
            let end = at
                .checked_add(len.next_multiple_of(ALIGN_BYTES))
                .filter(|&end| end <= bytes.len());
            let end = end.ok_or_else(|| {
                KernelError::Decode(format!(
                    "{} bytes, but a part of {len} begins at {at}",
                    bytes.len()
                ))
            })?;
            tensors.push(Tensor::from_bytes(dtype, &shape, bytes.slice(at..at + len))?);
            at = end;
        }
        if at != bytes.len() {
            return Err(KernelError::Decode(format!(
                "{} bytes left over",
                bytes.len() - at
            )));
        }
        Self::new(tensors).map_err(|e| KernelError::Decode(e.to_string()))
    }
}

/// Dtypes and shapes of a chunk's parts.
pub type PartHeads = Vec<(DType, Vec<usize>)>;

/// The dtypes and shapes that an [encoded header](Chunk::encode_header) names, and the bytes behind it.
///
/// # Errors
/// [`KernelError::Decode`] if it is none.
pub fn split_header(bytes: &[u8]) -> Result<(PartHeads, &[u8]), KernelError> {
    let (parts, end) = decode_header(bytes)?;
    Ok((parts, &bytes[end..]))
}

/// How long the header is that begins so; `None` if not enough of it is there.
pub(crate) fn header_len(head: &[u8]) -> Result<Option<usize>, KernelError> {
    let Some(prefix) = head.get(..PREFIX_BYTES) else {
        return Ok(None);
    };
    if &prefix[..4] != MAGIC {
        return Err(KernelError::Decode("it does not begin as one".into()));
    }
    let len = u32::from_le_bytes(prefix[8..12].try_into().expect("four bytes"));
    Ok(Some((len as usize).max(PREFIX_BYTES)))
}

/// The parts' dtypes and shapes, and where the first part begins.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<(PartHeads, usize), KernelError> {
    let failed = |why: String| Err(KernelError::Decode(why));
    let word = |at: usize| {
        bytes
            .get(at..at + 4)
            .map(|b| u32::from_le_bytes(b.try_into().expect("four bytes")) as usize)
    };
    if bytes.get(..4) != Some(MAGIC) {
        return failed("it does not begin as one".into());
    }
    let (Some(count), Some(len)) = (word(4), word(8)) else {
        return failed("header cut short".into());
    };
    if count > PART_COUNT_MAX || len < PREFIX_BYTES || !len.is_multiple_of(ALIGN_BYTES) || len > bytes.len() {
        return failed(format!(
            "{count} parts, a header of {len} bytes, {} bytes in all",
            bytes.len()
        ));
    }
    let mut rest = &bytes[PREFIX_BYTES..len];
    let mut parts = Vec::with_capacity(count);
    for part in 0..count {
        let [code, ndim, tail @ ..] = rest else {
            return failed(format!("part {part}: header cut short"));
        };
        let (dtype, ndim) = (dtype_of(*code), usize::from(*ndim));
        let (Some(dtype), true, true) = (dtype, ndim <= NDIM_MAX, tail.len() >= 8 * ndim) else {
            return failed(format!("part {part}: dtype code {code}, {ndim} axes"));
        };
        let (lens, tail) = tail.split_at(8 * ndim);
        let lens = lens
            .chunks_exact(8)
            .map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
        match lens.map(usize::try_from).collect() {
            Ok(shape) => parts.push((dtype, shape)),
            Err(_) => return failed(format!("part {part}: an axis is too long")),
        }
        rest = tail;
    }
    if rest.iter().any(|&byte| byte != 0) {
        return failed("padding is not zero".into());
    }
    Ok((parts, len))
}

/// The code of a dtype on wire and disk; never renumbered.
const fn dtype_code(dtype: DType) -> u8 {
    match dtype {
        DType::Bool => 1,
        DType::Int8 => 2,
        DType::Int16 => 3,
        DType::Int32 => 4,
        DType::Int64 => 5,
        DType::UInt8 => 6,
        DType::UInt16 => 7,
        DType::UInt32 => 8,
        DType::UInt64 => 9,
        DType::Float32 => 10,
        DType::Float64 => 11,
        DType::Complex64 => 12,
        DType::Complex128 => 13,
        DType::Float16 => 14,
        DType::DateTime64(unit) => 32 + unit as u8,
        DType::TimeDelta64(unit) => 64 + unit as u8,
    }
}

fn dtype_of(code: u8) -> Option<DType> {
    DType::ALL.into_iter().find(|&dtype| dtype_code(dtype) == code)
}
