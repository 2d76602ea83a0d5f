//! Lists of recordings with what is said in them.
//!
//! | a file that ends with | is read as |
//! |---|---|
//! | `.tsv` with a first line that names `path` and `sentence` | Common Voice |
//! | `.tsv` without | FLEURS: number, file, text, ... |
//! | anything else | a JSON object per line, as Golos and NeMo have them |

use std::path::{Path, PathBuf};

use gigastt_core::{Error, ErrorKind, Result};
use serde::Deserialize;

/// A recording and what is said in it.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// The recording as the manifest names it.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What is said.
    pub text: String,
    /// What somebody's recogniser made of it.
    pub predicted: Option<String>,
}

/// A line of JSON. The names are those of NeMo, Golos and of sets on the hub.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "audio_path", alias = "audio", alias = "path", alias = "file")]
    audio_filepath: String,
    #[serde(alias = "transcription", alias = "sentence", alias = "raw_transcription")]
    text: String,
    pred_text: Option<String>,
}

/// Reads a manifest. `audio` is the folder its files are in; without it they are looked for where each kind of
/// set has them: beside the manifest, in `clips`, in `audio/NAME OF THE MANIFEST`, and in the folders above.
///
/// # Errors
/// `Io`, or `InvalidArgument` with the line that is not as expected.
pub(super) fn read(manifest: &Path, audio: Option<&Path>, limit: Option<usize>) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(manifest).map_err(|error| Error::io(manifest, &error))?;
    let tab = manifest.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"));
    let lines = if tab { tabbed(&text) } else { json(&text) };
    let place = |line: Line| {
        let path = find(manifest, audio, &line.audio_filepath);
        Entry { name: line.audio_filepath, path, text: line.text, predicted: line.pred_text }
    };
    let taken = lines.take(limit.unwrap_or(usize::MAX)).map(|line| line.map(place));
    let entries: Vec<_> = taken.collect::<Result<_>>().map_err(|error| error.in_file(manifest))?;
    if entries.is_empty() {
        return Err(invalid("expected a line for each recording, found none").in_file(manifest));
    }
    Ok(entries)
}

type Lines<'a> = Box<dyn Iterator<Item = Result<Line>> + 'a>;

fn json(text: &str) -> Lines<'_> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    Box::new(lines.map(|(number, line)| {
        serde_json::from_str(line).map_err(|error| {
            let expected = "expected an object with audio_filepath and text";
            invalid(format!("line {number}: {expected}: {error}"))
        })
    }))
}

fn tabbed(text: &str) -> Lines<'_> {
    let head: Vec<_> = text.lines().next().unwrap_or_default().split('\t').collect();
    let column = |name| head.iter().position(|column| *column == name);
    let (first, file, sentence) = match (column("path"), column("sentence")) {
        (Some(file), Some(sentence)) => (1, file, sentence),
        _ => (0, 1, 2),
    };
    let lines = (1..).zip(text.lines()).skip(first).filter(|(_, line)| !line.trim().is_empty());
    Box::new(lines.map(move |(number, line)| {
        let cells: Vec<_> = line.split('\t').collect();
        match (cells.get(file), cells.get(sentence)) {
            (Some(&file), Some(&text)) => {
                Ok(Line { audio_filepath: file.into(), text: text.into(), pred_text: None })
            }
            _ => {
                let (expected, found) = (file.max(sentence) + 1, cells.len());
                Err(invalid(format!("line {number}: expected {expected} columns or more, found {found}")))
            }
        }
    }))
}

/// Where a recording lies: of the places that come into question the first that has it, else the first.
fn find(manifest: &Path, audio: Option<&Path>, name: &str) -> PathBuf {
    if let Some(folder) = audio {
        return folder.join(name);
    }
    let beside = manifest.parent().unwrap_or(Path::new(""));
    let set = Path::new("audio").join(manifest.file_stem().unwrap_or_default());
    let nested = [beside.join("clips").join(name), beside.join(set).join(name)];
    let above = beside.ancestors().skip(1).map(|folder| folder.join(name));
    let places = std::iter::once(beside.join(name)).chain(nested).chain(above);
    places.into_iter().find(|place| place.is_file()).unwrap_or_else(|| beside.join(name))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Reads a manifest in a folder with these empty files. Returns each recording's place and text.
    fn check(name: &str, text: &str, files: &[&str], expected: &[(&str, &str)]) {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        let manifest = folder.path().join(name);
        fs::create_dir_all(manifest.parent().expect("a parent")).expect("a folder");
        fs::write(&manifest, text).expect("a manifest");
        let entries = read(&manifest, None, None).expect("a manifest");
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (entry.path.strip_prefix(folder.path()).expect("inside"), entry.text.as_str()))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(path, text)| (Path::new(path), *text)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn golos_and_nemo() {
        let text = "{\"id\": \"1\", \"audio_filepath\": \"files/a.wav\", \"text\": \"раз\", \"duration\": 1.2}\n\n\
                    {\"audio_filepath\": \"b.wav\", \"text\": \"два\"}\n";
        check("manifest.jsonl", text, &["files/a.wav"], &[("files/a.wav", "раз"), ("b.wav", "два")]);
        // Names that count from a folder above.
        let text = "{\"audio_filepath\": \"test/crowd/a.wav\", \"text\": \"раз\"}";
        check("test/crowd/manifest.jsonl", text, &["test/crowd/a.wav"], &[("test/crowd/a.wav", "раз")]);
    }

    #[test]
    fn common_voice() {
        let text =
            "client_id\tpath\tsentence_id\tsentence\tup_votes\n1\ta.mp3\tx\tРаз.\t2\n1\tb.mp3\tx\tДва.\t2\n";
        check(
            "test.tsv",
            text,
            &["clips/a.mp3", "clips/b.mp3"],
            &[("clips/a.mp3", "Раз."), ("clips/b.mp3", "Два.")],
        );
    }

    #[test]
    fn fleurs() {
        let text = "1904\t12.wav\tВ 1990 году.\tв 1990 году\tв | 1 9 9 0 |\t150720\tMALE\n";
        check("test.tsv", text, &["audio/test/12.wav"], &[("audio/test/12.wav", "В 1990 году.")]);
    }

    #[test]
    fn what_is_no_manifest_is_told_with_its_line() {
        let check = |name: &str, text: &str, expected: &str| {
            let folder = tempfile::tempdir().expect("a folder");
            let manifest = folder.path().join(name);
            fs::write(&manifest, text).expect("a manifest");
            let error = read(&manifest, None, None).expect_err("no manifest");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("a.jsonl", "{\"audio_filepath\": \"a\", \"text\": \"\"}\nRIFF", "line 2: expected an object");
        check("a.jsonl", "{\"audio_filepath\": \"a\"}", "`text`");
        check("a.jsonl", "\n", "found none");
        check("a.tsv", "path\tsentence\na.mp3\n", "line 2: expected 2 columns or more, found 1");
        check("a.tsv", "path\tsentence\n", "found none");
    }
}
