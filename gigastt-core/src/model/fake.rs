//! A scripted model without ONNX Runtime, for tests of everything that is built on the engine.
//!
//! Its "speech" is a signal that is constant over each encoder frame (640 samples from the stream's
//! start): value `id / 1024` says word `id`, 0 is silence. What it recognises depends on the
//! decoder's state (each word is shifted by the number of words before it), and the last frames of
//! every window are garbled, so that a lost state or an undropped edge shows in the text.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use half::f16;

use crate::sync::{Condvar, Mutex};

use super::decode::{self, Transducer};
use super::{DecoderState, Encoded, Interrupt, Lane, MELS, Network, Past, Span, Step, Vocab, encoder_frames};
use crate::audio::{FrontEnd, vad};
use crate::{Error, ErrorKind, Result, Token};

/// Words of the vocabulary: `w0` to `w999`.
pub const WORDS: u32 = 1_000;
/// A frame of this value makes the model call fail.
pub const FAILS: u32 = 1_001;
/// A frame of this value makes the model call panic.
pub const PANICS: u32 = 1_002;
/// A frame of this value makes the model call stay for ever, also when it is told to end.
pub const STAYS: u32 = 1_003;
/// What the last [`GARBLED`] frames of a window are heard as, when they are not silent.
pub const GARBAGE: u32 = 999;
/// Frames at a window's end that are heard wrongly.
pub const GARBLED: usize = 2;
/// Samples over which the signal is constant.
pub const FRAME: usize = 640;

/// The amplitude of a word's frames.
pub fn amplitude(word: u32) -> f32 {
    word as f32 / 1024.0
}

/// How the scripted model behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Script {
    /// What a call takes, whatever its size.
    pub call: Duration,
    /// What each mel frame of a call takes in addition.
    pub frame: Duration,
}

/// What networks would say of so many encoder frames, to measure greedy decoding by itself: each fourth frame
/// has a token, as often as in speech.
#[derive(Debug)]
pub struct Said {
    classes: usize,
    /// `[frames][classes]`; the last class is the blank.
    scores: Vec<f32>,
    /// What was asked for, as a network gives it.
    joined: Vec<f32>,
}

impl Said {
    /// Frames between the starts of two tokens.
    const APART: usize = 4;

    /// `frames` of them over a vocabulary of `classes`, at least 2, blank included.
    pub fn new(frames: usize, classes: usize) -> Self {
        let mut scores = vec![-1.0; frames * classes];
        for (frame, scores) in scores.chunks_exact_mut(classes).enumerate() {
            let best = if frame.is_multiple_of(Self::APART) { frame % (classes - 1) } else { classes - 1 };
            scores[best] = 9.0;
        }
        Self { classes, scores, joined: Vec::new() }
    }

    /// Decodes all frames as of an RNN-T head and counts the tokens.
    ///
    /// # Errors
    /// None but defects.
    pub fn rnnt(&mut self) -> Result<usize> {
        let (frames, blank) = (self.scores.clone(), self.classes as u32 - 1);
        let span = Span { first: 0, width: self.classes, data: &frames };
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        decode::rnnt(self, blank, 3, span, &mut state, &mut tokens, &Interrupt::default())?;
        Ok(tokens.len())
    }

    /// Decodes all frames as of a CTC head and counts the tokens.
    ///
    /// # Errors
    /// None but defects.
    pub fn ctc(&self) -> Result<usize> {
        let span = Span { first: 0, width: self.classes, data: &self.scores };
        let (mut state, mut tokens) = (DecoderState::default(), Vec::new());
        decode::ctc(self.classes as u32 - 1, span, &mut state, &mut tokens, &Interrupt::default())?;
        Ok(tokens.len())
    }
}

impl Transducer for Said {
    fn frames(&mut self, _: &[f32]) -> Result<()> {
        Ok(())
    }

    /// The output is how many tokens were fed.
    fn predict(&mut self, token: u32, state: &mut DecoderState) -> Result<()> {
        let fed = state.h.first().copied().unwrap_or(0.0);
        let fed = if token as usize == self.classes - 1 { fed } else { fed + 1.0 };
        for values in [&mut state.dec, &mut state.h, &mut state.c] {
            values.clear();
            values.push(fed);
        }
        Ok(())
    }

    /// A frame whose token was fed is blank.
    fn join(&mut self, range: Range<usize>, dec: &[f32]) -> Result<&[f32]> {
        let blank = (Self::APART - 1) * self.classes;
        self.joined.clear();
        for frame in range {
            let said = ((frame / Self::APART) as f32) < dec[0];
            let at = if said { blank } else { frame * self.classes };
            self.joined.extend_from_slice(&self.scores[at..at + self.classes]);
        }
        Ok(&self.joined)
    }

    fn classes(&self) -> usize {
        self.classes
    }
}

/// See the module.
pub(crate) struct FakeNetwork {
    script: Script,
    vocab: Arc<Vocab>,
}

impl FakeNetwork {
    pub(crate) fn new(script: Script) -> Self {
        Self { script, vocab: vocab() }
    }
}

/// The vocabulary of the scripted model.
pub(crate) fn vocab() -> Arc<Vocab> {
    Arc::new(Vocab::numbered(WORDS))
}

impl Network for FakeNetwork {
    fn vocab(&self) -> Arc<Vocab> {
        Arc::clone(&self.vocab)
    }

    fn front_end(&self) -> Box<dyn FrontEnd> {
        Box::new(FakeFrontEnd::default())
    }

    fn kept(&self) -> Option<usize> {
        Some(Past::frame_bytes(1, 1))
    }

    fn copied_bytes(&self) -> u64 {
        0
    }

    fn lane(&self) -> Result<Box<dyn Lane>> {
        Ok(Box::new(FakeLane { script: self.script }))
    }
}

/// Mel frames whose first channel is the signal at the frame's first sample.
#[derive(Default)]
pub(crate) struct FakeFrontEnd {
    heard: usize,
    /// First samples of the frames that are not complete yet.
    starts: std::collections::VecDeque<f32>,
}

impl FrontEnd for FakeFrontEnd {
    fn frames(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        for &sample in samples {
            if self.heard.is_multiple_of(160) {
                self.starts.push_back(sample);
            }
            self.heard += 1;
            if self.heard.is_multiple_of(160) && self.heard >= 320 {
                let mut frame = [0.0; MELS];
                frame[0] = self.starts.pop_front().unwrap_or_default();
                out.extend(frame);
            }
        }
    }

    fn score(&mut self, tick: &[f32; vad::FRAME]) -> f32 {
        if tick.iter().any(|s| *s != 0.0) { 1.0 } else { 0.0 }
    }
}

/// The words heard in a window's frames: what the encoder of the scripted model makes of its mel.
pub(crate) fn hear(mel: &[f32]) -> Vec<f32> {
    let frames = encoder_frames(mel.len() / MELS);
    let word = |frame: usize| (mel[frame * 4 * MELS] * 1024.0).round();
    let garbled = |frame: usize| frame + GARBLED >= frames && word(frame) != 0.0;
    (0..frames).map(|f| if garbled(f) { GARBAGE as f32 } else { word(f) }).collect()
}

/// The words heard in a step and its right context. A past that is not whole, or not that of the
/// frames just before, makes all of them garbage.
pub(crate) fn hear_step(mel: &[f32], step: usize, past: &mut Past) -> Vec<f32> {
    let before = past.before();
    let mut heard = hear(mel);
    let new = heard.split_off(before.min(heard.len()));
    past.prepare(1, (0, 0));
    let known = |back: usize| past.row(0, back).map(|row| row[0].to_f32());
    let fits = past.is_whole() && (1..=before).all(|back| known(back) == Some(heard[before - back]));
    let rows: Vec<f16> = new[..step].iter().map(|word| f16::from_f32(*word)).collect();
    past.keep(0, 1, &rows);
    past.advance(step);
    if fits { new } else { vec![GARBAGE as f32; new.len()] }
}

/// Decodes heard words: a word is recognised where it differs from the frame before, and comes out
/// shifted by the number of words before it.
pub(crate) fn decode(heard: &[f32], frames: Range<usize>, state: &mut DecoderState, tokens: &mut Vec<Token>) {
    if state.h.is_empty() {
        state.h = vec![0.0];
    }
    for frame in frames {
        let word = heard[frame] as u32;
        if word != 0 && state.last != Some(word) {
            let id = (word + state.h[0] as u32) % WORDS;
            tokens.push(Token { id, frame: frame as u32, logprob: -0.1 });
            state.h[0] += 1.0;
        }
        state.last = Some(word);
    }
}

struct FakeLane {
    script: Script,
}

impl FakeLane {
    /// Takes time without reading the clock; ends early when interrupted.
    fn work(&self, frames: usize, interrupt: &Interrupt) -> Result<()> {
        let time = self.script.call + self.script.frame * frames as u32;
        let bell = Arc::new((Mutex::new(false), Condvar::new()));
        let ring = Arc::clone(&bell);
        let hook = move || {
            *ring.0.lock() = true;
            ring.1.notify_all();
        };
        let done = interrupt.during(hook, || {
            let rung = bell.0.lock();
            time.is_zero() || !bell.1.wait_while_for(rung, |rung| !*rung, time)
        });
        match done {
            Some(true) => Ok(()),
            _ => Err(Error::new(ErrorKind::Cancelled, "the call was ended")),
        }
    }
}

impl Lane for FakeLane {
    fn encode(&mut self, windows: &[&[f32]], interrupt: &Interrupt) -> Result<Encoded> {
        self.work(windows.iter().map(|w| w.len() / MELS).sum(), interrupt)?;
        let data: Vec<f32> = windows.iter().flat_map(|window| hear(window)).collect();
        let frames = windows.first().map_or(0, |w| encoder_frames(w.len() / MELS));
        understood(data, frames)
    }

    fn step(&mut self, steps: &mut [Step<'_>], interrupt: &Interrupt) -> Result<Encoded> {
        self.work(steps.iter().map(|step| step.mel.len() / MELS).sum(), interrupt)?;
        for step in &*steps {
            understood(hear(step.mel), 0)?;
        }
        let data = steps.iter_mut().flat_map(|step| hear_step(step.mel, step.frames, step.past));
        let data: Vec<f32> = data.collect();
        let frames = data.len() / steps.len().max(1);
        Ok(Encoded { data, frames, width: 1 })
    }

    fn decode(
        &mut self,
        encoded: &Encoded,
        item: usize,
        frames: Range<usize>,
        state: &mut DecoderState,
        tokens: &mut Vec<Token>,
        _interrupt: &Interrupt,
    ) -> Result<()> {
        let heard = &encoded.data[item * encoded.frames..(item + 1) * encoded.frames];
        decode(heard, frames, state, tokens);
        Ok(())
    }
}

/// Frames heard, unless the script breaks one of them.
fn understood(data: Vec<f32>, frames: usize) -> Result<Encoded> {
    if data.contains(&(FAILS as f32)) {
        return Err(Error::new(ErrorKind::Inference, "the script says so"));
    }
    assert!(!data.contains(&(PANICS as f32)), "the script says so");
    if data.contains(&(STAYS as f32)) {
        let never = Mutex::new(());
        drop(Condvar::new().wait_while(never.lock(), |()| true));
    }
    Ok(Encoded { data, frames, width: 1 })
}
