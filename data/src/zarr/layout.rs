//! How a Zarr array's elements lie in its files, from its metadata document.

use std::{borrow::Cow, num::NonZeroU64, sync::Arc};

use graticule_plan::DType;
use serde_json::Value;
use zarrs::array::{
    Array, ArrayBytes, ArrayMetadata, ArrayToBytesCodecTraits, CodecChain, CodecOptions, DataType, FillValue,
};

use super::{
    codec::{Fast, fast_path},
    effort,
};

/// The most chunks' bytes that one chunk may decode to: above it the metadata must be damaged.
const CHUNK_BYTES_MAX: u64 = 4 << 30;

/// What cannot be read of a metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayoutError {
    /// The document is no array's.
    Bad(String),
    /// It is one, with something that is not read.
    Unsupported(String),
}

/// Where each chunk lies and how it is decoded.
pub(crate) struct Layout {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<u64>,
    /// What is decoded at once: for a sharded array the inner chunk.
    pub(crate) chunks: Vec<u64>,
    /// What is stored in one file: the shard, or the chunk.
    pub(crate) outer: Vec<u64>,
    /// The value of absent chunks, native endian.
    pub(crate) fill: Vec<u8>,
    pub(crate) shards: Option<ShardIndex>,
    pub(super) fast: Option<Fast>,
    pub(super) chain: Arc<CodecChain>,
    pub(super) data_type: DataType,
    pub(super) fill_value: FillValue,
    /// For the names of files only.
    array: Array<()>,
}

/// Where a shard's index lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardIndex {
    pub(crate) is_at_end: bool,
    pub(crate) has_checksum: bool,
    /// Inner chunks of a shard.
    pub(crate) count: usize,
}

impl ShardIndex {
    pub(crate) fn len_bytes(&self) -> u64 {
        self.count as u64 * 16 + if self.has_checksum { 4 } else { 0 }
    }
}

impl Layout {
    /// Understands a `zarr.json` or `.zarray` document.
    pub(crate) fn parse(metadata: &str, is_v2: bool) -> Result<Self, LayoutError> {
        let bad = |why: String| LayoutError::Bad(why);
        let mut document: Value =
            serde_json::from_str(metadata).map_err(|e| bad(format!("it is not JSON: {e}")))?;
        let (format, node) = (
            document.get("zarr_format").and_then(Value::as_u64),
            document.get("node_type"),
        );
        let want = if is_v2 { 2 } else { 3 };
        if format != Some(want) || (!is_v2 && node.and_then(Value::as_str) != Some("array")) {
            return Err(bad(format!(
                "it does not describe an array of Zarr version {want}"
            )));
        }
        let dtype = dtype(&document, is_v2)?;
        let shape = numbers(document.get("shape"))
            .ok_or_else(|| bad("shape is missing or not whole numbers".into()))?;
        let outer = if is_v2 {
            numbers(document.get("chunks"))
        } else {
            regular_chunks(&document)?
        };
        let outer = outer.ok_or_else(|| bad("the chunks' shape is missing or not whole numbers".into()))?;
        check_shapes(&shape, &outer)?;
        let array = match dtype.is_time() {
            true => {
                count_units(&mut document, is_v2)?;
                open(&document.to_string())?
            }
            false => open(metadata)?,
        };
        let (data_type, fill_value) = (array.data_type().clone(), array.fill_value().clone());
        let mut layout = Self {
            dtype,
            chunks: outer.clone(),
            fill: fill_value.as_ne_bytes().to_vec(),
            fast: fast_path(&document, is_v2, dtype),
            chain: array.codecs(),
            shards: None,
            shape,
            outer,
            data_type,
            fill_value,
            array,
        };
        if layout.fill.len() as u64 != dtype.size_bytes() {
            return Err(bad(format!("the fill value has {} bytes", layout.fill.len())));
        }
        layout.look_into_shards(&document)?;
        let bytes = layout
            .chunks
            .iter()
            .try_fold(dtype.size_bytes(), |all, len| all.checked_mul(*len));
        if bytes.is_none_or(|bytes| bytes > CHUNK_BYTES_MAX) {
            return Err(LayoutError::Unsupported(format!(
                "a chunk of shape {:?} and dtype {dtype}",
                layout.chunks
            )));
        }
        Ok(layout)
    }

    /// Takes the inner chunk as the unit, where shards are stored plainly enough to find it in them.
    fn look_into_shards(&mut self, document: &Value) -> Result<(), LayoutError> {
        let Some([codec]) = document
            .get("codecs")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        else {
            return Ok(());
        };
        if codec.get("name").and_then(Value::as_str) != Some("sharding_indexed") {
            return Ok(());
        }
        let Some(configuration) = codec.get("configuration") else {
            return Ok(());
        };
        let Some(has_checksum) = plain_index(configuration.get("index_codecs")) else {
            return Ok(());
        };
        let inner = numbers(configuration.get("chunk_shape"))
            .filter(|inner| inner.len() == self.outer.len())
            .ok_or_else(|| LayoutError::Bad("the inner chunks' shape does not fit the array".into()))?;
        if inner
            .iter()
            .zip(&self.outer)
            .any(|(inner, outer)| *inner == 0 || outer % inner != 0)
        {
            return Err(LayoutError::Bad(format!(
                "inner chunks of {inner:?} do not divide shards of {:?}",
                self.outer
            )));
        }
        let codecs = configuration
            .get("codecs")
            .cloned()
            .unwrap_or(Value::Array(Vec::new()));
        let metadata: Vec<_> = serde_json::from_value(codecs.clone())
            .map_err(|e| LayoutError::Bad(format!("the inner codecs cannot be understood: {e}")))?;
        let chain = CodecChain::from_metadata(&metadata).map_err(|e| unsupported(&e.to_string()))?;
        let counts = inner.iter().zip(&self.outer).map(|(inner, outer)| outer / inner);
        let count = counts.product::<u64>();
        let count = usize::try_from(count).ok().filter(|count| *count <= 1 << 28);
        let count = count.ok_or_else(|| LayoutError::Unsupported("a shard of so many chunks".into()))?;
        let is_at_end = configuration.get("index_location").and_then(Value::as_str) != Some("start");
        let wrapped = serde_json::json!({ "codecs": codecs });
        self.fast = fast_path(&wrapped, false, self.dtype);
        self.chain = Arc::new(chain);
        self.chunks = inner;
        self.shards = Some(ShardIndex {
            is_at_end,
            has_checksum,
            count,
        });
        Ok(())
    }

    /// Encodes a stored chunk or shard, whole and native endian, on this thread alone.
    ///
    /// # Errors
    /// What the codecs say.
    pub(crate) fn encode<'a>(&self, bytes: &'a [u8], stores_empty: bool) -> Result<Cow<'a, [u8]>, String> {
        if self.shards.is_none() && self.fast.is_some_and(|fast| fast.is_zstd_of_any_level) {
            return effort::compress(bytes).map(Cow::Owned);
        }
        let options = CodecOptions::default()
            .with_concurrent_target(1)
            .with_store_empty_chunks(stores_empty);
        let shape: Vec<NonZeroU64> = self.outer.iter().map(|&len| non_zero(len)).collect();
        let bytes = ArrayBytes::new_flen(Cow::Borrowed(bytes));
        self.array
            .codecs()
            .encode(bytes, &shape, &self.data_type, &self.fill_value, &options)
            .map_err(|error| error.to_string())
    }

    /// The file of a stored chunk or shard, relative to the array.
    pub(crate) fn key(&self, outer: &[u64]) -> String {
        self.array.chunk_key(outer).as_str().to_owned()
    }

    /// Bytes of a decoded chunk.
    pub(crate) fn chunk_bytes(&self) -> usize {
        // Checked when the layout was made.
        (self.chunks.iter().product::<u64>() * self.dtype.size_bytes()) as usize
    }

    pub(super) fn chunk_shape(&self) -> Vec<NonZeroU64> {
        self.chunks.iter().map(|&len| non_zero(len)).collect()
    }
}

fn non_zero(len: u64) -> NonZeroU64 {
    NonZeroU64::new(len).expect("checked when the layout was made")
}

fn open(metadata: &str) -> Result<Array<()>, LayoutError> {
    let parsed: ArrayMetadata = serde_json::from_str(metadata)
        .map_err(|e| LayoutError::Bad(format!("it cannot be understood: {e}")))?;
    Array::new_with_metadata(Arc::new(()), "/", parsed).map_err(|e| unsupported(&e.to_string()))
}

/// What a message of `zarrs` says is not supported.
fn unsupported(message: &str) -> LayoutError {
    let what = message.rsplit(": ").next().unwrap_or(message);
    LayoutError::Unsupported(what.trim_end_matches(" is not supported").to_owned())
}

fn numbers(value: Option<&Value>) -> Option<Vec<u64>> {
    value?.as_array()?.iter().map(Value::as_u64).collect()
}

fn regular_chunks(document: &Value) -> Result<Option<Vec<u64>>, LayoutError> {
    let grid = document.get("chunk_grid");
    match grid.and_then(|grid| grid.get("name")).and_then(Value::as_str) {
        Some("regular") | None => Ok(numbers(
            grid.and_then(|g| g.get("configuration"))
                .and_then(|c| c.get("chunk_shape")),
        )),
        Some(other) => Err(LayoutError::Unsupported(format!("the chunk grid {other:?}"))),
    }
}

fn check_shapes(shape: &[u64], outer: &[u64]) -> Result<(), LayoutError> {
    if shape.len() != outer.len() || outer.contains(&0) {
        return Err(LayoutError::Bad(format!(
            "chunks of {outer:?} do not fit an array of {shape:?}"
        )));
    }
    if shape.len() > graticule_plan::NDIM_MAX {
        return Err(LayoutError::Unsupported(format!(
            "an array of {} axes",
            shape.len()
        )));
    }
    Ok(())
}

fn dtype(document: &Value, is_v2: bool) -> Result<DType, LayoutError> {
    let field = if is_v2 { "dtype" } else { "data_type" };
    let value = document
        .get(field)
        .ok_or_else(|| LayoutError::Bad(format!("{field} is missing")))?;
    let unsupported = || LayoutError::Unsupported(format!("the data type {value}"));
    if let Some(times) = times(value) {
        return times.ok_or_else(unsupported);
    }
    let name = value.as_str().ok_or_else(unsupported)?;
    let is_known = if is_v2 {
        name.len() == 3 || name.ends_with("c16") || name.ends_with(']')
    } else {
        DType::NUMBERS.iter().any(|dtype| dtype.name() == name)
    };
    if is_known {
        name.parse().map_err(|_| unsupported())
    } else {
        Err(unsupported())
    }
}

/// The dtype of version 3's `numpy.datetime64` and `numpy.timedelta64`, if it is one of them; `None` within for a unit or a
/// factor that is not read.
fn times(value: &Value) -> Option<Option<DType>> {
    let short = match value.get("name")?.as_str()? {
        "numpy.datetime64" => "M8",
        "numpy.timedelta64" => "m8",
        _ => return None,
    };
    let configuration = value.get("configuration");
    let unit = configuration.and_then(|c| c.get("unit")).and_then(Value::as_str);
    let factor = configuration.and_then(|c| c.get("scale_factor"));
    let is_plain = factor.is_none_or(|factor| factor.as_u64() == Some(1));
    Some(
        unit.filter(|_| is_plain)
            .and_then(|unit| format!("{short}[{unit}]").parse().ok()),
    )
}

/// Makes a document of times one of 64-bit integers, which they are stored as.
fn count_units(document: &mut Value, is_v2: bool) -> Result<(), LayoutError> {
    let (field, integers) = match is_v2 {
        true => {
            let order = document
                .get("dtype")
                .and_then(Value::as_str)
                .and_then(|name| name.chars().next());
            ("dtype", format!("{}i8", order.unwrap_or('<')))
        }
        false => ("data_type", "int64".to_owned()),
    };
    document[field] = integers.into();
    match &document["fill_value"] {
        Value::Number(_) | Value::Null => Ok(()),
        Value::String(text) if text.eq_ignore_ascii_case("NaT") => {
            document["fill_value"] = i64::MIN.into();
            Ok(())
        }
        other => Err(LayoutError::Bad(format!("the fill value {other} is no time"))),
    }
}

/// Whether the index of a shard is two little-endian numbers a chunk; gives whether a checksum follows.
fn plain_index(codecs: Option<&Value>) -> Option<bool> {
    let codecs = codecs?.as_array()?;
    let name = |codec: &Value| codec.get("name").and_then(Value::as_str).map(str::to_owned);
    let endian = codecs.first()?.get("configuration")?.get("endian")?.as_str()?;
    if name(codecs.first()?)? != "bytes" || endian != "little" {
        return None;
    }
    match codecs.len() {
        1 => Some(false),
        2 if name(&codecs[1])? == "crc32c" => Some(true),
        _ => None,
    }
}
