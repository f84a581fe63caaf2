use std::cmp::Ordering;

use serde_json::Value;

use crate::{error::DataError, time::Timestamp};

use super::{Item, ItemSet};

/// Which items to take. Each part that is given must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Search {
    /// West, south, east, north in degrees; east may be less than west, over the date line. An item without a box and
    /// a geometry is left out.
    pub bbox: Option<[f64; 4]>,
    /// The instants.
    pub datetime: Option<Interval>,
    /// Conditions on properties.
    pub query: Vec<Condition>,
    /// The highest cloud cover in percent; an item that states none is left out.
    pub max_cloud: Option<f64>,
}

/// Instants from the first to the last, both included; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// The first.
    pub start: Option<Timestamp>,
    /// The last.
    pub end: Option<Timestamp>,
}

/// A comparison of an item's property with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The property's name, or names of nested objects joined by dots.
    pub property: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: Value,
}

/// How a property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Search {
    /// The items for which every part holds, by date.
    ///
    /// # Errors
    /// [`DataError::EmptySearch`], which says how many items each part left.
    pub fn apply(&self, set: &ItemSet) -> Result<Vec<Item>, DataError> {
        let mut items: Vec<&Item> = set.items.iter().collect();
        let total = items.len();
        let mut left = Vec::new();
        if let Some(bbox) = self.bbox {
            items.retain(|item| item.bbox.is_some_and(|own| boxes_meet(own, bbox)));
            left.push((format!("bbox {bbox:?}"), items.len()));
        }
        if let Some(interval) = self.datetime {
            items.retain(|item| interval.contains(item.datetime));
            left.push((format!("datetime {interval}"), items.len()));
        }
        if let Some(max) = self.max_cloud {
            items.retain(|item| item.cloud_cover().is_some_and(|cover| cover <= max));
            left.push((format!("max-cloud {max}"), items.len()));
        }
        for condition in &self.query {
            items.retain(|item| condition.holds(item));
            left.push((format!("query {condition}"), items.len()));
        }
        if items.is_empty() {
            return Err(DataError::EmptySearch { total, left });
        }
        Ok(items.into_iter().cloned().collect())
    }
}

/// Whether two boxes have a point in common.
fn boxes_meet(a: [f64; 4], b: [f64; 4]) -> bool {
    // A box over the date line is two boxes.
    let spans = |[west, _, east, _]: [f64; 4]| {
        if east < west {
            vec![(west, 180.0), (-180.0, east)]
        } else {
            vec![(west, east)]
        }
    };
    let meet = |(a0, a1): (f64, f64), (b0, b1): (f64, f64)| a0 <= b1 && b0 <= a1;
    let columns = spans(a)
        .into_iter()
        .any(|x| spans(b).into_iter().any(|y| meet(x, y)));
    columns && meet((a[1], a[3]), (b[1], b[3]))
}

/// Parses `W,S,E,N` in degrees.
///
/// # Errors
/// [`DataError::Option`].
pub fn parse_bbox(text: &str) -> Result<[f64; 4], DataError> {
    let bad = |why: &str| DataError::Option {
        option: "bbox",
        text: text.to_owned(),
        why: why.to_owned(),
    };
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let Some(&[west, south, east, north]) = numbers.as_deref() else {
        return Err(bad("expected four numbers W,S,E,N in degrees"));
    };
    let is_within = [west, east].iter().all(|x| (-180.0..=180.0).contains(x))
        && [south, north].iter().all(|y| (-90.0..=90.0).contains(y));
    if !is_within {
        return Err(bad(
            "longitudes lie within -180 and 180, latitudes within -90 and 90",
        ));
    }
    if south > north {
        return Err(bad("the southern edge is north of the northern one"));
    }
    Ok([west, south, east, north])
}

impl Interval {
    /// Parses `A/B`, where either end may be `..` or nothing, or a single date or instant.
    ///
    /// A date as the end includes its whole day, a month its whole month.
    ///
    /// # Errors
    /// [`DataError::Option`].
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let bad = |why: String| DataError::Option {
            option: "datetime",
            text: text.to_owned(),
            why,
        };
        let span = |part: &str| {
            let part = part.trim();
            if part.is_empty() || part == ".." {
                return Ok(None);
            }
            let unknown = || {
                bad(format!(
                    "{part:?} is neither a date nor an instant as RFC 3339 writes it"
                ))
            };
            Timestamp::parse_span(part).map(Some).ok_or_else(unknown)
        };
        let (first, last) = text.split_once('/').unwrap_or((text, text));
        let interval = Self {
            start: span(first)?.map(|s| s.0),
            end: span(last)?.map(|s| s.1),
        };
        match (interval.start, interval.end) {
            (None, None) => Err(bad("at least one end must be given".to_owned())),
            (Some(start), Some(end)) if start > end => Err(bad("it ends before it begins".to_owned())),
            _ => Ok(interval),
        }
    }

    /// Whether the instant lies within.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= instant) && self.end.is_none_or(|end| instant <= end)
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = |instant: Option<Timestamp>| instant.map_or("..".to_owned(), |t| t.to_string());
        write!(f, "{}/{}", end(self.start), end(self.end))
    }
}

impl Comparison {
    const ALL: [(&'static str, Comparison); 7] = [
        // Longer signs first, or "<=" would be read as "<".
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("!=", Comparison::NotEqual),
        ("==", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
        ("=", Comparison::Equal),
    ];

    fn sign(self) -> &'static str {
        Self::ALL
            .iter()
            .rfind(|(_, known)| *known == self)
            .map_or("", |(sign, _)| sign)
    }

    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering == Ordering::Equal,
            Comparison::NotEqual => ordering != Ordering::Equal,
            Comparison::Less => ordering == Ordering::Less,
            Comparison::LessOrEqual => ordering != Ordering::Greater,
            Comparison::Greater => ordering == Ordering::Greater,
            Comparison::GreaterOrEqual => ordering != Ordering::Less,
        }
    }
}

impl Condition {
    /// Parses `property=value`, with `=`, `!=`, `<`, `<=`, `>` or `>=`. A value that is JSON (a number, `true`,
    /// `null`, quoted text) is taken as such, any other as text.
    ///
    /// # Errors
    /// [`DataError::Option`].
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let bad = || DataError::Option {
            option: "query",
            text: text.to_owned(),
            why: "expected a property, one of = != < <= > >=, and a value, as in eo:cloud_cover<40"
                .to_owned(),
        };
        let at = text.find(['<', '>', '=', '!']).ok_or_else(bad)?;
        let (sign, comparison) = *Comparison::ALL
            .iter()
            .find(|(sign, _)| text[at..].starts_with(sign))
            .ok_or_else(bad)?;
        let (property, value) = (text[..at].trim(), text[at + sign.len()..].trim());
        if property.is_empty() || value.is_empty() {
            return Err(bad());
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self {
            property: property.to_owned(),
            comparison,
            value,
        })
    }

    /// Whether the item has the property and the comparison holds. `id` and `collection` count as properties.
    pub fn holds(&self, item: &Item) -> bool {
        let ordering = match self.property.as_str() {
            "id" => compare(&Value::String(item.id.clone()), &self.value),
            "collection" => item
                .collection
                .clone()
                .and_then(|name| compare(&Value::String(name), &self.value)),
            name => {
                let whole = item.properties.get(name);
                let nested = || {
                    let mut parts = name.split('.');
                    let first = item.properties.get(parts.next()?)?;
                    parts.try_fold(first, |value, part| value.get(part))
                };
                whole
                    .or_else(nested)
                    .and_then(|found| compare(found, &self.value))
            }
        };
        ordering.is_some_and(|ordering| self.comparison.accepts(ordering))
    }
}

/// Numbers by size, instants by time, text by letters; `None` if they cannot be compared.
fn compare(found: &Value, wanted: &Value) -> Option<Ordering> {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => match (Timestamp::parse(a), Timestamp::parse(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => Some(a.cmp(b)),
        },
        // "014" is a text in the item and a number on the command line.
        (Value::String(a), Value::Number(b)) => match a.parse::<f64>() {
            Ok(a) => a.partial_cmp(&b.as_f64()?),
            Err(_) => Some(a.cmp(&b.to_string())),
        },
        (Value::Number(a), Value::String(b)) => a.as_f64()?.partial_cmp(&b.parse().ok()?),
        (a, b) if a == b => Some(Ordering::Equal),
        // Unequal things of other types are just that, in no order.
        (Value::Bool(_), Value::Bool(_)) => Some(found.as_bool().cmp(&wanted.as_bool())),
        _ => None,
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.property, self.comparison.sign(), self.value)
    }
}
