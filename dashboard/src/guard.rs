use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Scripts and styles from here only, none inline; nothing is loaded from or sent to anywhere else. Who may frame the
/// page is said behind it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// Notebook servers of this machine, which listen on a port of their own.
const LOCAL_FRAMES: &str = "localhost:* 127.0.0.1:*";

/// Who may ask: keeps pages of other sites from reading along through the viewer's own browser.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// Names beside the loopback ones, such as that of a proxy, in lower case.
    host_names: Arc<[String]>,
    policy: HeaderValue,
}

impl Guard {
    /// Admits those who ask for a loopback name or one of `host_names`, which are in lower case. Pages under those names,
    /// at any port, may also show the dashboard in a frame: it only reads, and obeys no click.
    pub(crate) fn new(host_names: Vec<String>) -> Self {
        let is_plain = |name: &&String| {
            name.bytes()
                .all(|it| it.is_ascii_alphanumeric() || b".-".contains(&it))
        };
        let named = host_names
            .iter()
            .filter(is_plain)
            .map(|name| format!(" {name}:*"));
        let policy = format!(
            "{CONTENT_SECURITY_POLICY} {LOCAL_FRAMES}{}",
            named.collect::<String>()
        );
        Self {
            host_names: host_names.into(),
            policy: HeaderValue::try_from(policy)
                .expect("only letters, digits and signs that may stand there"),
        }
    }

    /// Whether `host`, a name or address with or without a port, is one that the dashboard goes by.
    ///
    /// A name that an attacker points at 127.0.0.1 (DNS rebinding) is not.
    fn knows(&self, host: &str) -> bool {
        let name = host_name(host).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let is_loopback = match name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        };
        is_loopback || self.host_names.iter().any(|known| known == name)
    }

    fn admits(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let host = match headers.get(header::HOST) {
            Some(value) => text(value),
            None => uri.authority().map(|authority| authority.as_str().to_owned()),
        };
        if !host.is_some_and(|host| self.knows(&host)) {
            return Err(
                "This dashboard does not go by that host name. Use localhost or 127.0.0.1; behind a proxy of another name start the \
                 scheduler with --dashboard-host NAME, or with GRATICULE_DASHBOARD_HOSTS in its environment.\n",
            );
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let origin = text(origin);
        let from = origin
            .as_deref()
            .and_then(|origin| origin.split_once("://"))
            .map(|(_, host)| host);
        if from.is_some_and(|host| self.knows(host)) {
            Ok(())
        } else {
            Err("Pages of other sites may not read this dashboard.\n")
        }
    }
}

/// The name in `host`, without port and brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

/// Turns away what the guard does not admit, and puts the security headers on each answer.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let policy = guard.policy.clone();
    let mut response = if let Err(why) = guard.admits(request.uri(), request.headers()) {
        (StatusCode::FORBIDDEN, why).into_response()
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new(vec![
            "hub.example.org".to_owned(),
            "evil; script-src *".to_owned(),
        ])
    }

    #[test]
    fn only_loopback_names_and_named_hosts_are_known() {
        for host in [
            "localhost",
            "localhost:8787",
            "LOCALHOST",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1:8787",
            "127.1.2.3",
            "[::1]:8787",
            "::1",
            "hub.example.org",
            "Hub.Example.org:443",
        ] {
            assert!(guard().knows(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "[::2]:80",
            "xlocalhost",
            "hub.example.org.evil.example",
        ] {
            assert!(!guard().knows(host), "{host}");
        }
    }

    #[test]
    fn pages_under_known_names_may_frame_it_and_others_not() {
        let policy = guard().policy;
        let policy = policy.to_str().expect("text");
        let (before, frames) = policy.split_once("frame-ancestors ").expect("who may frame it");
        assert_eq!(frames, "'self' localhost:* 127.0.0.1:* hub.example.org:*");
        assert!(!before.contains('*'));
    }

    #[test]
    fn a_page_of_another_site_is_turned_away() {
        let uri = Uri::from_static("/api/live");
        let ask = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            guard().admits(&uri, &headers).is_ok()
        };
        assert!(ask("localhost:1", None));
        assert!(ask("localhost:1", Some("http://localhost:1")));
        assert!(ask("127.0.0.1:1", Some("https://hub.example.org")));
        assert!(!ask("localhost:1", Some("http://evil.example")));
        assert!(!ask("localhost:1", Some("null")));
        assert!(!ask("evil.example:1", None));
        assert!(guard().admits(&uri, &HeaderMap::new()).is_err());
    }
}
