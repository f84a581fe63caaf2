//! The files of a mosaic: written on a thread of their own while chunks arrive, and named when all are complete.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use graticule_client::Block;
use graticule_data::png::{Picture, PictureOptions};
use tokio::sync::mpsc;

use super::{
    raster::{Preview, Profile, Raster},
    recipe::Recipe,
    sheet::contact_sheet,
    stripes::{StripeGrid, Stripes},
};

/// Pixels a side of a picture at most; larger rasters are shown at even steps.
const PICTURE_SIDE_MAX: usize = 4096;
/// Pixels a side of a panel of the contact sheet at most.
const PANEL_SIDE_MAX: usize = 400;

/// Makes sure that files can be written to a folder, which is made if it is not there.
///
/// # Errors
/// If they cannot.
pub(crate) fn check_folder(folder: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write to the output folder {}", folder.display());
    std::fs::create_dir_all(folder).with_context(cannot)?;
    let probe = folder.join(format!(".graticule-{}.probe", std::process::id()));
    std::fs::write(&probe, b"").with_context(cannot)?;
    std::fs::remove_file(&probe).with_context(cannot)
}

/// The files of a mosaic, before they have their names. Dropped early, it leaves none behind.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    outputs: Vec<Output>,
}

#[derive(Debug)]
struct Output {
    names: Vec<String>,
    rasters: Vec<Raster>,
    stripes: Stripes,
}

impl Files {
    /// Begins all files of a recipe.
    ///
    /// # Errors
    /// If one cannot be written, or the result fits no GeoTIFF.
    pub(crate) fn create(folder: &Path, recipe: &Recipe) -> anyhow::Result<Self> {
        let mut files = Self {
            folder: folder.to_owned(),
            outputs: Vec::new(),
        };
        for (array, names) in recipe.arrays.iter().zip(&recipe.names) {
            let grid = StripeGrid::new(array.chunks());
            let profile = Profile {
                width: grid.width(),
                height: grid.height(),
                dtype: array.dtype(),
                bands: recipe.bands.clone(),
                transform: recipe.transform,
                epsg: recipe.epsg,
            };
            let side_max = if array.ndim() == 3 {
                PICTURE_SIDE_MAX
            } else {
                PANEL_SIDE_MAX
            };
            let raster = |name: &String| {
                let path = folder.join(format!("{name}.tif"));
                let raster = Raster::create(&path, &profile, Preview::new(&profile, side_max));
                raster.with_context(|| format!("cannot write {}", path.display()))
            };
            let item_bytes = usize::try_from(array.dtype().size_bytes())?;
            files.outputs.push(Output {
                rasters: names.iter().map(raster).collect::<Result<_, _>>()?,
                names: names.clone(),
                stripes: Stripes::new(grid, item_bytes),
            });
        }
        Ok(files)
    }

    /// Writes blocks until all have come, then gives the files their names; the result are their paths.
    ///
    /// Blocks on the disk: for a thread of its own.
    ///
    /// # Errors
    /// If writing fails, or the blocks end too early; nothing is left then.
    pub(crate) fn write_all(mut self, mut blocks: mpsc::Receiver<Block>) -> anyhow::Result<Vec<PathBuf>> {
        while let Some(block) = blocks.blocking_recv() {
            self.write(&block)?;
        }
        if !self.outputs.iter().all(|output| output.stripes.are_complete()) {
            bail!("the mosaic was not completed");
        }
        self.finish()
    }

    fn write(&mut self, block: &Block) -> anyhow::Result<()> {
        let output = &mut self.outputs[block.output];
        for stripe in output.stripes.add(block) {
            for (raster, pixels) in output.rasters.iter_mut().zip(&stripe.groups) {
                raster.write(stripe.rows.clone(), pixels)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for output in self.outputs {
            let mut previews = Vec::new();
            for (name, raster) in output.names.into_iter().zip(output.rasters) {
                let (path, preview) = raster.finish()?;
                paths.push(path);
                previews.push((name, preview));
            }
            let (name, picture) = match &previews[..] {
                [(name, preview)] if !name.starts_with("month-") => (name.clone(), picture(preview)?),
                _ => ("month".to_owned(), contact_sheet(&previews)?),
            };
            let path = self.folder.join(format!("{name}.png"));
            picture.write_png(&path)?;
            paths.push(path);
        }
        Ok(paths)
    }
}

fn picture(preview: &Preview) -> anyhow::Result<Picture> {
    let (width, height) = (u32::try_from(preview.width)?, u32::try_from(preview.height)?);
    Ok(Picture::stretched(
        width,
        height,
        &preview.planes(),
        &PictureOptions::default(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let below = file.join("out");
        let message = format!("{:#}", check_folder(&below).unwrap_err());
        assert!(message.contains(&below.display().to_string()), "{message}");
        check_folder(&folder.path().join("a/b")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("a/b")).unwrap().count(), 0);
    }
}
