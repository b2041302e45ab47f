//! Whether the PHP process that tests drive does what CodeIgniter was recorded to do.

use serde_json::{Value, json};
use steadfast::Layout;

use super::super::peer::id;
use super::fixture::Place;

#[tokio::test]
async fn the_peer_stores_what_codeigniter_stored() {
    let place = Place::new(Layout::CodeIgniter4);
    let mut php = place.php();
    let id = id(1);
    let flash = json!([{ "op": "flash", "key": "f", "value": "v" }]);
    assert_eq!(php.results(Some(&id), flash).await, [Value::Null]);
    let new = r#"f|s:1:"v";__ci_vars|a:1:{s:1:"f";s:3:"new";}"#;
    assert!(place.stored(&id).ends_with(new));
    assert_eq!(php.results(Some(&id), json!([{ "op": "readflash", "key": "f" }])).await, ["v"]);
    assert!(place.stored(&id).ends_with(&new.replace("new", "old")));
    php.results(Some(&id), json!([])).await;
    assert!(!place.stored(&id).contains("__ci_vars"));
    let gone = php.request(Some(&id), json!([{ "op": "destroy" }])).await;
    assert!(gone.id.is_none() && gone.set_cookie.unwrap().contains("=deleted"));
    assert!(!place.file(&id).exists());
}

#[tokio::test]
async fn the_peer_gives_an_id_that_is_too_old_a_successor() {
    let place = Place::new(Layout::CodeIgniter4);
    let mut php = place.php();
    let id = id(1);
    php.results(Some(&id), json!([{ "op": "set", "key": "a", "value": 1 }])).await;
    let late = php.run(json!({ "cookie": id, "offset": 300, "ops": [] })).await;
    assert_eq!((late.id.as_deref(), late.set_cookie), (Some(&*id), None));
    let ajax = php.run(json!({ "cookie": id, "offset": 301, "ajax": true, "ops": [] })).await;
    assert!(ajax.set_cookie.unwrap().starts_with(&format!("ci_session={id}; expires=")));
    let page = php.run(json!({ "cookie": id, "offset": 301, "ops": [{ "op": "get", "key": "a" }] })).await;
    let successor = page.id.unwrap();
    assert_ne!(successor, id);
    assert!(page.set_cookie.unwrap().starts_with(&format!("ci_session={successor};")));
    assert_eq!(page.results, [json!(1)]);
    assert!(place.file(&id).exists(), "the id before stays");
}

#[tokio::test]
async fn codeigniter_3_refuses_ids_that_it_never_gave_out_and_4_does_not() {
    let never = id(7);
    for (layout, adopts) in [(Layout::CodeIgniter3, false), (Layout::CodeIgniter4, true)] {
        let place = Place::new(layout);
        let mut php = place.php();
        let answer = php.request(Some(&never), json!([])).await;
        assert_eq!(answer.id.as_deref() == Some(&*never), adopts, "{}", layout.as_str());
        let ours = answer.id.unwrap();
        assert_eq!(php.request(Some(&ours), json!([])).await.id, Some(ours), "{}", layout.as_str());
    }
}

#[tokio::test]
async fn an_exception_ends_the_request_but_keeps_what_was_set_before() {
    let place = Place::new(Layout::CodeIgniter4);
    let mut php = place.php();
    let id = id(1);
    let failing = json!([{ "op": "set", "key": "a", "value": 1 }, { "op": "fail" }, { "op": "destroy" }]);
    let failed = php.request(Some(&id), failing).await;
    assert_eq!((failed.status, failed.results.len(), failed.errors.len()), (500, 1, 1));
    assert!(place.stored(&id).ends_with("a|i:1;"));
}
