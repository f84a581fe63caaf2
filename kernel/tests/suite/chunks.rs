//! Tensors, chunks and windows: what is shared, what is copied, and what damaged bytes give.
#![allow(clippy::unwrap_used)] // A test's helpers fail as the test does.

use bytes::{Bytes, BytesMut};
use graticule_kernel::{ALIGN_BYTES, Chunk, KernelError, Tensor, TensorMut, Window, WindowBuilder};
use graticule_ops::Scalar;
use graticule_plan::{AxisChunks, AxisWindow, BlockMap, ChunkGrid, DType, InputMap};
use proptest::prelude::*;

fn counting(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_vec(shape, (0..n as i32).collect()).unwrap()
}

#[test]
fn clones_bytes_and_whole_regions_share_memory() {
    let x = counting(&[3, 4]);
    assert_eq!(x.clone().bytes().as_ptr(), x.bytes().as_ptr());
    assert_eq!(x.to_bytes().as_ptr(), x.bytes().as_ptr());
    assert_eq!(
        x.region(&[0..3, 0..4]).unwrap().bytes().as_ptr(),
        x.bytes().as_ptr()
    );
    assert_eq!(x.reshape(&[12]).unwrap().bytes().as_ptr(), x.bytes().as_ptr());
}

#[test]
fn own_buffers_are_aligned() {
    for dtype in DType::ALL {
        let x = Tensor::zeros(dtype, &[3, 5]).unwrap();
        assert!(x.bytes().as_ptr().addr().is_multiple_of(ALIGN_BYTES));
    }
}

#[test]
fn foreign_bytes_are_copied_only_if_they_lie_askew() {
    let whole = Tensor::zeros(DType::UInt8, &[65]).unwrap().to_bytes();
    let straight = Tensor::from_bytes(DType::Int64, &[8], whole.slice(..64)).unwrap();
    assert_eq!(straight.bytes().as_ptr(), whole.as_ptr());
    let askew = Tensor::from_bytes(DType::Int64, &[8], whole.slice(1..)).unwrap();
    assert_ne!(askew.bytes().as_ptr(), whole[1..].as_ptr());
    assert_eq!(askew.as_slice::<i64>(), Some(&[0i64; 8][..]));
}

#[test]
fn foreign_booleans_become_zero_and_one() {
    let x = Tensor::from_bytes(DType::Bool, &[4], Bytes::from_static(&[0, 1, 2, 255])).unwrap();
    assert_eq!(x.as_slice::<bool>(), Some(&[false, true, true, true][..]));
    let mut y = TensorMut::zeros(DType::Bool, &[2]).unwrap();
    y.bytes_mut().fill(7);
    assert_eq!(y.as_mut_slice::<bool>(), Some(&mut [true, true][..]));
    y.bytes_mut()[0] = 9;
    assert_eq!(y.freeze().bytes(), [1, 1]);
}

#[test]
fn slices_of_another_dtype_are_refused() {
    let x = counting(&[2]);
    assert_eq!(x.as_slice::<u32>(), None);
    assert_eq!(x.as_slice::<i32>(), Some(&[0, 1][..]));
    assert_eq!(
        Tensor::scalar(Scalar::Float32(2.5)).as_slice(),
        Some(&[2.5f32][..])
    );
}

#[test]
fn lengths_and_sizes_that_do_not_fit_are_errors() {
    assert!(matches!(
        Tensor::from_vec(&[3], vec![1u8]),
        Err(KernelError::Length { want: 3, got: 1, .. })
    ));
    assert!(matches!(
        Tensor::zeros(DType::UInt8, &[usize::MAX, 2]),
        Err(KernelError::TooLarge { .. })
    ));
    assert!(matches!(
        Tensor::zeros(DType::Float64, &[1 << 40]),
        Err(KernelError::TooLarge { .. })
    ));
    assert!(
        Tensor::zeros(DType::Float64, &[usize::MAX, 0, 7])
            .unwrap()
            .is_empty()
    );
    let x = counting(&[2, 3]);
    let row = 0..2u64;
    let regions = [std::slice::from_ref(&row), &[0..3, 0..3], &[0..2, 2..4]];
    for region in regions {
        assert!(
            matches!(x.region(region), Err(KernelError::Window(_))),
            "{region:?}"
        );
    }
    let mut y = TensorMut::zeros(DType::Int32, &[2, 2]).unwrap();
    assert!(y.copy_box(&[0, 1], &x, &[0, 0], &[2, 2]).is_err());
    assert!(y.copy_box(&[usize::MAX, 0], &x, &[0, 0], &[2, 2]).is_err());
}

#[test]
fn a_window_of_one_region_is_that_region() {
    let grid = ChunkGrid::regular(&[8, 6], &[4, 6]).unwrap();
    let aligned = InputMap::Product(vec![AxisWindow::Aligned { out_axis: 0 }, AxisWindow::All]);
    let map = BlockMap::new(&aligned, &grid, &grid).unwrap();
    let chunk = Chunk::from(counting(&[4, 6]));
    let window = Window::assemble(map.window(1).unwrap(), vec![chunk.clone()]).unwrap();
    assert_eq!(
        window.chunk.parts()[0].bytes().as_ptr(),
        chunk.parts()[0].bytes().as_ptr()
    );
    assert_eq!(window.shape(), [4, 6]);
}

#[test]
fn a_region_is_copied_out_of_its_chunk_to_where_it_belongs() {
    let squares = ChunkGrid::regular(&[8, 6], &[4, 3]).unwrap();
    let rows = ChunkGrid::regular(&[8, 6], &[3, 6]).unwrap();
    let cut = |out_axis| AxisWindow::Affine {
        out_axis,
        start: 0,
        step: 1,
    };
    let map = InputMap::Product(vec![cut(0), AxisWindow::All]);
    let map = BlockMap::new(&map, &rows, &squares).unwrap();
    let chunk = |block: u64| Chunk::from(Tensor::full(Scalar::Int32(block as i32), &[4, 3]).unwrap());
    for block in 0..rows.block_count() {
        let sources = map.sources(block);
        let regions = sources.iter().map(|&source| map.region(block, source));
        let regions: Vec<_> = regions.collect();
        let mut within = WindowBuilder::new(map.window(block).unwrap()).unwrap();
        for (position, (&source, region)) in sources.iter().zip(&regions).enumerate().rev() {
            within.place_from(position, &chunk(source), region).unwrap();
        }
        let alone = sources.iter().zip(&regions);
        let alone = alone.map(|(&source, region)| chunk(source).region(region).unwrap());
        let alone = Window::assemble(map.window(block).unwrap(), alone.collect()).unwrap();
        assert_eq!(within.finish().unwrap().chunk, alone.chunk, "block {block}");
    }
    let mut window = WindowBuilder::new(map.window(0).unwrap()).unwrap();
    let row = 0..3;
    for region in [&[0..4u64, 0..3][..], &[2..5, 0..3], std::slice::from_ref(&row)] {
        let placed = window.place_from(0, &chunk(0), region);
        assert!(matches!(placed, Err(KernelError::Window(_))), "{region:?}");
    }
}

#[test]
fn regions_that_do_not_fit_their_window_are_errors() {
    let grid = ChunkGrid::regular(&[8], &[4]).unwrap();
    let whole = ChunkGrid::whole(&[8]).unwrap();
    let all = InputMap::Product(vec![AxisWindow::All]);
    let pieces = BlockMap::new(&all, &whole, &grid).unwrap().window(0).unwrap();
    let good = || Chunk::from(counting(&[4]));
    let refused = |regions| {
        matches!(
            Window::assemble(pieces.clone(), regions),
            Err(KernelError::Window(_))
        )
    };
    assert!(refused(vec![good()]));
    assert!(refused(vec![good(), Chunk::from(counting(&[3]))]));
    assert!(refused(vec![good(), Chunk::default()]));
    assert!(refused(vec![
        good(),
        Tensor::zeros(DType::Int64, &[4]).unwrap().into()
    ]));
    assert!(refused(vec![
        good(),
        Chunk::new(vec![counting(&[4]), counting(&[4])]).unwrap()
    ]));
    let mut builder = WindowBuilder::new(pieces.clone()).unwrap();
    builder.place(1, good()).unwrap();
    assert!(builder.place(1, good()).is_err(), "twice");
    assert!(builder.place(2, good()).is_err(), "beyond");
    assert!(builder.finish().is_err(), "one is missing");
}

fn chunks() -> impl Strategy<Value = Chunk> {
    let shape = proptest::collection::vec(0usize..5, 0..4);
    let dtypes = proptest::collection::vec(proptest::sample::select(DType::ALL.to_vec()), 0..4);
    (shape, dtypes, any::<u8>()).prop_map(|(shape, dtypes, fill)| {
        let part = |&dtype: &DType| {
            let mut part = TensorMut::zeros(dtype, &shape).unwrap();
            part.bytes_mut()
                .iter_mut()
                .enumerate()
                .for_each(|(k, byte)| *byte = fill.wrapping_add(k as u8));
            part.freeze()
        };
        Chunk::new(dtypes.iter().map(part).collect()).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encoded_chunks_decode_to_themselves_without_a_copy(chunk in chunks()) {
        // Into aligned memory, as a frame or a mapping has it.
        let encoded = chunk.encode();
        prop_assert_eq!(encoded.len() as u64, chunk.encoded_len());
        let aligned = Tensor::from_bytes(DType::UInt8, &[encoded.len()], encoded).unwrap();
        let mut copy = aligned.to_mut().unwrap();
        copy.bytes_mut();
        let bytes = copy.freeze().to_bytes();
        let decoded = Chunk::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded, &chunk);
        let range = bytes.as_ptr_range();
        let (start, end) = (range.start.addr(), range.end.addr());
        for part in decoded.parts().iter().filter(|part| part.dtype() != DType::Bool) {
            prop_assert!(part.is_empty() || (start..end).contains(&part.bytes().as_ptr().addr()));
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_chunk_but_never_a_panic(
        chunk in chunks(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let encoded = chunk.encode();
        let mut damaged = BytesMut::from(&encoded[..]);
        damaged[at.index(encoded.len())] = byte;
        let _ = Chunk::decode(&damaged.freeze());
        let short = encoded.slice(..cut.index(encoded.len()));
        prop_assert!(matches!(Chunk::decode(&short), Err(KernelError::Decode(_))));
        let mut long = BytesMut::from(&encoded[..]);
        long.extend_from_slice(&[0; 64]);
        prop_assert!(matches!(Chunk::decode(&long.freeze()), Err(KernelError::Decode(_))));
    }

    #[test]
    fn windows_show_the_box_that_their_map_asks_for(
        (lens, cuts, starts, steps) in (1usize..4).prop_flat_map(|ndim| (
            proptest::collection::vec(1u64..9, ndim),
            proptest::collection::vec(1u64..5, ndim),
            proptest::collection::vec(-3i64..5, ndim),
            proptest::collection::vec(prop_oneof![Just(1i64), Just(2), Just(-1)], ndim),
        )),
        out_cut in 1u64..5,
    ) {
        let shape: Vec<usize> = lens.iter().map(|&len| len as usize).collect();
        let whole = counting(&shape);
        let source = ChunkGrid::regular(&lens, &cuts).unwrap();
        let axis = |&len: &u64| AxisChunks::regular(len, out_cut).unwrap();
        let out = ChunkGrid::new(lens.iter().map(axis).collect()).unwrap();
        let window = |(axis, (&start, &step)): (usize, (&i64, &i64))| AxisWindow::Affine { out_axis: axis, start, step };
        let windows: Vec<AxisWindow> = starts.iter().zip(&steps).enumerate().map(window).collect();
        let map = BlockMap::new(&InputMap::Product(windows), &out, &source).unwrap();
        for block in 0..out.block_count() {
            let regions = map.sources(block).into_iter().map(|chunk| {
                let own = Chunk::from(whole.region(&source.extents(chunk)).unwrap());
                own.region(&map.region(block, chunk)).unwrap()
            });
            let pieces = map.window(block).unwrap();
            let extent = |pieces: &Vec<graticule_plan::Piece>| {
                let start = pieces.first().map_or(0, |piece| piece.element);
                start..start + pieces.iter().map(|piece| piece.len).sum::<u64>()
            };
            let wanted: Vec<_> = pieces.iter().map(extent).collect();
            let window = Window::assemble(pieces, regions.collect()).unwrap();
            match window.chunk.single() {
                Some(tensor) => prop_assert_eq!(tensor, &whole.region(&wanted).unwrap()),
                None => prop_assert!(wanted.iter().any(|range| range.is_empty())),
            }
        }
    }
}
