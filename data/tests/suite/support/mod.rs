//! What the tests of this crate share: sample data, programs of one read, NumPy files.
#![allow(dead_code, clippy::unwrap_used)] // Each test file uses its own part.

use std::{collections::BTreeMap, ops::Range, path::PathBuf, sync::Arc};

use graticule_data::{
    Fetched, ReadError, Sources, Stack,
    stac::{ItemSet, load_items},
    store::{Address, Stores},
};
use graticule_kernel::{Element, Reader, Tensor};
use graticule_ops::{ArraySource, AxisSelection, BlockAxis, Node, NodeId, Program, Read, encode_table};
use graticule_plan::{AxisChunks, ChunkGrid, DType, Digest};

pub(crate) type Tables = BTreeMap<Digest, Arc<[u8]>>;

/// A file of the repository's sample data.
pub(crate) fn sample(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/data")
        .join(path)
}

pub(crate) fn address(path: impl AsRef<std::path::Path>) -> Address {
    Address::parse(path.as_ref().to_str().unwrap()).unwrap()
}

pub(crate) async fn items(collection: &str) -> ItemSet {
    load_items(
        &Stores::default(),
        &address(sample(collection).join("items.json")),
    )
    .await
    .unwrap()
}

/// A program that reads one block after another of a source, and the table it needs.
pub(crate) fn program(
    source: &ArraySource,
    dtype: DType,
    grid: &ChunkGrid,
    selection: Option<Vec<AxisSelection>>,
) -> (Program, Tables) {
    let table: Arc<[u8]> = encode_table(source).into();
    let digest = Digest::of(&table);
    let axes = grid.axes().iter().enumerate();
    let axes = axes.map(|(out_axis, chunks): (usize, &AxisChunks)| BlockAxis::Cut {
        out_axis,
        chunks: chunks.clone(),
    });
    let read = Read {
        source: digest,
        dtype,
        selection: selection.unwrap_or_else(|| grid.shape().into_iter().map(AxisSelection::whole).collect()),
        axes: axes.collect(),
    };
    (
        Program::new(vec![Node::Read(read)]),
        Tables::from([(digest, table)]),
    )
}

pub(crate) fn read_of(program: &Program) -> &Read {
    match &program.nodes[0] {
        Node::Read(read) => read,
        other => panic!("{other:?}"),
    }
}

/// Decodes one fetched block.
pub(crate) fn decode(
    fetched: &Fetched,
    program: &Program,
    extents: &[Range<u64>],
) -> Result<Tensor, ReadError> {
    let made = fetched.read(NodeId(0), read_of(program), extents);
    made.map_err(|error| {
        *error
            .downcast::<ReadError>()
            .expect("reads fail with a ReadError")
    })
}

/// Every block of a grid, read as a worker does, put together as one array.
pub(crate) async fn read_all<T: Element + Copy>(
    sources: &Sources,
    source: &ArraySource,
    dtype: DType,
    grid: &ChunkGrid,
    selection: Option<Vec<AxisSelection>>,
) -> Result<Vec<T>, ReadError> {
    let (program, tables) = program(source, dtype, grid, selection);
    let shape: Vec<usize> = grid.shape().iter().map(|&len| len as usize).collect();
    let mut whole = vec![T::default(); shape.iter().product()];
    for block in 0..grid.block_count() {
        let fetched = sources.fetch(&program, &grid.unravel(block), &tables).await?;
        let extents = grid.extents(block);
        let tensor = decode(&fetched, &program, &extents)?;
        assert_eq!(tensor.dtype(), dtype);
        place(tensor.as_slice::<T>().unwrap(), &extents, &shape, &mut whole);
    }
    Ok(whole)
}

fn place<T: Copy>(block: &[T], extents: &[Range<u64>], shape: &[usize], whole: &mut [T]) {
    let lens: Vec<usize> = extents.iter().map(|e| (e.end - e.start) as usize).collect();
    for (position, value) in block.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (position, 0, 1);
        for axis in (0..shape.len()).rev() {
            at += (extents[axis].start as usize + rest % lens[axis]) * stride;
            rest /= lens[axis];
            stride *= shape[axis];
        }
        whole[at] = *value;
    }
}

pub(crate) async fn read_stack<T: Element + Copy>(stack: &Stack) -> Vec<T> {
    read_all(&Sources::default(), &stack.source, stack.dtype, &stack.grid, None)
        .await
        .unwrap()
}

/// Shape and elements of a NumPy file of C order.
pub(crate) fn npy<T: bytemuck::Pod>(path: PathBuf) -> (Vec<usize>, Vec<T>) {
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let header_len = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let header = std::str::from_utf8(&bytes[10..10 + header_len]).unwrap();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let shape = header
        .split("'shape': (")
        .nth(1)
        .unwrap()
        .split(')')
        .next()
        .unwrap();
    let shape = shape
        .split(',')
        .filter_map(|len| len.trim().parse().ok())
        .collect();
    let data = &bytes[10 + header_len..];
    (shape, bytemuck::pod_collect_to_vec(data))
}

pub(crate) fn sha256<T: bytemuck::Pod>(values: &[T]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytemuck::cast_slice::<T, u8>(values));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn json(path: PathBuf) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// NumPy's `nanmedian` over the first axis, of values picked by a predicate, in float64.
pub(crate) fn nanmedian(planes: &[Vec<f64>]) -> Vec<f64> {
    (0..planes[0].len())
        .map(|at| {
            let mut values: Vec<f64> = planes
                .iter()
                .map(|plane| plane[at])
                .filter(|v| !v.is_nan())
                .collect();
            values.sort_by(f64::total_cmp);
            match values.len() {
                0 => f64::NAN,
                n if n % 2 == 1 => values[n / 2],
                n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
            }
        })
        .collect()
}
