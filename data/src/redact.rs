//! Keeps secrets out of messages and plans.

use url::Url;

/// Parameters whose presence means that an address carries a signature or a token. Compared without regard to case.
const SECRET_PARAMETERS: [&str; 28] = [
    "access_key",
    "access_token",
    "accesskeyid",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "awsaccesskeyid",
    "client_secret",
    "googleaccessid",
    "jwt",
    "key",
    "key-pair-id",
    "password",
    "policy",
    "secret",
    "sig",
    "signature",
    "skoid",
    "sktid",
    "subscription-key",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// Whether an address holds a user name, a password, a signature or a token.
pub fn has_secret(url: &Url) -> bool {
    let is_secret = |name: &str| {
        SECRET_PARAMETERS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    !url.username().is_empty()
        || url.password().is_some()
        || url.query_pairs().any(|(name, _)| is_secret(&name))
}

/// The address as messages and logs may show it: without user, password, query and fragment.
///
/// Where a query was, `?…` stands. Text that is no URL comes back as it is.
///
/// ```
/// use graticule_data::redact;
///
/// assert_eq!(redact("https://me:pw@host/a.tif?sig=abc&se=2030"), "https://host/a.tif?…");
/// assert_eq!(redact("/data/a.tif"), "/data/a.tif");
/// ```
pub fn redact(address: &str) -> String {
    match Url::parse(address) {
        Ok(url) if url.has_host() || url.scheme() == "file" => redact_url(&url),
        _ => address.to_owned(),
    }
}

/// As [`redact`], of a parsed address.
pub(crate) fn redact_url(url: &Url) -> String {
    let mut shown = url.clone();
    let had_query = shown.query().is_some();
    shown.set_query(None);
    shown.set_fragment(None);
    // Both fail for addresses that cannot have a user, which then have none to hide.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    let mut text = shown.to_string();
    if had_query {
        text.push_str("?…");
    }
    text
}

/// The most characters of a foreign message that are shown.
const MESSAGE_CHARS_MAX: usize = 400;

/// A foreign library's or server's message with every address in it redacted, on one line, cut to a readable length.
pub fn redact_text(message: &str) -> String {
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | ']' | '}' | ',' | '`');
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(found) = rest.find("://") {
        let scheme_len = rest[..found]
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '+')
            .count();
        let start = found - scheme_len;
        let end = rest[found..].find(ends).map_or(rest.len(), |at| found + at);
        shown.push_str(&rest[..start]);
        shown.push_str(&redact(&rest[start..end]));
        rest = &rest[end..];
    }
    shown.push_str(rest);
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_addresses_are_recognised() {
        let signed = |text: &str| has_secret(&Url::parse(text).unwrap());
        assert!(signed("https://h/a.tif?st=1&SIG=x"));
        assert!(signed("https://h/a.tif?X-Amz-Signature=x"));
        assert!(signed("https://user@h/a.tif"));
        assert!(!signed("https://h/a.tif?version=2"));
        assert!(!signed("file:///a.tif"));
    }

    #[test]
    fn no_secret_survives_in_a_foreign_message() {
        let message =
            "error for url (https://u:pw@host/x?sig=SECRET): GET https://host/y?token=SECRET2, then\nmore";
        let shown = redact_text(message);
        assert_eq!(
            shown,
            "error for url (https://host/x?…): GET https://host/y?…, then more"
        );
    }

    #[test]
    fn long_messages_are_cut() {
        assert_eq!(
            redact_text(&"é".repeat(1000)).chars().count(),
            MESSAGE_CHARS_MAX + 1
        );
    }
}
