//! An http server on loopback that answers as a test says.
#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What a client asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
}

/// What the server does.
pub(crate) enum Answer {
    /// Status, further header lines, body.
    Full(u16, &'static str, Vec<u8>),
    /// A body of which so many bytes come before the connection ends.
    Cut(Vec<u8>, usize),
    /// The connection ends without an answer.
    Reset,
    /// No answer ever comes.
    Silence,
    /// The wanted part of a file.
    Part(Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers each request by what `answer` makes of it and of the number of requests before it.
    pub(crate) async fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move { serve(stream, &seen, &*answer).await });
            }
        });
        Self { url, requests, task }
    }

    /// Serves the files of a folder, by ranges too.
    pub(crate) async fn files(folder: PathBuf) -> Self {
        Self::start(move |request, _| {
            match std::fs::read(folder.join(request.path.trim_start_matches('/'))) {
                Ok(content) => Answer::Part(content),
                Err(_) => Answer::Full(404, "", b"nothing here".to_vec()),
            }
        })
        .await
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request, usize) -> Answer + Send + Sync),
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head
        .split(' ')
        .nth(1)
        .unwrap()
        .split('?')
        .next()
        .unwrap()
        .to_owned();
    let range = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("range: ")
            .map(str::to_owned)
    });
    let request = Request { path, range };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let (status, headers, body, sent) = match answer(&request, before) {
        Answer::Full(status, headers, body) => (status, headers.to_owned(), body.clone(), body.len()),
        Answer::Cut(body, sent) => (200, String::new(), body, sent),
        Answer::Reset => return,
        Answer::Silence => std::future::pending().await,
        Answer::Part(content) => part(&request, content),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    // The client may have gone, which is its own business.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body[..sent]).await;
    let _ = stream.shutdown().await;
}

fn part(request: &Request, content: Vec<u8>) -> (u16, String, Vec<u8>, usize) {
    let Some(range) = &request.range else {
        let len = content.len();
        return (200, String::new(), content, len);
    };
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let size = content.len();
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, size.min(last + 1)),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), last) => (size - last.unwrap().min(size), size),
    };
    if start >= size {
        return (416, format!("Content-Range: bytes */{size}\r\n"), Vec::new(), 0);
    }
    let body = content[start..end].to_vec();
    let len = body.len();
    (
        206,
        format!("Content-Range: bytes {start}-{}/{size}\r\n", end - 1),
        body,
        len,
    )
}
