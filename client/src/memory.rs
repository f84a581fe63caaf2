//! How much memory is free on this machine.

/// Bytes that a new allocation may take without pushing others out, or `None` where the system does not tell.
///
/// Linux: `MemAvailable`, or what the control group still allows if that is less.
pub(crate) fn free_bytes() -> Option<u64> {
    let system = available(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let group = match (read("memory.max"), read("memory.current")) {
        (Some(max), Some(current)) => group_free(&max, &current),
        _ => None,
    };
    Some(group.map_or(system, |group| group.min(system)))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn group_free(max: &str, current: &str) -> Option<u64> {
    // A group without a limit says "max".
    let max: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    Some(max.saturating_sub(current))
}

/// A number of bytes for people.
pub(crate) fn text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{size:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_the_systems_table() {
        let table = "MemTotal:       24611112 kB\nMemFree:  100 kB\nMemAvailable:   23044784 kB\n";
        assert_eq!(available(table), Some(23_044_784 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn a_group_without_a_limit_does_not_count() {
        assert_eq!(group_free("max\n", "100\n"), None);
        assert_eq!(group_free("1000\n", "400\n"), Some(600));
        assert_eq!(group_free("1000\n", "4000\n"), Some(0));
    }

    #[test]
    fn bytes_are_told_in_the_largest_unit_that_leaves_a_whole() {
        assert_eq!(text(17), "17 B");
        assert_eq!(text(1536), "1.5 KiB");
        assert_eq!(text(3 << 30), "3.0 GiB");
    }
}
