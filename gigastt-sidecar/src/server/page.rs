//! The page at `/`: a microphone, a place to drop recordings, and the words.
//!
//! It is a client like any other, of `/v1/ws`, `/v1/transcribe/stream` and `/v1/models`. Its files are part of
//! the program; it loads nothing from elsewhere.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::routing::get;

/// What the page may do: load its own files, talk to its own service, play what the reader dropped on it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const PERMISSIONS: (HeaderName, &str) = (HeaderName::from_static("permissions-policy"), "microphone=(self)");

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Where a file is, what it is, and its text.
struct File(&'static str, &'static str, &'static str);

const FILES: [File; 8] = [
    File("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    File("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    File("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    File("/page/app.js", SCRIPT, include_str!("page/app.js")),
    File("/page/capture.js", SCRIPT, include_str!("page/capture.js")),
    File("/page/speech.js", SCRIPT, include_str!("page/speech.js")),
    File("/page/strings.js", SCRIPT, include_str!("page/strings.js")),
    File("/page/transcript.js", SCRIPT, include_str!("page/transcript.js")),
];

/// The routes of the page's files.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, File(path, kind, text)| {
        let headers = [
            (header::CONTENT_TYPE, kind),
            // A newer program brings a newer page.
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            PERMISSIONS,
        ];
        router.route(path, get(move || async move { (headers, text) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_is_named_is_served() {
        let paths: Vec<_> = FILES.iter().map(|File(path, ..)| path.trim_start_matches('/')).collect();
        let mut named = 0;
        for File(path, _, text) in &FILES {
            let folder = if *path == "/" { "" } else { "page/" };
            for (before, after) in [("src=\"", "\""), ("href=\"", "\""), ("from \"./", "\"")] {
                for rest in text.split(before).skip(1) {
                    let name = rest.split(after).next().unwrap_or_default();
                    let file = format!("{folder}{name}");
                    assert!(paths.contains(&file.as_str()), "{path} names {file}");
                    named += 1;
                }
            }
        }
        assert!(named >= 7, "{named}");
    }
}
