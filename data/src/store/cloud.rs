//! Cloud object stores, each behind a cargo feature. Credentials come from the environment of the process that reads.

use std::sync::Arc;

use object_store::ObjectStore;
use url::Url;

use crate::redact::redact_url;

use super::StoreError;

/// The cargo feature that reads a scheme.
fn feature(scheme: &str) -> &'static str {
    match scheme {
        "s3" => "s3",
        "gs" => "gs",
        _ => "az",
    }
}

/// Opens the bucket or container of an address.
#[cfg(feature = "http")]
pub(super) fn open(
    url: &Url,
    clients: &super::retry::HttpClients,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    #[allow(unused_variables)]
    let failed = |e: object_store::Error| StoreError::Failed {
        address: redact_url(url),
        why: crate::redact::redact_text(&e.to_string()),
    };
    #[allow(unused_variables)]
    let connector = clients;
    match url.scheme() {
        #[cfg(feature = "s3")]
        "s3" => {
            let store = object_store::aws::AmazonS3Builder::from_env()
                .with_url(url.as_str())
                .with_http_connector(connector.connector().map_err(failed)?)
                .with_retry(super::retry::no_retry())
                .build()
                .map_err(failed)?;
            Ok(Arc::new(store))
        }
        #[cfg(feature = "gs")]
        "gs" => {
            let store = object_store::gcp::GoogleCloudStorageBuilder::from_env()
                .with_url(url.as_str())
                .with_http_connector(connector.connector().map_err(failed)?)
                .with_retry(super::retry::no_retry())
                .build()
                .map_err(failed)?;
            Ok(Arc::new(store))
        }
        #[cfg(feature = "az")]
        "az" | "abfs" | "abfss" => {
            let store = object_store::azure::MicrosoftAzureBuilder::from_env()
                .with_url(url.as_str())
                .with_http_connector(connector.connector().map_err(failed)?)
                .with_retry(super::retry::no_retry())
                .build()
                .map_err(failed)?;
            Ok(Arc::new(store))
        }
        scheme => Err(StoreError::Feature {
            feature: feature(scheme),
            address: redact_url(url),
        }),
    }
}

/// Nothing can be opened without http.
#[cfg(not(feature = "http"))]
pub(super) fn open(url: &Url) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Err(StoreError::Feature {
        feature: feature(url.scheme()),
        address: redact_url(url),
    })
}
