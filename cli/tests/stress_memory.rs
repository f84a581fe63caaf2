//! Programs whose data takes twenty times what the workers may hold.

use std::process::{Command, Stdio};

#[test]
fn programs_end_with_the_same_bytes_however_little_memory_there_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_graticule"))
        .args(["stress", "memory"])
        .env_remove("GRATICULE_LOG")
        .args(["--data", "16MiB", "--chunk", "64", "--days", "12"])
        .stdin(Stdio::null())
        .output()
        .expect("the command starts");
    let (said, noted) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{noted}");
    assert!(!noted.contains("no worker is connected"), "{noted}");
    assert_eq!(said.lines().count(), 3, "a line for each budget: {said}");
}
