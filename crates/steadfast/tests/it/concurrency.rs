//! Requests of one session that overlap.

use std::future::ready;
use std::time::Duration;

use steadfast::testing::Op;
use steadfast::{Anomaly, CommitError, Concurrency, ErrorKind, EventKind, Result, Session};
use tokio::task::yield_now;

use crate::site::{COOKIE, Site, Visitor, moved, page};

const SECOND: Duration = Duration::from_secs(1);

async fn site() -> (Site, Visitor) {
    let site = Site::new(|p| p);
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    (site, visitor)
}

/// Another node on the same store, and the same browser there.
fn other_node(site: &Site, visitor: &Visitor) -> (Site, Visitor) {
    let other = Site::on(site.store.clone(), site.clock.clone(), |p| p);
    let there = Visitor::of(moved(&visitor.browser, &other));
    (other, there)
}

fn kind(reply: &steadfast::testing::Reply) -> ErrorKind {
    reply.extensions().get::<CommitError>().unwrap().0.kind()
}

async fn read_yield_write(session: Session) -> Result<()> {
    let n: u32 = session.get("n")?.unwrap_or(0);
    yield_now().await;
    session.set("n", n + 1)
}

#[tokio::test]
async fn handlers_of_one_session_run_one_after_another() {
    let (_site, visitor) = site().await;
    let all: Vec<_> = (0..100).map(|_| tokio::spawn(visitor.start(page("/"), read_yield_write))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().status(), 200);
    }
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("n")).await, Some(100));
}

#[tokio::test]
async fn handlers_of_one_session_run_one_after_another_on_two_nodes() {
    let (site, visitor) = site().await;
    let (_other, there) = other_node(&site, &visitor);
    let all: Vec<_> = (0..60)
        .map(|n| {
            let at = if n % 2 == 0 { &visitor } else { &there };
            tokio::spawn(at.start(page("/"), read_yield_write))
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap().status(), 200);
    }
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("n")).await, Some(60));
}

#[tokio::test]
async fn merged_handlers_run_at_the_same_time_and_lose_nothing() {
    let (site, visitor) = site().await;
    let (_other, there) = other_node(&site, &visitor);
    let mut held = Vec::new();
    for n in 0..20_u32 {
        let at = if n % 2 == 0 { &visitor } else { &there };
        held.push(
            at.hold("/merge", move |s| {
                s.set(&format!("key {n}"), n)?;
                s.increment("sum", i64::from(n))?;
                s.push("list", n)?;
                s.push_entry("map", &n.to_string(), n)?;
                s.update::<u32>("max", move |max| {
                    *max = n.max(*max);
                    Ok(())
                })
            })
            .await,
        );
    }
    for one in held {
        assert_eq!(one.finish().await.status(), 200);
    }
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    for n in 0..20_u32 {
        assert_eq!(left.get::<u32>(&format!("key {n}")).unwrap(), Some(n));
    }
    assert_eq!(left.get::<u32>("sum").unwrap(), Some(190));
    assert_eq!(left.get::<Vec<u32>>("list").unwrap().unwrap().len(), 20);
    assert_eq!(left.get::<std::collections::BTreeMap<String, u32>>("map").unwrap().unwrap().len(), 20);
    assert_eq!(left.get::<u32>("max").unwrap(), Some(19));
    assert_eq!(left.get::<u32>("a").unwrap(), Some(1));
}

#[tokio::test]
async fn merged_changes_meet_key_by_key() {
    let (site, visitor) = site().await;
    visitor.clone().page(|s| s.set_all([("mine", 0), ("yours", 0), ("gone", 0), ("both", 0)])).await;
    let slow = visitor
        .hold("/merge", |s| {
            s.set("mine", 1)?;
            s.remove("gone")?;
            s.set("both", 1)
        })
        .await;
    visitor.clone().merge(|s| s.set_all([("yours", 2), ("gone", 2), ("both", 2)])).await;
    assert_eq!(slow.finish().await.status(), 200);
    let left = site.sessions.inspect(visitor.browser.cookies()).await.unwrap().unwrap();
    let values = ["mine", "yours", "gone", "both"].map(|key| left.get::<u32>(key).unwrap());
    assert_eq!(values, [Some(1), Some(2), None, Some(1)], "the last to commit wins a key that both set");
    assert_eq!(site.events.count(EventKind::Replayed), 1);
}

#[tokio::test]
async fn an_update_whose_closure_fails_on_the_fresher_value_writes_nothing() {
    let (_site, visitor) = site().await;
    let slow = visitor
        .hold("/merge", |s| {
            s.set("b", 1)?;
            s.update::<u32>("a", |n| {
                if *n > 1 {
                    return Err(steadfast::Error::new(ErrorKind::Stale, "sold out meanwhile"));
                }
                *n += 1;
                Ok(())
            })
        })
        .await;
    visitor.clone().merge(|s| s.set("a", 5)).await;
    let reply = slow.finish().await;
    assert_eq!((reply.status().as_u16(), kind(&reply)), (409, ErrorKind::Stale));
    assert_eq!(visitor.clone().page(|s| Ok((s.get::<u32>("a")?, s.has("b")))).await, (Some(5), false));
}

#[tokio::test]
async fn of_parallel_takes_exactly_one_wins() {
    for path in ["/exclusive", "/merge"] {
        let (_site, visitor) = site().await;
        let all: Vec<_> = (0..20)
            .map(|_| {
                tokio::spawn(visitor.start(page(path), async |s: Session| {
                    yield_now().await;
                    let taken = s.take::<u32>("a")?;
                    Result::<_>::Ok(taken.map_or("nothing", |_| "the value"))
                }))
            })
            .collect();
        let mut winners = 0;
        for one in all {
            let reply = one.await.unwrap();
            match reply.status().as_u16() {
                200 => winners += usize::from(reply.text() == "the value"),
                409 => assert_eq!(kind(&reply), ErrorKind::Stale),
                other => panic!("{other}"),
            }
        }
        assert_eq!(winners, 1, "{path}");
    }
}

#[tokio::test]
async fn what_was_taken_and_set_again_is_another_value() {
    let (_site, visitor) = site().await;
    let slow = visitor.hold("/merge", |s| s.take::<u32>("a")).await;
    visitor.clone().merge(|s| s.set("a", 2)).await;
    assert_eq!(slow.finish().await.status(), 409);
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("a")).await, Some(2));
}

#[tokio::test]
async fn merged_requests_leave_their_session_where_it_is() {
    let (site, visitor) = site().await;
    for path in ["/exclusive", "/merge"] {
        let reading = visitor.hold("/merge", |s| s.get::<u32>("a")).await;
        let writing = tokio::spawn(visitor.start(page(path), |s: Session| ready(s.set("b", 1))));
        assert_eq!(writing.await.unwrap().status(), 200, "a merged request holds nobody up");
        assert_eq!(reading.finish().await.status(), 200);
    }
    site.sessions.shutdown().await;
    assert_eq!(site.events.count(EventKind::Waited), 0);
}

#[tokio::test]
async fn a_view_waits_for_nobody() {
    let (_site, visitor) = site().await;
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    assert_eq!(visitor.clone().view(|s| s.get::<u32>("a")).await, Some(1));
    assert_eq!(slow.finish().await.status(), 200);
}

#[tokio::test]
async fn a_stranger_waits_for_nobody() {
    let (site, visitor) = site().await;
    let (_, other) = (site.visitor_with(|s| s.set("a", 2)).await, site.visitor_with(|s| s.set("a", 3)).await);
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    let forged = visitor.cookie().unwrap()[..22].to_owned() + &other.cookie().unwrap()[22..];
    for mut at in [site.visitor(), other_node(&site, &visitor).1] {
        at.browser.set_cookie(&format!("{COOKIE}={forged}"));
        assert_eq!(at.page(|s| s.get::<u32>("a")).await, None);
    }
    assert_eq!(slow.finish().await.status(), 200);
}

#[tokio::test]
async fn what_a_sign_in_left_behind_waits_for_nobody() {
    let (site, visitor) = site().await;
    let before = visitor.clone();
    let mut signed_in = visitor.clone();
    signed_in.page(|s| s.login("alice")).await;
    let slow = signed_in.hold("/exclusive", |s| s.set("a", 2)).await;
    assert_eq!(before.clone().page(|s| s.get::<u32>("a")).await, Some(1));
    assert_eq!(slow.finish().await.status(), 200);
    drop(site);
}

#[tokio::test]
async fn sessions_do_not_wait_for_each_other() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    let mut other = site.visitor_with(|s| s.set("a", 7)).await;
    assert_eq!(other.page(|s| s.get::<u32>("a")).await, Some(7));
    assert_eq!(slow.finish().await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_wait_on_the_same_node_is_bounded() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    let began = tokio::time::Instant::now();
    let reply = visitor.start(page("/exclusive"), |_: Session| ready(())).await;
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!((10..12).contains(&began.elapsed().as_secs()), "`lock_wait` is 10 seconds");
    assert_eq!(site.events.count(EventKind::Failed(ErrorKind::Busy)), 1);
    assert!(site.events.count(EventKind::Waited) > 0);
    assert_eq!(slow.finish().await.status(), 200);
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("a")).await, Some(2), "the queue goes on");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_another_node_is_bounded() {
    let (site, visitor) = site().await;
    let (other, there) = other_node(&site, &visitor);
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    let began = tokio::time::Instant::now();
    let reply = there.start(page("/exclusive"), |_: Session| ready(())).await;
    assert_eq!(reply.status(), 503);
    assert!((10..12).contains(&began.elapsed().as_secs()), "`lock_wait` is 10 seconds");
    assert_eq!(other.events.count(EventKind::Failed(ErrorKind::Busy)), 1);
    assert_eq!(slow.finish().await.status(), 200);
}

#[tokio::test]
async fn a_wait_of_zero_tries_once() {
    let site = Site::new(|p| p.lock_wait(Duration::ZERO));
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    assert_eq!(visitor.start(page("/exclusive"), |_: Session| ready(())).await.status(), 503);
    let other = Site::on(site.store.clone(), site.clock.clone(), |p| p.lock_wait(Duration::ZERO));
    let there = Visitor::of(moved(&visitor.browser, &other));
    assert_eq!(there.start(page("/exclusive"), |_: Session| ready(())).await.status(), 503);
    assert_eq!(slow.finish().await.status(), 200);
    assert_eq!(there.start(page("/exclusive"), |_: Session| ready(())).await.status(), 200);
}

#[tokio::test]
async fn a_waiter_that_gives_up_holds_up_nobody() {
    let (_site, visitor) = site().await;
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    let gives_up = tokio::spawn(visitor.start(page("/exclusive"), |_: Session| ready(())));
    let stays =
        tokio::spawn(visitor.start(page("/exclusive"), |s: Session| ready(s.increment("a", 1).map(drop))));
    yield_now().await;
    gives_up.abort();
    assert_eq!(slow.finish().await.status(), 200);
    assert_eq!(stays.await.unwrap().status(), 200);
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("a")).await, Some(3));
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_overwrites_nobody() {
    let (site, visitor) = site().await;
    let (_other, mut there) = other_node(&site, &visitor);
    let slow = visitor.hold("/exclusive", |s| s.set("a", 99)).await;
    site.clock.advance(6 * SECOND);
    there.page(|s| s.set("a", 2)).await;
    let reply = slow.finish().await;
    assert_eq!((reply.status().as_u16(), kind(&reply), reply.cookie(COOKIE)), (409, ErrorKind::Stale, None));
    assert_eq!(there.page(|s| s.get::<u32>("a")).await, Some(2));
    assert_eq!(visitor.clone().page(|s| s.get::<u32>("a")).await, Some(2), "the node goes on");
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_to_a_reader_may_still_write() {
    let (site, visitor) = site().await;
    let (_other, mut there) = other_node(&site, &visitor);
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    site.clock.advance(6 * SECOND);
    there.page(|s| s.get::<u32>("a")).await;
    assert_eq!(slow.finish().await.status(), 200, "nobody wrote meanwhile");
    assert_eq!(there.page(|s| s.get::<u32>("a")).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_while_its_holder_works_and_its_loss_is_reported() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/exclusive", |s| s.set("a", 2)).await;
    for _ in 0..4 {
        tokio::time::sleep(2 * SECOND).await;
        site.clock.advance(2 * SECOND);
    }
    assert!(site.store.faults().calls(Op::Renew) >= 4);
    let (_other, there) = other_node(&site, &visitor);
    let busy = there.start(page("/exclusive"), |_: Session| ready(())).await;
    assert_eq!(busy.status(), 503, "after 8 seconds the lease of 5 still holds");
    site.clock.advance(6 * SECOND);
    let thief = there.hold("/exclusive", |_| Ok(())).await;
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(site.events.count(EventKind::Anomaly(Anomaly::LostLease)), 1);
    assert_eq!(thief.finish().await.status(), 200);
    assert_eq!(slow.finish().await.status(), 200);
}

#[tokio::test]
async fn a_session_that_ended_meanwhile_is_not_written() {
    for path in ["/exclusive", "/merge"] {
        let (site, visitor) = site().await;
        let slow = visitor.hold(path, |s| s.set("a", 99)).await;
        site.store.forget_all().await.unwrap();
        let reply = slow.finish().await;
        assert_eq!((kind(&reply), reply.cookie(COOKIE)), (ErrorKind::Missing, None), "{path}");
        assert_eq!(site.sessions.count().await.unwrap(), 0, "{path}");
    }
}

#[tokio::test]
async fn a_sign_out_wins_over_whatever_is_under_way() {
    for path in ["/exclusive", "/merge"] {
        for then in [|s: &Session| s.set("a", 99), |s: &Session| s.login("mallory"), |s: &Session| s.rotate()]
        {
            let (site, visitor) = site().await;
            let (_other, there) = other_node(&site, &visitor);
            let slow = visitor.hold(path, then).await;
            site.clock.advance(6 * SECOND);
            assert_eq!(there.clone().reply(|s| s.logout()).await.status(), 200);
            let reply = slow.finish().await;
            assert_eq!(reply.cookie(COOKIE), None, "{path}");
            assert!(reply.status().is_client_error(), "{path}");
            assert_eq!(site.sessions.count().await.unwrap(), 0, "{path}");
        }
    }
}

#[tokio::test]
async fn a_slow_reader_survives_a_sign_out_and_sets_no_cookie() {
    let (site, visitor) = site().await;
    let slow = visitor.hold("/merge", |s| s.get::<u32>("a")).await;
    assert_eq!(visitor.clone().reply(|s| s.logout()).await.status(), 200);
    let reply = slow.finish().await;
    assert_eq!((reply.status().as_u16(), reply.cookie(COOKIE)), (200, None));
    assert_eq!(site.sessions.count().await.unwrap(), 0);
}

#[tokio::test]
async fn two_sign_outs_at_once_both_succeed() {
    for path in ["/exclusive", "/merge"] {
        let (site, visitor) = site().await;
        let out = || visitor.start(page(path), |s: Session| ready(s.logout()));
        let (one, other) = tokio::join!(out(), out());
        assert!(one.status() == 200 && other.status() == 200, "{path}");
        assert_eq!(site.sessions.count().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_mode_is_chosen_for_all_or_for_one_handler() {
    let site = Site::new(|p| p.concurrency(Concurrency::Merge));
    let visitor = site.visitor_with(|s| s.set("a", 1)).await;
    let slow = visitor.hold("/", |s| s.increment("a", 1)).await;
    visitor.clone().page(|s| s.increment("a", 1)).await;
    assert_eq!(slow.finish().await.status(), 200);
    site.sessions.shutdown().await;
    assert_eq!(site.store.faults().calls(Op::Acquire), 0);
    visitor.start(page("/exclusive"), |_: Session| ready(())).await;
    assert_eq!(site.store.faults().calls(Op::Acquire), 1);
}

#[tokio::test]
async fn first_requests_of_a_visitor_start_a_session_each() {
    let site = Site::new(|p| p);
    let visitor = site.visitor();
    let first = || visitor.start(page("/"), |s: Session| ready(s.set("a", 1)));
    let (one, other) = tokio::join!(first(), first());
    assert_ne!(one.cookie(COOKIE), other.cookie(COOKIE));
    assert_eq!(site.sessions.count().await.unwrap(), 2);
}
