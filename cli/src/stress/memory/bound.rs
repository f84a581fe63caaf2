//! Does a run stay within what was told of its memory beforehand, and how near does it come?

use anyhow::Context;
use graticule_array::{Array, LowerOptions};
use graticule_client::{Client, LocalOptions, open_zarr};
use serde_json::json;

use super::{
    super::Verdict,
    Args, digest,
    programs::{Data, PROGRAMS, write_zarr},
};
use crate::processes::SpillFolder;

/// How many times the measured peak the bound may be.
const BOUND_TARGET: f64 = 1.3;

/// Runs each program on workers of its own that read the data from files and have memory enough, and compares the most
/// that the ledger held with what `explain_on_cluster` told before.
pub(super) async fn check(args: &Args, side: u64, verdict: &mut Verdict) -> anyhow::Result<()> {
    let folder = SpillFolder::new()?;
    let mut data = Vec::new();
    for (name, step) in [("u.zarr", 0.01), ("v.zarr", 0.03), ("read.zarr", 0.02)] {
        let path = folder.path().join(name);
        write_zarr(&path, side, args.chunk, step)?;
        data.push(open_zarr(&path.display().to_string()).await?);
    }
    let data = Data {
        read: data.pop().context("three were written")?,
        v: data.pop().context("three were written")?,
        u: data.pop().context("three were written")?,
        days: args.days,
        thickness: (args.chunk * args.chunk / side).max(1),
        columns: (args.chunk / 4).max(1),
    };
    for (name, program) in PROGRAMS {
        let (bound, peak) = compare(args, &program(&data)?).await?;
        let ratio = bound as f64 / peak.max(1) as f64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        verdict.lines.push(format!(
            "{name}: at most {:.1} MiB were foretold, {:.1} MiB taken: {ratio:.2} times as much (target {BOUND_TARGET})",
            mib(bound),
            mib(peak),
        ));
        verdict.figures[format!("bound_{name}")] = json!({"bound_bytes": bound, "peak_bytes": peak});
        if peak > bound {
            let broken = format!("{name} took {peak} bytes, {bound} were foretold");
            verdict.broken.push(broken);
        }
    }
    Ok(())
}

/// The bound on a result's computation, and what was taken.
async fn compare(args: &Args, result: &Array) -> anyhow::Result<(u64, u64)> {
    let options = LocalOptions {
        worker_count: u32::from(args.workers),
        slots: Some(1),
        budget_bytes: Some(args.data.saturating_mul(4)),
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await?;
    while client.info().await?.workers.len() < usize::from(args.workers) {
        tokio::task::yield_now().await;
    }
    let explained = client
        .explain_on_cluster(&[result], &LowerOptions::default(), false)
        .await?;
    let bound = explained
        .bound_bytes
        .context("nothing could be foretold of the plan; use larger chunks")?;
    digest(&client, result).await?;
    Ok((bound, client.info().await?.peak_bytes))
}
