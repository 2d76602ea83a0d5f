//! Recognises speech while it is spoken: raw 16-bit samples on standard input, text on standard output.
//!
//! ```sh
//! arecord -q -f S16_LE -r 16000 -c 1 -t raw | cargo run --release --example stream
//! ```

#![allow(clippy::print_stdout)]

use std::io::{Read as _, Write as _};

use gigastt_core::{EndpointRule, Engine, Event, Options, Recognizer, Result};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().threads(2).build()?;
    let mut recognizer = engine.recognizer(Options::new(16_000).endpoint(EndpointRule::assistant()))?;

    let mut chunk = Vec::new();
    // 20 ms at a time, and what is left at the end.
    while std::io::stdin().take(640).read_to_end(&mut chunk)? > 0 {
        let samples: Vec<i16> = chunk.as_chunks().0.iter().map(|s| i16::from_le_bytes(*s)).collect();
        push(&mut recognizer, &samples)?;
        chunk.clear();
        while let Some(event) = recognizer.poll_event() {
            show(event);
        }
        std::io::stdout().flush()?;
    }
    for segment in recognizer.finish()?.segments {
        println!("{}", segment.text);
    }
    Ok(())
}

/// A stream that is full takes a part; the rest is pushed when there is room.
fn push(recognizer: &mut Recognizer, mut samples: &[i16]) -> Result<()> {
    while !samples.is_empty() {
        let taken = recognizer.push_pcm(samples)?;
        samples = &samples[taken..];
        if taken == 0 {
            recognizer.wait_writable(None)?;
        }
    }
    Ok(())
}

fn show(event: Event) {
    match event {
        Event::Partial(partial) => print!("\r{} … ", partial.text),
        Event::Final(text) => println!("\r{}", text.text),
        Event::SpeechStarted { .. } | Event::End(_) => {}
    }
}
