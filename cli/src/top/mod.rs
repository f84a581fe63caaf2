//! `graticule top`: what a cluster does, live in a terminal, from the stream that the dashboard's page reads.

mod follow;
mod keys;
mod view;

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::Context;
use graticule_client::Client;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use tokio::sync::watch;

use self::{
    follow::Seen,
    keys::{Act, Keys},
    view::View,
};
use crate::{connection::Connection, terminal};

/// The least time between two pictures.
const PICTURE_EVERY: Duration = Duration::from_millis(100);
/// How long the first frame may take.
const FIRST_FRAME: Duration = Duration::from_secs(5);
/// The size of a picture where there is no terminal.
const PRINTED: (u16, u16) = (120, 48);

/// Which cluster is watched.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The dashboard's address; without it the scheduler is asked.
    #[arg(long, value_name = "URL")]
    dashboard: Option<String>,
    /// Print one picture and end, as when the output is no terminal.
    #[arg(long)]
    once: bool,
}

/// Shows the cluster until somebody presses `q`.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let url = match args.dashboard {
        Some(url) => url,
        None => told_by(&args.connection).await?,
    };
    let (seen, mut frames) = watch::channel(Seen::default());
    let following = tokio::spawn(follow::follow(url.clone(), seen));
    let first = frames.wait_for(|seen| seen.snapshot.is_some() || seen.is_final);
    // Whether there is one stands in what was seen.
    let _ = tokio::time::timeout(FIRST_FRAME, first).await.map(drop);
    if frames.borrow().snapshot.is_none() {
        let why = frames.borrow().problem.clone();
        let why = why.unwrap_or_else(|| "it does not answer".into());
        anyhow::bail!("no dashboard to be read at {url}: {why}");
    }
    if args.once || !std::io::stdout().is_terminal() {
        printed(&frames.borrow(), PRINTED)
            .iter()
            .try_for_each(|line| terminal::say(line))?;
    } else {
        watched(frames).await?;
    }
    following.abort();
    Ok(ExitCode::SUCCESS)
}

async fn told_by(connection: &Connection) -> anyhow::Result<String> {
    let info = Client::info_of(&connection.cluster, &connection.options()).await?;
    info.dashboard.with_context(|| {
        format!(
            "{} has no dashboard; start it with --dashboard 127.0.0.1:8787, or name one with --dashboard URL",
            connection.cluster
        )
    })
}

/// Draws each frame until somebody has seen enough.
async fn watched(mut frames: watch::Receiver<Seen>) -> anyhow::Result<()> {
    let mut pressed = Keys::start();
    let mut screen =
        ratatui::try_init().context("this terminal cannot be drawn on; --once prints one picture")?;
    let mut view = View::default();
    let drawn = loop {
        let seen = frames.borrow_and_update().clone();
        if let Err(error) = screen.draw(|frame| view.draw(frame, &seen)) {
            break Err(error.into());
        }
        tokio::time::sleep(PICTURE_EVERY).await;
        tokio::select! {
            changed = frames.changed() => if changed.is_err() { break Ok(()) },
            act = pressed.next() => match act {
                Some(Act::End) | None => break Ok(()),
                Some(Act::Redraw) => {}
                Some(Act::Scroll(lines)) => view.scroll(lines),
                Some(Act::Sort) => view.sort(),
            },
        }
    };
    ratatui::try_restore()?;
    drawn
}

/// One picture as lines of text.
fn printed(seen: &Seen, (width, height): (u16, u16)) -> Vec<String> {
    let mut screen =
        Terminal::new(TestBackend::new(width, height)).expect("a buffer in memory takes what is drawn");
    let mut view = View::printed();
    screen
        .draw(|frame| view.draw(frame, seen))
        .expect("a buffer in memory takes what is drawn");
    lines_of(screen.backend().buffer())
}

fn lines_of(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width);
    let mut lines: Vec<String> = lines
        .map(|cells| {
            let line: String = cells.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned()
        })
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
