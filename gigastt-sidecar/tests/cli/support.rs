//! Running the program and making recordings for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A recording of the samples and what is said in it.
pub(crate) struct Sample {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is said.
    pub(crate) text: String,
}

/// The samples whose words the embedded model writes down exactly.
pub(crate) const EXACT: [&str; 6] =
    ["sample_00", "sample_01", "sample_02", "sample_04", "sample_05", "sample_08"];

/// A sample by its name.
pub(crate) fn sample(name: &str) -> Sample {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples");
    let text = fs::read_to_string(folder.join(name).with_extension("txt")).expect("a sample's text");
    Sample { path: folder.join(name).with_extension("wav"), text: text.trim().into() }
}

/// Runs the program with the embedded model, whatever is installed on this machine.
pub(crate) fn gigastt(args: &[&str]) -> Output {
    command(args).output().expect("the program starts")
}

/// The program, ready to run.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gigastt"));
    command.args(args).env("GIGASTT_MODEL", "embedded").env_remove("GIGASTT_LOG_LEVEL");
    command
}

/// What a run ended with: exit code, standard output, standard error.
pub(crate) fn ended(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A folder that goes away with the test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// The header of a wav file that holds `bytes` of samples.
pub(crate) struct Wav {
    /// 1: integers, 3: floats.
    pub(crate) encoding: u16,
    /// Interleaved channels.
    pub(crate) channels: u16,
    /// Samples per second and channel.
    pub(crate) rate: u32,
    /// Bits of a sample.
    pub(crate) bits: u16,
    /// What the header says about the length of the samples.
    pub(crate) bytes: u32,
}

impl Wav {
    /// 16 kHz mono, 16 bits.
    pub(crate) fn plain(bytes: u32) -> Self {
        Self { encoding: 1, channels: 1, rate: 16_000, bits: 16, bytes }
    }

    /// The 44 bytes.
    pub(crate) fn header(&self) -> Vec<u8> {
        let frame = self.channels.wrapping_mul(self.bits / 8);
        let mut out = b"RIFF".to_vec();
        out.extend(self.bytes.saturating_add(36).to_le_bytes());
        out.extend(b"WAVEfmt \x10\0\0\0");
        out.extend(self.encoding.to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        out.extend(self.rate.wrapping_mul(frame.into()).to_le_bytes());
        out.extend(frame.to_le_bytes());
        out.extend(self.bits.to_le_bytes());
        out.extend(b"data");
        out.extend(self.bytes.to_le_bytes());
        out
    }

    /// Header and samples.
    pub(crate) fn file(&self, samples: &[u8]) -> Vec<u8> {
        [&self.header(), samples].concat()
    }
}

/// The samples of a wav file of ours, as bytes: 16 kHz mono, 16 bits, nothing but the one header.
pub(crate) fn samples(path: &Path) -> Vec<u8> {
    let file = fs::read(path).expect("a recording");
    let at = file.windows(4).position(|four| four == b"data").expect("a data chunk");
    file[at + 8..].to_vec()
}
