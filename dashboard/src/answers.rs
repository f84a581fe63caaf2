//! What is asked once, and answered from the tables as they are.

use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{
    aggregate::{Direction, LineQuery, RosterOrder, RowKey},
    http::{FRESH_JSON, Watch, busy},
    hub::Question,
    reasons::Unexplained,
};

/// The routes of questions.
pub(crate) fn routes() -> Router<Watch> {
    Router::new()
        .route("/api/plans/{job}", get(outline))
        .route("/api/blocks/{layer}/{block}", get(block))
        .route("/api/reasons/{layer}/{block}", get(reasons))
        .route("/api/timeline", get(timeline))
        .route("/api/timeline/tiles/{level}/{index}", get(tile))
        .route("/api/timeline/tasks/{from_us}/{to_us}", get(timeline_tasks))
        .route("/api/timeline/moves/{from_us}/{to_us}", get(timeline_moves))
        .route("/api/communication", get(communication))
        .route("/api/insights", get(insights))
        .route("/api/workers/{order}/{direction}/{from}", get(workers))
        .route("/api/worker/{worker}/{level}", get(worker))
        .route("/api/memory/{level}", get(memory))
        .route("/api/logs", get(lines))
        .route("/api/scaling", get(scaling))
        .route(
            "/api/timeline/sums/{from_us}/{to_us}/{first_worker}/{first_slot}/{last_worker}/{last_slot}",
            get(timeline_sums),
        )
}

async fn outline(Path(job): Path<RowKey>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Outline { job }).await
}

async fn block(Path((layer, block)): Path<(RowKey, u64)>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Block { layer, block }).await
}

/// Why a task is where it is: asked anew once a second at most while somebody looks.
async fn reasons(Path((layer, block)): Path<(RowKey, u64)>, State(watch): State<Watch>) -> Response {
    match watch.reasons.of(layer, block).await {
        Ok(told) => (FRESH_JSON, told).into_response(),
        // No fault of who asks: a browser would complain of it to its user.
        Err(Unexplained::Unknown) => StatusCode::NO_CONTENT.into_response(),
        Err(Unexplained::Busy) => busy(),
    }
}

async fn timeline(State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Timeline).await
}

async fn tile(Path((level, index)): Path<(u32, u64)>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Tile { level, index }).await
}

async fn timeline_tasks(Path((from_us, to_us)): Path<(u64, u64)>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Tasks { from_us, to_us }).await
}

async fn timeline_moves(Path((from_us, to_us)): Path<(u64, u64)>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Moves { from_us, to_us }).await
}

async fn communication(State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Communication).await
}

async fn insights(State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Insights).await
}

async fn workers(
    Path((order, direction, from)): Path<(RosterOrder, Direction, u64)>,
    State(watch): State<Watch>,
) -> Response {
    let question = Question::Workers {
        order,
        direction,
        from,
    };
    answer(&watch, question).await
}

async fn worker(Path((worker, level)): Path<(RowKey, usize)>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Worker { worker, level }).await
}

async fn memory(Path(level): Path<usize>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Memory { level }).await
}

async fn scaling(State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Scaling).await
}

async fn lines(Query(query): Query<LineQuery>, State(watch): State<Watch>) -> Response {
    answer(&watch, Question::Lines(query)).await
}

async fn timeline_sums(
    Path((from_us, to_us, worker, slot, last_worker, last_slot)): Path<(u64, u64, RowKey, u32, RowKey, u32)>,
    State(watch): State<Watch>,
) -> Response {
    let lanes = ((worker, slot), (last_worker, last_slot));
    answer(
        &watch,
        Question::Sums {
            from_us,
            to_us,
            lanes,
        },
    )
    .await
}

async fn answer(watch: &Watch, question: Question) -> Response {
    let mut headers = FRESH_JSON;
    if let Question::Tile { .. } = question {
        headers[0].1 = "application/octet-stream";
    }
    match watch.hub.ask(question).await {
        Some(answer) => (headers, answer).into_response(),
        None if watch.hub.is_serving() => {
            (StatusCode::NOT_FOUND, "no longer, or not yet, known\n").into_response()
        }
        None => busy(),
    }
}
