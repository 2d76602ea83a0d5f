//! Transcribes an audio file with the embedded model.
//!
//! ```sh
//! cargo run --release --example transcribe tests/samples/sample_00.wav
//! ```

#![allow(clippy::print_stdout)]

use gigastt_core::{Engine, Model, Options, Result};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let engine = Engine::builder().model(Model::embedded()).build()?;
    let transcript = engine.transcribe(path.as_str(), &Options::file())?;
    for word in transcript.words() {
        println!("{:7.2} {:7.2}  {:.2}  {}", word.start, word.end, word.confidence, word.text);
    }
    println!("{}", transcript.text);
    Ok(())
}
