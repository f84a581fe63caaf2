//! What a worker and its children say to each other; tensors go beside the words.

use serde::{Deserialize, Serialize};

use crate::{functions::BlockAsk, logged::Told};

/// What a worker says. The first tensor is the function: its digest, and its pickle unless the child has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Run a call, whose other values are the other tensors.
    Call,
    /// Make a block out of blocks, which are the other tensors.
    Block(BlockAsk),
    /// The answer to a claim: whether the child may run it.
    Claimed(bool),
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Calls within calls that nobody holds any more.
    pub(super) forgot: Vec<u64>,
    /// What was logged since the last word.
    pub(super) logged: Vec<Told>,
    pub(super) what: What,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum What {
    /// What was asked for is made, and goes beside.
    Made,
    /// What the task says of its failure.
    Failed(String),
    /// The child has no function of this digest: it must be sent.
    Unknown,
    /// May I run this call within a call, for which I wait?
    Claim(u64),
    /// I have run it: its value goes beside, or what its task says of its failure.
    Settled { token: u64, failed: Option<String> },
    /// I have not run it after all.
    GaveUp(u64),
    /// Nothing but what was logged.
    Noted,
}

pub(super) fn write(words: &impl Serialize) -> std::io::Result<Vec<u8>> {
    postcard::to_stdvec(words).map_err(std::io::Error::other)
}

pub(super) fn read<'a, T: Deserialize<'a>>(words: &'a [u8]) -> std::io::Result<T> {
    postcard::from_bytes(words).map_err(std::io::Error::other)
}
