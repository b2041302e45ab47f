//! Reads the lines of a `.env` file.

/// Iterates over the lines of a `.env` file that hold a pair: number, name, value.
///
/// A line is `name = value`, with `export` before it or not; the value may be in single or double quotes,
/// in which a backslash escapes the next character. After an unquoted value, ` #` begins a comment. Lines
/// that are empty, comments or no pair are skipped.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (usize, &str, String)> {
    text.lines().zip(1..).filter_map(|(line, number)| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim);
        let is_comment = name.starts_with('#');
        (!name.is_empty() && !is_comment).then(|| (number, name, value_of(value.trim())))
    })
}

fn value_of(text: &str) -> String {
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => unquote(&text[1..], quote),
        Some('#') => String::new(),
        _ => text.split(" #").next().unwrap_or_default().trim_end().into(),
    }
}

/// Returns what stands before the closing quote, or everything if there is none.
fn unquote(text: &str, quote: char) -> String {
    let mut value = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Only a quote or another backslash is escaped: class names have backslashes of their own.
            '\\' => value.push(chars.next_if(|&next| next == quote || next == '\\').unwrap_or(c)),
            _ if c == quote => break,
            _ => value.push(c),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<(&str, &str)>) {
        let found: Vec<_> = pairs(line).collect();
        let found: Vec<_> = found.iter().map(|(_, name, value)| (*name, value.as_str())).collect();
        assert_eq!(found, Vec::from_iter(expected));
    }

    #[test]
    fn names_and_values_are_read() {
        check("session.expiration = 7200", Some(("session.expiration", "7200")));
        check("  session.expiration=7200  ", Some(("session.expiration", "7200")));
        check("export session_expiration = 7200", Some(("session_expiration", "7200")));
        check("cookie.domain =", Some(("cookie.domain", "")));
        check("a = b=c", Some(("a", "b=c")));
    }

    #[test]
    fn quotes_and_comments_are_no_part_of_a_value() {
        check("a = 'b c'", Some(("a", "b c")));
        check("a = \"b # c\" # d", Some(("a", "b # c")));
        check("a = b # c", Some(("a", "b")));
        check("a = b#c", Some(("a", "b#c")));
        check("a = # c", Some(("a", "")));
        check(r#"a = "b\"c""#, Some(("a", "b\"c")));
        check(r"a = 'A\B\\C'", Some(("a", r"A\B\C")));
        check("a = 'b", Some(("a", "b")));
    }

    #[test]
    fn what_is_no_pair_is_skipped() {
        for line in ["", "# a = b", "  # a = b", "a", "= b"] {
            check(line, None);
        }
    }
}
