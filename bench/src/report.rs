//! The page that the measurements are written to. What is between the marks of a section is replaced; all else
//! is written by hand and stays.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::machine;

pub(crate) struct Report {
    folder: PathBuf,
    /// What was called, and with which options.
    command: String,
}

impl Report {
    /// Writes to the pages of the project, or to those in another folder.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        let docs = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        Self { folder: folder.map_or_else(docs, Path::to_owned), command }
    }

    /// Replaces a section, and says in it when, where and how it was measured.
    pub(crate) fn write(&self, section: &str, text: &str) -> Result<()> {
        let path = self.folder.join("benchmarks.md");
        let page = fs::read_to_string(&path).unwrap_or_default();
        let text = format!("{}\n\n{}", machine::when_and_how(&self.command)?, text.trim());
        fs::write(&path, replaced(&page, section, &text))?;
        println!("wrote the section `{section}`");
        Ok(())
    }

    /// Replaces a picture.
    pub(crate) fn picture(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.folder.join(name), text)?)
    }
}

/// Returns the page with new text between the marks of a section; a section that it lacks comes last.
fn replaced(page: &str, section: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin: {section} -->"), format!("<!-- end: {section} -->"));
    let between = format!("{begin}\n{text}\n{end}");
    let found = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match found {
        Some((before, after)) => format!("{before}{between}{after}"),
        None => format!("{}\n\n{between}\n", page.trim_end()),
    }
}

/// Writes a number without decimals, with commas.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = "by hand\n<!-- begin: a -->\nold\n<!-- end: a -->\nmore\n";
        assert_eq!(replaced(page, "a", "new"), page.replace("old", "new"));
        assert_eq!(replaced("x\n", "b", "y"), "x\n\n<!-- begin: b -->\ny\n<!-- end: b -->\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
    }
}
