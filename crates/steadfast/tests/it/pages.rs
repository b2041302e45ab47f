//! The pages of the project, where they repeat each other.

#[test]
fn the_readme_and_the_page_of_the_crate_begin_with_the_same_program() {
    let readme = include_str!("../../../../README.md");
    let (_, program) = readme.split_once("```rust,no_run\n").expect("the readme has a program");
    let (program, _) = program.split_once("```").expect("the program has an end");
    let page = include_str!("../../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let page: String = page.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
    assert!(page.contains(program));
}
