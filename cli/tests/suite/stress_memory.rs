//! Programs whose data takes twenty times what the workers may hold.

use crate::support::{graticule, text};

#[test]
fn programs_end_with_the_same_bytes_however_little_memory_there_is() {
    let arguments = "stress memory --data 16MiB --chunk 64 --days 12";
    let output = graticule(&[])
        .args(arguments.split(' '))
        .output()
        .expect("the command starts");
    let (said, noted) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{noted}");
    assert!(!noted.contains("no worker is connected"), "{noted}");
    let about = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        (about("of each worker"), about("were foretold")),
        (3, 9),
        "a line for each budget and program: {said}"
    );
}
