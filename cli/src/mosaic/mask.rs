use std::str::FromStr;

use graticule_plan::{DType, Kind};

/// Which pixels of an asset hide what lies below: `qa:bits=0,4` or `cloud_mask:values=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mask {
    /// The asset that tells.
    pub(crate) asset: String,
    pub(crate) rule: MaskRule,
}

/// What makes a pixel a masked one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MaskRule {
    /// Any of these bits is set, counted from 0 for the lowest.
    Bits(Vec<u32>),
    /// The pixel is one of these classes.
    Values(Vec<i64>),
}

impl FromStr for Mask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected ASSET:bits=0,4 or ASSET:values=1,3".to_owned();
        let (asset, rule) = text.rsplit_once(':').ok_or_else(expected)?;
        let (name, list) = rule.split_once('=').ok_or_else(expected)?;
        if asset.is_empty() {
            return Err(expected());
        }
        let rule = match name {
            "bits" => MaskRule::Bits(numbers(list)?),
            "values" => MaskRule::Values(numbers(list)?),
            _ => return Err(format!("{name:?} is no rule for a mask; {}", expected())),
        };
        if let MaskRule::Bits(bits) = &rule
            && let Some(bit) = bits.iter().find(|bit| **bit > 63)
        {
            return Err(format!("there is no bit {bit}; bits count from 0 to 63"));
        }
        Ok(Self {
            asset: asset.to_owned(),
            rule,
        })
    }
}

fn numbers<T: FromStr>(list: &str) -> Result<Vec<T>, String> {
    let number = |part: &str| {
        let number = part.trim().parse();
        number.map_err(|_| format!("{part:?} is no number that fits here"))
    };
    list.split(',').map(number).collect()
}

impl MaskRule {
    /// A value of the dtype that the rule masks: what a pixel counts as whose mask is missing.
    pub(crate) fn masked_value(&self, dtype: DType) -> f64 {
        match self {
            // Each bit of -1 is set.
            MaskRule::Bits(_) if dtype.kind() == Kind::Signed => -1.0,
            MaskRule::Bits(bits) => 2f64.powi(i32::try_from(bits[0]).expect("bits are at most 63")),
            MaskRule::Values(values) => values[0] as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_by_bits_and_by_values() {
        let bits: Mask = "qa:bits=0,4".parse().unwrap();
        assert_eq!(
            (bits.asset.as_str(), &bits.rule),
            ("qa", &MaskRule::Bits(vec![0, 4]))
        );
        assert_eq!(bits.rule.masked_value(DType::UInt16), 1.0);
        assert_eq!(bits.rule.masked_value(DType::Int16), -1.0);
        let values: Mask = "proj:scl:values=3, 8".parse().unwrap();
        assert_eq!(values.asset, "proj:scl");
        assert_eq!(values.rule, MaskRule::Values(vec![3, 8]));
    }

    #[test]
    fn what_is_no_mask_is_refused_with_an_example() {
        for text in [
            "qa",
            "qa:bits",
            ":bits=1",
            "qa:bits=",
            "qa:bits=x",
            "qa:bits=-1",
            "qa:bits=64",
            "qa:classes=1",
        ] {
            let error = text.parse::<Mask>().unwrap_err();
            assert!(error.len() > 10, "{text}: {error}");
        }
        assert!("qa".parse::<Mask>().unwrap_err().contains("ASSET:bits=0,4"));
    }
}
