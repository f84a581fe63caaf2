//! The table of array functions in `docs/array-functions.md`: what is there, by which name, and what is not yet.
//!
//! The names stand in [`names`]. Whether a function is there is read from the sources of `graticule-array`, and whether it
//! is held against NumPy from those of the tests; so the table cannot promise what is not there, nor forget what is.
//! `GRATICULE_WRITE=1 cargo test -p graticule-tests --test array_functions` writes it anew.

mod names;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use names::{SECTIONS, Section};

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the package lies in the workspace").into()
}

/// The text of all Rust sources in a folder.
fn sources(folder: &Path) -> String {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    paths.sort();
    let texts = paths.into_iter().map(|path| match path.is_dir() {
        true => sources(&path),
        false if path.extension().is_some_and(|end| end == "rs") => {
            fs::read_to_string(&path).expect("it is text")
        }
        false => String::new(),
    });
    texts.collect()
}

/// Names of public functions: written out, or listed for a macro as `name => Variant,` or `;`.
fn public_functions(text: &str) -> BTreeSet<&str> {
    let name_end = |text: &str| {
        text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(text.len())
    };
    let written = text.split("pub fn ").skip(1).map(|rest| &rest[..name_end(rest)]);
    let listed = text.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_suffix([',', ';'])?.split_once(" => ")?;
        (!name.is_empty() && name_end(name) == name.len()).then_some(name)
    });
    written.chain(listed).collect()
}

/// What a test calls: words before a `(`, and variants of operations that tests go through by name.
fn called(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.map(|word| word.to_lowercase().replace('_', "")).collect()
}

struct Known {
    public: BTreeSet<String>,
    called: BTreeSet<String>,
}

impl Known {
    fn read() -> Self {
        let array = sources(&root().join("array/src"));
        Self {
            public: public_functions(&array).into_iter().map(str::to_owned).collect(),
            called: called(&sources(&root().join("tests/tests/numpy_array"))),
        }
    }

    fn is_there(&self, name: &str) -> bool {
        self.public.contains(name)
    }

    fn is_tested(&self, name: &str) -> bool {
        self.called.contains(&name.replace('_', ""))
    }
}

fn table(section: &Section, known: &Known) -> (String, usize) {
    let (mut rows, mut right) = (String::new(), 0);
    for &(name, ours, note) in section.functions {
        let own = if ours.is_empty() { name } else { ours };
        let is_there = known.is_there(own);
        right += usize::from(is_there);
        let status = if is_there { "right" } else { "missing" };
        let by_name = match (is_there, own == name) {
            (true, false) => format!("as `{own}`"),
            _ => String::new(),
        };
        let parts = [&by_name[..], note];
        let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        rows.push_str(&format!("| `{name}` | {status} | {} |\n", said.join("; ")));
    }
    let count = section.functions.len();
    let title = section.title;
    let head = format!("\n## {title}\n{right} of {count}.\n\n| function | status | note |\n|---|---|---|\n");
    (head + &rows, right)
}

fn page(known: &Known) -> String {
    let (mut tables, mut right, mut count) = (String::new(), 0, 0);
    for section in SECTIONS {
        let (text, there) = table(section, known);
        tables.push_str(&text);
        right += there;
        count += section.functions.len();
    }
    format!(
        "# Array functions\n\
         What is there of the Array API standard 2025.12 with its extensions, and of what `dask.array` has beside it: \
         {right} of {count} names. \
         *Right* is what gives NumPy's values, dtype, shape and errors on random shapes, chunks and dtypes, with and without \
         rewriting; what a name does not do gives a typed error. *Missing* is not there at all. Dtypes are bool, integers of 8 to 64 bits, float16 (computed in float32), float32, float64, complex64, complex128, and datetime64 and timedelta64 of every unit from years to nanoseconds.\n\
         \n\
         Written by a test from a list of names and the sources: \
         `GRATICULE_WRITE=1 cargo test -p graticule-tests --test array_functions`.\n{tables}"
    )
}

#[test]
fn the_table_says_what_is_there() {
    let path = root().join("docs/array-functions.md");
    let made = page(&Known::read());
    if std::env::var_os("GRATICULE_WRITE").is_some() {
        fs::write(&path, &made).expect("the page can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let stale = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "docs/array-functions.md is stale ({stale:?}): run \
         `GRATICULE_WRITE=1 cargo test -p graticule-tests --test array_functions`"
    );
}

#[test]
fn what_is_there_is_held_against_numpy() {
    let known = Known::read();
    let functions = SECTIONS.iter().flat_map(|section| section.functions);
    let untested: Vec<&str> = functions
        .map(|&(name, ours, _)| if ours.is_empty() { name } else { ours })
        .filter(|name| known.is_there(name) && !known.is_tested(name))
        .collect();
    assert!(untested.is_empty(), "no test against NumPy names {untested:?}");
}

#[test]
fn no_name_stands_twice() {
    let mut seen = BTreeSet::new();
    for section in SECTIONS {
        for (name, ..) in section.functions {
            assert!(
                seen.insert((section.title, name)),
                "{name} stands twice in {}",
                section.title
            );
        }
    }
}
