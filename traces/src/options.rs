use std::env;

use tonic::{
    metadata::{Ascii, MetadataKey, MetadataValue},
    transport::Endpoint,
};

/// Spans of tasks that an operation has in full, before fewer and fewer are taken: see [`TraceOptions::task_count`].
pub const TASK_COUNT_USUAL: u32 = 64;

/// Where spans go, and how many.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The collector's address for OTLP over gRPC, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// What is sent along with each request, such as a token of the collector's.
    pub headers: Vec<(String, String)>,
    /// The name of the service under which the spans are found.
    pub service: String,
    /// The first so many tasks of an operation have a span each, then every second until there are so many more, then
    /// every fourth, and so on: a short operation is seen whole, and one of a billion tasks has a few hundred spans spread
    /// over its time. With 0 there are spans of jobs and operations alone.
    pub task_count: u32,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The collector's address is none.
    #[error(
        "{endpoint:?} is no address of a collector: write http://HOST:4317, where it takes OTLP over gRPC; for https run a collector beside this process that passes spans on"
    )]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// A header is none.
    #[error(
        "OTEL_EXPORTER_OTLP_HEADERS: {header:?} is no header of a request: write NAME=VALUE,NAME=VALUE, with letters, digits and hyphens in the name"
    )]
    Header {
        /// Its name; values may be secret.
        header: String,
    },
    /// The number of tasks is none.
    #[error(
        "GRATICULE_OTLP_TASKS is {text:?}: write how many tasks of an operation shall have a span, such as 64"
    )]
    TaskCount {
        /// What was given.
        text: String,
    },
}

impl TraceOptions {
    /// Spans to the collector at this address, with usual settings.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            service: "graticule".into(),
            task_count: TASK_COUNT_USUAL,
        }
    }

    /// What the environment says: `GRATICULE_OTLP` is the collector's address, `GRATICULE_OTLP_TASKS` the number of tasks;
    /// the rest as in [`with_environment`](Self::with_environment). `None` if there is no `GRATICULE_OTLP`.
    ///
    /// # Errors
    /// [`TraceError`] for a value that is none.
    pub fn from_environment() -> Result<Option<Self>, TraceError> {
        let Some(endpoint) = said("GRATICULE_OTLP") else {
            return Ok(None);
        };
        let mut options = Self::new(endpoint).with_environment()?;
        if let Some(text) = said("GRATICULE_OTLP_TASKS") {
            options.task_count = text.parse().map_err(|_| TraceError::TaskCount { text })?;
        }
        Ok(Some(options))
    }

    /// The same with what OpenTelemetry's own variables say: `OTEL_SERVICE_NAME` and `OTEL_EXPORTER_OTLP_HEADERS`.
    ///
    /// # Errors
    /// [`TraceError`] if no collector could be reached so.
    pub fn with_environment(mut self) -> Result<Self, TraceError> {
        if let Some(service) = said("OTEL_SERVICE_NAME") {
            self.service = service;
        }
        if let Some(headers) = said("OTEL_EXPORTER_OTLP_HEADERS") {
            let headers = headers.split(',').map(parse_header);
            self.headers = headers.collect::<Result<_, _>>()?;
        }
        self.endpoint()?;
        Ok(self)
    }

    pub(crate) fn endpoint(&self) -> Result<Endpoint, TraceError> {
        let wrong = || TraceError::Endpoint {
            endpoint: self.endpoint.clone(),
        };
        // Without a scheme an address is no URI, and with TLS it is none that this process can speak to.
        let parsed = Endpoint::from_shared(self.endpoint.clone()).map_err(|_| wrong())?;
        let has_host = parsed.uri().host().is_some_and(|host| !host.is_empty());
        if parsed.uri().scheme_str() == Some("http") && has_host {
            Ok(parsed)
        } else {
            Err(wrong())
        }
    }

    pub(crate) fn metadata(&self) -> Result<Vec<Header>, TraceError> {
        self.headers.iter().map(metadata).collect()
    }
}

fn said(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}

fn parse_header(text: &str) -> Result<(String, String), TraceError> {
    let (name, value) = text.split_once('=').ok_or_else(|| TraceError::Header {
        header: "(one without =)".into(),
    })?;
    let header = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
    metadata(&header).map(|_| header)
}

pub(crate) type Header = (MetadataKey<Ascii>, MetadataValue<Ascii>);

fn metadata((name, value): &(String, String)) -> Result<Header, TraceError> {
    let wrong = || TraceError::Header { header: name.clone() };
    let key = name.parse().map_err(|_| wrong())?;
    let value = value.parse().map_err(|_| wrong())?;
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_a_host_without_tls() {
        for good in ["http://127.0.0.1:4317", "http://collector.monitoring:4317/"] {
            TraceOptions::new(good).endpoint().expect(good);
        }
        for wrong in [
            "",
            "127.0.0.1:4317",
            "https://collector:4317",
            "http://",
            "grpc://x:1",
            "a b",
        ] {
            let told = TraceOptions::new(wrong).endpoint().expect_err(wrong).to_string();
            assert!(told.contains("http://HOST:4317"), "{told}");
        }
    }

    #[test]
    fn a_header_is_a_name_and_a_value_and_its_value_is_never_told() {
        let header = parse_header("X-Token = abc=d").expect("a header");
        assert_eq!(header, ("x-token".into(), "abc=d".into()));
        for wrong in ["secret", "a b=secret", "a=sec\nret"] {
            let told = parse_header(wrong).expect_err(wrong).to_string();
            assert!(!told.contains("sec"), "{told}");
        }
    }
}
