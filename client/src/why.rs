//! Why something is as it is.

use graticule_proto::{Answer, Subject};

use crate::{Client, ClientError, ConnectOptions, address, link};

impl Client {
    /// Why a task is not running or ran where it ran, or how a worker is; with the story of it, as far as the scheduler
    /// remembers. The answer prints as lines for a person.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks};
    /// use graticule_client::{About, Client, ClientError, Standing};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::local().await?;
    /// let kept = client.persist(&Array::ones(&[4], &[Chunks::Whole], graticule_plan::DType::Int8)?).await?;
    /// kept.wait().await?;
    /// let answer = client.why("job-1/layer-0/block-0".parse()?).await?;
    /// let About::Task(why) = answer.about else { panic!("a task was asked about") };
    /// assert!(matches!(why.standing, Standing::Held { .. }));
    /// assert!(matches!(client.why("9/0/0".parse()?).await, Err(ClientError::Unknown { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Unknown`] says what there is instead; [`ClientError::ConnectionLost`],
    /// [`ClientError::Unreachable`].
    pub async fn why(&self, subject: Subject) -> Result<Answer, ClientError> {
        #[cfg(feature = "local")]
        if let Some(cluster) = &self.session.about.cluster {
            return cluster.why(subject).await;
        }
        Self::why_of(self.url(), subject, &ConnectOptions::default()).await
    }

    /// As [`Client::why`], of a scheduler to which there is no session.
    ///
    /// # Errors
    /// As [`Client::why`], and as [`Client::connect`].
    pub async fn why_of(
        url: &str,
        subject: Subject,
        options: &ConnectOptions,
    ) -> Result<Answer, ClientError> {
        let endpoint = address::endpoint(url)?;
        link::why(url, endpoint, options.connect_timeout, subject).await
    }
}
