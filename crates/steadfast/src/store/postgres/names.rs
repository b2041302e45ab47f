//! The names of the tables: strict, so that they can stand in statements.

use super::error::config_fault;
use crate::error::Result;

/// Longest accepted name in bytes: with the longest suffix of an index it is within PostgreSQL's 63.
const MAX_NAME: usize = 48;

/// Where the records are. Both names are checked, and quoted wherever they are written.
#[derive(Debug, Clone)]
pub(in crate::store) struct Names {
    schema: String,
    table: String,
}

impl Names {
    pub(super) const DEFAULT_SCHEMA: &'static str = "public";
    pub(super) const DEFAULT_TABLE: &'static str = "steadfast_sessions";

    /// Returns the names, or what is wrong with them.
    pub(super) fn new(schema: &str, table: &str) -> Result<Self, Vec<String>> {
        let faults: Vec<_> = [("schema", schema), ("table", table)]
            .into_iter()
            .filter(|(_, name)| !is_valid(name))
            .map(|(setting, _)| {
                format!(
                    "`{setting}` is 1 to {MAX_NAME} letters a-z, digits and underscores, and begins with no digit"
                )
            })
            .collect();
        if faults.is_empty() {
            Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
        } else {
            Err(faults)
        }
    }

    /// Returns the table of the records as statements name it.
    pub(in crate::store) fn records(&self) -> String {
        format!("\"{}\".\"{}\"", self.schema, self.table)
    }

    /// Puts the names into a text: `{records}`, `{set_aside}`, `{table}`, `{channel}`.
    pub(in crate::store) fn fill_in(&self, text: &str) -> String {
        let Self { schema, table } = self;
        text.replace("{records}", &self.records())
            .replace("{set_aside}", &format!("\"{schema}\".\"{table}_set_aside\""))
            .replace("{table}", table)
            .replace("{channel}", &format!("{table}_released"))
    }

    /// Says how to make the tables that are missing.
    pub(super) fn missing(&self) -> crate::error::Error {
        config_fault(format!(
            "there is no table {}: run the statements that `PostgresOptions::ddl` prints (docs/drivers/postgres.md), \
             call `PostgresOptions::create`, or add `create=true` to the connection string",
            self.records()
        ))
    }
}

fn is_valid(name: &str) -> bool {
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let of_the_set = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    begins_well && name.len() <= MAX_NAME && name.bytes().all(of_the_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_quotes_are_refused() {
        for name in ["", "1st", "a-b", "a.b", "a\"b", "a;--", "Sessions", "ä", "a b", "a{table}"] {
            assert_eq!(Names::new("public", name).expect_err(name).len(), 1);
        }
        assert_eq!(Names::new("", &"x".repeat(49)).expect_err("both").len(), 2);
    }

    #[test]
    fn names_of_the_grammar_are_quoted() {
        let names = Names::new("app_1", &"x".repeat(48)).expect("both are good");
        assert_eq!(names.records(), format!("\"app_1\".\"{}\"", "x".repeat(48)));
    }
}
