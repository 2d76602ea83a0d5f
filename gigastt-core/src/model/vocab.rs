//! The vocabulary: from the model's token numbers to text and words.
//!
//! A file holds one `piece id` a line. U+2581 in a piece is a space, `<0xNN>` is one byte of a UTF-8
//! sequence, `<blk>` is the blank. Pieces that sentencepiece treats specially are shown as it shows
//! them: `<unk>` as ` ⁇ ` (U+2047 between spaces), `<s>` and `</s>` as nothing.
//!
//! Spaces follow onnx-asr 0.12: one stays only between something visible and a letter, digit or
//! underscore, so none is left before punctuation. The text of the first tokens of a sequence is
//! always a prefix of the text of the whole sequence.

use crate::{Error, ErrorKind, Result, Token, Word};

/// Length of an encoder frame in seconds.
const FRAME_S: f64 = 0.04;

/// The largest file that is read as a vocabulary, in bytes: a thousand times the published ones.
pub(crate) const FILE_MAX: u64 = 16 << 20;

const BLANK: &str = "<blk>";
const SPACE: char = '\u{2581}';
const UNKNOWN: &str = " \u{2047} ";

/// A vocabulary with its blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vocab {
    pieces: Vec<Piece>,
    blank: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Shown as it is; a space is a space.
    Text(Box<str>),
    /// One byte of a UTF-8 sequence.
    Byte(u8),
}

impl Vocab {
    /// Reads the text of a vocabulary file.
    ///
    /// # Errors
    /// `InvalidModel` when it is not UTF-8, a line is not `piece id`, the ids are not 0, 1, 2, ...
    /// each once, or there is not exactly one `<blk>`.
    pub(crate) fn parse(file: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(file)
            .map_err(|e| invalid(format!("expected UTF-8, found another byte at {}", e.valid_up_to())))?;
        let mut entries = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(n, line)| {
                entry(line).ok_or_else(|| invalid(format!("line {}: expected `piece id`", n + 1)))
            })
            .collect::<Result<Vec<_>>>()?;
        entries.sort_by_key(|(_, id)| *id);
        for (expected, (piece, id)) in (0_u32..).zip(&entries) {
            if *id != expected {
                let what = if *id < expected { "twice" } else { "after a gap" };
                return Err(invalid(format!("expected ids 0, 1, 2, ..., found {id} {what} (`{piece}`)")));
            }
        }
        let mut blanks = entries.iter().filter(|(piece, _)| *piece == BLANK);
        let (Some(&(_, blank)), None) = (blanks.next(), blanks.next()) else {
            return Err(invalid(format!("expected exactly one `{BLANK}` among {} pieces", entries.len())));
        };
        Ok(Self { pieces: entries.into_iter().map(|(piece, _)| Piece::new(piece)).collect(), blank })
    }

    /// The vocabulary of the scripted model: a word of its own for each id.
    #[cfg(feature = "fake-model")]
    pub(crate) fn numbered(words: u32) -> Self {
        let pieces = (0..words).map(|id| Piece::new(&format!("\u{2581}w{id}")));
        Self { pieces: pieces.chain([Piece::new(BLANK)]).collect(), blank: words }
    }

    /// Number of pieces, blank included.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The blank's id.
    pub(crate) fn blank(&self) -> u32 {
        self.blank
    }

    /// The text of `tokens` and its words, whose times count from `offset_s` seconds before the
    /// tokens' frame 0. Joined by single spaces the words are the text.
    ///
    /// A word starts with the frame of its first token and ends with the end of its last token's
    /// frame; its confidence is the geometric mean of its tokens' probabilities. Ids outside the
    /// vocabulary show nothing, and neither does a UTF-8 sequence that is still incomplete at the end.
    pub(crate) fn words(&self, tokens: &[Token], offset_s: f64) -> (String, Vec<Word>) {
        let mut text = String::new();
        let mut words: Vec<Open> = Vec::new();
        let mut gap = true;
        for glyph in self.glyphs(tokens) {
            if glyph.shown.is_whitespace() {
                gap = true;
                continue;
            }
            let after_gap = std::mem::take(&mut gap) && (glyph.shown.is_alphanumeric() || glyph.shown == '_');
            let start = match words.last_mut() {
                Some(word) if !after_gap => {
                    word.last = glyph.last;
                    None
                }
                Some(_) => Some(text.len() + 1),
                None => Some(0),
            };
            if let Some(start) = start {
                if start > 0 {
                    text.push(' ');
                }
                words.push(Open { start, first: glyph.first, last: glyph.last });
            }
            text.push(glyph.shown);
        }
        let ends: Vec<usize> = words.iter().skip(1).map(|next| next.start - 1).chain([text.len()]).collect();
        let words =
            words.iter().zip(ends).map(|(word, end)| word.close(&text[word.start..end], tokens, offset_s));
        let words = words.collect();
        (text, words)
    }

    /// The characters of `tokens`, each with the tokens it comes from.
    fn glyphs(&self, tokens: &[Token]) -> Vec<Glyph> {
        let mut glyphs = Vec::new();
        let mut bytes = Bytes::default();
        for (index, token) in tokens.iter().enumerate() {
            match self.pieces.get(token.id as usize) {
                Some(&Piece::Byte(byte)) => bytes.push(byte, index, &mut glyphs),
                Some(Piece::Text(piece)) => {
                    bytes.give_up(&mut glyphs);
                    glyphs.extend(piece.chars().map(|shown| Glyph { shown, first: index, last: index }));
                }
                None => {}
            }
        }
        glyphs
    }
}

impl Piece {
    fn new(piece: &str) -> Self {
        match piece {
            "<unk>" => Self::Text(UNKNOWN.into()),
            "<s>" | "</s>" | BLANK => Self::Text("".into()),
            _ => match byte(piece) {
                Some(byte) => Self::Byte(byte),
                None => Self::Text(piece.replace(SPACE, " ").into()),
            },
        }
    }
}

/// A character and the indices of its first and last token.
struct Glyph {
    shown: char,
    first: usize,
    last: usize,
}

/// A word while the text is put together: where it starts in it, and its first and last token.
struct Open {
    start: usize,
    first: usize,
    last: usize,
}

impl Open {
    fn close(&self, text: &str, tokens: &[Token], offset_s: f64) -> Word {
        let tokens = &tokens[self.first..=self.last];
        let time = |frame: u32, frames: u32| offset_s + f64::from(frame.saturating_add(frames)) * FRAME_S;
        let mean = tokens.iter().map(|t| f64::from(t.logprob)).sum::<f64>() / tokens.len() as f64;
        Word {
            text: text.into(),
            start: time(tokens[0].frame, 0),
            end: time(tokens[tokens.len() - 1].frame, 1),
            confidence: mean.exp().clamp(0.0, 1.0) as f32,
        }
    }
}

/// The beginning of a UTF-8 sequence that byte pieces spell.
#[derive(Default)]
struct Bytes {
    held: Vec<u8>,
    first: usize,
    last: usize,
}

impl Bytes {
    fn push(&mut self, byte: u8, index: usize, glyphs: &mut Vec<Glyph>) {
        if self.held.is_empty() {
            self.first = index;
        }
        self.held.push(byte);
        match std::str::from_utf8(&self.held) {
            Ok(done) => {
                glyphs.extend(done.chars().map(|shown| Glyph { shown, first: self.first, last: index }));
                self.held.clear();
            }
            // More bytes can complete it.
            Err(e) if e.error_len().is_none() => self.last = index,
            // This byte does not continue what is held, but may start something itself.
            Err(_) if self.held.len() > 1 => {
                self.give_up(glyphs);
                self.push(byte, index, glyphs);
            }
            Err(_) => {
                self.last = index;
                self.give_up(glyphs);
            }
        }
    }

    /// Shows what is held as one replacement character.
    fn give_up(&mut self, glyphs: &mut Vec<Glyph>) {
        if !self.held.is_empty() {
            self.held.clear();
            glyphs.push(Glyph { shown: char::REPLACEMENT_CHARACTER, first: self.first, last: self.last });
        }
    }
}

fn entry(line: &str) -> Option<(&str, u32)> {
    let (piece, id) = line.rsplit_once([' ', '\t'])?;
    (!piece.is_empty()).then_some((piece, id.parse().ok()?))
}

/// The value of `<0xNN>`.
fn byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidModel, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocab(pieces: &[&str]) -> Vocab {
        let lines: String =
            pieces.iter().chain(&[BLANK]).enumerate().map(|(id, p)| format!("{p} {id}\n")).collect();
        Vocab::parse(lines.as_bytes()).unwrap()
    }

    /// One token for each piece, on frames 10, 11, ...
    fn spell(pieces: &[&str]) -> (Vocab, Vec<Token>) {
        let tokens = (0..pieces.len() as u32).map(|id| Token { id, frame: 10 + id, logprob: -0.1 }).collect();
        (vocab(pieces), tokens)
    }

    #[test]
    fn parse_takes_what_is_a_vocabulary() {
        let check = |file: &str, len, blank| {
            let vocab = Vocab::parse(file.as_bytes()).unwrap();
            assert_eq!((vocab.len(), vocab.blank()), (len, blank), "{file:?}");
        };
        check("а 0\n<blk> 1\n", 2, 1);
        check("а 0\n<blk> 1", 2, 1);
        check("а 0\r\n<blk> 1\r\n\r\n", 2, 1);
        check("<blk> 1\nа 0\n", 2, 1);
        check("а\t0\n<blk>\t1\n", 2, 1);
        check("<blk> 0\n", 1, 0);
    }

    #[test]
    fn parse_says_what_is_wrong() {
        let check = |file: &[u8], expected: &str| {
            let error = Vocab::parse(file).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidModel);
            assert!(error.message().contains(expected), "{error}");
        };
        check(b"", "exactly one `<blk>` among 0");
        check("а 0\n".as_bytes(), "exactly one `<blk>` among 1");
        check(b"<blk> 0\n<blk> 1\n", "exactly one");
        check("а 0\nб 0\n<blk> 1\n".as_bytes(), "found 0 twice (`б`)");
        check("а 0\n<blk> 2\n".as_bytes(), "found 2 after a gap");
        check("а 1\n<blk> 2\n".as_bytes(), "found 1 after a gap");
        check("а 0\nб\n<blk> 2\n".as_bytes(), "line 2: expected `piece id`");
        check("а -1\n<blk> 0\n".as_bytes(), "line 1");
        check(" 0\n<blk> 1\n".as_bytes(), "line 1");
        check("а 99999999999\n".as_bytes(), "line 1");
        check(b"a 0\n\xff 1\n", "UTF-8, found another byte at 4");
    }

    #[test]
    fn spaces_follow_the_reference() {
        let check = |pieces: &[&str], expected: &str| {
            let (vocab, tokens) = spell(pieces);
            let (text, words) = vocab.words(&tokens, 0.0);
            assert_eq!(text, expected, "{pieces:?}");
            assert_eq!(words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" "), text);
        };
        check(&[], "");
        check(&["▁"], "");
        check(&["▁Вклю", "чи", "▁свет", "."], "Включи свет.");
        check(&["▁раз", "▁", ",", "▁два"], "раз, два");
        check(&["▁раз", "▁", "▁два", "▁"], "раз два");
        check(&["▁60", "▁000", "▁—", "▁много", "?"], "60 000— много?");
        check(&["▁да", "-", "▁да", "_", "▁_"], "да- да_ _");
        check(&["▁«", "▁а", "▁»"], "« а»");
        check(&["▁а", "<unk>", "▁б"], "а\u{2047} б");
        check(&["▁а", "</s>", "б", "<s>"], "аб");
        check(&["▁", "▁а"], "а");
    }

    #[test]
    fn byte_pieces_spell_utf8() {
        let check = |pieces: &[&str], expected: &str| {
            let (vocab, tokens) = spell(pieces);
            assert_eq!(vocab.words(&tokens, 0.0).0, expected, "{pieces:?}");
        };
        check(&["<0xD0>", "<0x9F>"], "П");
        check(&["▁а", "<0xD0>", "<0x9F>", "б"], "аПб");
        check(&["<0x41>", "<0x20>", "<0x42>"], "A B");
        check(&["<0xF0>", "<0x9F>", "<0x98>", "<0x80>"], "😀");
        check(&["<0xD0>"], "");
        check(&["<0xD0>", "б"], "\u{fffd}б");
        check(&["<0xD0>", "<0x41>"], "\u{fffd}A");
        check(&["<0x9F>", "<0xD0>", "<0xD1>", "<0x8F>"], "\u{fffd}\u{fffd}я");
        check(&["<0xZZ>", "<0x1>"], "<0xZZ><0x1>");
    }

    #[test]
    fn words_have_times_and_confidence() {
        let vocab = vocab(&["▁при", "вет", "▁", "м", "ир", "."]);
        let at = |id, frame, logprob| Token { id, frame, logprob };
        let tokens =
            [at(0, 5, -0.2), at(1, 7, -0.4), at(2, 9, -9.0), at(3, 10, 0.0), at(4, 10, 0.0), at(5, 20, 0.0)];
        let (text, words) = vocab.words(&tokens, 100.0);
        assert_eq!(text, "привет мир.");
        let (hello, world) = (&words[0], &words[1]);
        assert_eq!((hello.text.as_str(), world.text.as_str()), ("привет", "мир."));
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        near(hello.start, 100.2);
        near(hello.end, 100.32);
        near(f64::from(hello.confidence), (-0.3_f64).exp());
        near(world.start, 100.4);
        near(world.end, 100.84);
        near(f64::from(world.confidence), 1.0);
    }

    #[test]
    fn unknown_ids_show_nothing() {
        let token = |id| Token { id, frame: u32::MAX, logprob: 0.0 };
        let (text, words) = vocab(&["а"]).words(&[token(7), token(0), token(u32::MAX)], 0.0);
        assert_eq!((text.as_str(), words.len()), ("а", 1));
    }

    #[test]
    fn text_of_a_prefix_is_a_prefix_of_the_text() {
        let pieces = [
            "▁", "▁да", "нет", ",", "▁—", "7", "<unk>", "</s>", "<0xD0>", "<0x9F>", "<0x20>", "<0xF0>", " ",
            "é",
        ];
        let vocab = vocab(&pieces);
        for seed in 1..2000_u64 {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) as u32 % pieces.len() as u32
            };
            let tokens: Vec<_> = (0..16).map(|frame| Token { id: next(), frame, logprob: -1.0 }).collect();
            let mut shorter = String::new();
            for end in 0..=tokens.len() {
                let (text, words) = vocab.words(&tokens[..end], 0.0);
                assert!(text.starts_with(&shorter), "seed {seed}: {shorter:?} {text:?}");
                let joined = words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
                assert_eq!(joined, text, "seed {seed}");
                assert!(words.iter().all(|w| w.start < w.end && !w.text.contains(' ')), "seed {seed}");
                shorter = text;
            }
        }
    }
}
