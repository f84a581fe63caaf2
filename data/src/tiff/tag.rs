//! The tags that the reader and the writer know.

/// A tag's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u16);

macro_rules! tags {
    ($($ident:ident = $number:literal, $name:literal;)*) => {
        impl Tag {
            $(pub(crate) const $ident: Tag = Tag($number);)*
        }

        /// The tag's name in the specification.
        pub(crate) fn name(tag: u16) -> &'static str {
            match tag {
                $($number => $name,)*
                _ => "unknown",
            }
        }

        pub(crate) fn is_known(tag: u16) -> bool {
            matches!(tag, $($number)|*)
        }
    };
}

tags! {
    NEW_SUBFILE_TYPE = 254, "NewSubfileType";
    IMAGE_WIDTH = 256, "ImageWidth";
    IMAGE_LENGTH = 257, "ImageLength";
    BITS_PER_SAMPLE = 258, "BitsPerSample";
    COMPRESSION = 259, "Compression";
    PHOTOMETRIC = 262, "PhotometricInterpretation";
    FILL_ORDER = 266, "FillOrder";
    STRIP_OFFSETS = 273, "StripOffsets";
    SAMPLES_PER_PIXEL = 277, "SamplesPerPixel";
    ROWS_PER_STRIP = 278, "RowsPerStrip";
    STRIP_BYTE_COUNTS = 279, "StripByteCounts";
    PLANAR_CONFIGURATION = 284, "PlanarConfiguration";
    PREDICTOR = 317, "Predictor";
    TILE_WIDTH = 322, "TileWidth";
    TILE_LENGTH = 323, "TileLength";
    TILE_OFFSETS = 324, "TileOffsets";
    TILE_BYTE_COUNTS = 325, "TileByteCounts";
    EXTRA_SAMPLES = 338, "ExtraSamples";
    SAMPLE_FORMAT = 339, "SampleFormat";
    YCBCR_SUBSAMPLING = 530, "YCbCrSubSampling";
    MODEL_PIXEL_SCALE = 33550, "ModelPixelScale";
    MODEL_TIEPOINT = 33922, "ModelTiepoint";
    MODEL_TRANSFORMATION = 34264, "ModelTransformation";
    GEO_KEY_DIRECTORY = 34735, "GeoKeyDirectory";
    GEO_DOUBLE_PARAMS = 34736, "GeoDoubleParams";
    GEO_ASCII_PARAMS = 34737, "GeoAsciiParams";
    LERC_PARAMETERS = 50674, "LercParameters";
    GDAL_METADATA = 42112, "GDAL_METADATA";
    GDAL_NODATA = 42113, "GDAL_NODATA";
}
