//! Ctrl-C and termination: the running work is cancelled, and the process ends soon whatever it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gigastt_core::Canceller;

use crate::failure::Exit;

/// How long the work may take to end by itself. Past it the process is stuck in a read that blocks or in
/// the loading of a model, where it holds no half-written file.
const GRACE: Duration = Duration::from_millis(150);

/// Whether the user wants the process to end.
pub(crate) struct Interrupt {
    fired: Arc<AtomicBool>,
    /// Cancelled at the first signal.
    pub canceller: Canceller,
}

impl Interrupt {
    /// Takes over the signals. Once in a process.
    pub(crate) fn install() -> Self {
        let interrupt = Self { fired: Arc::default(), canceller: Canceller::new() };
        let (fired, canceller) = (interrupt.fired.clone(), interrupt.canceller.clone());
        let taken = ctrlc::set_handler(move || {
            fired.store(true, Ordering::SeqCst);
            canceller.cancel();
            std::thread::sleep(GRACE);
            Exit::Interrupted.now();
        });
        if let Err(error) = taken {
            log::warn!("Ctrl-C ends the program without tidying up: {error}");
        }
        interrupt
    }

    /// Whether a signal came.
    pub(crate) fn fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }
}

/// Takes over the signals for a program that ends in its own time: at the first one `wish` is called, the
/// second one ends the process at once. Once in a process.
pub(crate) fn on_signal(wish: impl Fn() + Send + 'static) {
    let mut wished = false;
    let taken = ctrlc::set_handler(move || {
        if wished {
            Exit::Interrupted.now();
        }
        wished = true;
        wish();
    });
    if let Err(error) = taken {
        log::warn!("Ctrl-C ends the program without the last words: {error}");
    }
}
