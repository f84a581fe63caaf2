//! What a monitoring system reads of a cluster that did something, and whether the Grafana dashboard asks for what there is.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::collections::{BTreeMap, BTreeSet};

use graticule_array::{Array, Chunks, Over};
use graticule_client::{Client, LocalOptions};
use graticule_plan::DType;
use serde_json::Value;

use crate::moved::get;

/// Figures by their name and labels.
type Scrape = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads the text format strictly: each figure belongs to the family that was announced last, and comes once.
fn parse(text: &str) -> Scrape {
    let mut scrape = Scrape::new();
    let (mut family, mut kind, mut families) = (String::new(), String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, told) = help.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            assert!(told.ends_with('.'), "{line}");
            family = name.into();
            continue;
        }
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, told) = of.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&told), "{line}");
            assert_eq!(told == "counter", name.ends_with("_total"), "{line}");
            kind = told.into();
            continue;
        }
        let (figure, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = figure.split_once('{').unwrap_or((figure, "}"));
        let base = match kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap(),
            _ => name,
        };
        assert_eq!(base, family, "{line}");
        let labels = labels.strip_suffix('}').unwrap();
        let labels = labels.split_terminator("\",").map(|label| {
            let (name, content) = label.split_once("=\"").unwrap();
            (name.to_owned(), content.trim_end_matches('"').to_owned())
        });
        let before = scrape.insert((name.to_owned(), labels.collect()), value.parse().unwrap());
        assert!(before.is_none(), "{line} comes twice");
    }
    scrape
}

fn sum(scrape: &Scrape, name: &str) -> f64 {
    scrape
        .iter()
        .filter(|((of, _), _)| of == name)
        .map(|(_, value)| value)
        .sum()
}

async fn cluster_that_did_something() -> Client {
    let options = LocalOptions {
        worker_count: 2,
        slots: Some(1),
        dashboard: Some(([127, 0, 0, 1], 0).into()),
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await.unwrap();
    let ones = Array::ones(&[64, 8], &[Chunks::Size(4), Chunks::Whole], DType::Float64).unwrap();
    client.compute(&ones.sum(&Over::all()).unwrap()).await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_what_the_scheduler_counted() {
    let client = cluster_that_did_something().await;
    let finished = client.info().await.unwrap().finished_count;
    let scrape = parse(std::str::from_utf8(&get(&client, "metrics").await).unwrap());
    assert_eq!(sum(&scrape, "graticule_tasks_finished_total"), finished as f64);
    assert_eq!(
        sum(&scrape, "graticule_task_duration_seconds_count"),
        finished as f64
    );
    for (name, want) in [
        ("graticule_jobs_started_total", 1.0),
        ("graticule_jobs_ended_total", 1.0),
        ("graticule_jobs_running", 0.0),
        ("graticule_tasks_remaining", 0.0),
        ("graticule_workers", 2.0),
        ("graticule_workers_joined_total", 2.0),
        ("graticule_worker_slots", 2.0),
        ("graticule_tasks_failed_total", 0.0),
        ("graticule_observations_dropped_total", 0.0),
    ] {
        assert_eq!(sum(&scrape, name), want, "{name}");
    }
    // Buckets count all that is shorter, too.
    let of = |end: &str| {
        let within = |labels: &BTreeMap<String, String>| labels.get("le").is_some_and(|le| le == end);
        let buckets = scrape.iter().filter(|((_, labels), _)| within(labels));
        buckets.map(|(_, value)| value).sum::<f64>()
    };
    assert!(of("0.0001") <= of("0.001") && of("300") <= of("+Inf"));
    assert_eq!(of("+Inf"), finished as f64);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_query_of_the_grafana_dashboard_names_what_there_is() {
    let client = cluster_that_did_something().await;
    let scrape = parse(std::str::from_utf8(&get(&client, "metrics").await).unwrap());
    let text = include_str!("../../../examples/grafana/graticule.json");
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut query_count = 0;
    for target in panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
    {
        let query = target["expr"].as_str().unwrap();
        query_count += 1;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let names: Vec<&str> = query
            .split(|c| !is_word(c))
            .filter(|word| word.starts_with("graticule_"))
            .collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let known: Vec<_> = scrape.keys().filter(|(of, _)| of == name).collect();
            assert!(!known.is_empty(), "{name} of {query} is not there");
            let has_label = |label: &str| known.iter().any(|(_, labels)| labels.contains_key(label));
            let by = query
                .split("by (")
                .nth(1)
                .and_then(|rest| rest.split(')').next())
                .unwrap_or_default();
            for label in by.split(',').map(str::trim).filter(|label| !label.is_empty()) {
                assert!(has_label(label), "{label} of {query} is not there");
            }
            let chosen = query
                .split(&format!("{name}{{"))
                .nth(1)
                .and_then(|rest| rest.split('}').next());
            for choice in chosen.unwrap_or_default().split_terminator(',') {
                let (label, value) = choice.split_once('=').unwrap();
                let value = value.trim_matches('"');
                assert!(
                    known
                        .iter()
                        .any(|(_, labels)| labels.get(label).is_some_and(|it| it == value)),
                    "{query}"
                );
            }
            let legend = target["legendFormat"].as_str().unwrap();
            if let Some(label) = legend.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
                assert!(has_label(label), "{legend} of {query} is not there");
            }
        }
    }
    assert!(query_count >= 15, "{query_count}");
    client.close().await;
}
