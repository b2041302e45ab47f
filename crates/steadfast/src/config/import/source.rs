//! Reads the assignments of a PHP file: properties of a class, elements of an array.
//!
//! Nothing is run. A value counts if it is a literal, a product of numbers, or strings and known constants
//! joined by dots; everything else is code, which is listed and not guessed.

use super::tokens::{Token, tokens};

/// A value as a source has it.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Value {
    /// A text, a number, `true` or `false`.
    Text(String),
    Null,
    /// The elements of an array that have a key.
    List(Vec<Assignment>),
    /// Something that only PHP can tell.
    Code,
}

/// A value under a name.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) value: Value,
    /// Whether it counts in any case: the default of a property, a statement outside of any block.
    pub(super) sure: bool,
}

/// What a name stands for that the file does not define.
pub(super) type Constants<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the properties that a file declares, and those that its code sets.
pub(super) fn properties(text: &str, constants: Constants<'_>) -> Vec<Assignment> {
    let tokens = tokens(text);
    statements(&tokens).into_iter().filter_map(|(statement, _)| property(statement, constants)).collect()
}

/// Reads what a file sets in the array `$variable`.
pub(super) fn elements(text: &str, variable: &str, constants: Constants<'_>) -> Vec<Assignment> {
    let tokens = tokens(text);
    let found = statements(&tokens).into_iter();
    found.filter_map(|(statement, depth)| element(statement, variable, depth == 0, constants)).collect()
}

/// Reads the text that a file puts into `$name` outside of any block.
pub(super) fn variable(text: &str, name: &str, constants: Constants<'_>) -> Option<String> {
    let tokens = tokens(text);
    let values = statements(&tokens).into_iter().filter_map(|(statement, depth)| match statement {
        [Token::Variable(found, _), value @ ..] if *found == name && depth == 0 => assigned(value, constants),
        _ => None,
    });
    match values.last()? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Cuts a file into statements, each with the number of blocks around it.
fn statements<'a, 't>(tokens: &'a [Token<'t>]) -> Vec<(&'a [Token<'t>], usize)> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        let Token::Symbol(symbol @ (';' | '{' | '}')) = token else { continue };
        found.push((&tokens[start..at], depth));
        start = at + 1;
        match symbol {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    found
}

/// `public string $name = value`, or `$this->name = value`.
fn property(statement: &[Token<'_>], constants: Constants<'_>) -> Option<Assignment> {
    let at = statement.iter().position(|token| matches!(token, Token::Variable(..)))?;
    let (before, rest) = statement.split_at(at);
    let has = |words: &[&str]| {
        before.iter().any(|token| matches!(token, Token::Word(word) if words.contains(word)))
    };
    // What a function takes is no property.
    let sure = has(&["public", "protected", "private", "var"]) && !has(&["function"]);
    let (name, line, value) = match rest {
        [
            Token::Variable("this", line),
            Token::Symbol('-'),
            Token::Symbol('>'),
            Token::Word(name),
            value @ ..,
        ] => (*name, *line, value),
        [Token::Variable(name, line), value @ ..] if sure => (*name, *line, value),
        _ => return None,
    };
    Some(Assignment { name: name.into(), line, value: assigned(value, constants)?, sure })
}

/// `$variable['name'] = value`.
fn element(
    statement: &[Token<'_>],
    variable: &str,
    outside: bool,
    constants: Constants<'_>,
) -> Option<Assignment> {
    let is_ours = |token: &Token<'_>| matches!(token, Token::Variable(name, _) if *name == variable);
    let at = statement.iter().position(is_ours)?;
    let [_, Token::Symbol('['), Token::Text(Some(name), line), Token::Symbol(']'), value @ ..] =
        &statement[at..]
    else {
        return None;
    };
    let value = assigned(value, constants)?;
    Some(Assignment { name: name.clone(), line: *line, value, sure: outside && at == 0 })
}

/// Reads what follows an equals sign that is no comparison.
fn assigned(tokens: &[Token<'_>], constants: Constants<'_>) -> Option<Value> {
    match tokens {
        [Token::Symbol('='), Token::Symbol('=' | '>'), ..] => None,
        [Token::Symbol('='), value @ ..] => Some(self::value(value, constants)),
        _ => None,
    }
}

fn value(tokens: &[Token<'_>], constants: Constants<'_>) -> Value {
    let items = match tokens {
        [Token::Symbol('['), items @ .., Token::Symbol(']')] if is_closed(items) => items,
        [Token::Word(array), Token::Symbol('('), items @ .., Token::Symbol(')')]
            if array.eq_ignore_ascii_case("array") && is_closed(items) =>
        {
            items
        }
        _ => return scalar(tokens, constants),
    };
    Value::List(split(items, ',').into_iter().filter_map(|item| keyed(item, constants)).collect())
}

/// Reports whether the brackets within are pairs, so that those around are one, too.
fn is_closed(items: &[Token<'_>]) -> bool {
    let mut depth = 0_i64;
    items.iter().all(|token| {
        match token {
            Token::Symbol('(' | '[') => depth += 1,
            Token::Symbol(')' | ']') => depth -= 1,
            _ => {}
        }
        depth >= 0
    })
}

/// `'key' => value`, where the value is no array itself.
fn keyed(item: &[Token<'_>], constants: Constants<'_>) -> Option<Assignment> {
    let [Token::Text(Some(name), line), Token::Symbol('='), Token::Symbol('>'), value @ ..] = item else {
        return None;
    };
    Some(Assignment { name: name.clone(), line: *line, value: scalar(value, constants), sure: true })
}

fn scalar(tokens: &[Token<'_>], constants: Constants<'_>) -> Value {
    let text = match tokens {
        [Token::Word(word)] if word.eq_ignore_ascii_case("null") => return Value::Null,
        [Token::Word(class), Token::Symbol(':'), Token::Symbol(':'), Token::Word("class")] => {
            Some((*class).to_owned())
        }
        [Token::Symbol('-'), Token::Word(word)] => number(word).map(|number| format!("-{number}")),
        _ => split(tokens, '.').into_iter().map(|part| literal(part, constants)).collect(),
    };
    text.map_or(Value::Code, Value::Text)
}

/// A literal, a known constant, or a product of numbers, as `60 * 60 * 24`.
fn literal(tokens: &[Token<'_>], constants: Constants<'_>) -> Option<String> {
    match tokens {
        [Token::Text(text, _)] => text.clone(),
        [Token::Word(word)] if word.eq_ignore_ascii_case("true") => Some("true".into()),
        [Token::Word(word)] if word.eq_ignore_ascii_case("false") => Some("false".into()),
        [Token::Word(word)] if number(word).is_none() => constants(word),
        _ => {
            let factors = split(tokens, '*').into_iter().map(|factor| match factor {
                [Token::Word(word)] => number(word),
                _ => None,
            });
            let product = factors.reduce(|product, factor| product?.checked_mul(factor?))?;
            product.map(|product| product.to_string())
        }
    }
}

/// A whole number without a sign. `0600` is octal, and left to PHP.
fn number(word: &str) -> Option<u64> {
    let digits = word.replace('_', "");
    let is_decimal = digits == "0" || !digits.starts_with('0');
    (is_decimal && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Cuts tokens at a symbol outside of brackets. Nothing follows a last comma.
fn split<'a, 't>(tokens: &'a [Token<'t>], at: char) -> Vec<&'a [Token<'t>]> {
    let mut depth = 0_usize;
    let mut parts = tokens.split(|token| {
        match token {
            Token::Symbol('(' | '[') => depth += 1,
            Token::Symbol(')' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Token::Symbol(at)
    });
    parts.by_ref().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Assignment> {
        properties(text, &|name| (name == "WRITEPATH").then(|| "/w/".to_owned()))
    }

    #[track_caller]
    fn check(expression: &str, expected: Option<&str>) {
        let found = read(&format!("<?php class A {{ public $a = {expression}; }}"));
        let expected = expected.map_or(Value::Code, |text| Value::Text(text.into()));
        assert_eq!(found.iter().map(|found| &found.value).collect::<Vec<_>>(), [&expected], "{expression}");
    }

    #[test]
    fn literals_have_values() {
        check("'it''s'", None);
        check(r"'a\'b\\c\d'", Some(r"a'b\c\d"));
        check(r#""a\"b\$c\d""#, Some(r#"a"b$c\d"#));
        check("7_200", Some("7200"));
        check("-5", Some("-5"));
        check("60 * 60 * 2", Some("7200"));
        check("TRUE", Some("true"));
        check(r"\A\B::class", Some(r"\A\B"));
        check("WRITEPATH . 'session'", Some("/w/session"));
        check("/* one */ 'a' // two\n . 'b' # three\n", Some("ab"));
    }

    #[test]
    fn everything_else_is_code() {
        for expression in [
            "getenv('X')",
            "\"$a\"",
            "\"\\n\"",
            "'a' . X",
            "1 + 1",
            "0600",
            "1.5",
            "A::B",
            "env('a') ?? 'b'",
            "[1][0]",
            "18446744073709551615 * 2",
            "<<<X\n a\n X",
            "fn () => 'a'",
            "'a' ? 'b' : 'c'",
            "new A()",
            "",
        ] {
            check(expression, None);
        }
    }

    #[test]
    fn what_code_sets_is_not_sure() {
        let found = read(
            "<?php\nnamespace Config;\nclass S extends B {\n public ?string $a = null;\n\
             function __construct(private string $c = 'x') {\n $this->a = 'b';\n if ($this->a == 'c') { $d = 'e'; } } }",
        );
        let found: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.line, found.sure)).collect();
        assert_eq!(found, [("a", 4, true), ("a", 6, false)]);
    }

    #[test]
    fn nothing_is_read_where_there_is_no_php() {
        for text in [
            "",
            "public $a = 1;",
            "<?php",
            "<?php class A { public $a",
            "<?php ?> public $a = 1;",
            "<?php '",
            "<?php /*",
            "<?php <<<",
        ] {
            assert_eq!(read(text), []);
        }
    }
}
