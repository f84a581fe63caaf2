//! The dashboard's stream of frames, read as events of a server.

use std::{sync::Arc, time::Duration};

use graticule_dashboard::aggregate::{Delta, FrameError, FrameKind, Snapshot};
use serde::Deserialize;
use tokio::sync::watch;

/// How long a stream that broke is left alone.
const PAUSE: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(3);
/// The longest frame that is believed.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// What is known of the cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// Why it is not fresh, or is none.
    pub(super) problem: Option<String>,
    /// Nothing more will come.
    pub(super) is_final: bool,
}

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("{0} {1}")]
    Refused(reqwest::StatusCode, String),
    #[error("what it says is no frame: {0}")]
    Frame(#[from] serde_json::Error),
    #[error("{0}")]
    Order(#[from] FrameError),
    #[error("the stream ended")]
    Ended,
    #[error("a frame of more than 64 MiB")]
    TooLarge,
}

impl Broken {
    /// Whether another try would end likewise.
    fn is_final(&self) -> bool {
        matches!(self, Self::Order(FrameError::Version { .. }))
    }

    /// The innermost reason, which is what helps.
    fn told(&self) -> String {
        let mut reason: &dyn std::error::Error = self;
        while let Some(source) = reason.source() {
            reason = source;
        }
        reason.to_string()
    }
}

/// Follows until whoever looks is gone.
pub(super) async fn follow(url: String, seen: watch::Sender<Seen>) {
    // Another one may be set already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    loop {
        let broken = match stream(&url, &seen).await {
            Ok(never) => match never {},
            Err(broken) => broken,
        };
        let is_final = broken.is_final();
        seen.send_modify(|seen| (seen.problem, seen.is_final) = (Some(broken.told()), is_final));
        if is_final || seen.is_closed() {
            return;
        }
        if !matches!(broken, Broken::Order(FrameError::Gap { .. })) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn stream(url: &str, seen: &watch::Sender<Seen>) -> Result<std::convert::Infallible, Broken> {
    let client = reqwest::Client::builder().connect_timeout(CONNECT).build()?;
    let events = format!("{}/api/events", url.trim_end_matches('/'));
    let mut answer = client.get(events).send().await?;
    if !answer.status().is_success() {
        let status = answer.status();
        return Err(Broken::Refused(status, answer.text().await.unwrap_or_default()));
    }
    let mut frames = Frames::default();
    while let Some(piece) = answer.chunk().await? {
        frames.came(&piece)?;
        while let Some(snapshot) = frames.next()? {
            seen.send_replace(Seen {
                snapshot: Some(snapshot),
                ..Seen::default()
            });
        }
    }
    Err(Broken::Ended)
}

/// Frames out of pieces of a stream.
#[derive(Debug, Default)]
struct Frames {
    came: Vec<u8>,
    snapshot: Option<Arc<Snapshot>>,
}

#[derive(Deserialize)]
struct Kind {
    kind: FrameKind,
}

impl Frames {
    fn came(&mut self, piece: &[u8]) -> Result<(), Broken> {
        self.came.extend_from_slice(piece);
        if self.came.len() > FRAME_BYTES_MAX {
            return Err(Broken::TooLarge);
        }
        Ok(())
    }

    /// The cluster after the next whole frame.
    fn next(&mut self) -> Result<Option<Arc<Snapshot>>, Broken> {
        let Some(end) = self.came.windows(2).position(|pair| pair == b"\n\n") else {
            return Ok(None);
        };
        let event: Vec<u8> = self.came.drain(..end + 2).collect();
        let Some(frame) = event[..end].strip_prefix(b"data: ") else {
            // A comment, which keeps the connection open.
            return self.next();
        };
        let snapshot = match serde_json::from_slice::<Kind>(frame)?.kind {
            FrameKind::Snapshot => {
                let snapshot: Snapshot = serde_json::from_slice(frame)?;
                snapshot.check()?;
                Arc::new(snapshot)
            }
            FrameKind::Delta => {
                let delta: Delta = serde_json::from_slice(frame)?;
                let (got, want) = (delta.seq, 0);
                let mut snapshot = self.snapshot.take().ok_or(FrameError::Gap { got, want })?;
                Arc::make_mut(&mut snapshot).apply(&delta)?;
                snapshot
            }
        };
        self.snapshot = Some(snapshot.clone());
        Ok(Some(snapshot))
    }
}

#[cfg(test)]
mod tests {
    use graticule_dashboard::aggregate::FORMAT_VERSION;

    use super::*;

    fn frame(kind: &str, seq: u64, rest: &str) -> String {
        let head = r#"{"now_us":1,"total":0,"done":0,"running":0,"failed":0,"recomputed":0,"rate":0,"pulse":[],"records":0,"dropped":0,"rejected":0,"sampled":0}"#;
        format!(
            "data: {{\"v\":{FORMAT_VERSION},\"kind\":\"{kind}\",\"seq\":{seq},\"head\":{head}{rest}}}\n\n"
        )
    }

    fn whole(seq: u64) -> String {
        let rest =
            r#","cluster":"test","jobs":[],"layers":[],"workers":[],"running":[],"failures":[],"stream":[]"#;
        frame("snapshot", seq, rest)
    }

    #[test]
    fn frames_come_in_any_pieces_and_follow_each_other() {
        let text = [whole(4), ": ping\n\n".into(), frame("delta", 5, "")].concat();
        for size in [1, 7, 100, text.len()] {
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                frames.came(piece).unwrap();
                while let Some(snapshot) = frames.next().unwrap() {
                    seen.push(snapshot.seq);
                }
            }
            assert_eq!(seen, [4, 5]);
        }
    }

    #[test]
    fn a_frame_that_is_missing_and_what_is_none_are_told() {
        let mut frames = Frames::default();
        frames
            .came([whole(1), frame("delta", 3, "")].concat().as_bytes())
            .unwrap();
        frames.next().unwrap();
        assert!(matches!(
            frames.next(),
            Err(Broken::Order(FrameError::Gap { .. }))
        ));
        let mut frames = Frames::default();
        frames.came(b"data: <html>\n\n").unwrap();
        assert!(matches!(frames.next(), Err(Broken::Frame(_))));
    }

    #[test]
    fn a_dashboard_of_another_release_is_told_for_good() {
        let mut frames = Frames::default();
        let other = whole(1).replace(&format!("\"v\":{FORMAT_VERSION}"), "\"v\":999");
        frames.came(other.as_bytes()).unwrap();
        let error = frames.next().unwrap_err();
        assert!(
            error.is_final() && error.told().contains("same release"),
            "{error}"
        );
    }
}
