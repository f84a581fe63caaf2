//! Processes in network namespaces of their own, and links between them that can be cut.
//!
//! A hub namespace has a bridge, and the scheduler and the client; each worker has a namespace of its own, with a cable
//! (a pair of virtual Ethernet devices) to the bridge. Their addresses are loopback ones, so that all processes listen
//! as they always do: the namespaces are told to carry `127.77.0.0/16` over the cables (`route_localnet`) in place of
//! keeping it to themselves. Nothing outside can reach them, for nothing leads out of the hub.

use std::{
    io,
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use tokio::time::sleep;

use crate::{processes::Process, terminal};

/// Where the names of namespaces are.
const NAMES: &str = "/run/netns";
/// What the names of ours begin with; the process's id follows.
const PREFIX: &str = "graticule-";
/// What a namespace needs so that loopback addresses go over its cables.
const OPEN: &str = "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet && \
                    echo 1 > /proc/sys/net/ipv4/conf/default/route_localnet && \
                    ip link set lo up && ip route del local 127.0.0.0/8 dev lo table local";
/// Between two looks whether the process in the hub has ended.
const POLL: Duration = Duration::from_millis(50);

/// A hub and workers' namespaces, cabled. They are gone when this is dropped, with every process in them.
#[derive(Debug)]
pub(super) struct Namespaces {
    cables: Cables,
    made: Vec<String>,
}

/// The cables of namespaces that are there, as seen from the hub.
#[derive(Debug, Clone)]
pub(super) struct Cables {
    prefix: String,
    count: u32,
}

impl Namespaces {
    /// Makes them, and clears away what processes that were killed have left.
    ///
    /// # Errors
    /// What to install, or that this must run as root.
    pub(super) fn make(count: u32) -> anyhow::Result<Self> {
        clear_away();
        let prefix = format!("{PREFIX}{}", std::process::id());
        let cables = Cables { prefix, count };
        let mut namespaces = Self {
            made: Vec::new(),
            cables,
        };
        let hub = namespaces.cables.hub();
        namespaces.add(&hub)?;
        ip(&format!(
            "-n {hub} link add hub type bridge forward_delay 0 stp_state 0"
        ))?;
        ip(&format!("-n {hub} addr add {}/16 dev hub", Cables::hub_address()))?;
        ip(&format!("-n {hub} link set hub up"))?;
        for place in 0..count {
            let own = namespaces.cables.of_worker(place);
            namespaces.add(&own)?;
            let address = Cables::address(place);
            ip(&format!(
                "-n {hub} link add to{place} type veth peer name eth0 netns {own}"
            ))?;
            ip(&format!("-n {hub} link set to{place} master hub up"))?;
            ip(&format!("-n {own} addr add {address}/16 dev eth0"))?;
            ip(&format!("-n {own} link set eth0 up"))?;
        }
        Ok(namespaces)
    }

    fn add(&mut self, name: &str) -> anyhow::Result<()> {
        ip(&format!("netns add {name}"))?;
        self.made.push(name.to_owned());
        let mut open = Command::new("ip");
        open.args(["netns", "exec", name, "sh", "-c", OPEN]);
        succeed(&mut open)
    }

    /// Runs this very command in the hub; returns its exit status.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) async fn run_in_hub(&self) -> anyhow::Result<Option<i32>> {
        let program = std::env::current_exe().context("this program has no path")?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.cables.hub()]).arg(program);
        command.args(std::env::args_os().skip(1));
        command
            .args(["--within", &self.cables.prefix])
            .stdin(Stdio::null());
        let mut inside = Process::spawn(&mut command)?;
        loop {
            if let Some(status) = inside.0.try_wait()? {
                return Ok(status.code());
            }
            sleep(POLL).await;
        }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.made.iter().for_each(|name| remove(name));
    }
}

impl Cables {
    /// Those of the namespaces whose names begin with `prefix`.
    pub(super) fn new(prefix: &str, count: u32) -> Self {
        let prefix = prefix.to_owned();
        Self { prefix, count }
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    /// The namespace of a worker.
    pub(super) fn of_worker(&self, place: u32) -> String {
        format!("{}-{place}", self.prefix)
    }

    /// The hub's address.
    pub(super) fn hub_address() -> Ipv4Addr {
        Ipv4Addr::new(127, 77, 0, 1)
    }

    /// A worker's address.
    pub(super) fn address(place: u32) -> Ipv4Addr {
        let [.., third, fourth] = place.to_be_bytes();
        Ipv4Addr::new(127, 77, third + 1, fourth)
    }

    /// Pulls a worker's cable: nobody reaches it, and it reaches nobody.
    ///
    /// # Errors
    /// If `ip` fails.
    pub(super) fn pull(&self, place: u32) -> anyhow::Result<()> {
        ip(&format!("link set to{place} down"))
    }

    /// Has no worker reach another one; all reach the scheduler.
    ///
    /// # Errors
    /// If `ip` fails.
    pub(super) fn part_workers(&self) -> anyhow::Result<()> {
        self.isolate("on")
    }

    /// Makes everything as it was.
    ///
    /// # Errors
    /// If `ip` fails.
    pub(super) fn mend(&self) -> anyhow::Result<()> {
        (0..self.count).try_for_each(|place| ip(&format!("link set to{place} up")))?;
        self.isolate("off")
    }

    fn isolate(&self, how: &str) -> anyhow::Result<()> {
        (0..self.count)
            .try_for_each(|place| ip(&format!("link set to{place} type bridge_slave isolated {how}")))
    }
}

/// Removes a namespace and ends what runs in it.
fn remove(name: &str) {
    // A process that is there has been started by us: nobody else knows the namespace.
    if let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() {
        let pids = String::from_utf8_lossy(&output.stdout).into_owned();
        for pid in pids.split_whitespace() {
            // It may have ended by itself.
            let _ = Command::new("kill")
                .args(["-9", pid])
                .stderr(Stdio::null())
                .status();
        }
    }
    if let Err(why) = ip(&format!("netns del {name}")) {
        terminal::note(&format!("a network namespace is left: {why:#}"));
    }
}

/// Removes namespaces of processes that were killed before they could.
fn clear_away() {
    let names = std::fs::read_dir(NAMES).into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let owner = owner.and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            remove(&name);
        }
    }
}

/// Runs `ip` with words.
fn ip(words: &str) -> anyhow::Result<()> {
    succeed(Command::new("ip").args(words.split(' ')))
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no `ip`: install iproute2 (Debian: `apt-get install iproute2`)")
        }
        output => output?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "network namespaces need root and a kernel with bridges; {command:?} said: {}",
        said.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_has_an_address_of_its_own_beside_the_hub() {
        let mut addresses: Vec<Ipv4Addr> = (0..256).map(Cables::address).collect();
        addresses.push(Cables::hub_address());
        assert!(addresses.iter().all(Ipv4Addr::is_loopback));
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 257);
        // The ends of the network are not theirs to have.
        assert!(addresses.iter().all(|address| address.octets()[2..] != [0, 0]));
        assert!(
            addresses
                .iter()
                .all(|address| address.octets()[2..] != [255, 255])
        );
    }
}
