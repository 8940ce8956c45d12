//! [`read`]: a payload that is laid out as we write it, without a parser, which takes several times as long.

use std::borrow::Cow;

use memchr::memchr2;
use smallvec::SmallVec;

use super::payload::{Audience, Confirmation, ReadPayload, Text};

/// No number that we write is longer: it is a time in seconds.
const MAX_DIGITS: usize = 18;

/// What `json` claims, if it is to the last byte as [`WrittenPayload`](super::payload::WrittenPayload) is written: its members
/// in their order, no blanks, no escapes, one audience, no claim of the application. `None` says nothing about it: it is parsed
/// then, strictly. What this reads, the parser reads in the same way.
// Inlined: what it returns is large, and need not be moved then.
#[inline]
pub(super) fn read(json: &str) -> Option<ReadPayload<'_>> {
    // Not in JSON without an escape. All at once, which needs no look at each text.
    if json.bytes().fold(u8::MAX, u8::min) < b' ' {
        return None;
    }
    let mut rest = Rest(json);
    Some(ReadPayload {
        iss: Some(rest.text(r#"{"iss":""#)?),
        sub: Some(rest.text(r#","sub":""#)?),
        aud: Some(Audience::One(rest.text(r#","aud":""#)?.into_inner())),
        exp: Some(rest.number(r#","exp":"#)?),
        nbf: None,
        iat: Some(rest.number(r#","iat":"#)?),
        jti: Some(rest.text(r#","jti":""#)?),
        client_id: Some(rest.text(r#","client_id":""#)?),
        sid: Some(rest.text(r#","sid":""#)?.parse().ok()?),
        auth_time: Some(rest.number(r#","auth_time":"#)?),
        acr: Some(rest.text(r#","acr":""#)?),
        amr: Some(rest.texts(r#","amr":"#)?),
        scope: rest.scope()?,
        cnf: rest.confirmation()?,
    })
}

/// What is left to read. Inlined, so that literals are compared as the few words that they are.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    #[inline(always)]
    fn skip(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// `literal`, which ends with a quotation mark, and a text to the next one.
    #[inline(always)]
    fn text(&mut self, literal: &str) -> Option<Text<'a>> {
        self.skip(literal)?;
        let end = memchr2(b'"', b'\\', self.0.as_bytes())?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix('"')?;
        Some(Text::from(Cow::Borrowed(text)))
    }

    /// The last member but one, which may be missing.
    #[inline(always)]
    fn scope(&mut self) -> Option<Option<Text<'a>>> {
        let literal = r#","scope":""#;
        if !self.0.starts_with(literal) {
            return Some(None);
        }
        self.text(literal).map(Some)
    }

    /// The last member, which may be missing, and the end.
    #[inline(always)]
    fn confirmation(&mut self) -> Option<Option<Confirmation<'a>>> {
        if self.0 == "}" {
            return Some(None);
        }
        let key = self.text(r#","cnf":{"jkt":""#)?;
        (self.0 == "}}").then_some(Some(Confirmation::Key(key)))
    }

    /// `literal`, and an array of texts, which may be empty.
    fn texts(&mut self, literal: &str) -> Option<SmallVec<[Text<'a>; 2]>> {
        self.skip(literal)?;
        let mut texts = SmallVec::new();
        if self.skip("[]").is_some() {
            return Some(texts);
        }
        texts.push(self.text("[\"")?);
        while self.skip("]").is_none() {
            texts.push(self.text(",\"")?);
        }
        Some(texts)
    }

    /// `literal`, and a number as we write them: digits, the first of which is not zero.
    #[inline(always)]
    fn number(&mut self, literal: &str) -> Option<u64> {
        self.skip(literal)?;
        let bytes = self.0.as_bytes();
        let (mut number, mut digits) = (0_u64, 0);
        while let Some(digit) = bytes.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
        }
        // A fraction or an exponent, a number that begins with zero or is too long: those are the parser's.
        if !matches!(bytes.get(digits), Some(b',' | b'}')) || !(1..=MAX_DIGITS).contains(&digits) || bytes[0] == b'0' {
            return None;
        }
        self.0 = &self.0[digits..];
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use session_core::{OsEntropy, SessionId};

    use super::read;
    use crate::tokens::payload::{ReadPayload, WrittenAudience, WrittenConfirmation, WrittenPayload};

    fn written(sub: &str, amr: &[String], scope: Option<&str>, jkt: Option<&str>) -> String {
        let payload = WrittenPayload {
            iss: "https://login.example",
            sub,
            aud: WrittenAudience::One("https://api.example"),
            exp: 1_767_225_900,
            iat: 1_767_225_600,
            jti: "0123456789abcdefghijkl",
            client_id: "https://login.example",
            sid: SessionId::generate(None, &OsEntropy).unwrap(),
            auth_time: 1_767_225_600,
            acr: "aal1",
            amr,
            scope,
            cnf: jkt.map(|jkt| WrittenConfirmation { jkt: jkt.to_owned() }),
            extra: None,
        };
        serde_json::to_string(&payload).unwrap()
    }

    #[test]
    fn what_is_written_needs_no_parser() {
        let methods = |count: usize| vec!["otp".to_owned(); count];
        for (sub, count, scope) in [("alice", 1, None), ("zoë 🙂", 0, Some("read write")), ("", 3, Some(""))] {
            for jkt in [None, Some("a"), Some("")] {
                let json = written(sub, &methods(count), scope, jkt);
                assert_eq!(read(&json).unwrap(), ReadPayload::parse(&json).unwrap(), "{json}");
            }
        }
    }

    /// Bytes that mean something in JSON or in ours, and some that do not.
    const BYTES: &[u8] = b"\"\\{}[],:.-+eE0189 \t\nau/\x01\x7f\xc3\xa9";

    #[test]
    fn whatever_it_reads_the_parser_reads_in_the_same_way() {
        let json = written("alice", &["pwd".to_owned()], Some("read"), Some("key")).into_bytes();
        let mut read_after_all = 0;
        for index in 0..json.len() {
            let removed = [&json[..index], &json[index + 1..]].concat();
            let edited = BYTES
                .iter()
                .flat_map(|byte| [index, index + 1].map(|rest| [&json[..index], &[*byte], &json[rest..]].concat()));
            for edited in edited.chain([removed]) {
                let Ok(json) = std::str::from_utf8(&edited) else { continue };
                if let Some(payload) = read(json) {
                    assert_eq!(payload, ReadPayload::parse(json).unwrap(), "{json}");
                    read_after_all += 1;
                }
            }
        }
        assert!(read_after_all > 1000, "{read_after_all}");
    }
}
