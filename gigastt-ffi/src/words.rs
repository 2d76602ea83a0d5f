//! Words of results.

use gigastt_core::Word;

use crate::error::gigastt_error;
use crate::fence::{Failure, fence};
use crate::json::milliseconds;
use crate::status::{GIGASTT_OK, gigastt_status};
use crate::structs::{Versioned, fill};
use crate::text::{Text, gigastt_str};

/// A recognised word. Set `struct_size` to `sizeof(gigastt_word)` before a function fills it. Its text
/// lives as long as the result it comes from.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gigastt_word {
    /// The size of this structure in bytes.
    pub struct_size: usize,
    /// The word with the punctuation that belongs to it, without spaces.
    pub text: gigastt_str,
    /// Milliseconds from the start of the stream to where it starts.
    pub start_ms: i64,
    /// Milliseconds from the start of the stream to where it ends.
    pub end_ms: i64,
    /// 0 to 1.
    pub confidence: f64,
}

// SAFETY: `#[repr(C)]`, its size first, then numbers and pointers.
unsafe impl Versioned for gigastt_word {
    const FIRST: usize = size_of::<Self>();
}

/// Words with the texts that C sees.
pub(crate) struct Words(Vec<(Word, Text)>);

impl Words {
    pub(crate) fn new<'a>(words: impl IntoIterator<Item = &'a Word>) -> Self {
        Self(words.into_iter().map(|word| (word.clone(), Text::new(&word.text))).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Fills a word of a result.
    ///
    /// # Safety
    /// `place` and `error` are NULL or writable.
    pub(crate) unsafe fn give(
        words: Option<&Self>,
        index: usize,
        place: *mut gigastt_word,
        error: *mut *mut gigastt_error,
    ) -> gigastt_status {
        let body = || {
            let words = words.ok_or_else(|| Failure::argument("expected a result, found NULL"))?;
            let (word, text) = words.0.get(index).ok_or_else(|| {
                Failure::argument(format!("index: expected less than {}, found {index}", words.len()))
            })?;
            let value = gigastt_word {
                struct_size: size_of::<gigastt_word>(),
                text: text.view(),
                start_ms: milliseconds(word.start),
                end_ms: milliseconds(word.end),
                confidence: word.confidence.into(),
            };
            // SAFETY: by the contract of this function.
            unsafe { fill(place, "word", &value) }?;
            Ok(GIGASTT_OK)
        };
        // SAFETY: by the contract of this function.
        unsafe { fence(error, body) }
    }
}
