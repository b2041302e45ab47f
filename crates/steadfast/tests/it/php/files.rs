//! Session files that are shared with CodeIgniter and PHP.

use serde_json::{Value, json};

use super::peer::{Peer, id};

/// Starts CodeIgniter 4 on a directory.
fn codeigniter(dir: &std::path::Path) -> Peer {
    Peer::start(&json!({ "driver": "files", "handler": { "save_path": dir } }))
}

#[tokio::test]
async fn the_peer_stores_what_codeigniter_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = codeigniter(dir.path());
    let id = id(1);
    let flash = json!([{ "op": "flash", "key": "f", "value": "v" }]);
    assert_eq!(peer.results(Some(&id), flash).await, [Value::Null]);
    let path = dir.path().join(format!("ci_session{id}"));
    let stored = |path| std::fs::read_to_string(path).unwrap();
    let new = r#"f|s:1:"v";__ci_vars|a:1:{s:1:"f";s:3:"new";}"#;
    assert!(stored(&path).ends_with(new));
    assert_eq!(peer.results(Some(&id), json!([{ "op": "readflash", "key": "f" }])).await, ["v"]);
    assert!(stored(&path).ends_with(&new.replace("new", "old")));
    peer.results(Some(&id), json!([])).await;
    assert!(!stored(&path).contains("__ci_vars"));
    let gone = peer.request(Some(&id), json!([{ "op": "destroy" }])).await;
    assert!(gone.id.is_none() && gone.set_cookie.unwrap().contains("=deleted"));
    assert!(!path.exists());
}
