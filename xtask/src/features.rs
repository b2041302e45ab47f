//! Stage `features`: every feature of the library compiles alone, those that bring code of their own together do
//! in pairs, and all stay lean.

use std::collections::BTreeSet;

use crate::cargo::cargo;
use crate::stage::Counts;
use crate::{Result, process};

const MANIFEST: &str = "crates/steadfast/Cargo.toml";

/// Features that bring code of their own where both are chosen: the drivers that are shared with PHP.
const PAIRS: [&str; 5] = ["php,files", "php,memcached", "php,mysql", "php,postgres", "php,redis"];

/// What a choice of features must not pull in: an application pays only for what it names.
const LEAN: [(&str, &[&str]); 4] = [
    (
        "",
        &["actix-web", "axum-core", "metrics", "rusqlite", "toml", "tower-layer", "tower-service", "tracing"],
    ),
    ("default", &["actix-web", "libsqlite3-sys", "metrics", "rusqlite", "serde_json", "toml"]),
    ("tower", &["actix-web", "axum-core"]),
    (
        "actix",
        &["actix-macros", "axum-core", "brotli", "cookie", "flate2", "h2", "regex", "tower-service", "zstd"],
    ),
];

pub(crate) fn run() -> Result<Counts> {
    let manifest = std::fs::read_to_string(MANIFEST)?;
    let mut counts = Counts::default();
    for feature in std::iter::once("").chain(names(&manifest)).chain(PAIRS) {
        let mut alone = cargo(["clippy", "--package", "steadfast", "--quiet", "--no-default-features"]);
        alone.args([&format!("--features={feature}"), "--", "-D", "warnings"]);
        counts.check(&shown(feature), process::run(&mut alone));
    }
    for (feature, banned) in LEAN {
        counts.check(&shown(feature), lean(feature, banned));
    }
    Ok(counts)
}

/// Reads the names in the `[features]` table of a manifest with one feature a line.
fn names(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.split_once('=')?.0.trim()))
}

fn lean(feature: &str, banned: &[&str]) -> Result<()> {
    let tree = ["tree", "--package", "steadfast", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = process::output(cargo(tree).args(["--no-default-features", "--features", feature]))?;
    let pulled: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let bad: Vec<&str> = banned.iter().copied().filter(|name| pulled.contains(name)).collect();
    if bad.is_empty() { Ok(()) } else { Err(format!("must not pull in {}", bad.join(", ")).into()) }
}

fn shown(feature: &str) -> String {
    match feature {
        "" => "no features".to_owned(),
        feature => format!("feature {feature}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_of_a_manifest_are_those_of_its_table() {
        let manifest = "[package]\nname = \"x\"\n[features]\ndefault = [\"a\"]\n# drivers\na = []\n\n[dependencies]\nb = 1\n";
        assert_eq!(names(manifest).collect::<Vec<_>>(), ["default", "a"]);
    }
}
