//! The pages as panels, for notebooks that show them beside the code.

use axum::{Json, Router, http::header, response::IntoResponse, routing::get};
use serde_json::{Map, Value};

/// Titles and addresses below the dashboard's own, in the form that Dask's extension for JupyterLab asks for.
const PANELS: [(&str, &str); 12] = [
    ("Overview", "#/?embedded"),
    ("Arrays", "#/array?embedded"),
    ("Expression", "#/expression?embedded"),
    ("Timeline", "#/timeline?embedded"),
    ("Workers", "#/workers?embedded"),
    ("Memory", "#/memory?embedded"),
    ("Scaling", "#/scaling?embedded"),
    ("Communication", "#/communication?embedded"),
    ("Insights", "#/insights?embedded"),
    ("Logs", "#/logs?embedded"),
    ("Runs", "#/runs?embedded"),
    ("Task", "#/task?embedded"),
];

/// The list of panels.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/individual-plots.json", get(list))
}

async fn list() -> impl IntoResponse {
    let panels = PANELS.map(|(title, path)| (title.to_owned(), Value::from(path)));
    (
        [(header::CACHE_CONTROL, "no-cache")],
        Json(Map::from_iter(panels)),
    )
}
