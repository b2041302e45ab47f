//! What a layout that is shared with PHP makes of the life of a session: on the memory driver, with PHP's own
//! bytes, and a clock in the test's hand.

use std::time::Duration;

use bytes::Bytes;
use steadfast::store::{Created, Loaded, Record, SharedName, Store as _, StoreKey, Version};
use steadfast::testing::{Op, Reply};
use steadfast::{Anomaly, Clock as _, ErrorKind, EventKind, Layout, PolicyBuilder};

use crate::site::{Site, Visitor};

const ID: &str = "0123456789abcdef0123456789abcdef";
/// The time at which the clocks of these tests begin, in seconds.
const NOW: u64 = 1_767_225_600;
const COOKIE: &str = "ci_session";

struct Shared {
    site: Site,
}

impl Shared {
    fn new(policy: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        let site = Site::new(|p| policy(p.layout(Layout::CodeIgniter4)));
        Self { site }
    }

    /// A visitor whose session PHP has stored.
    async fn visitor(&self, stored: &str) -> Visitor {
        self.store(ID, stored).await;
        self.visitor_with(ID)
    }

    fn visitor_with(&self, id: &str) -> Visitor {
        let mut visitor = self.site.visitor();
        visitor.browser.set_cookie(&format!("{COOKIE}={id}; Path=/"));
        visitor
    }

    /// Stores as PHP does: whatever was there, for a whole lifetime.
    async fn store(&self, id: &str, stored: impl AsRef<[u8]>) {
        let payload = Bytes::copy_from_slice(stored.as_ref());
        let expires_at = self.site.clock.now() + Duration::from_secs(7_200);
        let record = Record { version: Version::of_content(&payload), payload, expires_at, user: None };
        let _ = self.site.store.delete(&key(id), None).await.unwrap();
        assert_eq!(self.site.store.create(&key(id), &record).await.unwrap(), Created::Stored);
    }

    /// Returns what PHP would find.
    async fn stored(&self, id: &str) -> Option<String> {
        match self.site.store.load(&key(id)).await.unwrap() {
            Loaded::Found(found) => Some(String::from_utf8(found.record.payload.to_vec()).unwrap()),
            Loaded::Missing => None,
        }
    }

    fn pass(&self, seconds: u64) {
        self.site.clock.advance(Duration::from_secs(seconds));
    }
}

fn key(id: &str) -> StoreKey {
    SharedName::new(id.as_bytes(), None).unwrap().key()
}

/// Returns what says of which id a copy is.
fn left_of(id: &str) -> String {
    format!("__steadfast_left|s:16:\"{}\";", &key(id).to_hex()[..16])
}

/// Returns the id in a visitor's cookie.
fn id_of(visitor: &Visitor) -> String {
    let cookies = visitor.browser.cookies();
    let id = cookies.split("; ").find_map(|cookie| cookie.strip_prefix(&format!("{COOKIE}=")));
    id.expect("there is a cookie").to_owned()
}

fn set_cookie(reply: &Reply) -> Option<String> {
    reply.set_cookies().next().map(str::to_owned)
}

#[tokio::test]
async fn a_session_of_php_is_read_and_what_is_not_changed_stays_byte_for_byte() {
    let stored = format!(
        "__ci_last_regenerate|i:{NOW};cart|O:8:\"App\\Cart\":1:{{s:1:\"n\";i:2;}}n|i:1;pi|d:3.14159265358979312;"
    );
    let shared = Shared::new(|p| p);
    let mut visitor = shared.visitor(&stored).await;
    assert_eq!(visitor.page(|s| s.get::<i64>("n")).await, Some(1));
    assert_eq!(shared.stored(ID).await.unwrap(), stored);
    visitor.page(|s| s.set("n", 2)).await;
    assert_eq!(shared.stored(ID).await.unwrap(), stored.replace("n|i:1;", "n|i:2;"));
    assert_eq!(id_of(&visitor), ID);
    visitor.page(|s| s.set("late", vec!["a", "b"])).await;
    let expected = format!("{}late|a:2:{{i:0;s:1:\"a\";i:1;s:1:\"b\";}}", stored.replace("n|i:1;", "n|i:2;"));
    assert_eq!(shared.stored(ID).await.unwrap(), expected);
}

#[tokio::test]
async fn a_session_that_begins_here_is_one_to_php() {
    let shared = Shared::new(|p| p);
    let mut visitor = shared.site.visitor();
    let reply = visitor.reply(|s| s.set("user", "alice")).await;
    let cookie = set_cookie(&reply).expect("a cookie");
    let id = id_of(&visitor);
    assert_eq!(cookie, format!("{COOKIE}={id}; Max-Age=7200; Path=/; HttpOnly; SameSite=Lax"));
    assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(
        shared.stored(&id).await.unwrap(),
        format!("__ci_last_regenerate|i:{NOW};user|s:5:\"alice\";")
    );
}

#[tokio::test]
async fn an_id_that_nobody_issued_opens_nothing_and_is_not_taken_over() {
    let shared = Shared::new(|p| p);
    let mut visitor = shared.visitor_with(ID);
    visitor.page(|s| s.set("n", 1)).await;
    assert_ne!(id_of(&visitor), ID);
    assert_eq!(shared.stored(ID).await, None);
}

#[tokio::test]
async fn keys_that_php_can_not_carry_and_those_of_the_frameworks_are_refused() {
    let shared = Shared::new(|p| p);
    let stored = format!("__ci_last_regenerate|i:{NOW};n|i:1;");
    let mut visitor = shared.visitor(&stored).await;
    for bad in ["a|b", "123", "-7", "__ci_vars", "__ci_last_regenerate", "sess_new_id", "fwd_expires"] {
        let refused = visitor.page(move |s| Ok(s.set(bad, 1).unwrap_err().kind())).await;
        assert_eq!(refused, ErrorKind::Codec, "{bad}");
    }
    assert_eq!(shared.stored(ID).await.unwrap(), stored);
    let keys = visitor.page(|s| Ok(s.all()?.into_keys().collect::<Vec<_>>())).await;
    assert_eq!(keys, ["n"]);
}

#[tokio::test]
async fn flash_and_temp_age_by_codeigniters_table() {
    let shared = Shared::new(|p| p);
    let until = NOW + 10;
    let stored = format!(
        "__ci_last_regenerate|i:{NOW};f|s:1:\"v\";t|i:1;x|i:9;__ci_vars|a:2:{{s:1:\"f\";s:3:\"new\";s:1:\"t\";i:{until};}}"
    );
    let mut visitor = shared.visitor(&stored).await;
    // A script reads, and ages nothing.
    assert_eq!(visitor.fetch(|s| s.flash_get::<String>("f")).await.as_deref(), Some("v"));
    assert_eq!(shared.stored(ID).await.unwrap(), stored);
    assert_eq!(visitor.page(|s| s.flash_get::<String>("f")).await.as_deref(), Some("v"));
    assert_eq!(shared.stored(ID).await.unwrap(), stored.replace("\"new\"", "\"old\""));
    assert!(!visitor.page(|s| Ok(s.has("f"))).await);
    let expected = format!("__ci_last_regenerate|i:{NOW};t|i:1;x|i:9;__ci_vars|a:1:{{s:1:\"t\";i:{until};}}");
    assert_eq!(shared.stored(ID).await.unwrap(), expected);
    shared.pass(10);
    assert_eq!(visitor.page(|s| s.temp_get::<i64>("t")).await, Some(1), "through its last second");
    shared.pass(1);
    assert_eq!(visitor.page(|s| s.temp_get::<i64>("t")).await, None);
    visitor.page(|s| s.flash("g", "w")).await;
    let expected =
        format!("__ci_last_regenerate|i:{NOW};x|i:9;g|s:1:\"w\";__ci_vars|a:1:{{s:1:\"g\";s:3:\"new\";}}");
    assert_eq!(shared.stored(ID).await.unwrap(), expected);
}

#[tokio::test]
async fn a_poisoned_table_of_markers_harms_nothing() {
    let shared = Shared::new(|p| p);
    for poison in ["s:1:\"x\";", "a:1:{s:1:\"n\";a:0:{}}", "i:1;", "a:1:{i:0;s:3:\"new\";}", "b:1;"] {
        let stored = format!("__ci_last_regenerate|i:{NOW};__ci_vars|{poison}n|i:1;");
        let mut visitor = shared.visitor(&stored).await;
        visitor.fetch(|s| s.set("m", 2)).await;
        assert_eq!(visitor.fetch(|s| s.get::<i64>("m")).await, Some(2), "{poison}");
    }
}

/// Signs of a rotation: the new id, and what was left under the old one.
async fn rotated(shared: &Shared, visitor: &mut Visitor) -> (String, String) {
    shared.pass(301);
    visitor.page(|s| s.set("n", 1)).await;
    let id = id_of(visitor);
    assert_ne!(id, ID);
    (id.clone(), shared.stored(ID).await.expect("a copy for PHP"))
}

fn rotating() -> Shared {
    Shared::new(|p| p.rotate_every(Duration::from_secs(300)).forward_window(Duration::from_secs(60)))
}

#[tokio::test]
async fn a_rotation_leaves_php_a_full_copy_and_forwards() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};cart|s:4:\"book\";")).await;
    let late = visitor.clone();
    let (id, copy) = rotated(&shared, &mut visitor).await;
    let (at, until) = (NOW + 301, NOW + 361);
    assert_eq!(
        copy,
        format!(
            "__ci_last_regenerate|i:{at};cart|s:4:\"book\";n|i:1;sess_new_id|s:32:\"{id}\";fwd_expires|i:{until};{}",
            left_of(ID)
        )
    );
    let session = shared.stored(&id).await.unwrap();
    assert!(
        session.starts_with(&format!("__ci_last_regenerate|i:{at};cart|s:4:\"book\";n|i:1;")),
        "{session}"
    );
    // A late request gets the session, and the new cookie.
    let mut late = late;
    let reply = late.reply(|s| s.set("late", true)).await;
    assert!(set_cookie(&reply).expect("a cookie").starts_with(&format!("{COOKIE}={id};")));
    assert_eq!(visitor.page(|s| s.get::<bool>("late")).await, Some(true));
    let keys = visitor.page(|s| Ok(s.all()?.into_keys().collect::<Vec<_>>())).await;
    assert_eq!(keys, ["cart", "late", "n"]);
    // Within the window nothing rotates again; after it the copy opens nothing.
    shared.pass(61);
    let mut stale = shared.visitor_with(ID);
    assert_eq!(stale.page(|s| s.get::<i64>("n")).await, None);
}

#[tokio::test]
async fn an_id_is_replaced_once_more_than_its_time_has_passed_as_in_codeigniter() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    shared.pass(300);
    visitor.page(|s| s.get::<i64>("a")).await;
    assert_eq!(id_of(&visitor), ID);
    shared.pass(1);
    visitor.page(|s| s.get::<i64>("a")).await;
    assert_ne!(id_of(&visitor), ID);
}

#[tokio::test]
async fn what_php_writes_under_the_old_id_is_carried_over() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;b|i:1;gone|i:1;")).await;
    let (_, copy) = rotated(&shared, &mut visitor).await;
    // PHP changes one key, sets another, removes a third.
    let php = copy.replace("a|i:1;", "a|i:2;").replace("gone|i:1;", "") + "php|s:3:\"yes\";";
    shared.store(ID, &php).await;
    visitor.page(|s| s.set("b", 5)).await;
    let mut late = shared.visitor_with(ID);
    let seen = late
        .page(|s| Ok((s.get::<i64>("a")?, s.get::<String>("php")?, s.has("gone"), s.get::<i64>("b")?)))
        .await;
    assert_eq!(seen, (Some(2), Some("yes".to_owned()), false, Some(5)));
    assert_eq!(visitor.page(|s| s.get::<i64>("a")).await, Some(2));
    // Both change one key: the session keeps its own, and says so.
    shared.store(ID, &php.replace("b|i:1;", "b|i:9;")).await;
    assert_eq!(late.page(|s| s.get::<i64>("b")).await, Some(5));
    assert_eq!(shared.site.events.count(EventKind::Anomaly(Anomaly::Forked)), 0, "it has the new cookie");
    let mut late = shared.visitor_with(ID);
    assert_eq!(late.page(|s| s.get::<i64>("b")).await, Some(5));
    assert_eq!(shared.site.events.count(EventKind::Anomaly(Anomaly::Forked)), 1);
}

#[tokio::test]
async fn the_first_request_after_the_window_ends_the_copy() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (id, copy) = rotated(&shared, &mut visitor).await;
    shared.store(ID, &(copy + "php|s:3:\"yes\";")).await;
    shared.pass(62);
    visitor.page(|s| s.get::<i64>("a")).await;
    shared.site.sessions.shutdown().await;
    assert_eq!(shared.stored(ID).await, None);
    assert_eq!(visitor.page(|s| s.get::<String>("php")).await.as_deref(), Some("yes"));
    let session = shared.stored(&id).await.unwrap();
    assert!(!session.contains("__steadfast_origin"), "{session}");
}

#[tokio::test]
async fn a_sign_out_ends_the_copy_too() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (id, _) = rotated(&shared, &mut visitor).await;
    visitor.page(|s| s.logout()).await;
    assert_eq!((shared.stored(&id).await, shared.stored(ID).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_copy_of_a_session_that_php_ended_ends_with_its_window() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (id, _) = rotated(&shared, &mut visitor).await;
    let _ = shared.site.store.delete(&key(&id), None).await.unwrap();
    shared.pass(62);
    // Nobody asks for the session any more: the node that rotated remembers the copy.
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert_eq!(shared.stored(ID).await, None);
}

#[tokio::test]
async fn without_copies_the_old_id_ends_at_once() {
    let shared = Shared::new(|p| p.regenerate_destroy(true));
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    shared.pass(301);
    visitor.page(|s| s.set("n", 1)).await;
    assert_eq!(shared.stored(ID).await, None);
    assert_eq!(visitor.page(|s| s.get::<i64>("a")).await, Some(1));
}

#[tokio::test]
async fn a_sign_in_leaves_the_old_id_what_it_had_and_no_way_to_the_session() {
    let shared = Shared::new(|p| p);
    let stored = format!("__ci_last_regenerate|i:{NOW};cart|s:4:\"book\";");
    let mut visitor = shared.visitor(&stored).await;
    let before = visitor.clone();
    visitor
        .page(|s| {
            s.login("alice")?;
            s.set("user_id", 7)
        })
        .await;
    let id = id_of(&visitor);
    assert_eq!(
        shared.stored(ID).await.unwrap(),
        format!("{stored}fwd_expires|i:{};{}", NOW + 60, left_of(ID))
    );
    let session = shared.stored(&id).await.unwrap();
    assert!(
        session.contains("user_id|i:7;") && session.contains("__steadfast_user|s:5:\"alice\";"),
        "{session}"
    );
    assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("alice"));
    let mut late = before.clone();
    assert_eq!(
        late.page(|s| Ok((s.user(), s.get::<String>("cart")?))).await,
        (None, Some("book".to_owned()))
    );
    let reply = late.reply(|s| s.set("late", 1)).await;
    assert_eq!(reply.status(), 409);
    shared.pass(61);
    assert_eq!(late.page(|s| s.get::<String>("cart")).await, None);
}

#[tokio::test]
async fn who_is_signed_in_is_read_from_the_applications_own_key() {
    let shared = Shared::new(|p| p.php_user_key("user_id"));
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};user_id|i:42;")).await;
    assert_eq!(visitor.page(|s| Ok(s.user())).await.as_deref(), Some("42"));
    assert_eq!(shared.site.sessions.sessions_of("42").await.unwrap().len(), 1);
    assert_eq!(shared.site.sessions.revoke("42").await.unwrap().ended, 1);
    assert_eq!(shared.stored(ID).await, None);
}

#[tokio::test]
async fn a_form_outlives_rotations() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let token = visitor.page(|s| s.csrf_token()).await;
    rotated(&shared, &mut visitor).await;
    let right = token.clone();
    assert!(visitor.page(move |s| Ok(s.verify_csrf(&right))).await);
    visitor.page(|s| s.login("alice")).await;
    assert!(!visitor.page(move |s| Ok(s.verify_csrf(&token))).await);
}

#[tokio::test]
async fn merged_requests_lose_nothing_to_php() {
    let shared = Shared::new(|p| p);
    let visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};n|i:1;")).await;
    let held = visitor.hold("/merge", |s| {
        s.update::<i64>("n", |n| {
            *n += 1;
            Ok(())
        })
    });
    let held = held.await;
    shared.store(ID, &format!("__ci_last_regenerate|i:{NOW};n|i:10;php|i:1;")).await;
    assert_eq!(held.finish().await.status(), 200);
    assert_eq!(shared.stored(ID).await.unwrap(), format!("__ci_last_regenerate|i:{NOW};n|i:11;php|i:1;"));
}

#[tokio::test]
async fn a_session_that_is_damaged_is_set_aside() {
    let shared = Shared::new(|p| p);
    let mut visitor = shared.visitor("a|i:1;junk").await;
    assert_eq!(visitor.page(|s| s.get::<i64>("a")).await, None);
    assert_eq!(shared.site.events.count(EventKind::Anomaly(Anomaly::DamagedRecord)), 1);
    let reply = visitor.reply(|s| s.set("n", 1)).await;
    assert_eq!(reply.status(), 200);
}

#[tokio::test]
async fn what_php_writes_in_the_place_of_damaged_bytes_is_the_session() {
    let shared = Shared::new(|p| p);
    let visitor = shared.visitor("a|i:1;junk").await;
    let (mut view, mut merge) = (visitor.clone(), visitor);
    // Both have read the bytes, and go to look at them again under the lock.
    let gate = shared.site.store.faults().hold(Op::Acquire);
    let view = tokio::spawn(async move { view.view(|s| s.get::<i64>("a")).await });
    let merge = tokio::spawn(async move { merge.merge(|s| s.set("b", 1)).await });
    gate.arrived(2).await;
    shared.store(ID, "a|i:2;").await;
    gate.open();
    assert_eq!(view.await.unwrap(), Some(2));
    merge.await.unwrap();
    let stored = shared.stored(ID).await.unwrap();
    assert_eq!(stored, format!("__ci_last_regenerate|i:{NOW};a|i:2;b|i:1;"));
    assert_eq!(shared.site.events.count(EventKind::Anomaly(Anomaly::DamagedRecord)), 0);
}

#[tokio::test]
async fn from_the_first_page_on_it_is_known_how_old_an_id_is() {
    let shared = rotating();
    let mut visitor = shared.visitor("a|i:1;").await;
    visitor.fetch(|s| s.get::<i64>("a")).await;
    assert_eq!(shared.stored(ID).await.unwrap(), "a|i:1;");
    visitor.page(|s| s.get::<i64>("a")).await;
    assert_eq!(shared.stored(ID).await.unwrap(), format!("__ci_last_regenerate|i:{NOW};a|i:1;"));
}

#[tokio::test]
async fn a_session_in_another_format_is_left_alone_and_the_setting_is_named() {
    let shared = Shared::new(|p| p);
    let php_wrote = |program: &str| {
        let printed = std::process::Command::new("php").args(["-r", program]).output().expect("php runs");
        printed.stdout
    };
    let values = "['n' => 1, 'user' => 'alice', 'list' => [1, 2.5, null], 'o' => new DateTime('@0')]";
    let sessions = [
        b"a:1:{s:1:\"n\";i:1;}".to_vec(),
        b"\x01ni:1;".to_vec(),
        php_wrote(&format!("echo igbinary_serialize({values});")),
        php_wrote("echo igbinary_serialize([]);"),
        // To PHP's own format a key and its value, both.
        php_wrote("echo igbinary_serialize(['k' => 'x|i:1;']);"),
        php_wrote("echo msgpack_serialize(['k' => 'x|i:1;']);"),
        php_wrote(&format!("echo msgpack_serialize({values});")),
        php_wrote("echo msgpack_serialize(array_fill_keys(range('a', 'z'), true));"),
        b"\x28\xb5\x2f\xfd\x20\x01\x09\x00\x00\x61".to_vec(),
    ];
    for stored in sessions {
        shared.store(ID, &stored).await;
        let mut visitor = shared.visitor_with(ID);
        let reply = visitor.reply(|s| s.set("n", 2)).await;
        assert_eq!(reply.status(), 500, "{stored:x?}");
        assert_eq!(reply.set_cookies().count(), 0);
        let Loaded::Found(found) = shared.site.store.load(&key(ID)).await.unwrap() else {
            panic!("{stored:x?} is gone")
        };
        assert_eq!(found.record.payload, stored);
    }
    assert_eq!(shared.site.events.count(EventKind::Anomaly(Anomaly::DamagedRecord)), 0);
}

#[tokio::test]
async fn an_array_keeps_its_order_when_an_entry_is_pushed() {
    let shared = Shared::new(|p| p);
    let array = "a:2:{s:1:\"z\";i:1;s:1:\"y\";a:2:{s:1:\"q\";i:2;s:1:\"a\";i:1;}}";
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};m|{array}")).await;
    visitor.page(|s| s.push_entry("m", "b", 3)).await;
    let pushed = array.replace("a:2:{s:1:\"z\"", "a:3:{s:1:\"z\"").replace("}}", "}s:1:\"b\";i:3;}");
    assert_eq!(shared.stored(ID).await.unwrap(), format!("__ci_last_regenerate|i:{NOW};m|{pushed}"));
}

/// PHP changes the id: everything is carried along under another one.
const PHPS: &str = "fedcba9876543210fedcba9876543210";

#[tokio::test]
async fn a_change_of_id_by_php_takes_nothing_of_the_copy_along() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (new, copy) = rotated(&shared, &mut visitor).await;
    // A late page of PHP signs somebody in with the old id, under an id that PHP makes.
    shared.store(PHPS, &(copy + "user|s:5:\"alice\";")).await;
    let mut signed_in = shared.visitor_with(PHPS);
    assert_eq!(signed_in.page(|s| s.get::<String>("user")).await.as_deref(), Some("alice"));
    assert_eq!(id_of(&signed_in), PHPS);
    signed_in.page(|s| s.set("b", 1)).await;
    let stored = shared.stored(PHPS).await.unwrap();
    assert!(!stored.contains("sess_new_id") && !stored.contains("fwd_expires"), "{stored}");
    // And one that signs in with the new id takes no origin along: nothing is carried over into it.
    shared.store(PHPS, &(shared.stored(&new).await.unwrap() + "user|s:5:\"alice\";")).await;
    let planted = shared.stored(ID).await.unwrap() + "is_admin|i:1;";
    shared.store(ID, &planted).await;
    shared.pass(62);
    let token = visitor.page(|s| s.csrf_token()).await;
    let mut signed_in = shared.visitor_with(PHPS);
    assert!(!signed_in.page(|s| Ok(s.has("is_admin"))).await);
    shared.site.sessions.shutdown().await;
    assert!(!signed_in.page(|s| Ok(s.has("is_admin"))).await);
    assert!(!signed_in.page(move |s| Ok(s.verify_csrf(&token))).await, "a secret of before the sign-in");
}

#[tokio::test]
async fn nothing_is_planted_into_a_session_from_before_its_sign_in() {
    let shared = Shared::new(|p| p.forward_window(Duration::from_secs(60)));
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    visitor.page(|s| s.login("alice")).await;
    let planted = shared.stored(ID).await.unwrap() + "is_admin|i:1;";
    shared.store(ID, &planted).await;
    shared.pass(62);
    visitor.page(|s| s.get::<i64>("a")).await;
    shared.site.sessions.shutdown().await;
    assert!(!visitor.page(|s| Ok(s.has("is_admin"))).await);
    assert_eq!(shared.stored(ID).await, None);
}

#[tokio::test]
async fn an_id_is_not_replaced_while_there_is_a_copy_of_the_one_before() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (new, copy) = rotated(&shared, &mut visitor).await;
    shared.store(ID, &(copy + "late|i:1;")).await;
    // The node that rotated is gone; the window is over, and so is the id's time.
    shared.pass(400);
    visitor.page(|s| s.get::<i64>("a")).await;
    assert_eq!(id_of(&visitor), new);
    shared.site.sessions.shutdown().await;
    assert_eq!(shared.stored(ID).await, None);
    assert_eq!(visitor.page(|s| s.get::<i64>("late")).await, Some(1));
    assert_ne!(id_of(&visitor), new);
}

#[tokio::test]
async fn an_old_id_that_php_goes_on_with_is_kept_for_one_more_window_at_a_time() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (_, copy) = rotated(&shared, &mut visitor).await;
    shared.pass(40);
    // A late answer of PHP's has given the old id back to the browser, and PHP goes on with it.
    shared.store(ID, &(copy + "php|i:1;")).await;
    shared.pass(22);
    visitor.page(|s| s.get::<i64>("a")).await;
    shared.site.sessions.shutdown().await;
    let mut given_back = shared.visitor_with(ID);
    assert_eq!(given_back.page(|s| s.get::<i64>("php")).await, Some(1));
    assert_ne!(id_of(&given_back), ID, "the new id again");
    shared.pass(62);
    visitor.page(|s| s.get::<i64>("a")).await;
    shared.site.sessions.shutdown().await;
    assert_eq!(shared.stored(ID).await, None);
}

#[tokio::test]
async fn a_copy_is_no_device_of_its_own() {
    let shared = Shared::new(|p| p.php_user_key("user").forward_window(Duration::from_secs(60)));
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};user|s:5:\"alice\";")).await;
    rotated(&shared, &mut visitor).await;
    let sessions = &shared.site.sessions;
    assert_eq!(sessions.sessions_of("alice").await.unwrap().len(), 1);
    assert_eq!(sessions.revoke("alice").await.unwrap().ended, 1);
    assert_eq!((shared.stored(ID).await, shared.stored(&id_of(&visitor)).await), (None, None));
}

#[tokio::test]
async fn a_change_of_privilege_ends_the_copy_of_a_rotation_before_it() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (new, _) = rotated(&shared, &mut visitor).await;
    visitor.page(|s| s.login("alice")).await;
    assert_eq!(shared.stored(ID).await, None, "nobody would know of it any more");
    assert!(shared.stored(&new).await.unwrap().contains("fwd_expires"));
}

#[tokio::test]
async fn what_php_has_made_another_session_of_is_no_copy_any_more() {
    let shared = rotating();
    let mut visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let (new, _) = rotated(&shared, &mut visitor).await;
    shared.store(ID, "stranger|i:1;").await;
    shared.pass(62);
    visitor.page(|s| s.get::<i64>("a")).await;
    shared.site.sessions.shutdown().await;
    assert_eq!(shared.stored(ID).await.unwrap(), "stranger|i:1;");
    shared.pass(300);
    visitor.page(|s| s.get::<i64>("a")).await;
    assert_ne!(id_of(&visitor), new, "rotation goes on");
}

#[tokio::test]
async fn a_sign_out_of_a_session_whose_id_php_changed_is_not_acknowledged() {
    let shared = Shared::new(|p| p);
    let visitor = shared.visitor(&format!("__ci_last_regenerate|i:{NOW};a|i:1;")).await;
    let held = visitor.hold("/merge", |s| s.logout()).await;
    // PHP changes the id, and ends the old one.
    let _ = shared.site.store.delete(&key(ID), None).await.unwrap();
    assert_eq!(held.finish().await.status(), 409);
}
