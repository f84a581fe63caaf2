//! Results with names, which clients publish for each other.

use std::sync::Arc;

use bytes::Bytes;
use graticule_array::Array;
use graticule_plan::{ChunkGrid, DType, Key};
use graticule_proto::{Dataset, DatasetAnswer, DatasetRequest};

use crate::{Client, ClientError, ConnectOptions, Persisted, address, link};

/// How long an answer about names may take, which waits for the scheduler's journal.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

impl Client {
    /// Gives kept results a name, by which other clients of the cluster find them; `content` tells these what the name stands for,
    /// up to 8 MiB, in whatever way clients agree on.
    ///
    /// From now on the cluster keeps the results until the name is taken back, whatever becomes of this client.
    ///
    /// ```
    /// use graticule_array::{Array, Chunks};
    /// use graticule_client::Client;
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::local().await?;
    /// let kept = client.persist(&Array::ones(&[4], &[Chunks::Whole], graticule_plan::DType::Int8)?).await?;
    /// client.publish("ones", "int8, 4".into(), &[&kept], false).await?;
    /// assert_eq!(client.dataset("ones").await?, "int8, 4");
    /// client.unpublish("ones").await?;
    /// assert!(client.datasets().await?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NameTaken`] unless it `replaces` what has the name; [`ClientError::Refused`] if the cluster does not keep one
    /// of the results, or the content is too large; and as [`Client::info`].
    pub async fn publish(
        &self,
        name: &str,
        content: Bytes,
        kept: &[&Persisted],
        replaces: bool,
    ) -> Result<(), ClientError> {
        let dataset = Dataset {
            name: name.into(),
            content,
            keys: kept.iter().map(|kept| kept.key()).collect(),
        };
        self.ask_dataset(DatasetRequest::Publish { dataset, replaces })
            .await?;
        Ok(())
    }

    /// Takes a name back; what nobody else keeps is released.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] if nothing has the name; as [`Client::info`].
    pub async fn unpublish(&self, name: &str) -> Result<(), ClientError> {
        let name = name.into();
        self.ask_dataset(DatasetRequest::Unpublish { name }).await?;
        Ok(())
    }

    /// What a name stands for, as its publisher told.
    ///
    /// # Errors
    /// As [`Client::unpublish`].
    pub async fn dataset(&self, name: &str) -> Result<Bytes, ClientError> {
        let name = name.into();
        Ok(self.ask_dataset(DatasetRequest::Content { name }).await?.content)
    }

    /// All names, in order.
    ///
    /// # Errors
    /// As [`Client::info`].
    pub async fn datasets(&self) -> Result<Vec<Arc<str>>, ClientError> {
        Ok(self.ask_dataset(DatasetRequest::Names).await?.names)
    }

    /// An array that is published: what its publisher keeps under a key. It is good as long as its name stands; computing it later
    /// fails, and says so.
    pub fn published_array(&self, key: Key, grid: &ChunkGrid, dtype: DType) -> Array {
        self.session.about.may_read(key);
        Array::held(key, grid, dtype)
    }

    async fn ask_dataset(&self, request: DatasetRequest) -> Result<DatasetAnswer, ClientError> {
        #[cfg(feature = "local")]
        if let Some(cluster) = &self.session.about.cluster {
            return cluster.dataset(request).await;
        }
        let (url, options) = (self.url(), ConnectOptions::default());
        let timeouts = (options.connect_timeout, ANSWER_TIMEOUT);
        link::dataset(url, address::endpoint(url)?, timeouts, request).await
    }
}
