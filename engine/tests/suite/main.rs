//! The engines of scheduler and workers as a whole, driven event by event.

mod apart;
mod blame;
mod choosy;
mod cluster;
mod drawing;
mod ledger;
mod recovery;
mod relief;
mod restore;
mod retire;
mod runs;
mod scheduler;
mod sizes;
mod values;
mod why;
mod worker;
