//! Stage `tidy`: what neither compiler nor formatter checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::Result;
use crate::stage::Counts;

/// Longest Rust file, in lines. A longer one does two jobs.
const MAX_LINES: usize = 600;

/// What may not stay behind in a source file. In pieces, so that this file does not hold them itself.
const LEFTOVERS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("XX", "X")];

/// Pages from which every page in `docs/` must be reachable.
const ENTRANCES: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

pub(crate) fn run() -> Result<Counts> {
    let mut files = BTreeMap::new();
    read(Path::new(""), &mut files)?;
    let mut counts = Counts::default();
    counts.check(
        "source files",
        verdict(&files.iter().flat_map(|(path, text)| source(path, text)).collect::<Vec<_>>()),
    );
    counts.check("links", verdict(&links(&files)));
    Ok(counts)
}

fn verdict(faults: &[String]) -> Result<()> {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n  ").into()) }
}

/// Reads every Rust file and Markdown page below `dir`, but for what is built, hidden or recorded.
fn read(dir: &Path, files: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    const OTHERS: [&str; 5] = ["target", "writable", "node_modules", "corpus", "artifacts"];
    for entry in std::fs::read_dir(Path::new(".").join(dir))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = dir.join(&name);
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !OTHERS.contains(&name.as_str()) {
                read(&path, files)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".md") {
            files.insert(path.clone(), std::fs::read_to_string(path)?);
        }
    }
    Ok(())
}

/// Finds what is wrong with a Rust file by itself.
fn source(path: &Path, text: &str) -> Vec<String> {
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{}: {lines} lines; the limit is {MAX_LINES}", path.display()));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for leftover in LEFTOVERS.iter().filter(|leftover| line.contains(**leftover)) {
            faults.push(format!("{}:{number}: `{leftover}` stayed behind", path.display()));
        }
    }
    faults
}

/// Finds links of Markdown pages to files that are not there, and pages in `docs/` that no link leads to.
fn links(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut leads_to: BTreeMap<&Path, Vec<PathBuf>> = BTreeMap::new();
    for (page, text) in files.iter().filter(|(path, _)| is_page(path)) {
        for (number, link) in targets(text) {
            let file = resolve(page, link);
            if !Path::new(".").join(&file).exists() {
                faults.push(format!("{}:{number}: `{link}` leads nowhere", page.display()));
            }
            leads_to.entry(page).or_default().push(file);
        }
    }
    let reached = reachable(&leads_to);
    let lost =
        files.keys().filter(|path| path.starts_with("docs") && is_page(path) && !reached.contains(*path));
    faults.extend(lost.map(|path| format!("{}: no page links to it", path.display())));
    faults
}

fn reachable(leads_to: &BTreeMap<&Path, Vec<PathBuf>>) -> BTreeSet<PathBuf> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<PathBuf> = ENTRANCES.iter().map(PathBuf::from).collect();
    while let Some(page) = next.pop() {
        next.extend(leads_to.get(page.as_path()).into_iter().flatten().cloned());
        if !reached.insert(page) {
            next.retain(|page| !reached.contains(page));
        }
    }
    reached
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// Returns the relative links of a page with their line numbers, without anchors; code is no link.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backquotes is code.
        for prose in line.split('`').step_by(2) {
            let starts = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
            let links = starts.filter_map(|rest| rest.split([')', '#', ' ']).next());
            let links = links
                .filter(|link| !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:"));
            found.extend(links.map(|link| (number, link)));
        }
    }
    found
}

/// Returns where a link on a page leads, from the root of the workspace.
fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().map(Path::to_path_buf).unwrap_or_default();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_file_may_be_neither_too_long_nor_unfinished() {
        let path = Path::new("src/lib.rs");
        let unfinished = format!("fn f() {{\n    // {}: write it\n}}\n", LEFTOVERS[0]);
        assert_eq!(source(path, &"\n".repeat(MAX_LINES)), [""; 0]);
        assert_eq!(source(path, &"\n".repeat(MAX_LINES + 1)), ["src/lib.rs: 601 lines; the limit is 600"]);
        assert_eq!(source(path, &unfinished).len(), 1);
        assert_eq!(source(Path::new("docs/page.md"), &unfinished), [""; 0]);
    }

    #[test]
    fn links_are_found_in_prose_and_not_in_code() {
        let page = "See [one](a.md#part), [two](../b.md) and [three](https://example.org/c.md).\n\
                    `[no](x.md)` [here](#there)\n```\n[no](y.md)\n```\n[last](d.md)\n";
        assert_eq!(targets(page), [(1, "a.md"), (1, "../b.md"), (6, "d.md")]);
    }

    #[test]
    fn a_page_that_nothing_leads_to_and_a_link_that_leads_nowhere_are_faults() {
        let page = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
        let files = BTreeMap::from([
            page("README.md", "[found](docs/found.md)"),
            page("docs/found.md", "[gone](gone.md) [back](../README.md)"),
            page("docs/lost.md", "[itself](lost.md)"),
        ]);
        let faults = links(&files);
        assert!(faults.contains(&"docs/found.md:1: `gone.md` leads nowhere".to_owned()), "{faults:?}");
        assert!(faults.contains(&"docs/lost.md: no page links to it".to_owned()), "{faults:?}");
        assert!(!faults.contains(&"docs/found.md: no page links to it".to_owned()), "{faults:?}");
    }
}
