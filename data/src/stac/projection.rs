use serde_json::{Map, Value};

use crate::error::DataError;

/// What STAC's projection extension says of a file's grid.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Projection {
    /// The coordinate reference system.
    pub crs: Option<Crs>,
    /// Rows and columns.
    pub shape: Option<[u64; 2]>,
    /// From pixel corners to the ground, in rasterio's order `(a, b, c, d, e, f)`.
    pub transform: Option<[f64; 6]>,
}

/// A coordinate reference system as STAC names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crs {
    /// A number of the EPSG registry.
    Epsg(u32),
    /// Something without one: another authority's code, or the name in a WKT or PROJJSON text.
    Other(String),
}

impl std::fmt::Display for Crs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Crs::Epsg(code) => write!(f, "EPSG:{code}"),
            Crs::Other(name) => f.write_str(name),
        }
    }
}

impl Projection {
    /// Reads `proj:` fields of an asset, each from the item where the asset lacks it.
    pub(super) fn parse(
        asset: &Map<String, Value>,
        properties: &Map<String, Value>,
        item: &str,
    ) -> Result<Self, DataError> {
        let field = |key: &str| {
            let present =
                |map: &'_ Map<String, Value>| map.get(key).filter(|value| !value.is_null()).cloned();
            present(asset).or_else(|| present(properties))
        };
        let bad = |field: &str, why: &str| DataError::BadField {
            item: item.to_owned(),
            field: field.to_owned(),
            why: why.to_owned(),
        };
        let shape = match field("proj:shape") {
            None => None,
            Some(value) => {
                let numbers: Option<Vec<u64>> =
                    value.as_array().and_then(|all| all.iter().map(whole).collect());
                match numbers.as_deref() {
                    Some(&[rows, cols]) if rows > 0 && cols > 0 => Some([rows, cols]),
                    _ => return Err(bad("proj:shape", "must be two numbers above 0: rows and columns")),
                }
            }
        };
        let transform = match field("proj:transform") {
            None => None,
            Some(value) => {
                let numbers: Option<Vec<f64>> = value
                    .as_array()
                    .and_then(|all| all.iter().map(Value::as_f64).collect());
                match numbers.as_deref() {
                    Some(&[a, b, c, d, e, f]) | Some(&[a, b, c, d, e, f, ..]) if a * e - b * d != 0.0 => {
                        Some([a, b, c, d, e, f])
                    }
                    _ => {
                        return Err(bad(
                            "proj:transform",
                            "must be six or nine numbers that can be inverted",
                        ));
                    }
                }
            }
        };
        // What the asset says of its system goes before what the item says, whatever the field's name.
        let crs = match crs(asset) {
            Some(found) => Some(found),
            None => crs(properties),
        };
        Ok(Self {
            crs,
            shape,
            transform,
        })
    }
}

/// A whole number, also if written as `10.0`.
fn whole(value: &Value) -> Option<u64> {
    let as_float = || {
        value
            .as_f64()
            .filter(|v| v.fract() == 0.0 && (0.0..1e15).contains(v))
            .map(|v| v as u64)
    };
    value.as_u64().or_else(as_float)
}

/// The system that a map of fields names, by EPSG number if any field has one.
fn crs(fields: &Map<String, Value>) -> Option<Crs> {
    let field = |key: &str| fields.get(key).filter(|value| !value.is_null());
    if let Some(code) = field("proj:code").and_then(Value::as_str) {
        return Some(of_code(code));
    }
    if let Some(code) = field("proj:epsg")
        .and_then(whole)
        .and_then(|code| u32::try_from(code).ok())
    {
        return Some(Crs::Epsg(code));
    }
    if let Some(text) = field("proj:wkt2").and_then(Value::as_str) {
        return Some(of_wkt(text));
    }
    field("proj:projjson").and_then(of_projjson)
}

fn of_code(code: &str) -> Crs {
    let number = code
        .trim()
        .split_once(':')
        .filter(|(authority, _)| authority.eq_ignore_ascii_case("epsg"));
    match number.and_then(|(_, number)| number.parse().ok()) {
        Some(number) => Crs::Epsg(number),
        None => Crs::Other(code.to_owned()),
    }
}

/// The number in the outermost `ID["EPSG",n]` (WKT 2) or `AUTHORITY["EPSG","n"]` (WKT 1), which stands last.
fn of_wkt(text: &str) -> Crs {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let body = compact.trim_end_matches([']', ')']);
    let closing = compact.len() - body.len();
    // Only an identifier that ends with the whole text is that of the whole system.
    let found = ["ID[\"EPSG\",", "AUTHORITY[\"EPSG\","].iter().find_map(|key| {
        let at = body.rfind(key)?;
        let number = body[at + key.len()..].trim_matches('"');
        (closing == 2).then(|| number.parse().ok()).flatten()
    });
    match found {
        Some(number) => Crs::Epsg(number),
        None => {
            let name = text.split('"').nth(1).unwrap_or("an unnamed system");
            Crs::Other(name.to_owned())
        }
    }
}

fn of_projjson(value: &Value) -> Option<Crs> {
    let object = value.as_object()?;
    let id = object.get("id");
    let authority = id
        .and_then(|id| id.get("authority"))
        .and_then(Value::as_str)
        .unwrap_or("");
    let code = id.and_then(|id| id.get("code")).and_then(|code| {
        let text = code.as_str().and_then(|text| text.parse().ok());
        text.or_else(|| whole(code).and_then(|code| u32::try_from(code).ok()))
    });
    match code {
        Some(code) if authority.eq_ignore_ascii_case("epsg") => Some(Crs::Epsg(code)),
        _ => Some(Crs::Other(
            object
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or("an unnamed system")
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(asset: Value, item: Value) -> Result<Projection, DataError> {
        Projection::parse(asset.as_object().unwrap(), item.as_object().unwrap(), "a")
    }

    #[test]
    fn codes_come_from_every_field_and_the_asset_goes_first() {
        let crs = |asset: Value, item: Value| parse(asset, item).unwrap().crs;
        assert_eq!(
            crs(json!({}), json!({"proj:epsg": 32618})),
            Some(Crs::Epsg(32618))
        );
        assert_eq!(
            crs(json!({"proj:epsg": 4326}), json!({"proj:code": "EPSG:32618"})),
            Some(Crs::Epsg(4326))
        );
        assert_eq!(
            crs(json!({}), json!({"proj:code": "IAU_2015:30100"})),
            Some(Crs::Other("IAU_2015:30100".into()))
        );
        assert_eq!(crs(json!({"proj:epsg": null}), json!({})), None);
        let json_id = json!({"type": "ProjectedCRS", "name": "x", "id": {"authority": "EPSG", "code": 3035}});
        assert_eq!(
            crs(json!({"proj:projjson": json_id}), json!({})),
            Some(Crs::Epsg(3035))
        );
    }

    #[test]
    fn only_the_outermost_identifier_of_wkt_counts() {
        let full =
            r#"PROJCRS["WGS 84 / UTM zone 18N", BASEGEOGCRS["WGS 84", ID["EPSG",4326]], ID["EPSG",32618]]"#;
        assert_eq!(of_wkt(full), Crs::Epsg(32618));
        let bare = r#"PROJCRS["mine", BASEGEOGCRS["WGS 84", ID["EPSG",4326]]]"#;
        assert_eq!(of_wkt(bare), Crs::Other("mine".into()));
        assert_eq!(of_wkt(r#"PROJCS["x",AUTHORITY["EPSG","3857"]]"#), Crs::Epsg(3857));
    }

    #[test]
    fn bad_grids_name_the_field() {
        let field = |asset: Value| match parse(asset, json!({})).unwrap_err() {
            DataError::BadField { field, .. } => field,
            other => panic!("{other}"),
        };
        assert_eq!(field(json!({"proj:shape": [10]})), "proj:shape");
        assert_eq!(field(json!({"proj:shape": [0, 4]})), "proj:shape");
        assert_eq!(
            field(json!({"proj:transform": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]})),
            "proj:transform"
        );
    }
}
