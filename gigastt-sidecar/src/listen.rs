//! `gigastt listen`: live samples in, text out while it is being said.
//!
//! One thread reads samples, this one recognises and shows. All that can happen (samples, the end of
//! them, news from the model, a wish to end) rings through one bounded channel, so nothing polls and
//! a slow model slows the reading down.

mod input;
#[cfg(feature = "microphone")]
mod microphone;
mod view;

use std::io::{self, ErrorKind::BrokenPipe, IsTerminal as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream as _;
use gigastt_core::audio::Format;
use gigastt_core::audio::pcm::SampleFormat;
use gigastt_core::{
    End, EndpointReason, EndpointRule, Error, ErrorKind, Event, Mode, Options, Recognizer, Result,
};

use self::input::{Heard, Input};
use self::view::View;
use crate::cli::{self, Listen};
use crate::engine;
use crate::failure::{Exit, tell};
use crate::interrupt::on_signal;

/// Pieces of audio that wait to be recognised, at most. At it the reader waits, and with it the pipe.
const PIECES_MAX: usize = 64;

/// Listens until the audio ends, Ctrl-C, or nobody reads the text any more.
pub(crate) fn run(args: &Listen) -> Exit {
    let (bell, inbox) = sync_channel(PIECES_MAX);
    let stop = Arc::new(AtomicBool::new(false));
    let source = match Source::open(args, &bell, &stop) {
        Ok(source) => source,
        Err(error) => return ended(&error, Exit::Usage),
    };
    let wish = (Arc::clone(&stop), bell.clone());
    on_signal(move || {
        wish.0.store(true, Ordering::SeqCst);
        // A full channel wakes the listener as well.
        let _ = wish.1.try_send(Input::News);
    });
    let engine = match engine::build(&args.engine) {
        Ok(engine) => engine,
        Err(error) => return ended(&error, Exit::without_engine(&error)),
    };
    let options = match options(args, source.format) {
        Ok(options) => options,
        Err(error) => return ended(&error, Exit::Usage),
    };
    let recognizer = match engine.recognizer(options) {
        Ok(recognizer) => recognizer,
        Err(error) => return ended(&error, Exit::Usage),
    };
    let view = View::new(args.json);
    let waker = Waker::from(Arc::new(Bell(bell)));
    let mut listener =
        Listener { recognizer, channels: source.format.channels.into(), inbox, waker, stop, view };
    let result = listener.listen();
    match result {
        Ok(()) => Exit::Done,
        Err(Stop::Unread) => Exit::Done,
        Err(Stop::Failed(error)) => {
            listener.view.error(&error);
            ended(&error, Exit::SomeFailed)
        }
    }
}

fn ended(error: &Error, exit: Exit) -> Exit {
    tell(error);
    exit
}

fn options(args: &Listen, format: Format) -> Result<Options> {
    let mode = match args.mode {
        cli::Mode::TwoPass => Mode::TwoPass,
        cli::Mode::Incremental => Mode::Incremental,
    };
    let rule = EndpointRule::profile(&args.endpoint)?;
    let channels = engine::channels(args.channel);
    Ok(Options { format, channels, ..Options::new(format.sample_rate).endpoint(rule).mode(mode) })
}

/// Where the samples come from, and what they are. Dropping it ends a microphone.
struct Source {
    format: Format,
    #[cfg(feature = "microphone")]
    _microphone: Option<microphone::Microphone>,
}

impl Source {
    fn open(args: &Listen, bell: &SyncSender<Input>, stop: &Arc<AtomicBool>) -> Result<Self> {
        #[cfg(feature = "microphone")]
        if let Some(name) = &args.microphone {
            let microphone = microphone::Microphone::open(name.as_deref(), bell.clone())?;
            return Ok(Self { format: microphone.format(), _microphone: Some(microphone) });
        }
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let message = "expected samples from a pipe, found a terminal; for example: \
                           arecord -f S16_LE -r 16000 -t raw | gigastt listen";
            return Err(Error::new(ErrorKind::InvalidArgument, message).about("standard input"));
        }
        let format = Format { sample_rate: args.rate, channels: args.channels };
        format.validate()?;
        let encoding: SampleFormat = args.format.parse()?;
        input::read(stdin, encoding, args.channels, bell.clone(), Arc::clone(stop))?;
        Ok(Self {
            format,
            #[cfg(feature = "microphone")]
            _microphone: None,
        })
    }
}

/// Tells the listener that the recognizer has news.
struct Bell(SyncSender<Input>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // When it is full the listener comes by anyway.
        let _ = self.0.try_send(Input::News);
    }
}

/// Why the listening ended before the stream did.
enum Stop {
    /// Nobody reads standard output any more.
    Unread,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Listener {
    recognizer: Recognizer,
    channels: usize,
    inbox: Receiver<Input>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    view: View,
}

impl Listener {
    /// Takes in and shows until the end. What was heard before a failure is still written.
    fn listen(&mut self) -> Result<(), Stop> {
        let heard = self.take_in();
        match &heard {
            Ok(()) | Err(Stop::Failed(_)) => {}
            Err(Stop::Unread) => return heard,
        }
        if self.recognizer.close(EndpointReason::Finish).is_err() {
            return heard;
        }
        let end = loop {
            match self.show()? {
                Some(end) => break end,
                // The bell holds a sender: the channel does not end before the stream.
                None => drop(self.inbox.recv()),
            }
        };
        heard.and(end.into_result().map_err(Stop::from))
    }

    /// Takes in samples until their end, a failure, or a wish to end; then what was read by then.
    fn take_in(&mut self) -> Result<(), Stop> {
        loop {
            if let Some(end) = self.show()? {
                end.into_result()?;
            }
            let next = match self.stop.load(Ordering::SeqCst) {
                true => self.inbox.try_recv().ok(),
                false => self.inbox.recv().ok(),
            };
            match next {
                Some(Input::News) => {}
                Some(Input::Heard(heard)) => self.hear(&heard)?,
                Some(Input::Failed(error)) => return Err(error.into()),
                Some(Input::End) | None => return Ok(()),
            }
        }
    }

    fn hear(&mut self, heard: &Heard) -> Result<(), Stop> {
        let mut lost = heard.lost;
        while lost > 0 {
            lost -= self.recognizer.gap(lost)?;
            self.make_room(lost > 0)?;
        }
        let mut samples = heard.samples.as_slice();
        debug_assert!(samples.len().is_multiple_of(self.channels), "the reader keeps channels together");
        while !samples.is_empty() {
            let taken = self.recognizer.push_pcm(samples)?;
            samples = &samples[taken..];
            self.make_room(taken == 0)?;
        }
        Ok(())
    }

    /// When the recognizer is full: shows what is done and waits.
    fn make_room(&mut self, full: bool) -> Result<(), Stop> {
        if full {
            self.show()?;
            self.recognizer.wait_writable(None)?;
        }
        Ok(())
    }

    /// Shows everything that is new. Returns the end, once.
    fn show(&mut self) -> Result<Option<End>, Stop> {
        let mut context = Context::from_waker(&self.waker);
        let mut events = self.recognizer.events();
        while let Poll::Ready(event) = Pin::new(&mut events).poll_next(&mut context) {
            match event {
                Some(Event::End(end)) => return Ok(Some(end)),
                None => return Ok(Some(End::Finished)),
                Some(event) => match self.view.event(&event) {
                    Ok(()) => {}
                    Err(error) if error.kind() == BrokenPipe => return Err(Stop::Unread),
                    Err(error) => return Err(Error::io(Path::new("standard output"), &error).into()),
                },
            }
        }
        Ok(None)
    }
}
