//! A recognizer in a task: its next event, or room for audio.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream as _;
use gigastt_core::audio::pcm::Sample;
use gigastt_core::{Event, Recognizer, Result};

/// The most samples pushed at a time, so that one stream does not hold its thread for long.
pub(crate) const PIECE: usize = 4_800;

/// What the recognizer did.
pub(crate) enum Done {
    Event(Event),
    /// It took so many samples.
    Took(usize),
}

/// The next event, where `events` are wanted, or some of the audio taken; whichever is first. Loses nothing
/// when it is dropped.
pub(crate) async fn work<S: Sample>(recognizer: &mut Recognizer, audio: &[S], events: bool) -> Result<Done> {
    poll_fn(|context| poll(recognizer, audio, events, context)).await
}

fn poll<S: Sample>(
    recognizer: &mut Recognizer,
    audio: &[S],
    events: bool,
    context: &mut Context<'_>,
) -> Poll<Result<Done>> {
    if events && let Poll::Ready(Some(event)) = Pin::new(&mut recognizer.events()).poll_next(context) {
        return Poll::Ready(Ok(Done::Event(event)));
    }
    if audio.is_empty() {
        return Poll::Pending;
    }
    ready!(recognizer.poll_writable(context))?;
    Poll::Ready(recognizer.push_pcm(&audio[..audio.len().min(PIECE)]).map(Done::Took))
}
