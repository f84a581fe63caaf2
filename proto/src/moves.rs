//! What a worker moved, in frames.

use graticule_engine::{LayerName, Move, MoveKind, MoveName, Moved};
use graticule_plan::{JobId, LayerId, WorkerId};

use crate::{ProtoError, v1};

impl From<Moved> for v1::Moved {
    fn from(moved: Moved) -> Self {
        Self {
            moves: moved.moves.into_iter().map(Into::into).collect(),
            lost: moved.lost,
        }
    }
}

impl TryFrom<v1::Moved> for Moved {
    type Error = ProtoError;

    fn try_from(moved: v1::Moved) -> Result<Self, ProtoError> {
        let moves = moved.moves.into_iter().map(Move::try_from);
        Ok(Self {
            moves: moves.collect::<Result<_, _>>()?,
            lost: moved.lost,
        })
    }
}

impl From<Move> for v1::Move {
    fn from(row: Move) -> Self {
        use v1::r#move::Kind;
        let name = |(job, layer): LayerName| v1::LayerName {
            job: job.0,
            layer: layer.0,
        };
        let kind = match row.what.kind {
            MoveKind::Peer(worker) => Kind::Peer(worker.0),
            MoveKind::Source => Kind::Source(true),
            MoveKind::Spill => Kind::Spill(true),
            MoveKind::ReadBack => Kind::ReadBack(true),
            MoveKind::Call => Kind::Call(true),
        };
        Self {
            kind: Some(kind),
            of: row.what.of.map(name),
            by: row.what.by.map(name),
            count: row.count,
            bytes: row.bytes,
            busy_us: row.busy_us,
            cpu_us: row.cpu_us,
            began_ago_us: row.began_ago_us,
            ended_ago_us: row.ended_ago_us,
        }
    }
}

impl TryFrom<v1::Move> for Move {
    type Error = ProtoError;

    fn try_from(row: v1::Move) -> Result<Self, ProtoError> {
        use v1::r#move::Kind;
        let name = |name: v1::LayerName| (JobId(name.job), LayerId(name.layer));
        let kind = row.kind.ok_or(ProtoError::Malformed("a movement of no kind"))?;
        let kind = match kind {
            Kind::Peer(worker) => MoveKind::Peer(WorkerId(worker)),
            Kind::Source(_) => MoveKind::Source,
            Kind::Spill(_) => MoveKind::Spill,
            Kind::ReadBack(_) => MoveKind::ReadBack,
            Kind::Call(_) => MoveKind::Call,
        };
        Ok(Self {
            what: MoveName {
                kind,
                of: row.of.map(name),
                by: row.by.map(name),
            },
            count: row.count,
            bytes: row.bytes,
            busy_us: row.busy_us,
            cpu_us: row.cpu_us,
            began_ago_us: row.began_ago_us,
            ended_ago_us: row.ended_ago_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::ToScheduler;

    use super::*;

    #[test]
    fn what_was_moved_comes_back_as_it_was() {
        let layer = Some((JobId(3), LayerId(1)));
        let kinds = [
            MoveKind::Peer(WorkerId(0)),
            MoveKind::Source,
            MoveKind::Spill,
            MoveKind::ReadBack,
            MoveKind::Call,
        ];
        let row = |(at, kind): (usize, MoveKind)| Move {
            what: MoveName {
                kind,
                of: layer.filter(|_| at % 2 == 0),
                by: layer.filter(|_| at % 3 == 0),
            },
            count: 1,
            bytes: 2 + at as u64,
            busy_us: 3,
            cpu_us: 4,
            began_ago_us: 5,
            ended_ago_us: 6,
        };
        let moves = kinds.into_iter().enumerate().map(row).collect();
        let told = ToScheduler::Moved(Moved { moves, lost: 7 });
        let sent = v1::WorkerMessage::from(told.clone());
        assert_eq!(ToScheduler::try_from(sent).unwrap(), told);
    }

    #[test]
    fn a_movement_of_no_kind_is_refused() {
        let moved = v1::Moved {
            moves: vec![v1::Move::default()],
            lost: 0,
        };
        assert!(Moved::try_from(moved).is_err());
    }
}
