//! Ordinary values, in each concurrency mode.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steadfast::{Codec, ErrorKind, Key, Result, Session, Value};

use crate::site::{COOKIE, Site, Visitor, page};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
    gift: Option<bool>,
}

const CART: Key<Cart> = Key::new("cart");

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

#[tokio::test]
async fn a_typed_key_knows_its_type() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.set(CART, Cart { items: vec!["tea".into()], gift: None })).await;
    let cart = visitor.page(|s| s.get(CART)).await.unwrap();
    assert_eq!(cart.items, ["tea"]);
    assert!(visitor.page(|s| Ok(s.has(CART))).await);
    let same: Option<Cart> = visitor.page(|s| s.get(CART.name())).await;
    assert_eq!(same, Some(cart));
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_and_stays() {
    let (_site, mut visitor) = site().await;
    let kinds = visitor
        .page(|s| {
            s.set("text", "one")?;
            let kind = |e: steadfast::Error| e.kind();
            Ok([
                s.get::<u32>("text").map_err(kind).unwrap_err(),
                s.take::<u32>("text").map_err(kind).unwrap_err(),
                s.increment("text", 1).map_err(kind).unwrap_err(),
                s.push("text", 1).map_err(kind).unwrap_err(),
                s.push_entry("text", "k", 1).map_err(kind).unwrap_err(),
                s.update::<Vec<u32>>("text", |_| Ok(())).map_err(kind).unwrap_err(),
            ])
        })
        .await;
    assert_eq!(kinds, [ErrorKind::Codec; 6]);
    assert_eq!(visitor.page(|s| s.get::<String>("text")).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn a_null_counts_as_missing() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.set("null", None::<u32>)).await;
    assert_eq!(visitor.page(|s| Ok((s.has("null"), s.get::<String>("null")?))).await, (false, None));
    assert!(!visitor.page(|s| s.mark_flash(["null"])).await);
    assert_eq!(visitor.page(|s| s.increment("null", 2)).await, 2);
}

#[tokio::test]
async fn false_zero_and_empty_values_are_there() {
    let (_site, mut visitor) = site().await;
    visitor
        .page(|s| {
            s.set("false", false)?;
            s.set("zero", 0)?;
            s.set("empty", "")?;
            s.set("list", Vec::<u32>::new())
        })
        .await;
    assert!(visitor.page(|s| Ok(["false", "zero", "empty", "list"].iter().all(|key| s.has(key)))).await);
}

#[tokio::test]
async fn removing_tells_whether_there_was_something() {
    let (_site, mut visitor) = site().await;
    assert_eq!(
        visitor.page(|s| Ok((s.remove("a")?, s.remove("a")?, s.remove("b")?))).await,
        (true, false, false)
    );
    assert!(!visitor.page(|s| Ok(s.has("a"))).await, "a removal is saved");
}

#[tokio::test]
async fn each_order_of_changes_within_a_request_ends_as_it_reads() {
    let (site, mut visitor) = site().await;
    for merge in [false, true] {
        let act = |s: &Session| -> Result<()> {
            s.set("set then removed", 1)?;
            s.remove("set then removed")?;
            s.set("removed then set", 1)?;
            s.remove("removed then set")?;
            s.set("removed then set", 2)?;
            s.increment("changed then removed", 1)?;
            s.remove("changed then removed")?;
            Ok(())
        };
        if merge {
            visitor.merge(act).await;
        } else {
            visitor.page(act).await;
        }
        let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
        assert_eq!(left.keys(), [b"a".as_slice(), b"removed then set"]);
        assert_eq!(left.get::<u32>("removed then set").unwrap(), Some(2));
    }
}

#[tokio::test]
async fn lists_and_maps_grow() {
    let (_site, mut visitor) = site().await;
    visitor
        .page(|s| {
            s.push("list", "one")?;
            s.push("list", 2)?;
            s.push_entry("map", "k", "v")?;
            s.push_entry("map", "k", "w")?;
            s.set("empty list", Vec::<u32>::new())?;
            s.push_entry("empty list", "now", "a map")
        })
        .await;
    let list: Vec<Value> = visitor.page(|s| s.get("list")).await.unwrap();
    assert_eq!(list, [Value::from("one"), Value::from(2)]);
    let map: BTreeMap<String, String> = visitor.page(|s| s.get("map")).await.unwrap();
    assert_eq!(map["k"], "w");
    assert!(visitor.page(|s| s.get::<BTreeMap<String, String>>("empty list")).await.is_some());
}

#[tokio::test]
async fn an_update_that_fails_changes_nothing() {
    let (_site, mut visitor) = site().await;
    let failed = visitor
        .page(|s| {
            let refused = s.update::<u32>("a", |n| {
                *n = 99;
                Err(steadfast::Error::new(ErrorKind::Codec, "refused"))
            });
            Ok(refused.is_err())
        })
        .await;
    assert!(failed);
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(1));
}

#[tokio::test]
async fn an_increment_stops_at_the_end_of_its_type() {
    let (_site, mut visitor) = site().await;
    let error = visitor
        .page(|s| {
            s.set("n", i64::MAX)?;
            Ok(s.increment("n", 1).unwrap_err().kind())
        })
        .await;
    assert_eq!(error, ErrorKind::Codec);
    assert_eq!(visitor.page(|s| s.increment("n", -1)).await, i64::MAX - 1);
    assert_eq!(visitor.page(|s| s.increment("fresh", -5)).await, -5);
}

#[tokio::test]
async fn what_is_taken_is_read_once() {
    for merge in [false, true] {
        let (_site, mut visitor) = site().await;
        let take = |s: &Session| Ok((s.take::<u32>("a")?, s.take::<u32>("a")?));
        let taken = if merge { visitor.merge(take).await } else { visitor.page(take).await };
        assert_eq!(taken, (Some(1), None));
        assert!(!visitor.page(|s| Ok(s.has("a"))).await);
    }
}

#[tokio::test]
async fn clearing_removes_the_values_and_leaves_the_session() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| s.login("alice")).await;
    let cookie = visitor.cookie().unwrap().to_owned();
    visitor.page(|s| s.clear()).await;
    assert_eq!(visitor.page(|s| Ok((s.keys().len(), s.user()))).await, (0, Some("alice".to_owned())));
    assert_eq!(visitor.cookie(), Some(cookie.as_str()));
}

#[tokio::test]
async fn all_values_are_those_without_a_mark() {
    let (_site, mut visitor) = site().await;
    let all = visitor
        .page(|s| {
            s.flash("f", 1)?;
            s.set_temp("t", 1, std::time::Duration::from_secs(9))?;
            Ok((s.all()?, s.keys().len()))
        })
        .await;
    assert_eq!(all.0.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(all.1, 3);
}

#[tokio::test]
async fn odd_keys_and_values_come_back_as_they_were() {
    let (_site, mut visitor) = site().await;
    let keys: [&[u8]; 7] = [b"", b"\0", b"\xff\xfe", b"*?[a]", b"a.b/../c", "ü🦀".as_bytes(), &[b'x'; 1_024]];
    visitor
        .page(move |s| {
            keys.iter().enumerate().try_for_each(|(n, key)| s.set(*key, (n, "\0ü\u{feff}", [0_u8, 255])))
        })
        .await;
    for (n, key) in keys.into_iter().enumerate() {
        let value = visitor.page(move |s| s.get::<(usize, String, [u8; 2])>(key)).await;
        assert_eq!(value, Some((n, "\0ü\u{feff}".to_owned(), [0, 255])));
    }
}

#[tokio::test]
async fn a_session_of_ten_thousand_keys_and_of_ten_megabytes_lives() {
    let (_site, mut visitor) = site().await;
    visitor.page(|s| (0..10_000).try_for_each(|n| s.set(&format!("key {n}"), n))).await;
    assert_eq!(visitor.page(|s| s.get::<u32>("key 9999")).await, Some(9_999));
    visitor.page(|s| s.set("large", "x".repeat(10_000_000))).await;
    assert_eq!(visitor.page(|s| s.get::<String>("large")).await.unwrap().len(), 10_000_000);
}

#[tokio::test]
async fn limits_are_errors_where_they_are_passed() {
    let site = Site::new(|p| p.max_keys(2).max_key_bytes(8).max_record_bytes(4_096));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let kinds = visitor
        .page(|s| {
            s.set("b", 1)?;
            s.set("b", 2)?;
            Ok([
                s.set("c", 1).unwrap_err().kind(),
                s.increment("c", 1).unwrap_err().kind(),
                s.flash("c", 1).unwrap_err().kind(),
                s.set("123456789", 1).unwrap_err().kind(),
                s.set("a", "x".repeat(5_000)).unwrap_err().kind(),
            ])
        })
        .await;
    assert_eq!(kinds, [ErrorKind::TooLarge; 5]);
    assert_eq!(visitor.page(|s| Ok((s.get::<u32>("a")?, s.get::<u32>("b")?))).await, (Some(1), Some(2)));
}

#[tokio::test]
async fn a_commit_of_too_much_is_refused_as_a_whole() {
    let site = Site::new(|p| p.max_record_bytes(4_096));
    let mut visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let reply = visitor
        .reply(|s| {
            s.set("a", 2)?;
            s.set("b", "x".repeat(3_000))?;
            s.set("c", "x".repeat(3_000))
        })
        .await;
    assert_eq!(reply.status(), 500);
    let error = reply.extensions().get::<steadfast::CommitError>().unwrap();
    assert_eq!(error.0.kind(), ErrorKind::TooLarge);
    assert_eq!(visitor.page(|s| s.get::<u32>("a")).await, Some(1));
}

#[tokio::test]
async fn a_record_above_the_limit_is_refused_and_left_as_it_is() {
    let (site, visitor) = site().await;
    visitor.clone().page(|s| s.set("b", "x".repeat(5_000))).await;
    let strict = Site::on(site.store.clone(), site.clock.clone(), |p| p.max_record_bytes(4_096));
    let there = Visitor::of(crate::site::moved(&visitor.browser, &strict));
    for path in ["/exclusive", "/merge"] {
        let reply = there.start(page(path), |s: Session| std::future::ready(s.clear())).await;
        assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (500, None));
    }
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("a")).await, Some(1));
}

#[tokio::test]
async fn a_record_keeps_the_codec_it_was_written_with() {
    let (site, visitor) = site().await;
    let json = Site::on(site.store.clone(), site.clock.clone(), |p| p.codec(Codec::Json));
    let mut there = json.visitor();
    there.browser = crate::site::moved(&visitor.browser, &json);
    assert_eq!(there.page(|s| s.increment("a", 1)).await, 2);
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("a")).await, Some(2));
    let born_there = json.sessions.prepare(|s| s.set("a", [1, 2])).await.unwrap();
    let left = site.sessions.inspect(born_there.cookie()).await.unwrap().unwrap();
    assert_eq!(left.get::<Vec<u32>>("a").unwrap(), Some(vec![1, 2]));
}
