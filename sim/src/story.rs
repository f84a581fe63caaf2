//! How a story reads: ids as people write them.

/// The ids that stand in a line as Rust shows them, with what is written in their place.
const IDS: [(&str, &str); 8] = [
    ("JobId(", ""),
    ("LayerId(", ""),
    ("WorkerId(", "worker "),
    ("ClientId(", "client "),
    ("SessionId(", "session "),
    ("RunId(", "run "),
    ("CopyId(", "copy "),
    ("Key(", "key "),
];

/// Writes `TaskId { job: JobId(1), layer: LayerId(0), block: 2 }` as `1/0/2`, and other ids as briefly.
pub(crate) fn readable(line: &str) -> String {
    let mut text = line.to_owned();
    for (before, after) in IDS {
        while let Some(at) = text.find(before) {
            let digits = at + before.len();
            let end = text[digits..].find(')').map_or(text.len(), |len| digits + len);
            let number = text[digits..end].to_owned();
            text.replace_range(at..(end + 1).min(text.len()), &format!("{after}{number}"));
        }
    }
    let before = "TaskId { job: ";
    while let Some(at) = text.find(before) {
        let end = text[at..].find('}').map_or(text.len(), |len| at + len);
        let inside = text[at + before.len()..end].trim_end();
        let brief = inside.replace(", layer: ", "/").replace(", block: ", "/");
        text.replace_range(at..(end + 1).min(text.len()), &brief);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn ids_read_as_people_write_them() {
        let line = "told: TaskLeased { task: TaskId { job: JobId(3), layer: LayerId(1), block: 7 }, worker: WorkerId(2) }";
        assert_eq!(
            readable(line),
            "told: TaskLeased { task: 3/1/7, worker: worker 2 }"
        );
    }
}
