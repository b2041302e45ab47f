//! Takes the text of a PHP file apart, as far as finding its assignments needs it.

/// What a PHP file consists of, without its comments.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Token<'a> {
    /// `$name`, and its line.
    Variable(&'a str, usize),
    /// A name, with the namespaces before it, or a number.
    Word(&'a str),
    /// A string and its line; none if it refers to variables.
    Text(Option<String>, usize),
    Symbol(char),
}

/// Reads the first block of PHP in a file.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let Some(start) = text.find("<?php") else { return Vec::new() };
    let start = start + "<?php".len();
    let mut reader = Reader { text, at: start, line: 1 + newlines(&text[..start]) };
    let mut found = Vec::new();
    while let Some(token) = reader.next() {
        found.push(token);
    }
    found
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let rest = self.rest();
        if rest.starts_with("?>") {
            return None;
        }
        if rest.starts_with("<<<") {
            return Some(self.heredoc());
        }
        let line = self.line;
        let first = rest.chars().next()?;
        match first {
            '\'' | '"' => Some(Token::Text(self.string(first), line)),
            '$' if rest[1..].starts_with(is_of_word) => {
                self.take(1);
                Some(Token::Variable(self.word(), line))
            }
            _ if is_of_word(first) => Some(Token::Word(self.word())),
            _ => {
                self.take(first.len_utf8());
                Some(Token::Symbol(first))
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.line += newlines(taken);
        self.at += bytes;
        taken
    }

    /// Skips white space, comments and attributes.
    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            let end_of = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
            let skipped = match rest {
                _ if blank > 0 => blank,
                _ if rest.starts_with("/*") => end_of("*/"),
                _ if rest.starts_with("//") || rest.starts_with('#') => end_of("\n"),
                _ => return,
            };
            self.take(skipped);
        }
    }

    /// Takes a name or a number, which may have a point.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_number = rest.starts_with(|c: char| c.is_ascii_digit());
        let end = rest.find(|c| !(is_of_word(c) || is_number && c == '.'));
        self.take(end.unwrap_or(rest.len()))
    }

    /// Takes a string in quotes; none if it is more than text.
    fn string(&mut self, quote: char) -> Option<String> {
        let body = &self.rest()[1..];
        let mut text = Some(String::new());
        let mut chars = body.char_indices();
        let mut end = body.len();
        while let Some((at, c)) = chars.next() {
            let plain = match c {
                '\\' => escaped(chars.next().map(|(_, next)| next), quote),
                _ if c == quote => {
                    end = at + 1;
                    break;
                }
                '$' if quote == '"' => None,
                _ => Some([Some(c), None]),
            };
            text = text.zip(plain).map(|(mut text, plain)| {
                text.extend(plain.into_iter().flatten());
                text
            });
        }
        self.take(1 + end);
        text
    }

    /// Takes a text of several lines, which no setting here is.
    fn heredoc(&mut self) -> Token<'a> {
        let line = self.line;
        self.take("<<<".len());
        let rest = self.rest();
        let name = rest.lines().next().unwrap_or_default().trim().trim_matches(['\'', '"']);
        let mut end = rest.split_inclusive('\n').next().map_or(0, str::len);
        for line in rest[end..].split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            if !name.is_empty() && line.trim_start().starts_with(name) {
                end += indent + name.len();
                break;
            }
            end += line.len();
        }
        self.take(end);
        Token::Text(None, line)
    }
}

/// What a backslash and a character stand for in a string; none if it takes more of PHP to tell.
fn escaped(next: Option<char>, quote: char) -> Option<[Option<char>; 2]> {
    match next {
        Some(c) if c == quote || c == '\\' => Some([Some(c), None]),
        Some('$') if quote == '"' => Some([Some('$'), None]),
        Some('n' | 't' | 'r' | 'v' | 'e' | 'f' | 'x' | 'u' | '0'..='7') if quote == '"' => None,
        next => Some([Some('\\'), next]),
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '\\') || !c.is_ascii()
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}
