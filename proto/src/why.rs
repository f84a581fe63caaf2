//! Why a task is where it is and how a worker is, on their way to and from the wire.

use graticule_engine::scheduler::{Admission, Bound, Openings, Placement, Standing, Why, WorkerWhy};
use graticule_plan::WorkerId;

use crate::{ProtoError, plan::task, v1};

use ProtoError::Malformed;

impl From<Why> for v1::TaskWhy {
    fn from(why: Why) -> Self {
        Self {
            task: Some(why.task.into()),
            layer: why.layer.to_string(),
            is_wanted: why.is_wanted,
            attempts: why.attempts,
            failures: why.failures,
            losses: why.losses,
            misses: why.misses,
            standing: Some(standing(why.standing)),
        }
    }
}

impl TryFrom<v1::TaskWhy> for Why {
    type Error = ProtoError;

    fn try_from(why: v1::TaskWhy) -> Result<Self, ProtoError> {
        Ok(Self {
            task: task(why.task)?,
            layer: why.layer.into(),
            is_wanted: why.is_wanted,
            attempts: why.attempts,
            failures: why.failures,
            losses: why.losses,
            misses: why.misses,
            standing: from_standing(why.standing.ok_or(Malformed("a task that stands nowhere"))?)?,
        })
    }
}

fn standing(standing: Standing) -> v1::task_why::Standing {
    use v1::task_why::Standing as To;
    match standing {
        Standing::NotDemanded {
            needed_for,
            walk_at,
            admission,
        } => To::NotDemanded(v1::NotDemanded {
            needed_for: Some(needed_for.into()),
            walk_at: walk_at.map(Into::into),
            bound: bound(admission.bound).into(),
            ready_count: admission.ready_count,
            ready_count_max: admission.ready_count_max,
            in_use_bytes: admission.in_use_bytes,
            budget_bytes: admission.budget_bytes,
            undelivered_bytes: admission.undelivered_bytes,
        }),
        Standing::Waiting { missing, causes } => To::Waiting(v1::Waiting {
            missing,
            causes: causes.into_iter().map(Into::into).collect(),
        }),
        Standing::Ready { ahead, workers } => To::Ready(v1::Ready {
            ahead,
            connected: workers.connected,
            full: workers.full,
            retiring: workers.retiring,
            isolated: workers.isolated,
            not_empty: workers.not_empty,
            unfit: workers.unfit,
            awaits_first: workers.awaits_first,
        }),
        Standing::Leased {
            worker,
            name,
            placement,
        } => To::Leased(leased(worker, &name, placement)),
        Standing::Held {
            holders,
            bytes,
            needed,
        } => To::Held(v1::Held {
            holders: holders.into_iter().map(|worker| worker.0).collect(),
            bytes,
            needed,
        }),
        Standing::Released => To::Released(v1::Released {}),
        Standing::NotNeeded => To::NotNeeded(v1::NotNeeded {}),
        Standing::Forgotten => To::Forgotten(v1::Forgotten {}),
    }
}

fn from_standing(standing: v1::task_why::Standing) -> Result<Standing, ProtoError> {
    use v1::task_why::Standing as From;
    Ok(match standing {
        From::NotDemanded(of) => Standing::NotDemanded {
            needed_for: task(of.needed_for)?,
            walk_at: of.walk_at.map(Into::into),
            admission: Admission {
                bound: from_bound(of.bound()),
                ready_count: of.ready_count,
                ready_count_max: of.ready_count_max,
                in_use_bytes: of.in_use_bytes,
                budget_bytes: of.budget_bytes,
                undelivered_bytes: of.undelivered_bytes,
            },
        },
        From::Waiting(of) => {
            let causes = of.causes.into_iter().map(TryInto::try_into);
            Standing::Waiting {
                missing: of.missing,
                causes: causes.collect::<Result<_, ProtoError>>()?,
            }
        }
        From::Ready(of) => Standing::Ready {
            ahead: of.ahead,
            workers: Openings {
                connected: of.connected,
                full: of.full,
                retiring: of.retiring,
                isolated: of.isolated,
                not_empty: of.not_empty,
                unfit: of.unfit,
                awaits_first: of.awaits_first,
            },
        },
        From::Leased(of) => Standing::Leased {
            worker: WorkerId(of.worker),
            placement: placement(&of),
            name: of.name.into(),
        },
        From::Held(of) => Standing::Held {
            holders: of.holders.into_iter().map(WorkerId).collect(),
            bytes: of.bytes,
            needed: of.needed,
        },
        From::Released(_) => Standing::Released,
        From::NotNeeded(_) => Standing::NotNeeded,
        From::Forgotten(_) => Standing::Forgotten,
    })
}

/// Where a task is or was, and why there.
pub(crate) fn leased(worker: WorkerId, name: &str, placement: Placement) -> v1::Leased {
    let (placement, held_bytes, of_bytes) = match placement {
        Placement::Idlest => (v1::Placement::Idlest, 0, 0),
        Placement::Alone => (v1::Placement::Alone, 0, 0),
        Placement::OnlyFit => (v1::Placement::OnlyFit, 0, 0),
        Placement::MostInputs { held_bytes, of_bytes } => (v1::Placement::MostInputs, held_bytes, of_bytes),
        Placement::NextBest { held_bytes, of_bytes } => (v1::Placement::NextBest, held_bytes, of_bytes),
    };
    v1::Leased {
        worker: worker.0,
        name: name.to_owned(),
        placement: placement.into(),
        held_bytes,
        of_bytes,
    }
}

pub(crate) fn placement(of: &v1::Leased) -> Placement {
    let (held_bytes, of_bytes) = (of.held_bytes, of.of_bytes);
    match of.placement() {
        v1::Placement::Idlest => Placement::Idlest,
        v1::Placement::Alone => Placement::Alone,
        v1::Placement::OnlyFit => Placement::OnlyFit,
        v1::Placement::MostInputs => Placement::MostInputs { held_bytes, of_bytes },
        v1::Placement::NextBest => Placement::NextBest { held_bytes, of_bytes },
    }
}

fn bound(bound: Bound) -> v1::Bound {
    match bound {
        Bound::None => v1::Bound::None,
        Bound::NoWorkers => v1::Bound::NoWorkers,
        Bound::Ready => v1::Bound::Ready,
        Bound::Barren => v1::Bound::Barren,
        Bound::Memory => v1::Bound::Memory,
        Bound::Clients => v1::Bound::Clients,
        Bound::JobMemory => v1::Bound::JobMemory,
    }
}

fn from_bound(bound: v1::Bound) -> Bound {
    match bound {
        v1::Bound::None => Bound::None,
        v1::Bound::NoWorkers => Bound::NoWorkers,
        v1::Bound::Ready => Bound::Ready,
        v1::Bound::Barren => Bound::Barren,
        v1::Bound::Memory => Bound::Memory,
        v1::Bound::Clients => Bound::Clients,
        v1::Bound::JobMemory => Bound::JobMemory,
    }
}

impl From<WorkerWhy> for v1::WorkerWhy {
    fn from(why: WorkerWhy) -> Self {
        Self {
            worker: why.worker.0,
            name: why.name.to_string(),
            address: why.address.to_string(),
            slots: why.slots,
            budget_bytes: why.budget_bytes,
            leased_count: why.leased_count,
            leased: why.leased.into_iter().map(Into::into).collect(),
            load_us: why.load_us,
            held_count: why.held_count,
            held_bytes: why.held_bytes,
            status: Some(why.status.into()),
            silent_us: why.silent_us,
            is_retiring: why.is_retiring,
            is_isolated: why.is_isolated,
        }
    }
}

impl TryFrom<v1::WorkerWhy> for WorkerWhy {
    type Error = ProtoError;

    fn try_from(why: v1::WorkerWhy) -> Result<Self, ProtoError> {
        Ok(Self {
            worker: WorkerId(why.worker),
            name: why.name.into(),
            address: why.address.into(),
            slots: why.slots,
            budget_bytes: why.budget_bytes,
            leased_count: why.leased_count,
            leased: why.leased.into_iter().map(Into::into).collect(),
            load_us: why.load_us,
            held_count: why.held_count,
            held_bytes: why.held_bytes,
            status: why.status.ok_or(Malformed("a worker without a status"))?.into(),
            silent_us: why.silent_us,
            is_retiring: why.is_retiring,
            is_isolated: why.is_isolated,
        })
    }
}
