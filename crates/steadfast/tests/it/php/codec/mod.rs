//! PHP's formats, with PHP as the judge: `codec.php`.

mod sessions;
mod values;
mod vectors;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use steadfast::PhpFormat;

const FORMATS: [PhpFormat; 3] = [PhpFormat::Php, PhpFormat::PhpBinary, PhpFormat::PhpSerialize];

/// A process of PHP that answers questions about sessions.
struct Php {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Php {
    fn new(format: PhpFormat) -> Self {
        let program = format!("{}/codec.php", steadfast_servers::PROGRAMS);
        let settings = [
            format!("session.serialize_handler={}", format.as_str()),
            "session.use_cookies=0".to_owned(),
            "session.cache_limiter=".to_owned(),
            "serialize_precision=-1".to_owned(),
            "display_errors=0".to_owned(),
        ];
        // Without the machine's settings: only what is named here counts.
        let mut child = Command::new("php")
            .arg("-n")
            .args(settings.iter().flat_map(|setting| ["-d", setting]))
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tests of PHP's formats need `php`");
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, questions, answers }
    }

    #[track_caller]
    fn ask(&mut self, question: &Json) -> Json {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("PHP answered {answer:?} to {question}"))
    }

    /// Makes a random session.
    fn make(&mut self, seed: u64) -> Vec<u8> {
        debase(&self.ask(&json!({ "make": seed }))["bytes"])
    }

    /// Reports whether PHP decodes a session.
    fn accepts(&mut self, session: &[u8]) -> bool {
        self.ask(&json!({ "decode": base(session) }))["ok"] == true
    }

    /// Writes a value as PHP does after it has read it; `None` if it does not read it.
    fn rewrite(&mut self, document: &[u8]) -> Option<Vec<u8>> {
        let answer = self.ask(&json!({ "value": base(document) }));
        (!answer["bytes"].is_null()).then(|| debase(&answer["bytes"]))
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn base(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn debase(text: &Json) -> Vec<u8> {
    STANDARD.decode(text.as_str().expect("bytes in base64")).unwrap()
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Random numbers that are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
