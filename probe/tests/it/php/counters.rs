//! Counters of one session that both languages hit at once.

use serde_json::json;

use super::engine::{Engine, on_every_engine};
use crate::site::parallel;

on_every_engine! {
    counters_are_exact_across_both_languages
    merged_counters_are_exact_across_both_languages
}

/// Requests of each side at a time, and each one's in a row.
const SIDES: usize = 3;
const EACH: u32 = 8;

fn counters_are_exact_across_both_languages(engine: Engine) {
    count(engine, "", "/incr?k=n");
}

fn merged_counters_are_exact_across_both_languages(engine: Engine) {
    count(engine, "--concurrency merge", "/update?k=n");
}

fn count(engine: Engine, arguments: &str, path: &str) {
    // CodeIgniter 4 does not lock in Memcached, it looks and then sets (defect D4); CodeIgniter 3 does.
    let layout = if engine == Engine::Memcached { "ci3" } else { "ci4" };
    let shared = engine.start_in(layout, &format!("--lock-wait 60 --lease 10 {arguments}"));
    let id = shared.php().request(None, &json!([{ "op": "set", "key": "n", "value": 0 }])).id();
    let mut seen = parallel(2 * SIDES, |i| {
        let mut seen = Vec::new();
        if i % 2 == 0 {
            let mut php = shared.php();
            for _ in 0..EACH {
                let answer = php.request(Some(&id), &json!([{ "op": "incr", "key": "n", "sleep_ms": 2 }]));
                seen.push(answer.result().as_u64().expect("a number"));
            }
        } else {
            let browser = shared.browser(&id);
            for _ in 0..EACH {
                let reply = browser.ask(&format!("{path}&sleep=2"));
                assert_eq!(reply.status, 200, "{}", reply.text());
                seen.push(reply.json()["n"].as_u64().expect("a number"));
            }
        }
        seen
    })
    .concat();
    let all = u64::try_from(2 * SIDES).unwrap() * u64::from(EACH);
    let mut browser = shared.browser(&id);
    assert_eq!(browser.visit("/get?k=n")["v"], all);
    if arguments.is_empty() {
        // What a merged request saw is provisional; an exclusive one saw each number once.
        seen.sort_unstable();
        assert_eq!(seen, (1..=all).collect::<Vec<_>>());
    }
}
