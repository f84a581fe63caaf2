//! Long reads of local files, into memory that this process keeps for the next ones: what is fresh from the system takes
//! longer to be had than to be read into.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

use bytes::Bytes;
use graticule_kernel::{LARGE_BYTES_MIN, TensorMut, as_scratch};
use graticule_plan::DType;

/// Whether a read of so many bytes is worth it.
pub(super) fn is_long(range: &Range<u64>) -> bool {
    range.end.saturating_sub(range.start) >= LARGE_BYTES_MIN as u64
}

/// The bytes of some ranges, each shorter where the file ends within it.
///
/// # Errors
/// The system's.
pub(super) async fn read(file: File, ranges: Vec<Range<u64>>) -> io::Result<Vec<Bytes>> {
    let read = move || ranges.iter().map(|range| read_range(&file, range)).collect();
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

fn read_range(file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let mut buffer =
        as_scratch(|| TensorMut::for_overwrite(DType::UInt8, &[len])).map_err(io::Error::other)?;
    let out = buffer.bytes_mut();
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut out[filled..], range.start + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.freeze().to_bytes().slice(..filled))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::read;

    #[tokio::test]
    async fn ranges_are_read_in_their_order_and_end_with_the_file() {
        let content: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let ranges = vec![100_000..200_000, 0..70_000, 290_000..400_000, 400_000..400_010];
        let got = read(file, ranges).await.unwrap();
        assert_eq!(got[0], content[100_000..200_000]);
        assert_eq!(got[1], content[..70_000]);
        assert_eq!(got[2], content[290_000..]);
        assert!(got[3].is_empty());
    }
}
