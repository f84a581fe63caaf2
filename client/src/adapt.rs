//! The embedded cluster's workers, as many as the work asks for.

use std::collections::BTreeMap;

use graticule_scheduler::{AdaptOptions, Decision, Ended, WorkerSize, WorkerSource, adapt};
use graticule_worker::WorkerHandle;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::local::Site;

/// The loop that starts and retires embedded workers. It ends when this is dropped, and the workers with it.
#[derive(Debug)]
pub(crate) struct Adapting {
    stop: oneshot::Sender<()>,
    running: JoinHandle<EmbeddedWorkers>,
}

impl Adapting {
    pub(crate) fn start(site: Site, options: AdaptOptions) -> Self {
        let (stop, stopped) = oneshot::channel();
        let scheduler = site.scheduler();
        let workers = EmbeddedWorkers {
            site,
            workers: BTreeMap::new(),
        };
        let running = tokio::spawn(adapt(scheduler, workers, options, stopped));
        Self { stop, running }
    }

    /// Ends the loop; returns the workers that are there.
    pub(crate) async fn end(self) -> Vec<WorkerHandle> {
        // A loop that has ended by itself hears nothing.
        let _ = self.stop.send(());
        let workers = self.running.await.map(|source| source.workers);
        workers.unwrap_or_default().into_values().collect()
    }
}

#[derive(Debug)]
struct EmbeddedWorkers {
    site: Site,
    workers: BTreeMap<String, WorkerHandle>,
}

impl WorkerSource for EmbeddedWorkers {
    fn size(&self) -> WorkerSize {
        self.site.worker_size()
    }

    fn start(&mut self, name: &str) -> Result<(), String> {
        let worker = self.site.start(name).map_err(|error| error.to_string())?;
        self.workers.insert(name.into(), worker);
        Ok(())
    }

    fn give_up(&mut self, name: &str) {
        self.workers.remove(name);
        self.site.peers.remove(name);
    }

    fn ended(&mut self) -> Vec<Ended> {
        let ended = self.workers.iter().filter(|(_, worker)| worker.has_ended());
        let names: Vec<String> = ended.map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.workers.remove(name);
            self.site.peers.remove(name);
        }
        let in_order = |name| Ended { name, how: None };
        names.into_iter().map(in_order).collect()
    }

    fn decided(&mut self, _: &Decision) {}
}
