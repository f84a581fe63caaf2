//! A job comes in: its plan becomes records.

use std::{collections::BTreeSet, sync::Arc};

use graticule_plan::{BlockMap, JobId, LayerId, Plan, Source};

use super::{
    ClientId, Command, JobEvent, Observation, Scheduler, demand, ledger,
    record::{Consumer, InputRecord, JobRecord, JobState, LayerRecord, Measured},
    table::{BlockSet, BlockTable},
};
use crate::{InputSource, LayerSpec, PlanMemory};

impl Scheduler {
    pub(super) fn on_submitted(&mut self, job: JobId, client: ClientId, name: Arc<str>, plan: Arc<Plan>) {
        let layers = match self.resolve(job, &plan) {
            Ok(layers) => layers,
            Err(message) => {
                let event = JobEvent::Failed {
                    message: message.into(),
                };
                self.out.push(Command::Notify { client, job, event });
                return;
            }
        };
        let outputs_left = plan
            .outputs()
            .iter()
            .map(|o| plan.layer(o.layer).grid.block_count())
            .sum();
        let record = JobRecord {
            client,
            name: name.clone(),
            plan: plan.clone(),
            layers,
            state: JobState::Running,
            client_is_away: false,
            cursor: demand::Cursor::default(),
            outputs_left,
            problems: Default::default(),
            delivery_failures: Default::default(),
            ready: Default::default(),
            ledger: ledger::Ledger {
                plan: self.plan_memory(&plan),
                ..Default::default()
            },
        };
        self.jobs.insert(job, record);
        self.connect_consumers(job);
        for output in plan.outputs() {
            let layer = self.layer_mut(job, output.layer);
            match output.keep {
                None => layer.delivered = Some(BlockSet::new(layer.spec.layer.grid.block_count())),
                Some(key) => {
                    layer.pins.insert(key);
                    self.keys.insert(key, (job, output.layer));
                }
            }
        }
        self.out.push(Command::Notify {
            client,
            job,
            event: JobEvent::Accepted,
        });
        self.out
            .push(Command::Observe(Observation::JobStarted { job, name, plan }));
        if self.workers.is_empty() {
            self.out.push(Command::Notify {
                client,
                job,
                event: JobEvent::NoWorkers,
            });
        } else {
            self.tell_problems(job, self.unmet_wishes(job));
        }
        if let Some(message) = self.first_too_large(job) {
            self.fail_job(job, &message.into());
            return;
        }
        self.finish_if_complete(job);
    }

    fn plan_memory(&self, plan: &Plan) -> PlanMemory {
        PlanMemory::of(plan, |key| {
            let &(job, layer) = self.keys.get(&key)?;
            let layer = &self.layer(job, layer).spec.layer;
            Some((&layer.grid, layer.item_bytes))
        })
    }

    /// Each output once, and each kept one under a name of its own.
    fn check_names(&self, plan: &Plan) -> Result<(), String> {
        let (mut delivered, mut names) = (BTreeSet::new(), BTreeSet::new());
        for output in plan.outputs() {
            match output.keep {
                None if !delivered.insert(output.layer) => {
                    return Err(format!("layer {} is to be delivered twice", output.layer));
                }
                Some(key) if self.keys.contains_key(&key) || !names.insert(key) => {
                    return Err(format!("a result is kept under the name {key} already"));
                }
                None | Some(_) => {}
            }
        }
        Ok(())
    }

    /// Makes the records of a plan's layers, with every input's source and map.
    fn resolve(&self, job: JobId, plan: &Plan) -> Result<Vec<LayerRecord>, String> {
        if self.jobs.contains_key(&job) {
            return Err(format!("job {job} exists already"));
        }
        self.check_names(plan)?;
        let record = |(id, layer): (LayerId, &graticule_plan::Layer)| {
            let (mut inputs, mut sources) = (Vec::new(), Vec::new());
            for (index, input) in layer.inputs.iter().enumerate() {
                let (at, source) = match input.source {
                    Source::Layer(source) => ((job, source), plan.layer(source)),
                    Source::Held(key) => {
                        let at = *self.keys.get(&key).ok_or_else(|| {
                            format!(
                                "no result is kept under the name {key}; it was released, or its client left"
                            )
                        })?;
                        (at, &self.layer(at.0, at.1).spec.layer)
                    }
                };
                let map = BlockMap::new(&input.map, &layer.grid, &source.grid)
                    .map_err(|why| format!("layer {id}, input {index}: {why}"))?;
                inputs.push(InputRecord {
                    job: at.0,
                    layer: at.1,
                    map: Arc::new(map),
                });
                let (grid, item_bytes) = (source.grid.clone(), source.item_bytes);
                sources.push(InputSource {
                    job: at.0,
                    layer: at.1,
                    grid,
                    item_bytes,
                });
            }
            let count = layer.grid.block_count();
            let deliver = plan.outputs().iter().any(|o| o.layer == id && o.keep.is_none());
            let spec = LayerSpec {
                job,
                id,
                layer: layer.clone(),
                sources,
                deliver,
            };
            let is_uniform = spec.layer.output_bytes_max().checked_mul(count)
                == spec.layer.grid.element_count().checked_mul(spec.layer.item_bytes);
            let task_bytes_max = spec
                .layer
                .task_bytes_max(spec.sources.iter().map(|s| (&s.grid, s.item_bytes)));
            let keeps_neighbours = inputs.iter().all(|input| input.map.fan_in().is_some());
            Ok(LayerRecord {
                task_bytes_max,
                uniform_bytes: is_uniform.then(|| spec.layer.output_bytes_max()),
                spec: Arc::new(spec),
                consumers: Vec::new(),
                tasks: BlockTable::new(count).shared(keeps_neighbours && inputs.len() <= 1),
                chunks: BlockTable::new(count).shared(keeps_neighbours),
                inputs,
                choosy_ready: Default::default(),
                finished: BlockSet::new(count),
                pins: Default::default(),
                delivered: None,
                attempts: BlockTable::new(count),
                measured: Measured::default(),
                leased_count: 0,
                failed_count: 0,
                reset_count: 0,
            })
        };
        plan.iter().map(record).collect()
    }

    /// Enters a new job's layers with those they read.
    fn connect_consumers(&mut self, job: JobId) {
        let mut fed_by_others = Vec::new();
        for layer in 0..self.jobs[&job].layers.len() {
            let id = LayerId(u32::try_from(layer).expect("layer ids are 32 bits"));
            for input in self.jobs[&job].layers[layer].inputs.clone() {
                let consumer = Consumer {
                    job,
                    layer: id,
                    map: input.map,
                };
                self.layer_mut(input.job, input.layer).consumers.push(consumer);
                if input.job != job && !fed_by_others.contains(&(input.job, input.layer)) {
                    fed_by_others.push((input.job, input.layer));
                }
            }
        }
        for (source, layer) in fed_by_others {
            self.count_needs(source, layer);
        }
    }
}
