//! GDAL's own metadata: an XML text of `<Item name= sample= role=>value</Item>` lines, and the nodata text.

/// What one `<Item>` says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) sample: Option<usize>,
    pub(crate) role: Option<String>,
    pub(crate) value: String,
}

/// The items of a GDAL_METADATA text; anything that isn't an item is passed over.
///
/// GDAL escapes values twice, once as texts and once as part of the XML.
pub(crate) fn parse_items(xml: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find("<Item") {
        rest = &rest[start + "<Item".len()..];
        let Some(close) = rest.find('>') else { break };
        let attributes = &rest[..close];
        rest = &rest[close + 1..];
        if attributes.ends_with('/') {
            continue;
        }
        let Some(end) = rest.find("</Item>") else { break };
        let (value, after) = rest.split_at(end);
        rest = after;
        items.push(Item {
            name: attribute(attributes, "name").unwrap_or_default(),
            sample: attribute(attributes, "sample").and_then(|text| text.parse().ok()),
            role: attribute(attributes, "role"),
            value: unescape(&unescape(value)),
        });
    }
    items
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, tail) = after[1..].split_once(quote)?;
        if key.trim() == name {
            return Some(unescape(value));
        }
        rest = tail;
    }
    None
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// Writes `text` as the value of an item, escaped twice as [`parse_items`] expects it.
pub(crate) fn escape_value(text: &str) -> String {
    escape(&escape(text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Parses a nodata text as C's `strtod` would: `nan`, `-inf`, `1e20`, `-9999`.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    match text.to_ascii_lowercase().as_str() {
        "nan" | "-nan" | "+nan" | "nan(ind)" | "-nan(ind)" | "-1.#ind" | "1.#qnan" => Some(f64::NAN),
        "-1.#inf" => Some(f64::NEG_INFINITY),
        "1.#inf" => Some(f64::INFINITY),
        plain => plain.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_give_name_sample_role_and_unescaped_value() {
        let xml = "<GDALMetadata>\n  <Item name=\"A&amp;B\">x &lt; y</Item>\n  \
                   <Item name='SCALE' sample='1' role='scale'>0.0001</Item>\n</GDALMetadata>";
        let items = parse_items(xml);
        assert_eq!(items.len(), 2);
        assert_eq!(
            (items[0].name.as_str(), items[0].value.as_str()),
            ("A&B", "x < y")
        );
        assert_eq!(
            (items[1].sample, items[1].role.as_deref()),
            (Some(1), Some("scale"))
        );
        assert_eq!(items[1].value, "0.0001");
    }

    #[test]
    fn broken_xml_gives_the_items_before_the_break() {
        assert_eq!(
            parse_items("<Item name=\"a\">1</Item><Item name=\"b\">2").len(),
            1
        );
        assert_eq!(parse_items("<Item name=a>1</Item>")[0].name, "");
        assert!(parse_items("<Item").is_empty());
    }

    #[test]
    fn escaped_text_comes_back() {
        let text = "a<b> & \"c\" &amp;";
        let items = parse_items(&format!("<Item name=\"a\">{}</Item>", escape_value(text)));
        assert_eq!(items[0].value, text);
    }

    #[test]
    fn nodata_texts_of_all_spellings_are_numbers() {
        assert!(parse_number("nan").unwrap().is_nan());
        assert!(parse_number(" -NaN\0").unwrap().is_nan());
        assert_eq!(parse_number("-9999\0"), Some(-9999.0));
        assert_eq!(
            parse_number("-3.3999999521443642e+38"),
            Some(-3.3999999521443642e+38)
        );
        assert_eq!(parse_number("-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_number("none"), None);
    }
}
