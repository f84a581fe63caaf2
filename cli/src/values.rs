//! Values of arguments that several commands share.

use std::{ops::RangeInclusive, time::Duration};

use graticule_plan::Resource;

/// A number of bytes: `4GiB`, `512MiB`, `2GB`, `1000000`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => {
            return Err(format!(
                "{unit:?} is no unit of bytes; write 4GiB, 512MiB or a plain number"
            ));
        }
    };
    let number: f64 = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    let bytes = number * factor as f64;
    if bytes >= 1.0 && bytes < 2f64.powi(60) {
        Ok(bytes as u64)
    } else {
        Err("expected at least one byte and less than an exbibyte".into())
    }
}

/// A countable thing of a worker: `GPU=2`, or `GPU` for one.
pub(crate) fn parse_resource(text: &str) -> Result<Resource, String> {
    let (name, count) = text.trim().split_once('=').unwrap_or((text.trim(), "1"));
    let count = count
        .trim()
        .parse()
        .map_err(|_| format!("{count:?} is no number; write GPU=2"))?;
    let name = name.trim();
    if name.is_empty() {
        return Err("a resource needs a name, as in GPU=2".into());
    }
    Ok(Resource {
        name: name.into(),
        count,
    })
}

/// A duration: `90`, `90s`, `5min`, `2h`, `500ms`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "{unit:?} is no unit of time; write 90s, 5min, 2h or 500ms"
            ));
        }
    };
    let number: f64 = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

/// From the fewest to the most: `2..8`, both ends among them.
pub(crate) fn parse_range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (min, max) = text
        .split_once("..")
        .ok_or_else(|| format!("{text:?} is no range; write 2..8"))?;
    let number = |text: &str| {
        let number = text.trim().parse::<u32>();
        number.map_err(|_| format!("{text:?} is no number of workers; write 2..8"))
    };
    let (min, max) = (number(min)?, number(max.strip_prefix('=').unwrap_or(max))?);
    if max == 0 || min > max {
        return Err(format!("from {min} to {max} there is no number of workers"));
    }
    Ok(min..=max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_binary_and_decimal_units() {
        for (text, want) in [
            ("1", 1),
            ("512MiB", 512 << 20),
            ("1.5 GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("4g", 4 << 30),
        ] {
            assert_eq!(parse_bytes(text), Ok(want), "{text}");
        }
        for text in ["", "GiB", "-1", "4 parsecs", "0", "1e99"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_with_their_units() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5min"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "s", "-3s", "3 days"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
