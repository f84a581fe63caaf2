use axum::extract::ws::{Message, Utf8Bytes};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Serialize;

/// An encoded frame, shared by all that it is sent to.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Its number.
    pub(crate) seq: u64,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Json(Utf8Bytes),
    Binary(Bytes),
}

impl Frame {
    /// A frame that is text.
    pub(crate) fn json(seq: u64, frame: &impl Serialize) -> Self {
        Self {
            seq,
            content: Content::Json(json(frame).into()),
        }
    }

    /// A frame of bytes.
    pub(crate) fn binary(seq: u64, frame: Vec<u8>) -> Self {
        Self {
            seq,
            content: Content::Binary(frame.into()),
        }
    }

    /// As a message of a WebSocket.
    pub(crate) fn into_message(self) -> Message {
        match self.content {
            Content::Json(text) => Message::Text(text),
            Content::Binary(bytes) => Message::Binary(bytes),
        }
    }

    /// As the text of a server-sent event: binary frames in base64.
    pub(crate) fn into_text(self) -> Bytes {
        match self.content {
            Content::Json(text) => text.into(),
            Content::Binary(bytes) => STANDARD.encode(bytes).into(),
        }
    }
}

/// What is sent, as JSON.
pub(crate) fn json(value: &impl Serialize) -> String {
    // What is sent holds no map with keys that are not text, and writing to memory never fails.
    serde_json::to_string(value).expect("what is sent is plain JSON")
}
