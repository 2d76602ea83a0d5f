//! The progress bar: on a terminal, and nowhere else.

use std::path::Path;

use gigastt_core::Progress;
use gigastt_core::download::FetchEvent;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const KNOWN: &str = "{prefix} [{bar:32}] {percent}% {msg}, {eta} left";
const UNKNOWN: &str = "{prefix} {spinner} {msg}";

/// Shows how far a recording is. Draws on standard error when that is a terminal; hidden otherwise.
pub(crate) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar for one recording; `quiet` hides it.
    pub(crate) fn new(file: &Path, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style(UNKNOWN));
        bar.set_prefix(file.display().to_string());
        Self { bar }
    }

    /// Moves it.
    pub(crate) fn show(&self, progress: Progress) {
        if let (None, Some(total_s)) = (self.bar.length(), progress.total_s) {
            self.bar.set_length(milliseconds(total_s));
            self.bar.set_style(style(KNOWN));
        }
        self.bar.set_position(milliseconds(progress.done_s));
        self.bar.set_message(format!(
            "{} done, {:.0} times real time",
            clock(progress.done_s),
            progress.done_s / self.bar.elapsed().as_secs_f64().max(0.001)
        ));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const SIZED: &str = "{prefix} [{bar:32}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const UNSIZED: &str = "{prefix} {spinner} {bytes}, {bytes_per_sec}";

/// Shows how far a download is. Draws on standard error when that is a terminal; hidden otherwise.
pub(crate) struct FetchBar {
    bar: ProgressBar,
}

impl FetchBar {
    /// A bar for one model; `quiet` hides it.
    pub(crate) fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self { bar: ProgressBar::with_draw_target(None, target).with_style(style(UNKNOWN)) }
    }

    /// Shows that the model is made fast.
    pub(crate) fn optimizing(&self) {
        self.bar.set_style(style(UNKNOWN));
        self.bar.set_message("is made fast for this machine");
        self.bar.tick();
    }

    /// Shows what happened.
    pub(crate) fn show(&self, event: FetchEvent<'_>) {
        match event {
            FetchEvent::Waiting => {
                self.bar.set_style(style(UNKNOWN));
                self.bar.set_message("waits for another process, which fetches it");
                self.bar.tick();
            }
            FetchEvent::File { file } => {
                self.bar.set_style(style(UNSIZED));
                self.bar.set_prefix(file.to_owned());
                self.bar.set_position(0);
            }
            FetchEvent::Bytes { file: _, done, total } => {
                if let Some(total) = total.filter(|total| self.bar.length() != Some(*total)) {
                    self.bar.set_length(total);
                    self.bar.set_style(style(SIZED));
                    // What an earlier attempt brought says nothing about the speed of this one.
                    self.bar.set_position(done);
                    self.bar.reset_eta();
                }
                self.bar.set_position(done);
            }
            FetchEvent::Retry { file, reason, wait } => {
                let wait = wait.as_secs();
                self.bar.println(format!("{file}: {reason}; tried again in {wait} s"));
            }
            FetchEvent::Installed { file, sha256, verified: false, .. } => {
                self.bar.println(format!("{file}: not verified; its SHA-256 is {sha256}"));
            }
            FetchEvent::Installed { .. } => {}
        }
    }
}

impl Drop for FetchBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

/// `H:MM:SS`.
fn clock(seconds: f64) -> String {
    let s = seconds as u64;
    format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [KNOWN, UNKNOWN, SIZED, UNSIZED] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn a_clock_shows_hours() {
        assert_eq!(clock(3_725.9), "1:02:05");
    }
}
