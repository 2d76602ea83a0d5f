//! How live text is shown: on a terminal, in a pipe, to programs.

use std::io::{self, IsTerminal as _};

use console::{Style, Term};
use gigastt_core::{Error, Event, Partial};

use crate::messages::{self, Message, Messages};
use crate::output;

/// Who reads.
pub(super) enum View {
    /// A person: the running sentence on the last line, rewritten as it grows; finals above.
    Terminal,
    /// A file or a pipe: finals, each on a line.
    Lines,
    /// A program: everything, each on a line.
    Json(Messages),
}

/// Back to the line's start, and empty it.
const AGAIN: &str = "\r\x1b[2K";

impl View {
    pub(super) fn new(json: bool) -> Self {
        let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if json {
            Self::Json(Messages::default())
        } else if io::stdout().is_terminal() && !dumb() {
            Self::Terminal
        } else {
            Self::Lines
        }
    }

    /// Shows an event.
    ///
    /// # Errors
    /// As `output::print`.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        match (self, event) {
            (Self::Json(messages), event) => match messages.event(event, messages::now()) {
                Some(message) => output::print(&output::line(&message)),
                None => Ok(()),
            },
            (Self::Terminal, Event::Partial(partial)) => {
                let (_, columns) = Term::stdout().size();
                output::print(&format!("{AGAIN}{}", running(partial, columns.into())))
            }
            (Self::Terminal, Event::Final(text)) if text.text.is_empty() => output::print(AGAIN),
            (Self::Terminal, Event::Final(text)) => output::print(&format!("{AGAIN}{}\n", text.text)),
            (Self::Lines, Event::Final(text)) if !text.text.is_empty() => {
                output::print(&format!("{}\n", text.text))
            }
            (Self::Terminal | Self::Lines, _) => Ok(()),
        }
    }

    /// Tells programs of an error; people read it on standard error.
    pub(super) fn error(&self, error: &Error) {
        if let Self::Json(_) = self {
            // Should nobody read any more, standard error has it as well.
            let _ = output::print(&output::line(&Message::error(error)));
        }
    }
}

/// The running sentence in one line of the terminal: what is stable in bold, the rest dim. Of a longer one
/// the end, for what scrolled away could not be rewritten.
fn running(partial: &Partial, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    let hidden = partial.text.chars().count().saturating_sub(room);
    // One more for the mark that stands for them.
    let hidden = if hidden > 0 { hidden + 1 } else { 0 };
    let from = partial.text.char_indices().nth(hidden).map_or(partial.text.len(), |(at, _)| at);
    let mark = if hidden > 0 { "…" } else { "" };
    let stable = partial.text.get(from..partial.stable_bytes).unwrap_or_default();
    let rest = &partial.text[partial.stable_bytes.max(from)..];
    let (bold, dim) = (Style::new().bold(), Style::new().dim());
    format!("{}{}{}", dim.apply_to(mark), bold.apply_to(stable), dim.apply_to(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOLD: &str = "\x1b[1m";
    const DIM: &str = "\x1b[2m";
    const PLAIN: &str = "\x1b[0m";

    fn check(text: &str, stable: &str, columns: usize, expected: &[(&str, &str)]) {
        console::set_colors_enabled(true);
        let partial = Partial { text: text.into(), stable_bytes: stable.len(), ..Partial::default() };
        let expected: String =
            expected.iter().map(|(weight, text)| format!("{weight}{text}{PLAIN}")).collect();
        let shown = running(&partial, columns).replace(&format!("{DIM}{PLAIN}"), "");
        assert_eq!(shown.replace(&format!("{BOLD}{PLAIN}"), ""), expected, "{text} in {columns} columns");
    }

    #[test]
    fn stable_text_has_a_weight_of_its_own() {
        check("Включи свет", "Включи", 80, &[(BOLD, "Включи"), (DIM, " свет")]);
        check("Включи свет", "Включи свет", 80, &[(BOLD, "Включи свет")]);
        check("Включи свет", "", 80, &[(DIM, "Включи свет")]);
        check("", "", 80, &[]);
    }

    #[test]
    fn a_long_sentence_shows_its_end() {
        check("Включи свет", "Включи", 12, &[(BOLD, "Включи"), (DIM, " свет")]);
        check("Включи свет", "Включи", 11, &[(DIM, "…"), (BOLD, "лючи"), (DIM, " свет")]);
        check("Включи свет", "Включи", 6, &[(DIM, "…"), (DIM, "свет")]);
        check("Включи свет", "Включи", 1, &[(DIM, "…")]);
        check("Включи свет", "Включи", 0, &[(DIM, "…")]);
    }
}
