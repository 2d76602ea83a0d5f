//! What a client may wish behind the `?` of a path.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use gigastt_core::EndpointRule;
use serde::Deserialize;

use super::reply::Refusal;

/// See the module. Other names are left alone.
#[derive(Debug, Deserialize)]
pub(crate) struct Wishes {
    endpoint: Option<String>,
}

impl Wishes {
    /// When utterances end: as wished, else as in `profile`.
    ///
    /// # Errors
    /// 400 when there is no such profile.
    pub(crate) fn rule(&self, profile: &str) -> Result<EndpointRule, Refusal> {
        Ok(EndpointRule::profile(self.endpoint.as_deref().unwrap_or(profile))?)
    }
}

impl<S: Sync> FromRequestParts<S> for Wishes {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let wishes = Query::try_from_uri(&parts.uri);
        wishes
            .map(|Query(wishes)| wishes)
            .map_err(|error| Refusal::bad_request("bad_request", error.body_text()))
    }
}
