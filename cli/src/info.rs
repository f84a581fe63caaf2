//! `graticule info`.

use std::process::ExitCode;

use graticule_client::{Client, ClusterInfo};
use graticule_plan::WorkerId;
use serde_json::json;

use crate::{connection::Connection, terminal};

/// What is asked of which scheduler.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints workers and jobs.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = &args.connection.cluster;
    let info = Client::info_of(cluster, &args.connection.options()).await?;
    if args.json {
        terminal::say(&as_json(&info).to_string())?;
    } else {
        as_text(cluster, &info)
            .iter()
            .try_for_each(|line| terminal::say(line))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(url: &str, info: &ClusterInfo) -> Vec<String> {
    let mut lines = vec![format!(
        "{url}: {}, {}, dashboard {}",
        terminal::count(info.workers.len() as u64, "worker", "workers"),
        terminal::count(info.jobs.len() as u64, "running job", "running jobs"),
        info.dashboard.as_deref().unwrap_or("none"),
    )];
    lines.extend(info.workers.iter().map(|(id, name)| match retiring(info, *id) {
        Some(wait) => format!("  worker {id}  {name}  retires, {wait}"),
        None => format!("  worker {id}  {name}"),
    }));
    for (id, name, layers) in &info.jobs {
        let finished: u64 = layers.iter().map(|layer| layer.finished_count).sum();
        let tasks: u64 = layers.iter().map(|layer| layer.task_count).sum();
        lines.push(format!("  job {id}  {name}  {finished} of {tasks} tasks"));
        for layer in layers {
            let (name, done, all) = (&layer.name, layer.finished_count, layer.task_count);
            lines.push(format!(
                "    {name}  {done}/{all}, {} running",
                layer.leased_count
            ));
        }
    }
    lines
}

fn as_json(info: &ClusterInfo) -> serde_json::Value {
    let workers = info
        .workers
        .iter()
        .map(|(id, name)| json!({"id": id.0, "name": &**name, "retiring": retiring(info, *id)}));
    let jobs = info.jobs.iter().map(|(id, name, layers)| {
        let layers = layers.iter().map(|layer| {
            json!({
                "layer": layer.layer.0,
                "name": &*layer.name,
                "task_count": layer.task_count,
                "finished_count": layer.finished_count,
                "leased_count": layer.leased_count,
                "failed_count": layer.failed_count,
                "reset_count": layer.reset_count,
            })
        });
        json!({"id": id.0, "name": &**name, "layers": layers.collect::<Vec<_>>()})
    });
    json!({
        "dashboard": info.dashboard,
        "workers": workers.collect::<Vec<_>>(),
        "jobs": jobs.collect::<Vec<_>>(),
        "remade_count": info.remade_count,
    })
}

/// What a worker waits for, if it retires.
fn retiring(info: &ClusterInfo, worker: WorkerId) -> Option<&str> {
    let of_worker = info.retiring.iter().find(|(id, _)| *id == worker);
    of_worker.map(|(_, wait)| &**wait)
}
