//! What the process's control group allows it, as containers and Kubernetes set it.

/// Above this, version 1 means that there is no limit.
const NO_LIMIT_BYTES: u64 = 1 << 60;
/// Memory of a worker's process that is not for chunks and tasks: code, stacks, the runtime, buffers of connections.
/// `cargo xtask stress memory` measures what is taken of it.
pub const RESERVE_BYTES: u64 = 64 << 20;
/// The part of a process's memory that is reserved beside that, and grows with it: what is in transit.
pub const RESERVE_PART: u64 = 16;
/// The least part of its memory that a worker has for chunks and tasks, however little it is given.
const LEDGER_PART_MIN: u64 = 64;
/// Freed buffers, what is copied to be sent and what comes in may take so much each in any case, out of the reserve.
const TRANSIT_BYTES_MIN: u64 = 4 << 20;

/// The memory limit of this process's control group, version 1 or 2; `None` if it has none.
pub(crate) fn group_limit_bytes() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_of(&groups, |path| std::fs::read_to_string(path).ok())
}

/// Bytes of this process that are in memory, and those of the processes that it started which they share with nobody; 0 if
/// the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let own = process_bytes("self", "VmRSS:").unwrap_or(0);
    let children = children()
        .into_iter()
        .filter_map(|child| process_bytes(&child, "RssAnon:"));
    children.fold(own, u64::saturating_add)
}

/// What a line of a process's status says in bytes, such as `VmRSS:`; `None` if the process or the line is not there.
pub fn process_bytes(process: &str, name: &str) -> Option<u64> {
    bytes_in(
        &std::fs::read_to_string(format!("/proc/{process}/status")).ok()?,
        name,
    )
}

/// The processes that threads of this one started.
fn children() -> Vec<String> {
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let told = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    told.flat_map(|told| told.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn bytes_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// What of a process's memory is for chunks and running tasks: all but a reserve for the process itself (code, stacks,
/// buffers of connections, freed buffers, what is in transit).
///
/// A worker of less memory than its reserve takes more than that: it has next to nothing for chunks.
pub fn ledger_bytes(memory_bytes: u64) -> u64 {
    memory_bytes
        .saturating_sub(memory_bytes / RESERVE_PART)
        .saturating_sub(RESERVE_BYTES)
        .max(memory_bytes / LEDGER_PART_MIN)
}

/// What each of three things may take beside a worker's ledger, out of its reserve: freed buffers that are kept, chunks
/// that are copied to be sent, and those that are received but not in place yet.
pub(crate) fn transit_bytes(ledger_bytes: u64) -> u64 {
    (ledger_bytes / (3 * RESERVE_PART)).max(TRANSIT_BYTES_MIN)
}

/// The memory of a process that has `ledger_bytes` for chunks and running tasks: the inverse of [`ledger_bytes`].
pub fn memory_bytes_for(ledger_bytes: u64) -> u64 {
    (ledger_bytes.saturating_add(RESERVE_BYTES))
        .saturating_add((ledger_bytes + RESERVE_BYTES) / (RESERVE_PART - 1))
}

/// The lowest limit of a process's groups and those around them. `groups` is its `/proc/self/cgroup`.
fn limit_of(groups: &str, read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let mut lowest = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // A container may see its own group as the root, and the path from outside.
        let mut group = path.trim_end_matches('/');
        loop {
            let limit =
                read(&format!("{root}{group}/{file}")).and_then(|text| text.trim().parse::<u64>().ok());
            if let Some(limit) = limit.filter(|limit| *limit < NO_LIMIT_BYTES) {
                lowest = Some(lowest.map_or(limit, |lowest: u64| lowest.min(limit)));
            }
            match group.rfind('/') {
                Some(end) => group = &group[..end],
                None => break,
            }
        }
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::{bytes_in, ledger_bytes, limit_of, memory_bytes_for, process_bytes, resident_bytes};

    #[test]
    fn the_memory_of_the_process_is_read_from_what_the_system_tells() {
        let status = "VmHWM:\t  20 kB\nVmRSS:\t   12 kB\nThreads:\t3";
        assert_eq!(bytes_in(status, "VmRSS:"), Some(12 << 10));
        assert_eq!(bytes_in("VmRSS: many kB", "VmRSS:"), None);
        assert_eq!(bytes_in("", "VmRSS:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_processes_that_were_started_counts() {
        let own = process_bytes("self", "VmRSS:").unwrap();
        assert!(own > 1 << 20);
        let mut command = std::process::Command::new("sh");
        // So many bytes in a variable.
        command.args(["-c", "x=$(head -c 30000000 /dev/zero | tr '\\0' a); echo; read y"]);
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(child.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let with_child = resident_bytes();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(with_child > process_bytes("self", "VmRSS:").unwrap() + (25 << 20));
    }

    #[test]
    fn the_lowest_limit_up_the_tree_counts_in_either_version() {
        let read = |path: &str| {
            let text = match path {
                "/sys/fs/cgroup/pod/worker/memory.max" => "max\n",
                "/sys/fs/cgroup/pod/memory.max" => "4294967296\n",
                "/sys/fs/cgroup/memory/box/memory.limit_in_bytes" => "1073741824\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes" => "9223372036854771712\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        assert_eq!(limit_of("0::/pod/worker\n", read), Some(4 << 30));
        assert_eq!(
            limit_of("3:cpu:/box\n4:cpuset,memory:/box\n", read),
            Some(1 << 30)
        );
        assert_eq!(limit_of("4:memory:/\n", read), None);
        assert_eq!(limit_of("0::/elsewhere\nnonsense\n", read), None);
        assert_eq!(
            limit_of("0::/\n", |_| Some("2147483648".to_owned())),
            Some(2 << 30)
        );
    }

    #[test]
    fn a_budget_leaves_room_for_the_process() {
        assert_eq!(ledger_bytes(1 << 30), (1 << 30) / 16 * 15 - (64 << 20));
        assert_eq!(
            ledger_bytes(64 << 20),
            1 << 20,
            "that is too little, but no worker has nothing"
        );
        for ledger in [1 << 30, 300 << 20, 16 << 20, 2 << 20] {
            assert!(ledger_bytes(memory_bytes_for(ledger)).abs_diff(ledger) < 16);
        }
    }
}
