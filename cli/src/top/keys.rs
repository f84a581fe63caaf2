//! Keys that are pressed, read by a thread: a read of the terminal cannot be given up.

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    End,
    Redraw,
    Scroll(i32),
    Sort,
}

#[derive(Debug)]
pub(super) struct Keys {
    acts: mpsc::UnboundedReceiver<Act>,
}

impl Keys {
    pub(super) fn start() -> Self {
        let (sender, acts) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if let Some(act) = meant(&event)
                    && sender.send(act).is_err()
                {
                    return;
                }
            }
        });
        Self { acts }
    }

    /// What is wanted next; `None` if the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Act> {
        self.acts.recv().await
    }
}

fn meant(event: &Event) -> Option<Act> {
    let key = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        Event::Resize(..) => return Some(Act::Redraw),
        _ => return None,
    };
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Act::End),
        KeyCode::Char('q') | KeyCode::Esc => Some(Act::End),
        KeyCode::Char('s') => Some(Act::Sort),
        KeyCode::Down | KeyCode::Char('j') => Some(Act::Scroll(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(Act::Scroll(-1)),
        KeyCode::PageDown => Some(Act::Scroll(10)),
        KeyCode::PageUp => Some(Act::Scroll(-10)),
        _ => None,
    }
}
