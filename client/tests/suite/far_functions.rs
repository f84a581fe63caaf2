//! Functions that run elsewhere, while no slot's thread waits for them.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests too.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use graticule_client::{Client, LocalOptions, Registry, Value};
use graticule_worker::{End, FunctionError, Underway};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(120);
const COUNT: i64 = 300;

/// A call on a thread of its own.
struct Elsewhere {
    number: i64,
    answer: oneshot::Receiver<i64>,
    heard: Option<i64>,
}

impl Elsewhere {
    fn begin(number: i64) -> Box<dyn Underway> {
        let (answers, answer) = oneshot::channel();
        // Who asked may have gone.
        thread::spawn(move || answers.send(number * 10));
        let heard = None;
        Box::new(Self {
            number,
            answer,
            heard,
        })
    }
}

impl Underway for Elsewhere {
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let heard = ready!(Pin::new(&mut self.answer).poll(context));
        match self.number % 5 {
            0..3 => Poll::Ready(End::Made(Ok(Value::from(heard.unwrap())))),
            3 => Poll::Ready(End::Made(Err("it failed elsewhere".into()))),
            _ => {
                self.heard = heard.ok();
                Poll::Ready(End::Waits)
            }
        }
    }

    fn finish(self: Box<Self>) -> Result<Value, FunctionError> {
        let thread = thread::current();
        assert!(thread.name().unwrap().contains("-cpu-"), "a slot's thread");
        assert!(self.number % 10 != 9, "a defect elsewhere");
        Ok(Value::from(self.heard.unwrap()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_elsewhere_end_as_they_are_or_on_a_slots_thread() {
    let mut functions = Registry::new();
    let here_count = Arc::new(AtomicU32::new(0));
    let count = here_count.clone();
    let here = move |inputs: &[Value]| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Value::from(inputs[0].number::<i64>().unwrap() * 10))
    };
    functions.far_function("times_ten", here, |inputs| {
        let number = inputs[0].number::<i64>()?;
        // What cannot begin at once is called.
        (number % 7 != 0).then(|| Elsewhere::begin(number))
    });
    let options = LocalOptions {
        functions,
        ..LocalOptions::default()
    };
    let client = Client::local_with(&options).await.unwrap();
    let calls = client.map("times_ten", 0..COUNT).unwrap();
    for (number, call) in (0..COUNT).zip(&calls) {
        let made = tokio::time::timeout(PATIENCE, call.result())
            .await
            .expect("in time");
        let made = made.map(|value| value.number::<i64>().unwrap());
        match number {
            _ if number % 7 == 0 => assert_eq!(made.unwrap(), number * 10),
            _ if number % 5 == 3 => {
                let told = made.unwrap_err().to_string();
                assert!(told.contains("it failed elsewhere"), "{number}: {told}");
            }
            _ if number % 10 == 9 => {
                let told = made.unwrap_err().to_string();
                assert!(told.contains("panicked: a defect elsewhere"), "{number}: {told}");
            }
            _ => assert_eq!(made.unwrap(), number * 10),
        }
    }
    assert_eq!(here_count.load(Ordering::Relaxed), 43);
}
