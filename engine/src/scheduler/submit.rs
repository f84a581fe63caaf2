//! A job comes in: its plan becomes records.

use std::{collections::BTreeSet, sync::Arc};

use graticule_plan::{BlockMap, Input, InputMap, JobId, Layer, LayerId, Plan, Source};

use super::{
    ClientId, Command, JobEvent, Observation, Scheduler,
    apart::Apart,
    demand, ledger,
    record::{Consumer, InputRecord, JobRecord, JobState, LayerRecord, Measured},
    sizes,
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
                self.forgotten.push(job);
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
            turns: plan.turns(),
            outputs_left,
            problems: Default::default(),
            priority: priority_of(&plan),
            delivery_failures: Default::default(),
            ready: Default::default(),
            ledger: ledger::Ledger {
                plan: self.plan_memory(&plan),
                ..Default::default()
            },
        };
        self.jobs.insert(job, record);
        self.running.insert(job);
        self.enter_functions(job);
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
            self.fail_unknown_functions(job);
            if let Some(message) = self.first_unknown_function(job) {
                self.fail_job(job, &message.into());
                return;
            }
            self.tell_problems(job, self.unmet_wishes(job));
        }
        if let Some(message) = self.first_too_large(job) {
            self.fail_job(job, &message.into());
            return;
        }
        self.finish_if_complete(job);
    }

    fn plan_memory(&self, plan: &Plan) -> PlanMemory {
        let held = |key| {
            let &(job, layer) = self.keys.get(&key)?;
            Some(&self.layer(job, layer).spec.layer)
        };
        let mut memory = PlanMemory::of(plan, |key| {
            let layer = held(key)?;
            Some((&layer.grid, layer.item_bytes))
        });
        // What grows as it is learnt has no bound beforehand.
        let is_learnt = |input: &Input| match input.source {
            Source::Held(key) => held(key).is_some_and(|layer| layer.learns_size().is_some()),
            Source::Layer(_) => false,
        };
        let learns = |layer: &Layer| layer.learns_size().is_some() || layer.inputs.iter().any(is_learnt);
        if plan.layers().iter().any(learns) {
            memory.depth_first_bytes = None;
        }
        memory
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
        for (id, _) in plan.iter().filter(|(_, layer)| layer.is_apart()) {
            let mut outputs = plan.outputs().iter().filter(|output| output.layer == id);
            let is_kept = outputs.next().is_some_and(|output| output.keep.is_some());
            if !is_kept || outputs.next().is_some() {
                return Err(format!(
                    "layer {id} consists of blocks that stand for themselves, and is not kept under one name"
                ));
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
        let layers: Vec<Layer> = plan
            .layers()
            .iter()
            .map(|layer| self.with_learnt_size(layer))
            .collect();
        let record = |(id, layer): (LayerId, &Layer)| {
            let (mut inputs, mut sources) = (Vec::new(), Vec::new());
            for (index, input) in layer.inputs.iter().enumerate() {
                let (at, source) = match input.source {
                    Source::Layer(source) => ((job, source), &layers[source.0 as usize]),
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
            let is_apart = layer.is_apart();
            let deliver = is_apart || plan.outputs().iter().any(|o| o.layer == id && o.keep.is_none());
            let spec = LayerSpec {
                job,
                id,
                layer: layer.clone(),
                sources,
                deliver,
            };
            let keeps_neighbours = inputs.iter().all(|input| input.map.fan_in().is_some());
            Ok(LayerRecord {
                task_bytes_max: sizes::task_bytes_max(&spec),
                uniform_bytes: sizes::uniform_bytes(layer, count),
                spec: Arc::new(spec),
                consumers: Vec::new(),
                tasks: BlockTable::new(count).shared(keeps_neighbours && inputs.len() <= 1),
                chunks: BlockTable::new(count).shared(keeps_neighbours && !layer.is_apart()),
                inputs,
                apart: layer.is_apart().then(|| Box::new(Apart::new(count))),
                is_rare: layer.functions().any(|name| !self.is_known_to_all(name)),
                is_untried: self.is_untried(layer),
                choosy_ready: Default::default(),
                finished: BlockSet::new(count),
                let_go: BlockSet::new(count),
                pins: Default::default(),
                delivered: None,
                attempts: BlockTable::new(count),
                measured: Measured::default(),
                leased_count: 0,
                failed_count: 0,
                reset_count: 0,
            })
        };
        (0..).map(LayerId).zip(&layers).map(record).collect()
    }

    /// Enters a new job's layers with those they read.
    fn connect_consumers(&mut self, job: JobId) {
        let mut fed_by_others = BTreeSet::new();
        for layer in 0..self.jobs[&job].layers.len() {
            let id = LayerId(u32::try_from(layer).expect("layer ids are 32 bits"));
            for (at, input) in self.jobs[&job].layers[layer]
                .inputs
                .clone()
                .into_iter()
                .enumerate()
            {
                let is_list = matches!(
                    self.jobs[&job].layers[layer].spec.layer.inputs[at].map,
                    InputMap::Blocks(_)
                );
                if input.job != job && is_list {
                    self.count_new_needs(&input, self.jobs[&job].layers[layer].tasks_in_all());
                } else if input.job != job {
                    fed_by_others.insert((input.job, input.layer));
                }
                let consumer = Consumer {
                    job,
                    layer: id,
                    map: input.map,
                };
                self.layer_mut(input.job, input.layer).consumers.push(consumer);
            }
        }
        for (source, layer) in fed_by_others {
            self.count_needs(source, layer);
        }
    }

    /// Counts what a new layer needs of another one, list by list: calls have many layers that read the same one.
    fn count_new_needs(&mut self, input: &InputRecord, task_count: u64) {
        let source = self.layer_mut(input.job, input.layer);
        for task in 0..task_count {
            input.map.each_source(task, |block| {
                if let Some(record) = source.chunks.get_mut(block) {
                    record.needed += 1;
                }
            });
        }
    }
}

/// With what priority a job has its turn: that of its calls. What arrays say counts within their job alone.
fn priority_of(plan: &Plan) -> i32 {
    let calls = plan.layers().iter().filter(|layer| layer.is_apart());
    calls.map(|layer| layer.priority).max().unwrap_or(0)
}
