use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::ValueEnum;
use graticule_data::{
    GroupBy, StackDtype, StackOptions, TILE_DEFAULT,
    stac::{Condition, Interval, Search, parse_bbox},
};
use graticule_ops::{OnError, ReduceKind};

use super::mask::Mask;
use crate::values::{parse_bytes, parse_duration};

/// What a mosaic is made of, and where it goes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// A STAC item collection, item or static catalog: a file or an http(s) address.
    pub(crate) items: String,
    #[command(flatten)]
    pub(crate) what: What,
    /// The folder for the results; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The scheduler of a cluster; without it the work is done in this process.
    #[arg(long, env = "GRATICULE_CLUSTER", value_name = "URL")]
    pub(crate) cluster: Option<String>,
    /// How long to wait if the cluster has no worker; without it for ever.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) no_worker_timeout: Option<Duration>,
    /// Memory for the work in this process, such as 4GiB; by default six tenths of the machine's.
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES", conflicts_with = "cluster")]
    pub(crate) memory: Option<u64>,
    /// Open the dashboard of the work in this process at this address of this machine.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "cluster")]
    pub(crate) dashboard: Option<SocketAddr>,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) explain: bool,
    /// No progress bars.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which pixels become what.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct What {
    /// The assets, in the order of the result's bands; three make a true-colour picture.
    #[arg(long, value_delimiter = ',', required = true, value_name = "A,B,C")]
    pub(crate) assets: Vec<String>,
    /// Hide pixels by an asset's bits or values, such as qa:bits=0,4 or cloud_mask:values=1. May be given again.
    #[arg(long, value_name = "MASK")]
    pub(crate) mask: Vec<Mask>,
    /// Only items and pixels within west, south, east and north, in degrees.
    #[arg(long, value_parser = bbox, allow_hyphen_values = true, value_name = "W,S,E,N")]
    pub(crate) bbox: Option<Bbox>,
    /// Only items of this time: START/END, where either may be left out, or one date.
    #[arg(long, value_parser = interval, value_name = "A/B")]
    pub(crate) datetime: Option<Interval>,
    /// Only items with at most so many percent of clouds.
    #[arg(long, value_name = "PERCENT")]
    pub(crate) max_cloud: Option<f64>,
    /// Only items with this property, such as platform=sentinel-2a or view:off_nadir<5. May be given again.
    #[arg(long, value_parser = condition, value_name = "CONDITION")]
    pub(crate) query: Vec<Condition>,
    /// Side of a pixel in units of the items' coordinate reference system; by default theirs.
    #[arg(long, value_name = "UNITS")]
    pub(crate) resolution: Option<f64>,
    /// Which items are one scene: id, time or solar_day. The first valid pixel wins.
    #[arg(long, value_parser = groupby, default_value = "time", value_name = "RULE")]
    pub(crate) groupby: GroupBy,
    /// What to do about a file that cannot be read.
    #[arg(long, default_value = "raise")]
    pub(crate) on_error: OnErrorArg,
    /// What becomes of the scenes' pixels.
    #[arg(long, default_value = "median")]
    pub(crate) reduce: Reduce,
    /// Make one result for each calendar month, or each month of each year, too.
    #[arg(long)]
    pub(crate) by: Option<By>,
    /// Type of the results' pixels.
    #[arg(long, default_value = "float32")]
    pub(crate) dtype: Dtype,
    /// Rows and columns that a task works on.
    #[arg(long, value_parser = clap::value_parser!(u64).range(16..=65536), value_name = "PIXELS")]
    pub(crate) tile: Option<u64>,
}

/// West, south, east, north.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bbox(pub(crate) [f64; 4]);

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OnErrorArg {
    /// The mosaic fails.
    Raise,
    /// Its pixels count as missing, and it is reported.
    Nodata,
    /// Its item is left out there, and it is reported.
    SkipItem,
}

/// Reductions over time, without missing pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reduce {
    Median,
    Mean,
    Min,
    Max,
    /// How many scenes have a pixel there.
    Count,
    Sum,
    Std,
    Var,
    /// The first scene's pixel.
    First,
    /// The last scene's pixel.
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// January of all years together, and so on.
    Month,
    /// Each month of each year.
    YearMonth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    Float32,
    Float64,
}

fn bbox(text: &str) -> Result<Bbox, String> {
    parse_bbox(text).map(Bbox).map_err(|error| error.to_string())
}

fn interval(text: &str) -> Result<Interval, String> {
    Interval::parse(text).map_err(|error| error.to_string())
}

fn condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text).map_err(|error| error.to_string())
}

fn groupby(text: &str) -> Result<GroupBy, String> {
    text.parse()
        .map_err(|error: graticule_data::DataError| error.to_string())
}

impl What {
    /// Which items to take.
    pub(crate) fn search(&self) -> Search {
        Search {
            bbox: self.bbox.map(|bbox| bbox.0),
            datetime: self.datetime,
            query: self.query.clone(),
            max_cloud: self.max_cloud,
        }
    }

    /// How to stack the items' data.
    pub(crate) fn stack_options(&self) -> StackOptions {
        let tile = self.tile.unwrap_or(TILE_DEFAULT);
        StackOptions {
            resolution: self.resolution.map(|side| [side, side]),
            bbox: self.bbox.map(|bbox| bbox.0),
            groupby: self.groupby,
            dtype: match self.dtype {
                Dtype::Float32 => StackDtype::Float32,
                Dtype::Float64 => StackDtype::Float64,
            },
            on_error: match self.on_error {
                OnErrorArg::Raise => OnError::Raise,
                OnErrorArg::Nodata => OnError::Nodata,
                OnErrorArg::SkipItem => OnError::SkipItem,
            },
            chunks: Some([1, 1, tile, tile]),
            ..StackOptions::default()
        }
    }
}

impl Reduce {
    pub(crate) fn kind(self) -> ReduceKind {
        match self {
            Reduce::Median => ReduceKind::Median,
            Reduce::Mean => ReduceKind::Mean,
            Reduce::Min => ReduceKind::Min,
            Reduce::Max => ReduceKind::Max,
            Reduce::Count => ReduceKind::Count,
            Reduce::Sum => ReduceKind::Sum,
            Reduce::Std => ReduceKind::Std { ddof: 0 },
            Reduce::Var => ReduceKind::Var { ddof: 0 },
            Reduce::First => ReduceKind::First,
            Reduce::Last => ReduceKind::Last,
        }
    }
}
