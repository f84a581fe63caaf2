//! Tensors as `.npy` files, so that Python can compare them.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, bail};
use graticule_kernel::Tensor;
use graticule_plan::DType;

/// Writes a tensor as NumPy's `save` would.
///
/// # Errors
/// If the file cannot be written, or NumPy has no such dtype.
pub(super) fn save(path: &Path, tensor: &Tensor) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut file = fs::File::create(path).with_context(context)?;
    file.write_all(&header(tensor.dtype(), tensor.shape())?)
        .and_then(|()| file.write_all(tensor.bytes()))
        .with_context(context)
}

/// Version 1 of the format: the header's end is at a multiple of 64 bytes.
fn header(dtype: DType, shape: &[usize]) -> anyhow::Result<Vec<u8>> {
    let descr = match dtype {
        DType::Bool => "|b1",
        DType::Int32 => "<i4",
        DType::Int64 => "<i8",
        DType::UInt16 => "<u2",
        DType::UInt64 => "<u8",
        DType::Float32 => "<f4",
        DType::Float64 => "<f8",
        other => bail!("no program gives {other}"),
    };
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({lengths}), }}");
    let unpadded = 10 + text.len() + 1;
    text.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_where_numpy_wants_it_to() {
        let header = header(DType::Float32, &[24, 7]).expect("a dtype of NumPy");
        assert_eq!(header.len() % 64, 0);
        let text = String::from_utf8_lossy(&header[10..]);
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (24, 7, ), }"));
        assert!(text.ends_with('\n'));
    }
}
