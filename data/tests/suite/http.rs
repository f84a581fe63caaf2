//! Reads over http from a server that fails in the ways that servers do.
#![allow(clippy::unwrap_used)] // Helpers of tests count as code outside of tests.
#![cfg(feature = "http")]

use std::time::Duration;

use crate::server::{Answer, Server};
use crate::support::{items, read_stack, sample};
use graticule_data::{
    StackDtype, StackOptions,
    stac::load_items,
    stack,
    store::{Address, Object, StoreConfig, StoreError, Stores},
};

/// So little patience that a test with a wrong pause fails instead of lasting.
fn quick() -> StoreConfig {
    StoreConfig {
        attempt_count_max: 4,
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(2),
        ..StoreConfig::default()
    }
}

fn object(config: StoreConfig, server: &Server, path: &str) -> Object {
    let address = Address::parse(&format!("{}{path}", server.url)).unwrap();
    Stores::new(config).object(&address).unwrap()
}

fn ok() -> Answer {
    Answer::Full(200, "", b"0123456789".to_vec())
}

#[tokio::test]
async fn too_many_requests_waits_as_long_as_the_server_asks() {
    let server = Server::start(|_, before| match before {
        0 => Answer::Full(429, "Retry-After: 0\r\n", Vec::new()),
        _ => ok(),
    })
    .await;
    // By its own choice the client would wait for an hour.
    let hour = Duration::from_secs(3600);
    let config = StoreConfig {
        backoff_first: hour,
        backoff_max: hour,
        deadline: 3 * hour,
        ..StoreConfig::default()
    };
    let read = tokio::time::timeout(Duration::from_secs(60), async {
        object(config, &server, "/a").whole().await
    });
    assert_eq!(
        read.await.expect("the server's word counts").unwrap(),
        "0123456789"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn failures_that_may_pass_are_tried_again() {
    let server = Server::start(|_, before| match before {
        0 => Answer::Full(503, "", b"busy".to_vec()),
        1 => Answer::Reset,
        2 => Answer::Cut(b"0123456789".to_vec(), 4),
        _ => ok(),
    })
    .await;
    assert_eq!(
        object(quick(), &server, "/a").whole().await.unwrap(),
        "0123456789"
    );
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn failures_that_stay_are_not_tried_again() {
    for (status, is_not_found) in [(404, true), (403, false), (400, false)] {
        let server = Server::start(move |_, _| Answer::Full(status, "", Vec::new())).await;
        let error = object(quick(), &server, "/a").whole().await.unwrap_err();
        assert_eq!(error.is_not_found(), is_not_found, "{error}");
        assert!(!error.is_transient(), "{error}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn patience_ends_and_the_error_tells_no_secret() {
    let server = Server::start(|_, _| Answer::Full(500, "", b"oops token=SECRET".to_vec())).await;
    let error = object(quick(), &server, "/a.tif?sig=SECRET")
        .whole()
        .await
        .unwrap_err();
    let StoreError::Unavailable { attempts, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*attempts, server.requests().len()), (4, 4));
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains("/a.tif?…") && text.contains("500") && !text.contains("SECRET"),
        "{text}"
    );
}

#[tokio::test]
async fn no_answer_at_all_ends_too() {
    let server = Server::start(|_, _| Answer::Silence).await;
    let config = StoreConfig {
        attempt_timeout: Duration::from_millis(30),
        attempt_count_max: 2,
        ..quick()
    };
    let error = object(config, &server, "/a").whole().await.unwrap_err();
    assert!(
        matches!(error, StoreError::Unavailable { attempts: 2, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_deadline_ends_the_attempts() {
    let server = Server::start(|_, _| Answer::Full(503, "Retry-After: 30\r\n", Vec::new())).await;
    let config = StoreConfig {
        deadline: Duration::from_secs(20),
        ..quick()
    };
    let error = object(config, &server, "/a").whole().await.unwrap_err();
    assert!(
        matches!(error, StoreError::Unavailable { attempts: 1, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_failing_host_uses_up_its_budget_of_retries() {
    let server = Server::start(|_, _| Answer::Full(503, "", Vec::new())).await;
    let stores = Stores::new(StoreConfig {
        retry_budget: 5,
        ..quick()
    });
    for _ in 0..4 {
        let address = Address::parse(&format!("{}/a", server.url)).unwrap();
        stores.object(&address).unwrap().whole().await.unwrap_err();
    }
    // Four first attempts and five retries, not four times four attempts.
    assert_eq!(server.requests().len(), 9);
}

#[tokio::test]
async fn near_ranges_come_in_one_request_and_far_ones_do_not() {
    let content: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let served = content.clone();
    let server = Server::start(move |_, _| Answer::Part(served.clone())).await;
    let object = object(
        StoreConfig {
            coalesce_gap_bytes: 1000,
            ..quick()
        },
        &server,
        "/a",
    );
    let ranges = [150_000..150_100, 10..20, 500..600, 199_990..200_050];
    let read = object.ranges(&ranges).await.unwrap();
    for (range, bytes) in ranges.iter().zip(read) {
        assert_eq!(
            bytes,
            content[range.start as usize..(range.end as usize).min(content.len())]
        );
    }
    assert_eq!(server.requests().len(), 3);
    assert_eq!(object.suffix(5).await.unwrap(), content[199_995..]);
    assert!(matches!(
        object.range(300_000..300_010).await,
        Err(StoreError::PastEnd { .. })
    ));
}

#[tokio::test]
async fn servers_that_ignore_ranges_are_read_all_the_same() {
    let server = Server::start(|_, _| ok()).await;
    let object = object(quick(), &server, "/a");
    assert_eq!(object.range(2..5).await.unwrap(), "234");
    assert_eq!(object.suffix(3).await.unwrap(), "789");
}

#[tokio::test]
async fn a_stack_over_http_has_the_pixels_of_the_files() {
    let server = Server::files(sample("s2-slovenia")).await;
    let address = Address::parse(&format!("{}/items.json", server.url)).unwrap();
    let set = load_items(&Stores::default(), &address).await.unwrap();
    let local = items("s2-slovenia").await;
    assert_eq!(set.items.len(), local.items.len());
    let options = StackOptions {
        dtype: StackDtype::Source,
        ..StackOptions::default()
    };
    let remote = stack(&set.items[..6], &["cloud_mask"], &options).unwrap();
    assert_eq!(server.requests().len(), 1, "stacking opens no file");
    let local = stack(&local.items[..6], &["cloud_mask"], &options).unwrap();
    let remote: Vec<u8> = read_stack(&remote).await;
    assert_eq!(remote, read_stack::<u8>(&local).await);
}
