use tonic::transport::Endpoint;

use crate::ClientError;

/// The scheduler's gRPC endpoint at `grpc://host:port`, `http://host:port` or `host:port`.
///
/// # Errors
/// [`ClientError::Address`].
pub(crate) fn endpoint(url: &str) -> Result<Endpoint, ClientError> {
    let failed = |why: &str| ClientError::Address {
        url: url.into(),
        why: why.into(),
    };
    let host = match url.split_once("://") {
        Some(("grpc" | "http", host)) => host,
        Some(("https" | "grpcs", _)) => return Err(failed("Graticule has no TLS yet")),
        Some((scheme, _)) => return Err(failed(&format!("{scheme}:// is not understood"))),
        None => url,
    };
    let host = host.trim_end_matches('/');
    if host.is_empty() || host.contains(['/', '?', '#', '@']) {
        return Err(failed("a host and a port are expected"));
    }
    let endpoint = Endpoint::from_shared(format!("http://{host}")).map_err(|e| failed(&e.to_string()))?;
    if endpoint.uri().port().is_none() {
        return Err(failed("the port is missing"));
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemes_of_one_address_are_the_same() {
        for url in [
            "grpc://127.0.0.1:8786",
            "http://127.0.0.1:8786",
            "127.0.0.1:8786",
            "grpc://127.0.0.1:8786/",
        ] {
            assert_eq!(endpoint(url).unwrap().uri(), "http://127.0.0.1:8786/");
        }
        assert_eq!(endpoint("grpc://[::1]:1").unwrap().uri().port_u16(), Some(1));
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for (url, why) in [
            ("", "host and a port"),
            ("grpc://", "host and a port"),
            ("grpc://localhost", "port is missing"),
            ("https://localhost:1", "no TLS"),
            ("ftp://localhost:1", "ftp://"),
            ("grpc://localhost:1/x", "host and a port"),
            ("grpc://host name:1", ""),
            ("grpc://localhost:99999", ""),
        ] {
            let message = endpoint(url).unwrap_err().to_string();
            assert!(
                message.contains(why) && message.contains("grpc://host:port"),
                "{url}: {message}"
            );
        }
    }
}
