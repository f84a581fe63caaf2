//! Signatures of generalised functions: which axes belong to one call.

/// The names of the axes of each operand and each result of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) inputs: Vec<Vec<String>>,
    pub(super) outputs: Vec<Vec<String>>,
}

impl Signature {
    /// Reads a signature such as `"(i,j),(j)->(i),()"`; a sentence if it is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, outputs) = plain
            .split_once("->")
            .ok_or_else(|| format!("the signature {text:?} has no \"->\""))?;
        let (inputs, outputs) = (groups(inputs, true)?, groups(outputs, false)?);
        Ok(Self { inputs, outputs })
    }
}

/// Lists of names in parentheses, with commas between them; maybe none at all.
fn groups(text: &str, may_be_none: bool) -> Result<Vec<Vec<String>>, String> {
    if text.is_empty() && may_be_none {
        return Ok(Vec::new());
    }
    let mut groups = Vec::new();
    let mut rest = text;
    loop {
        let inner = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let (inner, after) = inner.ok_or_else(|| format!("{rest:?} is no list in parentheses"))?;
        let names: Vec<String> = match inner {
            "" => Vec::new(),
            names => names.split(',').map(str::to_owned).collect(),
        };
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(format!(
                "{name:?} names no axis: letters, digits and underscores do"
            ));
        }
        if let Some(axis) = (1..names.len()).find(|&axis| names[..axis].contains(&names[axis])) {
            return Err(format!("the axis {:?} stands twice in one list", names[axis]));
        }
        groups.push(names);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(groups),
            None => return Err(format!("{after:?} stands after a list")),
        }
    }
}

fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    starts && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read() {
        let read = Signature::parse(" (i, j),(j_2) ->(i),() ").unwrap();
        assert_eq!(read.inputs, [vec!["i", "j"], vec!["j_2"]]);
        assert_eq!(read.outputs, [vec!["i"], vec![]]);
        assert_eq!(
            Signature::parse("->(i)").unwrap().inputs,
            Vec::<Vec<String>>::new()
        );
    }

    #[test]
    fn what_is_no_signature_is_told() {
        let why = |text| Signature::parse(text).unwrap_err();
        assert!(why("(i)").contains("no \"->\""));
        assert!(why("(i)->").contains("no list in parentheses"));
        assert!(why("(i,i)->()").contains("stands twice"));
        assert!(why("(3)->()").contains("names no axis"));
        assert!(why("(i)()->()").contains("stands after a list"));
    }
}
