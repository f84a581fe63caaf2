//! `graticule why`.

use std::process::ExitCode;

use graticule_client::{
    About, Answer, Bound, Client, Happening, Placement, Standing, Subject, Why, WorkerWhy,
};
use serde_json::{Value, json};

use crate::{connection::Connection, terminal};

/// What is asked of which scheduler.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// A task (1/2/17, or job-1/layer-2/block-17), a job (job-1: what its first missing output waits for), or a worker
    /// (worker-3, or its name).
    #[arg(value_name = "TASK|JOB|WORKER")]
    subject: Subject,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the answer.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = &args.connection.cluster;
    let answer = Client::why_of(cluster, args.subject, &args.connection.options()).await?;
    if args.json {
        terminal::say(&as_json(&answer).to_string())?;
    } else {
        terminal::say(&answer.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(answer: &Answer) -> Value {
    let story = answer.story.iter().map(|(at, happening)| {
        let mut entry = happening_json(happening);
        entry["at_us"] = json!(at.0);
        entry
    });
    let mut whole = json!({
        "now_us": answer.now.0,
        "is_cut": answer.is_cut,
        "story": story.collect::<Vec<_>>(),
    });
    match &answer.about {
        About::Task(why) => whole["task"] = why_json(why),
        About::Worker(why) => whole["worker"] = worker_json(why),
        About::FormerWorker(worker) => whole["former_worker"] = json!(worker.0),
    }
    if let Some((worker, placement)) = &answer.ran {
        whole["ran"] = json!({"worker": worker.0, "placement": placement_json(placement)});
    }
    whole
}

fn why_json(why: &Why) -> Value {
    json!({
        "task": why.task.to_string(),
        "layer": &*why.layer,
        "is_wanted": why.is_wanted,
        "attempts": why.attempts,
        "failures": why.failures,
        "losses": why.losses,
        "misses": why.misses,
        "standing": standing_json(&why.standing),
    })
}

fn standing_json(standing: &Standing) -> Value {
    match standing {
        Standing::NotDemanded {
            needed_for,
            walk_at,
            admission,
        } => json!({
            "state": "not_demanded",
            "needed_for": needed_for.to_string(),
            "walk_at": walk_at.map(|at| at.to_string()),
            "bound": bound_name(admission.bound),
            "ready_count": admission.ready_count,
            "ready_count_max": admission.ready_count_max,
            "in_use_bytes": admission.in_use_bytes,
            "budget_bytes": admission.budget_bytes,
            "undelivered_bytes": admission.undelivered_bytes,
        }),
        Standing::Waiting { missing, causes } => json!({
            "state": "waiting",
            "missing": missing,
            "causes": causes.iter().map(why_json).collect::<Vec<_>>(),
        }),
        Standing::Ready { ahead, workers } => json!({
            "state": "ready",
            "ahead": ahead,
            "connected": workers.connected,
            "full": workers.full,
            "retiring": workers.retiring,
            "isolated": workers.isolated,
            "not_empty": workers.not_empty,
            "unfit": workers.unfit,
            "awaits_first": workers.awaits_first,
        }),
        Standing::Leased {
            worker,
            name,
            placement,
        } => json!({
            "state": "leased",
            "worker": worker.0,
            "worker_name": &**name,
            "placement": placement_json(placement),
        }),
        Standing::Held {
            holders,
            bytes,
            needed,
        } => json!({
            "state": "held",
            "holders": holders.iter().map(|worker| worker.0).collect::<Vec<_>>(),
            "bytes": bytes,
            "needed": needed,
        }),
        Standing::Released => json!({"state": "released"}),
        Standing::NotNeeded => json!({"state": "not_needed"}),
        Standing::Forgotten => json!({"state": "forgotten"}),
    }
}

fn bound_name(bound: Bound) -> &'static str {
    match bound {
        Bound::None => "none",
        Bound::NoWorkers => "no_workers",
        Bound::Ready => "ready",
        Bound::Barren => "barren",
        Bound::Memory => "memory",
        Bound::Clients => "clients",
        Bound::JobMemory => "job_memory",
    }
}

fn placement_json(placement: &Placement) -> Value {
    match placement {
        Placement::Idlest => json!({"why": "idlest"}),
        Placement::Alone => json!({"why": "alone"}),
        Placement::OnlyFit => json!({"why": "only_fit"}),
        Placement::MostInputs { held_bytes, of_bytes } => {
            json!({"why": "most_inputs", "held_bytes": held_bytes, "of_bytes": of_bytes})
        }
        Placement::NextBest { held_bytes, of_bytes } => {
            json!({"why": "next_best", "held_bytes": held_bytes, "of_bytes": of_bytes})
        }
    }
}

fn worker_json(why: &WorkerWhy) -> Value {
    json!({
        "worker": why.worker.0,
        "name": &*why.name,
        "address": &*why.address,
        "slots": why.slots,
        "budget_bytes": why.budget_bytes,
        "leased_count": why.leased_count,
        "leased": why.leased.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "load_us": why.load_us,
        "held_count": why.held_count,
        "held_bytes": why.held_bytes,
        "memory_bytes": why.status.memory_bytes,
        "spilled_bytes": why.status.spilled_bytes,
        "reserved_bytes": why.status.reserved_bytes,
        "running": why.status.running,
        "queued": why.status.queued,
        "silent_us": why.silent_us,
        "is_retiring": why.is_retiring,
        "is_isolated": why.is_isolated,
    })
}

fn happening_json(happening: &Happening) -> Value {
    let mut entry = match happening {
        Happening::Leased { attempt, .. } => json!({"event": "leased", "attempt": attempt}),
        Happening::Finished {
            attempt,
            bytes,
            times,
            ..
        } => json!({
            "event": "finished",
            "attempt": attempt,
            "bytes": bytes,
            "queue_us": times.queue_us,
            "fetch_us": times.fetch_us,
            "compute_us": times.compute_us,
            "fetched_bytes": times.fetched_bytes,
        }),
        Happening::Failed { attempt, message, .. } => {
            json!({"event": "failed", "attempt": attempt, "message": &**message})
        }
        Happening::Reset {
            attempt,
            was_finished,
            ..
        } => json!({"event": "reset", "attempt": attempt, "was_finished": was_finished}),
        Happening::LetGo { .. } => json!({"event": "let_go"}),
        Happening::Joined { name, address, .. } => {
            json!({"event": "joined", "name": &**name, "address": &**address})
        }
        Happening::Left { why, .. } => json!({"event": "left", "why": why.as_deref()}),
    };
    if let Some(task) = happening.task() {
        entry["task"] = json!(task.to_string());
    }
    if let Some(worker) = happening.worker() {
        entry["worker"] = json!(worker.0);
    }
    entry
}
