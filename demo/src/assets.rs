//! The files that pages need: compiled in, so that the demo is one program.

use axum::Router;
use axum::http::header;
use axum::routing::get;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(crate) fn routes() -> Router {
    let files = [
        ("/assets/site.css", CSS, include_str!("../assets/site.css")),
        ("/assets/icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
        ("/assets/page.js", SCRIPT, include_str!("../assets/page.js")),
        ("/assets/code.js", SCRIPT, include_str!("../assets/code.js")),
        ("/assets/live.js", SCRIPT, include_str!("../assets/live.js")),
        ("/assets/storm.js", SCRIPT, include_str!("../assets/storm.js")),
        ("/assets/picture.js", SCRIPT, include_str!("../assets/picture.js")),
    ];
    files.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        // Asked for anew each time, so that nobody sees the script of an older version.
        let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
        router.route(path, get(async move || (headers, text)))
    })
}
