//! From items to the arrays of a mosaic: nothing is read here.

use anyhow::{Context, bail, ensure};
use graticule_array::{Array, ArrayError, Over, where_};
use graticule_client::stack_array;
use graticule_data::{Stack, StackDtype, StackOptions, Timestamp, stac::Item, stack};
use graticule_ops::{ArraySource, Scalar};
use graticule_plan::{ChunkGrid, DType};

use super::{
    args::{By, Dtype, What},
    mask::{Mask, MaskRule},
};

/// A mosaic that is ready to be computed.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// `(band, y, x)`, and by group `(group, band, y, x)`.
    pub(crate) arrays: Vec<Array>,
    /// For each array the names of its rasters: one, or one for each group.
    pub(crate) names: Vec<Vec<String>>,
    pub(crate) bands: Vec<String>,
    pub(crate) transform: [f64; 6],
    pub(crate) epsg: Option<u32>,
    pub(crate) scene_count: usize,
    pub(crate) time_count: usize,
    /// Of the stack with its masks: chunks, and bytes of all their pixels.
    pub(crate) chunk_count: u64,
    pub(crate) stack_bytes: u64,
    /// What was left out already.
    pub(crate) left_out: Vec<String>,
}

impl Recipe {
    /// Stacks the items, masks and reduces.
    ///
    /// # Errors
    /// What is wrong with items, assets or masks.
    pub(crate) fn new(items: &[Item], what: &What) -> anyhow::Result<Self> {
        let options = what.stack_options();
        let data = stack(items, &what.assets, &options)?;
        let mut recipe = Self {
            arrays: Vec::new(),
            names: Vec::new(),
            bands: data.bands.iter().map(|band| band.name.clone()).collect(),
            transform: data.transform,
            epsg: data.epsg,
            scene_count: items.len(),
            time_count: data.times.len(),
            chunk_count: 0,
            stack_bytes: 0,
            left_out: Vec::new(),
        };
        recipe.count(&data);
        let mut pixels = stack_array(&data)?;
        for mask in &what.mask {
            let context = || format!("--mask {}", mask.asset);
            let told = mask_stack(items, mask, &data, &options).with_context(context)?;
            recipe.count(&told);
            let masked = masked(&stack_array(&told)?, &mask.rule).with_context(context)?;
            pixels = where_(masked.logical_not()?, pixels, f64::NAN)?;
        }
        recipe.reduce(&pixels, &data.times, what)?;
        Ok(recipe)
    }

    fn count(&mut self, stack: &Stack) {
        self.chunk_count += stack.grid.block_count();
        self.stack_bytes += stack.grid.element_count() * stack.dtype.size_bytes();
        let missing = stack.report.missing.iter();
        self.left_out
            .extend(missing.map(|(item, asset)| format!("item {item} has no asset {asset}")));
    }

    fn reduce(&mut self, pixels: &Array, times: &[Timestamp], what: &What) -> Result<(), ArrayError> {
        let dtype = match what.dtype {
            Dtype::Float32 => DType::Float32,
            Dtype::Float64 => DType::Float64,
        };
        let kind = what.reduce.kind();
        let over_time = Over::axis(0).skipna();
        self.arrays
            .push(pixels.reduce(kind.clone(), &over_time)?.astype(dtype)?);
        self.names.push(vec![kind.name().to_owned()]);
        let Some(by) = what.by else { return Ok(()) };
        let labels: Vec<_> = times.iter().map(|time| Some(label(*time, by))).collect();
        let (grouped, groups) = pixels.groupby_reduce(0, &labels, kind, true)?;
        self.arrays.push(grouped.astype(dtype)?);
        self.names
            .push(groups.into_iter().map(|group| format!("month-{group}")).collect());
        Ok(())
    }
}

/// A group's name; in its order the groups are sorted.
fn label(time: Timestamp, by: By) -> String {
    let (year, month, _) = time.date();
    match by {
        By::Month => format!("{month:02}"),
        By::YearMonth => format!("{year:04}-{month:02}"),
    }
}

/// The mask's asset on the data's grid, as the files have it.
fn mask_stack(items: &[Item], mask: &Mask, data: &Stack, options: &StackOptions) -> anyhow::Result<Stack> {
    let options = StackOptions {
        dtype: StackDtype::Source,
        ..options.clone()
    };
    let mut told = stack(items, &[&mask.asset], &options)?;
    ensure!(
        told.bands.len() == 1,
        "the asset has {} bands; name one of them, as in {}.1:bits=0",
        told.bands.len(),
        mask.asset
    );
    match &mask.rule {
        MaskRule::Bits(bits) => check_bits(bits, told.dtype)?,
        MaskRule::Values(values) => check_values(values, told.dtype)?,
    }
    if told.epsg != data.epsg {
        bail!(
            "its coordinate reference system is EPSG {:?}, the data's {:?}",
            told.epsg,
            data.epsg
        );
    }
    ensure!(
        told.report.items == data.report.items,
        "its items fall into other scenes than the data's; use --groupby time or id"
    );
    let (ArraySource::Raster(source), ArraySource::Raster(of_data)) = (&mut told.source, &data.source) else {
        bail!("masks and data must be raster files");
    };
    // Whatever grid the mask's files have, its pixels are looked up at the data's.
    source.grid = of_data.grid.clone();
    // Where there is no mask (a file that cannot be read, a pixel without data) nobody knows what is below.
    source.fill = vec![mask.rule.masked_value(told.dtype)];
    let [times, _, rows, cols] = shape(&data.grid);
    let [time, _, tile_rows, tile_cols] = shape_of_chunk(&data.grid);
    told.grid = ChunkGrid::regular(&[times, 1, rows, cols], &[time, 1, tile_rows, tile_cols])?;
    told.transform = data.transform;
    Ok(told)
}

fn shape(grid: &ChunkGrid) -> [u64; 4] {
    grid.shape().try_into().expect("a stack has four axes")
}

fn shape_of_chunk(grid: &ChunkGrid) -> [u64; 4] {
    let longest: Vec<u64> = grid.axes().iter().map(|axis| axis.chunk_max().max(1)).collect();
    longest.try_into().expect("a stack has four axes")
}

fn check_bits(bits: &[u32], dtype: DType) -> anyhow::Result<()> {
    ensure!(
        !dtype.is_float() && dtype != DType::Bool,
        "the asset holds {dtype}, which has no bits to look at"
    );
    let most = u32::try_from(dtype.size_bytes() * 8)? - 1;
    match bits.iter().find(|bit| **bit > most) {
        Some(bit) => {
            bail!("bit {bit} is asked for, but the asset holds {dtype}, whose bits count from 0 to {most}")
        }
        None => Ok(()),
    }
}

fn check_values(values: &[i64], dtype: DType) -> anyhow::Result<()> {
    match values
        .iter()
        .find(|value| Scalar::from_int(i128::from(**value), dtype).is_none())
    {
        Some(value) => bail!("value {value} is asked for, but the asset holds {dtype}"),
        None => Ok(()),
    }
}

/// Where the rule masks.
fn masked(mask: &Array, rule: &MaskRule) -> Result<Array, ArrayError> {
    match rule {
        MaskRule::Bits(bits) => {
            let wanted = bits.iter().fold(0i128, |all, bit| all | 1 << bit);
            // The highest bit of a signed integer is its sign.
            let unsigned = mask.astype(unsigned(mask.dtype()))?;
            unsigned
                .bitwise_and(graticule_array::Operand::Int(wanted))?
                .not_equal(0)
        }
        MaskRule::Values(values) => {
            let mut any: Option<Array> = None;
            for &value in values {
                let is_value = mask.equal(value)?;
                any = Some(match any {
                    Some(any) => any.logical_or(is_value)?,
                    None => is_value,
                });
            }
            Ok(any.expect("a mask has at least one value"))
        }
    }
}

fn unsigned(dtype: DType) -> DType {
    match dtype {
        DType::Int8 => DType::UInt8,
        DType::Int16 => DType::UInt16,
        DType::Int32 => DType::UInt32,
        DType::Int64 => DType::UInt64,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_sort_by_their_names() {
        let time = |text| Timestamp::parse(text).unwrap();
        assert_eq!(label(time("2018-03-05T10:00:00Z"), By::Month), "03");
        assert_eq!(label(time("2018-12-05T10:00:00Z"), By::YearMonth), "2018-12");
        assert!(label(time("2017-12-31"), By::YearMonth) < label(time("2018-01-01"), By::YearMonth));
    }

    #[test]
    fn bits_that_the_asset_lacks_are_refused_by_name() {
        assert!(check_bits(&[0, 15], DType::UInt16).is_ok());
        let message = check_bits(&[0, 16], DType::UInt16).unwrap_err().to_string();
        assert!(
            message.contains("bit 16") && message.contains("uint16"),
            "{message}"
        );
        assert!(check_bits(&[0], DType::Float32).is_err());
        assert!(check_values(&[0, 255], DType::UInt8).is_ok());
        assert!(check_values(&[256], DType::UInt8).is_err());
    }
}
