//! Tells a misspelt name from one that is not ours.

/// Returns the known name that `name` most likely stands for: one letter in four may be wrong.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|(distance, known)| *distance <= known.len() / 4)
        .min()
        .map(|(_, known)| known)
}

/// Counts the letters to insert, remove or replace (Levenshtein), row by row.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(nearest(name, &["lease", "lease_max", "node", "idle_timeout", "store"]), expected);
    }

    #[test]
    fn a_misspelt_name_is_recognized() {
        check("leasse", Some("lease"));
        check("lease", Some("lease"));
        check("leasemax", Some("lease_max"));
        check("idle_timout", Some("idle_timeout"));
        check("idletimeout", Some("idle_timeout"));
        check("nodes", Some("node"));
    }

    #[test]
    fn another_name_is_left_alone() {
        for name in ["", "skip", "port", "home", "service_host", "webdriver", "timeout"] {
            check(name, None);
        }
    }
}
