//! A worker binary of one's own: the usual worker, with functions.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use graticule_plan::Resource;

use crate::{Registry, ServeOptions, WorkerError, WorkerOptions, ledger_bytes, serve};

/// How long the worker may take to leave when it is told to.
const PATIENCE: Duration = Duration::from_secs(30);
const SCHEDULER: &str = "grpc://127.0.0.1:8786";

/// What a worker binary of one's own says of itself.
const USAGE: &str = "\
A Graticule worker with functions of its own.

      --scheduler URL         the scheduler [grpc://127.0.0.1:8786]
      --listen ADDRESS        for peers and clients, on this machine [127.0.0.1:0]
      --name NAME             a name for people
      --slots COUNT           tasks computed at a time [one for each CPU]
      --memory BYTES          memory of the process, as a number of bytes or with KiB, MiB, GiB
      --resource NAME=COUNT   a countable thing that calls may need; may be said several times
      --spill-dir DIR         where chunks go that do not fit memory
      --functions             list the functions, and end

Where a flag is missing, the environment is looked at: GRATICULE_SCHEDULER, GRATICULE_SLOTS, and so on.";

/// Works for a scheduler, with these functions, until it is told to end: the whole `main` of a worker binary of one's own.
///
/// Takes the flags of `graticule worker` from the command line, or from the environment.
///
/// ```no_run
/// use graticule_worker::{Registry, Value};
///
/// fn main() -> Result<(), graticule_worker::WorkerError> {
///     let mut registry = Registry::new();
///     registry.function("word_count", |inputs| {
///         let text = inputs[0].text().ok_or("the first argument must be text")?;
///         Ok(Value::from(text.split_whitespace().count() as u64))
///     });
///     graticule_worker::run(registry)
/// }
/// ```
///
/// # Errors
/// [`WorkerError::Usage`] for arguments that are not understood; as [`serve`] otherwise.
pub fn run(registry: Registry) -> Result<(), WorkerError> {
    let environment = |name: &str| std::env::var(name).ok();
    let options = match parse(std::env::args().skip(1), environment)? {
        Wanted::Usage => return say(USAGE),
        Wanted::Functions => return registry.names().try_for_each(say),
        Wanted::Worker(options) => options,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|why| WorkerError::System {
        what: "start threads",
        why,
    })?;
    let mut options = *options;
    options.worker.functions = registry;
    runtime.block_on(async {
        let scheduler = options.scheduler.clone();
        let mut served = serve(options).await?;
        say(&format!("worker at {} for {scheduler}", served.address))?;
        tokio::select! {
            ended = served.ended() => {
                ended?;
                served.stop(Duration::ZERO).await;
            }
            () = interrupted() => served.retire(PATIENCE).await,
        }
        Ok(())
    })
}

/// Waits for Ctrl-C, or for the signal that service managers send.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without signals the system's own way of ending the process is left.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn say(line: &str) -> Result<(), WorkerError> {
    use std::io::Write;
    let written = writeln!(std::io::stdout(), "{line}");
    written.map_err(|why| WorkerError::System {
        what: "write to standard output",
        why,
    })
}

/// What the command line asks for.
#[derive(Debug)]
enum Wanted {
    Usage,
    Functions,
    Worker(Box<ServeOptions>),
}

const FLAGS: [&str; 7] = [
    "scheduler",
    "listen",
    "name",
    "slots",
    "memory",
    "resource",
    "spill-dir",
];

fn parse(
    arguments: impl Iterator<Item = String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Wanted, WorkerError> {
    let mut said: Vec<(&str, String)> = Vec::new();
    let mut arguments = arguments;
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(Wanted::Usage),
            "--functions" => return Ok(Wanted::Functions),
            _ => {}
        }
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let name = FLAGS
            .into_iter()
            .find(|name| flag.strip_prefix("--") == Some(*name));
        let name = name.ok_or_else(|| usage(format!("{flag:?} is not understood")))?;
        let value = value.or_else(|| arguments.next());
        said.push((name, value.ok_or_else(|| usage(format!("{flag} needs a value")))?));
    }
    for name in FLAGS {
        let variable = match name {
            "name" => "GRATICULE_WORKER_NAME".to_owned(),
            "listen" => "GRATICULE_WORKER_LISTEN".to_owned(),
            "resource" => "GRATICULE_RESOURCES".to_owned(),
            _ => format!("GRATICULE_{}", name.replace('-', "_").to_uppercase()),
        };
        let is_said = said.iter().any(|(known, _)| *known == name);
        if let Some(value) = environment(&variable).filter(|_| !is_said) {
            said.push((name, value));
        }
    }
    options(&said).map(|options| Wanted::Worker(Box::new(options)))
}

fn options(said: &[(&str, String)]) -> Result<ServeOptions, WorkerError> {
    let mut options = ServeOptions {
        scheduler: SCHEDULER.into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        worker: WorkerOptions::default(),
    };
    for (name, value) in said {
        let wrong = || usage(format!("{value:?} is no value of --{name}"));
        match *name {
            "scheduler" => options.scheduler.clone_from(value),
            "listen" => options.listen = value.parse().map_err(|_| wrong())?,
            "name" => options.worker.name.clone_from(value),
            "slots" => {
                let slots = value.parse().ok().filter(|slots| (1..=4096).contains(slots));
                options.worker.slots = slots.ok_or_else(wrong)?;
            }
            "memory" => options.worker.budget_bytes = ledger_bytes(bytes(value).ok_or_else(wrong)?),
            "resource" => {
                for text in value.split(',') {
                    options.worker.resources.push(resource(text).ok_or_else(wrong)?);
                }
            }
            _ => options.worker.spill_dir = PathBuf::from(value),
        }
    }
    Ok(options)
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("", 0)];
    units.into_iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
    })
}

fn resource(text: &str) -> Option<Resource> {
    let (name, count) = text.trim().split_once('=').unwrap_or((text.trim(), "1"));
    let (name, count) = (name.trim(), count.trim().parse().ok()?);
    (!name.is_empty()).then(|| Resource {
        name: name.into(),
        count,
    })
}

fn usage(why: String) -> WorkerError {
    WorkerError::Usage { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str], environment: &[(&str, &str)]) -> Result<ServeOptions, WorkerError> {
        let of_name = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        match parse(words.iter().map(|&word| word.to_owned()), of_name)? {
            Wanted::Worker(options) => Ok(*options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_go_before_the_environment() {
        let words = ["--slots", "3", "--resource=GPU=2", "--memory", "1GiB", "--name=w"];
        let environment = [
            ("GRATICULE_SLOTS", "7"),
            ("GRATICULE_SCHEDULER", "grpc://h:1"),
            ("GRATICULE_SPILL_DIR", "/x"),
        ];
        let options = parsed(&words, &environment).unwrap();
        assert_eq!(
            (options.worker.slots, options.scheduler.as_str()),
            (3, "grpc://h:1")
        );
        assert_eq!(options.worker.budget_bytes, ledger_bytes(1 << 30));
        assert_eq!(&*options.worker.resources[0].name, "GPU");
        assert_eq!(options.worker.spill_dir, PathBuf::from("/x"));
        assert_eq!(options.worker.name, "w");
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (words, want) in [
            (&["--what"][..], "--what"),
            (&["--slots"], "needs a value"),
            (&["--slots", "0"], "--slots"),
            (&["--memory", "much"], "much"),
            (&["--resource", "=1"], "--resource"),
        ] {
            let told = parsed(words, &[]).unwrap_err().to_string();
            assert!(told.contains(want) && told.contains("--help"), "{told}");
        }
    }
}
