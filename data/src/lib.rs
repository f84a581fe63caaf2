//! Where Graticule's arrays come from and go to: STAC, GeoTIFF, Zarr, PNG.

pub mod tiff;
