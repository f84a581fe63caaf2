//! From calls to a plan: those of one function become one layer.

use std::{collections::HashMap, sync::Arc};

use graticule_kernel::Value;
use graticule_ops::{Argument, Calls, InlineValue, VALUE_FUNCTION};
use graticule_plan::{
    AxisChunks, Body, ChunkGrid, Input, InputMap, Key, Layer, LayerId, LayerKind, Output, Plan, PlanBuilder,
    PlanError, Rows, Source,
};

use super::{Arg, CallOptions, Promise, RESULT_BYTES_GUESS, future::Place};
use crate::{ClientError, key};

/// Layers that the calls of one layer may read; a single call may read more.
const INPUT_COUNT_MAX: usize = 64;
/// Values up to so many bytes are compared with others of the layer, so that equal ones are written once.
const SHARED_VALUE_BYTES_MAX: usize = 4096;

/// A plan of calls in the making.
pub(crate) struct Draft {
    batch: u64,
    layers: Vec<LayerDraft>,
    options: Vec<Arc<CallOptions>>,
    /// The latest layer of each function with each of the options.
    latest: HashMap<(Arc<str>, usize), usize>,
}

struct LayerDraft {
    function: Arc<str>,
    options: Arc<CallOptions>,
    key: Key,
    inputs: Vec<InputDraft>,
    input_of: HashMap<Source, usize>,
    calls: Calls,
    value_of: HashMap<InlineValue, u32>,
    /// The values that are known by their handles; the handles are kept, so that none of them is given again.
    shared: Vec<(Arc<InlineValue>, u32)>,
    /// The most bytes of values that one of the calls has.
    value_bytes_max: u64,
    promises: Vec<Arc<Promise>>,
}

/// Rows in the making.
struct InputDraft {
    source: Source,
    offsets: Vec<u64>,
    blocks: Vec<u64>,
}

/// A plan, and whose calls it carries.
pub(crate) struct Drafted {
    pub(crate) plan: Plan,
    /// By layer its name and the calls by block.
    pub(crate) layers: Vec<(Key, Vec<Arc<Promise>>)>,
}

impl Draft {
    pub(crate) fn new(batch: u64) -> Self {
        Self {
            batch,
            layers: Vec::new(),
            options: Vec::new(),
            latest: HashMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Adds a call. One whose arguments cannot be had fails at once.
    pub(crate) fn add(
        &mut self,
        promise: Arc<Promise>,
        args: &[Arg],
        bytes: u64,
        options: &Arc<CallOptions>,
    ) {
        let Some(sources) = self.sources(&promise, args) else {
            return;
        };
        let at = self.layer_for(&promise.function, options, &sources);
        let layer = &mut self.layers[at];
        let block = layer.promises.len() as u64;
        layer.value_bytes_max = layer.value_bytes_max.max(bytes);
        let own = LayerId(u32::try_from(at).expect("batches are short"));
        let mut places: HashMap<(usize, u64), u32> = HashMap::new();
        let mut next_source = sources.into_iter();
        let arguments = args.iter().map(|arg| match arg {
            Arg::Value(value) => Argument::Value(layer.value(value)),
            Arg::Shared(value) => Argument::Value(layer.shared(value)),
            Arg::Future(_) => {
                let (source, of_block) = next_source.next().expect("one for each future");
                let input = layer.input(source);
                let place = *places
                    .entry((input, of_block))
                    .or_insert_with(|| layer.inputs[input].need(block, of_block));
                Argument::Result {
                    input: u32::try_from(input).expect("inputs are few"),
                    place,
                }
            }
        });
        let arguments = arguments.collect();
        layer.calls.arguments.push(arguments);
        promise.put(Place {
            batch: self.batch,
            key: layer.key,
            layer: own,
            block,
        });
        layer.promises.push(promise);
    }

    /// Where the results come from that a call needs; `None` if one of them cannot be had.
    fn sources(&self, promise: &Promise, args: &[Arg]) -> Option<Vec<(Source, u64)>> {
        let mut sources = Vec::new();
        for arg in args {
            let Arg::Future(future) = arg else { continue };
            let of = future.promise();
            match of.place() {
                Some(place) if place.batch == self.batch => {
                    sources.push((Source::Layer(place.layer), place.block));
                }
                Some(place) => sources.push((Source::Held(place.key), place.block)),
                // It was cancelled, or never sent.
                None => {
                    let why = of.error().unwrap_or(ClientError::Cancelled);
                    promise.fail(ClientError::Failed {
                        message: format!(
                            "{} was not run: an argument of it, the result of {}, could not be made\n{why}",
                            promise.function, of.function
                        ),
                    });
                    return None;
                }
            }
        }
        Some(sources)
    }

    /// The layer that takes a call: it stands behind those that the call reads, or is one of them.
    fn layer_for(
        &mut self,
        function: &Arc<str>,
        options: &Arc<CallOptions>,
        sources: &[(Source, u64)],
    ) -> usize {
        let of_options = self.options.iter().position(|known| known == options);
        let of_options = of_options.unwrap_or_else(|| {
            self.options.push(options.clone());
            self.options.len() - 1
        });
        let read = sources.iter().filter_map(|(source, _)| match source {
            Source::Layer(layer) => Some(layer.0 as usize),
            Source::Held(_) => None,
        });
        let latest_read = read.max();
        let name = (function.clone(), of_options);
        if let Some(&at) = self.latest.get(&name) {
            let layer = &self.layers[at];
            let is_behind = latest_read.is_none_or(|read| read <= at);
            let new = sources
                .iter()
                .filter(|(source, _)| !layer.input_of.contains_key(source));
            if is_behind && (layer.inputs.len() < INPUT_COUNT_MAX || new.count() == 0) {
                return at;
            }
        }
        self.layers.push(LayerDraft {
            function: function.clone(),
            options: options.clone(),
            key: key::draw(),
            inputs: Vec::new(),
            input_of: HashMap::new(),
            calls: Calls {
                function: function.to_string(),
                values: Vec::new(),
                arguments: Vec::new(),
            },
            value_of: HashMap::new(),
            shared: Vec::new(),
            value_bytes_max: 0,
            promises: Vec::new(),
        });
        let at = self.layers.len() - 1;
        self.latest.insert(name, at);
        at
    }

    /// The plan of all calls.
    ///
    /// # Errors
    /// [`PlanError`] if there are more calls than a plan takes.
    pub(crate) fn finish(self) -> Result<Drafted, PlanError> {
        let mut builder = PlanBuilder::new();
        let mut layers = Vec::with_capacity(self.layers.len());
        for draft in self.layers {
            let (key, promises, layer) = draft.finish()?;
            let layer = builder.layer(layer)?;
            builder.output(Output {
                layer,
                keep: Some(key),
            })?;
            layers.push((key, promises));
        }
        Ok(Drafted {
            plan: builder.finish(),
            layers,
        })
    }
}

impl LayerDraft {
    /// The position of a value among the layer's.
    fn value(&mut self, value: &Value) -> u32 {
        let next = u32::try_from(self.calls.values.len()).expect("batches are short");
        let inline = value.inline();
        if inline.bytes.len() > SHARED_VALUE_BYTES_MAX {
            self.calls.values.push(inline);
            return next;
        }
        *self.value_of.entry(inline).or_insert_with_key(|inline| {
            self.calls.values.push(inline.clone());
            next
        })
    }

    /// The position of a value that several calls have, looked for from the latest.
    fn shared(&mut self, value: &Arc<InlineValue>) -> u32 {
        let known = self
            .shared
            .iter()
            .rev()
            .find(|(known, _)| Arc::ptr_eq(known, value));
        if let Some((_, at)) = known {
            return *at;
        }
        let at = u32::try_from(self.calls.values.len()).expect("batches are short");
        self.calls.values.push(InlineValue::clone(value));
        self.shared.push((value.clone(), at));
        at
    }

    /// The position of the input that reads a source.
    fn input(&mut self, source: Source) -> usize {
        let inputs = &mut self.inputs;
        *self.input_of.entry(source).or_insert_with(|| {
            inputs.push(InputDraft {
                source,
                offsets: vec![0],
                blocks: Vec::new(),
            });
            inputs.len() - 1
        })
    }

    fn finish(self) -> Result<(Key, Vec<Arc<Promise>>, Layer), PlanError> {
        let count = self.promises.len() as u64;
        let grid = ChunkGrid::new(vec![AxisChunks::regular(count, 1)?])?;
        let inputs = self.inputs.into_iter().map(|input| input.finish(count));
        let body = Body::new(self.calls.encode());
        // A value is given back as it is.
        let is_value = *self.function == *VALUE_FUNCTION;
        let known = self
            .options
            .output_bytes
            .or(is_value.then_some(self.value_bytes_max));
        let bytes = known.unwrap_or(RESULT_BYTES_GUESS);
        let mut layer = Layer::new(&self.function, grid, bytes, body, inputs.collect());
        layer.scratch_bytes = self.value_bytes_max.saturating_add(self.options.scratch_bytes);
        self.options.annotations.apply(&mut layer);
        layer.kind = LayerKind::Calls {
            function: self.function,
            learns_size: known.is_none(),
        };
        Ok((self.key, self.promises, layer))
    }
}

impl InputDraft {
    /// Has a block need one of the source; returns its place in the row.
    fn need(&mut self, block: u64, of_source: u64) -> u32 {
        self.fill(block);
        self.blocks.push(of_source);
        let first = self.offsets.last().expect("never empty");
        u32::try_from(self.blocks.len() as u64 - 1 - first).expect("a call has fewer arguments")
    }

    /// Ends the rows before that of a block.
    fn fill(&mut self, block: u64) {
        while (self.offsets.len() as u64) <= block {
            self.offsets.push(self.blocks.len() as u64);
        }
    }

    fn finish(mut self, count: u64) -> Input {
        self.fill(count);
        let rows =
            Rows::from_parts(self.offsets, self.blocks).expect("each row begins where the last one ends");
        Input {
            source: self.source,
            map: InputMap::Blocks(rows),
        }
    }
}
