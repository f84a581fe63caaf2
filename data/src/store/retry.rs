//! HTTP clients that try again: with jittered back-off, as long as a host's budget and a request's deadline allow.
//!
//! The retries lie below `object_store`, where status, `Retry-After` and the whole body are still to be seen. So a
//! body that breaks off is tried again like an answer of 503, and cloud stores get the same patience as plain http.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
    http::HttpBuilder,
};
use reqwest::{
    StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE, RETRY_AFTER},
};
use url::Url;

use crate::{
    redact::{redact_text, redact_url},
    time::Timestamp,
};

use super::{StoreConfig, StoreError};

/// The http client of a process, made when it is first needed: loading the system's certificates takes a while.
pub(super) struct HttpClients {
    config: StoreConfig,
    client: Mutex<Option<HttpClient>>,
}

/// Hands the process' client to a store's builder.
#[derive(Debug, Clone)]
pub(super) struct SharedConnector(HttpClient);

impl HttpConnector for SharedConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl HttpClients {
    pub(super) fn new(config: StoreConfig) -> Self {
        Self {
            config,
            client: Mutex::new(None),
        }
    }

    /// A store of the one file at `url`: its path is empty, so that no character of the address is written anew.
    pub(super) fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let failed = |e: object_store::Error| StoreError::Failed {
            address: redact_url(url),
            why: redact_text(&e.to_string()),
        };
        let store = HttpBuilder::new()
            .with_url(url.as_str())
            .with_retry(no_retry())
            .with_http_connector(self.connector().map_err(failed)?)
            .build()
            .map_err(failed)?;
        Ok(Arc::new(store))
    }

    pub(super) fn connector(&self) -> object_store::Result<SharedConnector> {
        let mut client = self.client.lock().expect("no panic while the client is held");
        if let Some(client) = &*client {
            return Ok(SharedConnector(client.clone()));
        }
        // Fails if the program has chosen a provider before, which is then used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_connect_timeout(self.config.connect_timeout)
            .with_timeout(self.config.attempt_timeout);
        let inner = ReqwestConnector::default().connect(&options)?;
        let made = HttpClient::new(RetryingService {
            inner,
            config: self.config.clone(),
            budgets: Mutex::new(HashMap::new()),
        });
        *client = Some(made.clone());
        Ok(SharedConnector(made))
    }
}

/// `object_store` is not to try again by itself.
pub(super) fn no_retry() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

/// The end of the patience, as it travels through `object_store`.
#[derive(Debug, thiserror::Error)]
#[error("{why}; gave up after {attempts} attempts")]
struct GaveUp {
    why: String,
    attempts: u32,
    elapsed: Duration,
}

/// Finds the end of the patience in an error's chain.
pub(super) fn gave_up(error: &(dyn std::error::Error + 'static), address: &str) -> Option<StoreError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<GaveUp>() {
            return Some(StoreError::Unavailable {
                address: address.to_owned(),
                why: redact_text(&found.why),
                attempts: found.attempts,
                seconds: found.elapsed.as_secs(),
            });
        }
        next = error.source();
    }
    None
}

/// Retries left to a host, in tenths.
type Budget = Arc<AtomicI64>;

#[derive(Debug)]
struct RetryingService {
    inner: HttpClient,
    config: StoreConfig,
    budgets: Mutex<HashMap<String, Budget>>,
}

/// What one attempt came to.
enum Attempt {
    Done(HttpResponse),
    /// May be tried again, after the pause that the server asks for.
    Failed {
        why: String,
        retry_after: Option<Duration>,
    },
}

#[async_trait]
impl HttpService for RetryingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let budget = self.budget(request.uri().authority().map_or("", |a| a.as_str()));
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (why, retry_after) = match self.attempt(request.clone()).await? {
                Attempt::Done(response) => {
                    self.earn(&budget);
                    return Ok(response);
                }
                Attempt::Failed { why, retry_after } => (why, retry_after),
            };
            let pause = self.pause(attempts, retry_after);
            let is_late = started.elapsed() + pause > self.config.deadline;
            if attempts >= self.config.attempt_count_max || is_late || !self.spend(&budget) {
                let gave_up = GaveUp {
                    why,
                    attempts,
                    elapsed: started.elapsed(),
                };
                return Err(HttpError::new(HttpErrorKind::Unknown, gave_up));
            }
            tracing::debug!(
                attempt = attempts,
                pause_ms = pause.as_millis() as u64,
                host = request.uri().host().unwrap_or(""),
                why = redact_text(&why),
                "request is tried again"
            );
            tokio::time::sleep(pause).await;
        }
    }
}

impl RetryingService {
    async fn attempt(&self, request: HttpRequest) -> Result<Attempt, HttpError> {
        let wanted = request.headers().get(RANGE).and_then(parse_range);
        let response = match self.inner.execute(request).await {
            Ok(response) => response,
            Err(error) => return transport(error),
        };
        let status = response.status();
        let may_pass = status.is_server_error()
            && status != StatusCode::NOT_IMPLEMENTED
            && status != StatusCode::HTTP_VERSION_NOT_SUPPORTED;
        if may_pass || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT {
            let retry_after = retry_after(response.headers());
            return Ok(Attempt::Failed {
                why: format!("the server answers {status}"),
                retry_after,
            });
        }
        if !status.is_success() {
            return Ok(Attempt::Done(response));
        }
        let (mut parts, body) = response.into_parts();
        if status == StatusCode::OK && wanted.is_some() {
            check_whole_size(&parts.headers, self.config.read_bytes_max)?;
        }
        let mut body = match body.bytes().await {
            Ok(body) => body,
            Err(error) => return transport(error),
        };
        if let (StatusCode::OK, Some(wanted)) = (status, wanted) {
            body = cut(&mut parts.headers, body, wanted);
            parts.status = StatusCode::PARTIAL_CONTENT;
        }
        if let Some(why) = short_body(&parts.headers, &body) {
            return Ok(Attempt::Failed {
                why,
                retry_after: None,
            });
        }
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Ok(Attempt::Done(HttpResponse::from_parts(parts, body.into())))
    }

    fn budget(&self, host: &str) -> Budget {
        let mut budgets = self.budgets.lock().expect("no panic while the map is held");
        match budgets.get(host) {
            Some(budget) => budget.clone(),
            None => {
                let budget = Arc::new(AtomicI64::new(self.budget_max()));
                budgets.insert(host.to_owned(), budget.clone());
                budget
            }
        }
    }

    fn budget_max(&self) -> i64 {
        i64::from(self.config.retry_budget) * 10
    }

    fn spend(&self, budget: &Budget) -> bool {
        budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left >= 10).then_some(left - 10)
            })
            .is_ok()
    }

    fn earn(&self, budget: &Budget) {
        let max = self.budget_max();
        // Nothing is to be done where the budget is full.
        let _ = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left < max).then_some(left + 1)
        });
    }

    /// What the server asks for, else a random time around an exponentially growing mean.
    fn pause(&self, attempts: u32, retry_after: Option<Duration>) -> Duration {
        if let Some(asked) = retry_after {
            return asked.min(self.config.retry_after_max);
        }
        let mean = self
            .config
            .backoff_first
            .saturating_mul(1 << (attempts - 1).min(16));
        let mean = mean.min(self.config.backoff_max);
        // A fresh hasher's keys differ each time, which is all that jitter needs.
        let random = RandomState::new().hash_one(attempts) as f64 / u64::MAX as f64;
        mean.mul_f64(0.5 + random)
    }
}

/// A failure below http: worth another attempt unless the answer was not understood.
fn transport(error: HttpError) -> Result<Attempt, HttpError> {
    if error.kind() == HttpErrorKind::Decode && !error.to_string().contains("body") {
        return Err(error);
    }
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    Ok(Attempt::Failed {
        why: format!("the request failed: {why}"),
        retry_after: None,
    })
}

/// Seconds, or the time until an HTTP date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let at = u64::try_from(http_date(text)?.0).ok()?;
    Some(Duration::from_micros(at).saturating_sub(now))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, clock, "GMT"] = parts[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{clock}Z"))
}

/// The bytes that a `Range` header asks for: from the start, or the last so many.
fn parse_range(header: &HeaderValue) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = header.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok(), last.parse().ok()))
}

/// Refuses to load a huge file for one range of it.
fn check_whole_size(headers: &HeaderMap, limit: u64) -> Result<(), HttpError> {
    #[derive(Debug, thiserror::Error)]
    #[error("the server ignores byte ranges, and the whole file of {0} bytes is too large to read instead")]
    struct NoRanges(u64);
    let size = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<u64>().ok());
    match size {
        Some(size) if size > limit => Err(HttpError::new(HttpErrorKind::Unknown, NoRanges(size))),
        _ => Ok(()),
    }
}

/// Cuts the wanted bytes out of a whole file that a server without ranges has sent.
fn cut(headers: &mut HeaderMap, body: Bytes, (first, last): (Option<u64>, Option<u64>)) -> Bytes {
    let size = body.len() as u64;
    let range: Range<u64> = match (first, last) {
        (Some(first), last) => {
            first.min(size)
                ..last
                    .map_or(size, |last| last.saturating_add(1))
                    .clamp(first.min(size), size)
        }
        (None, Some(len)) => size.saturating_sub(len)..size,
        (None, None) => 0..size,
    };
    let stated = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    if let Ok(stated) = HeaderValue::from_str(&stated) {
        headers.insert(CONTENT_RANGE, stated);
    }
    // Both ends are at most the body's length, which is a usize.
    let part = body.slice(range.start as usize..range.end as usize);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.len()));
    part
}

/// What is wrong with a body that is shorter than its header says.
fn short_body(headers: &HeaderMap, body: &Bytes) -> Option<String> {
    let want: usize = headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    (body.len() < want).then(|| format!("the body broke off after {} of {want} bytes", body.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_seconds_say_how_long_to_wait() {
        let after = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers)
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(after("Sun, 06 Nov 2194 08:49:37 GMT").unwrap() > Duration::from_secs(1_000_000));
        assert_eq!(after("soon"), None);
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap().to_string(),
            "1994-11-06T08:49:37Z"
        );
    }

    #[test]
    fn ranges_are_cut_out_of_whole_files() {
        let body = Bytes::from_static(b"0123456789");
        let part = |range| cut(&mut HeaderMap::new(), body.clone(), range);
        assert_eq!(part((Some(2), Some(4))), "234");
        assert_eq!(part((Some(8), Some(100))), "89");
        assert_eq!(part((None, Some(3))), "789");
        assert_eq!(part((Some(20), Some(30))), "");
    }
}
