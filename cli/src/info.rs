//! `graticule info`.

use std::process::ExitCode;

use graticule_client::{Client, ClusterInfo};
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
    let dropped = match info.late_count {
        0 => String::new(),
        count => format!(
            ", {} dropped",
            terminal::count(count, "late message", "late messages")
        ),
    };
    let mut lines = vec![format!(
        "{url}: {}, {}, dashboard {}{dropped}",
        terminal::count(info.workers.len() as u64, "worker", "workers"),
        terminal::count(info.jobs.len() as u64, "running job", "running jobs"),
        info.dashboard.as_deref().unwrap_or("none"),
    )];
    lines.extend(info.workers.iter().map(|worker| {
        let wait = worker.retiring.as_ref().map(|wait| format!(", retires, {wait}"));
        let in_use = worker
            .status
            .memory_bytes
            .saturating_add(worker.status.reserved_bytes);
        format!(
            "  worker {}  {}  {}, {} of {} in use, {} spilled{}",
            worker.id,
            worker.name,
            terminal::count(u64::from(worker.slots), "slot", "slots"),
            terminal::bytes(in_use),
            terminal::bytes(worker.budget_bytes),
            terminal::bytes(worker.status.spilled_bytes),
            wait.unwrap_or_default()
        )
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
    let workers = info.workers.iter().map(|worker| {
        json!({
            "id": worker.id.0,
            "name": &*worker.name,
            "slots": worker.slots,
            "budget_bytes": worker.budget_bytes,
            "memory_bytes": worker.status.memory_bytes,
            "reserved_bytes": worker.status.reserved_bytes,
            "spilled_bytes": worker.status.spilled_bytes,
            "peak_bytes": worker.status.peak_bytes,
            "retiring": worker.retiring.as_deref(),
        })
    });
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
        "late_count": info.late_count,
        "let_go_count": info.let_go_count,
        "peak_bytes": info.peak_bytes,
    })
}
