//! Requests, and where they are sent on to. Done by hand: what is for the registry (credentials, an operator's headers)
//! goes to no other origin, and a secure pull stays secure.

use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};

use super::super::auth::Credential;
use super::super::error::RegistryError;
use super::{Authorization, Session, parse_url};

/// From a registry to an object store, with room for one that moves.
const MAX_REDIRECTS: usize = 5;

type Add<'a> = dyn Fn(RequestBuilder) -> RequestBuilder + Send + Sync + 'a;

impl Session<'_> {
    /// Sends a request; `public` adds what everybody on the way may see.
    pub(super) async fn follow(&self, method: &Method, url: Url, public: &Add<'_>) -> Result<Response, RegistryError> {
        let home = parse_url(&self.base)?.origin();
        let add = |request, url: &Url| {
            let request = public(request);
            if url.origin() != home {
                return request;
            }
            self.with_headers(self.authorized(request), self.authorization.is_some())
        };
        self.chase(method, url, &add).await
    }

    /// Asks a token server, to which the credentials go, and no further.
    pub(super) async fn follow_to_token(&self, url: Url) -> Result<Response, RegistryError> {
        let (first, home) = (url.origin(), parse_url(&self.base)?.origin());
        let Credential { username, password } = self.credential;
        let add = |mut request: RequestBuilder, url: &Url| {
            let shown = url.origin() == first && !self.credential.is_anonymous();
            if url.origin() == home {
                request = self.with_headers(request, shown);
            }
            if shown { request.basic_auth(username, Some(password)) } else { request }
        };
        self.chase(&Method::GET, url, &add).await
    }

    async fn chase(
        &self,
        method: &Method,
        mut url: Url,
        add: &(dyn Fn(RequestBuilder, &Url) -> RequestBuilder + Send + Sync),
    ) -> Result<Response, RegistryError> {
        let secure = url.scheme() == "https";
        for _ in 0..=MAX_REDIRECTS {
            let request = self.client_for(&url)?.request(method.clone(), url.clone());
            let response = add(request, &url).send().await?;
            let Some(next) = target(&response, method) else { return Ok(response) };
            if secure && next.scheme() != "https" {
                return Err(RegistryError::Other("redirected from https to http".to_owned()));
            }
            url = next;
        }
        Err(RegistryError::Other("too many redirects".to_owned()))
    }

    fn client_for(&self, url: &Url) -> Result<&Client, RegistryError> {
        self.endpoint.client.as_ref().map_or_else(|| self.registry.client_for(url), Ok)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            None => request,
            Some(Authorization::Basic) => {
                request.basic_auth(&self.credential.username, Some(&self.credential.password))
            }
            Some(Authorization::Bearer(value)) => request.header(AUTHORIZATION, value),
        }
    }

    /// An operator's `Authorization` is for requests that have none.
    fn with_headers(&self, request: RequestBuilder, authorized: bool) -> RequestBuilder {
        let mut headers = self.endpoint.headers.clone();
        if authorized {
            headers.remove(AUTHORIZATION);
        }
        request.headers(headers)
    }
}

/// Where the same request is to be sent instead.
fn target(response: &Response, method: &Method) -> Option<Url> {
    let same = match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        // These turn any other method into GET.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            [Method::GET, Method::HEAD].contains(method)
        }
        _ => false,
    };
    let location = response.headers().get(LOCATION).filter(|_| same)?.to_str().ok()?;
    let next = response.url().join(location).ok()?;
    ["http", "https"].contains(&next.scheme()).then_some(next)
}
