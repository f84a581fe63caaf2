use std::fmt;

use graticule_plan::PlanError;

use crate::store::StoreError;

/// Why items, a stack or a Zarr array cannot be described. Addresses in it hold no secrets.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataError {
    /// Bytes at an address cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document is not what it should be.
    #[error("{address}: {why}")]
    Document {
        /// The document's address.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// A catalog links deeper, or to more documents, than is followed.
    #[error("{address}: {what} is above the limit of {limit}")]
    CatalogTooLarge {
        /// The document where the limit was reached.
        address: String,
        /// What was counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An option's text cannot be understood.
    #[error("{option} {text:?} cannot be understood: {why}")]
    Option {
        /// Which option.
        option: &'static str,
        /// Its text.
        text: String,
        /// What is expected.
        why: String,
    },
    /// There are no items to stack.
    #[error("there are no items to stack")]
    NoItems,
    /// No asset was named.
    #[error("no asset was asked for; the items have {}", list(.known))]
    NoAssets {
        /// Assets that exist.
        known: Vec<String>,
    },
    /// A search's filters leave nothing.
    #[error("no item is left of {total}: {}", funnel(.left))]
    EmptySearch {
        /// Items before any filter.
        total: usize,
        /// Each filter with the number of items that were left after it, in order.
        left: Vec<(String, usize)>,
    },
    /// No item has the asset.
    #[error("asset {asset:?} does not exist in any of the {item_count} items; they have {}", list(.known))]
    UnknownAsset {
        /// The asset that was asked for.
        asset: String,
        /// Items that were looked at.
        item_count: usize,
        /// Assets that exist.
        known: Vec<String>,
    },
    /// A field is missing without which a stack cannot be described.
    #[error("item {item:?}, asset {asset:?} has no {field}; {hint}")]
    MissingField {
        /// The item's id.
        item: String,
        /// The asset's key.
        asset: String,
        /// What is missing.
        field: &'static str,
        /// What can be done.
        hint: &'static str,
    },
    /// A field cannot be understood.
    #[error("item {item:?}: {field} {why}")]
    BadField {
        /// The item's id.
        item: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// The items are in several coordinate reference systems.
    #[error("the items are in several coordinate reference systems: {}; choose the items of one", tally(.counts))]
    SeveralCrs {
        /// Items in each.
        counts: Vec<(String, usize)>,
    },
    /// Reprojection is asked for.
    #[error("the items are in {have}, and reprojection to {want} is not supported yet")]
    OtherCrs {
        /// The items' coordinate reference system.
        have: String,
        /// The one asked for.
        want: String,
    },
    /// Longitude and latitude cannot be brought to the items' coordinate reference system.
    #[error("a longitude/latitude box cannot be brought to {crs}: {why}; give bounds in {crs} instead")]
    Projection {
        /// The coordinate reference system.
        crs: String,
        /// Why not.
        why: String,
    },
    /// A grid's rows and columns do not run along the axes.
    #[error(
        "item {item:?}, asset {asset:?}: its grid is rotated ({transform:?}), which needs one grid for all assets"
    )]
    Rotated {
        /// The item's id.
        item: String,
        /// The asset's key.
        asset: String,
        /// The grid's transform.
        transform: [f64; 6],
    },
    /// The grid that is asked for makes no sense.
    #[error("the output grid is not valid: {0}")]
    Grid(String),
    /// The asked box and the items do not meet.
    #[error("the bounds {bounds:?} do not touch the items, which cover {covered:?}")]
    Disjoint {
        /// Bounds asked for: west, south, east, north in the items' system.
        bounds: [f64; 4],
        /// Bounds of the items.
        covered: [f64; 4],
    },
    /// An asset's address is signed.
    #[error(
        "item {item:?}, asset {asset:?}: the address {address} holds a signature or token, which may not travel in a plan"
    )]
    SignedAddress {
        /// The item's id.
        item: String,
        /// The asset's key.
        asset: String,
        /// The address without its secret.
        address: String,
    },
    /// A Zarr array uses something that is not read.
    #[error("{address}: {what} is not supported")]
    Unsupported {
        /// The array's address.
        address: String,
        /// The feature.
        what: String,
    },
    /// The chunks asked for do not make a grid.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The most names that a message lists.
const LISTED_MAX: usize = 30;

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        _ if names.len() > LISTED_MAX => {
            format!(
                "{} and {} more",
                names[..LISTED_MAX].join(", "),
                names.len() - LISTED_MAX
            )
        }
        _ => names.join(", "),
    }
}

fn tally(counts: &[(String, usize)]) -> String {
    let items = |count: usize| if count == 1 { "item" } else { "items" };
    let one = |(name, count): &(String, usize)| format!("{name} ({count} {})", items(*count));
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn funnel(left: &[(String, usize)]) -> String {
    let one = |(filter, count): &(String, usize)| format!("{count} after {filter}");
    left.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A rectangle of pixels or a chunk of elements of a file, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Nothing more than the file.
    File,
    /// Rows and columns of an image.
    Pixels {
        /// First row.
        row: u64,
        /// First column.
        col: u64,
        /// Rows.
        height: u64,
        /// Columns.
        width: u64,
    },
    /// A chunk by its index.
    Chunk(Vec<u64>),
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::File => f.write_str("the file"),
            Extent::Pixels {
                row,
                col,
                height,
                width,
            } => {
                write!(f, "rows {row}..{}, columns {col}..{}", row + height, col + width)
            }
            Extent::Chunk(index) => write!(f, "chunk {index:?}"),
        }
    }
}
