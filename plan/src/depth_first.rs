//! What a plan has in memory when its tasks run one after the other, each as soon as it can.
//!
//! The order is the scheduler's: outputs as [`Turns`](crate::Turns) says, block by block, and of each task the inputs in
//! their order, depth first. However many tasks run at a time, no run needs more than this and what its running tasks have, if sources are
//! started only within it: when nothing runs, what is held is what a run one by one would hold at that point.

use crate::{BlockMap, ChunkGrid, Key, LayerId, Place, Plan, Source};

impl Plan {
    /// The most bytes in memory at a time when tasks run one by one: chunks that are still needed, kept ones not
    /// counted, and what the running task has. `held` gives grid and bytes of an element of what is kept already.
    ///
    /// Walks over all tasks, which takes about half a microsecond and 5 bytes each; `None` for a plan of more than
    /// `tasks_max` tasks.
    pub fn depth_first_bytes<'a>(
        &self,
        held: impl Fn(Key) -> Option<(&'a ChunkGrid, u64)>,
        tasks_max: u64,
    ) -> Option<u64> {
        let blocks = self.layers().iter().map(|layer| layer.grid.block_count());
        let in_bounds = blocks.fold(0, u64::saturating_add) <= tasks_max;
        in_bounds.then(|| Walk::new(self, held).run())
    }
}

struct Walk<'a> {
    plan: &'a Plan,
    layers: Vec<WalkLayer>,
    stack: Vec<Frame>,
    held_bytes: u64,
    peak_bytes: u64,
}

struct WalkLayer {
    /// Those within the plan, with the layers they read.
    inputs: Vec<(usize, BlockMap)>,
    /// The layers that read this one, with the numbers of the inputs among theirs.
    consumers: Vec<(usize, usize)>,
    task_bytes: u64,
    is_kept: bool,
    /// By block: the uses that are left of its chunk, or one of the marks below.
    uses: Vec<u32>,
}

/// Not made yet.
const ABSENT: u32 = u32::MAX;
/// On the stack.
const AWAITED: u32 = u32::MAX - 1;

/// A task whose inputs are looked at.
struct Frame {
    layer: usize,
    block: u64,
    input: usize,
    place: u64,
}

impl<'a> Walk<'a> {
    fn new<'h>(plan: &'a Plan, held: impl Fn(Key) -> Option<(&'h ChunkGrid, u64)>) -> Self {
        let mut layers: Vec<WalkLayer> = Vec::with_capacity(plan.layers().len());
        let nothing = ChunkGrid::new(Vec::new()).expect("no axes are few");
        for (id, layer) in plan.iter() {
            let sources = layer.inputs.iter().map(|input| match input.source {
                Source::Layer(source) => {
                    let source = plan.layer(source);
                    (&source.grid, source.item_bytes)
                }
                Source::Held(key) => held(key).unwrap_or((&nothing, 0)),
            });
            let task_bytes = layer.task_bytes_max(sources);
            let mut inputs = Vec::new();
            for input in &layer.inputs {
                if let Source::Layer(source) = input.source {
                    let map = BlockMap::new(&input.map, &layer.grid, &plan.layer(source).grid);
                    inputs.push((source.0 as usize, map.expect("checked when the plan was built")));
                }
            }
            let sources: Vec<usize> = inputs.iter().map(|(source, _)| *source).collect();
            let blocks = usize::try_from(layer.grid.block_count()).expect("the caller bounded the tasks");
            layers.push(WalkLayer {
                inputs,
                consumers: Vec::new(),
                task_bytes,
                is_kept: is_kept(plan, id),
                uses: vec![ABSENT; blocks],
            });
            for (nth, source) in sources.into_iter().enumerate() {
                layers[source].consumers.push((id.0 as usize, nth));
            }
        }
        Self {
            plan,
            layers,
            stack: Vec::new(),
            held_bytes: 0,
            peak_bytes: 0,
        }
    }

    fn run(mut self) -> u64 {
        let (turns, mut place) = (self.plan.turns(), Place::default());
        while let Some((output, first, count)) = turns.at(&mut place) {
            let layer = self.plan.outputs()[output].layer.0 as usize;
            for block in first..first + count {
                self.demand(layer, block);
                while self.step() {}
            }
            turns.pass(&mut place, count);
        }
        self.peak_bytes
    }

    fn demand(&mut self, layer: usize, block: u64) {
        let state = &mut self.layers[layer].uses[block as usize];
        if *state == ABSENT {
            *state = AWAITED;
            self.stack.push(Frame {
                layer,
                block,
                input: 0,
                place: 0,
            });
        }
    }

    /// Looks at the next input of the task on top, or makes it. Returns `false` when the stack is empty.
    fn step(&mut self) -> bool {
        let Some(frame) = self.stack.last_mut() else {
            return false;
        };
        let (layer, block) = (frame.layer, frame.block);
        match self.layers[layer].inputs.get(frame.input) {
            Some((source, map)) => match map.source_at(block, frame.place) {
                Some(needed) => {
                    frame.place += 1;
                    self.demand(*source, needed);
                }
                None => (frame.input, frame.place) = (frame.input + 1, 0),
            },
            None => {
                self.stack.pop();
                self.make(layer, block);
            }
        }
        true
    }

    fn make(&mut self, layer: usize, block: u64) {
        let of = &self.layers[layer];
        self.peak_bytes = self.peak_bytes.max(self.held_bytes.saturating_add(of.task_bytes));
        let uses = of.consumers.iter().map(|&(consumer, input)| {
            let (_, map) = &self.layers[consumer].inputs[input];
            map.dependents_count(block)
        });
        let uses = uses.fold(0, u64::saturating_add);
        if uses > 0 {
            self.held_bytes = self.held_bytes.saturating_add(self.chunk_bytes(layer, block));
        }
        self.layers[layer].uses[block as usize] = u32::try_from(uses).unwrap_or(AWAITED - 1);
        let mut spared = Vec::new();
        for (source, map) in &self.layers[layer].inputs {
            map.each_source(block, |chunk| spared.push((*source, chunk)));
        }
        for (source, chunk) in spared {
            let uses = &mut self.layers[source].uses[chunk as usize];
            *uses -= 1;
            if *uses == 0 {
                self.held_bytes = self.held_bytes.saturating_sub(self.chunk_bytes(source, chunk));
            }
        }
    }

    /// What a chunk counts for: nothing if it is kept anyway.
    fn chunk_bytes(&self, layer: usize, block: u64) -> u64 {
        if self.layers[layer].is_kept {
            return 0;
        }
        self.plan.layers()[layer].output_bytes(block)
    }
}

fn is_kept(plan: &Plan, layer: LayerId) -> bool {
    plan.outputs()
        .iter()
        .any(|output| output.layer == layer && output.keep.is_some())
}
