//! `gigastt models`: what `--model` can name, which one is taken without it, and what can be fetched;
//! `gigastt models gc`.
//!
//! A model is a folder with its files. Installed models are the folders inside the models folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gigastt_core::download::{self, Leftover, MODELS, Pretrained};
use gigastt_core::{Bundle, Error, ErrorKind, Model, Result, optimize};
use serde::Serialize;

use crate::cli::{Models, ModelsCommand};
use crate::failure::{self, Exit};
use crate::output;

/// What `--model` takes for the model inside the program.
pub(crate) const EMBEDDED: &str = "embedded";

/// What it is good for.
const EMBEDDED_NOTE: &str =
    "a small model for tests and demonstrations, which understands synthesised speech and not people";

/// A model that is there.
#[derive(Debug, Serialize, PartialEq)]
struct Entry {
    /// What `--model` takes.
    model: String,
    /// Its full name.
    name: String,
    /// Which of several files of it; what `--quantization` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantization: Option<String>,
    /// Size of its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// The fast form that was made of it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    optimized: Option<Fast>,
    /// Files it lacks; with any it cannot be used.
    missing: Vec<String>,
    /// Whether it is taken without `--model`.
    default: bool,
}

/// A fast form.
#[derive(Debug, Serialize, PartialEq)]
struct Fast {
    form: &'static str,
    /// Whether products of 8-bit numbers take the exact way, as those of the processor saturate.
    precise: bool,
    deviation: f64,
}

/// Prints the list.
pub(crate) fn run(args: &Models) -> Exit {
    let folder = folder(args.model_dir.as_deref());
    if let Some(ModelsCommand::Gc { dry_run }) = args.command {
        return gc(folder.as_deref(), dry_run, args.json);
    }
    let entries = entries(folder.as_deref());
    let text = if args.json { output::line(&entries) } else { table(&entries, folder.as_deref()) };
    output::print(&text).map_or(Exit::SomeFailed, |()| Exit::Done)
}

/// The model to take when none is named: the first that is installed and complete, else the embedded
/// one, which is told in the log.
pub(crate) fn default_model(model_dir: Option<&Path>) -> Model {
    match folder(model_dir).as_deref().and_then(best) {
        Some(found) => Model::dir(found),
        None => {
            log::warn!("no model is installed, so this is the embedded one: {EMBEDDED_NOTE}");
            Model::embedded()
        }
    }
}

/// The installed model of this name.
///
/// # Errors
/// `ModelNotFound`.
pub(crate) fn installed_model(model: &Pretrained, model_dir: Option<&Path>) -> Result<Model> {
    let folder = folder(model_dir);
    match folder.as_deref().and_then(|folder| download::installed(folder, model.variant)) {
        Some(path) => Ok(Model::dir(path).variant(model.variant)),
        None => {
            let message = format!("it is not installed; `gigastt download {}` fetches it", model.name());
            Err(Error::new(ErrorKind::ModelNotFound, message).about(model.name()))
        }
    }
}

/// Where models are installed: the argument, else `models` in the user's data folder.
fn folder(model_dir: Option<&Path>) -> Option<PathBuf> {
    model_dir.map(Path::to_owned).or_else(|| download::models_folder().ok())
}

/// What was deleted, or would be.
#[derive(Serialize)]
struct Deleted {
    path: String,
    bytes: u64,
}

/// Deletes what unfinished downloads left, and fast forms that nothing uses.
fn gc(folder: Option<&Path>, dry_run: bool, json: bool) -> Exit {
    let act = if dry_run { download::leftovers } else { download::remove_leftovers };
    let all = |folder| {
        let mut left = act(folder)?;
        left.extend(unused_forms(folder, dry_run)?);
        Ok(left)
    };
    match folder.map_or(Ok(Vec::new()), all) {
        Ok(left) => {
            let text = if json { output::line(&deleted(&left)) } else { told(&left, dry_run) };
            output::print(&text).map_or(Exit::SomeFailed, |()| Exit::Done)
        }
        Err(error) => {
            failure::tell(&error);
            Exit::SomeFailed
        }
    }
}

/// The fast forms that nothing uses, deleted unless it is a dry run.
fn unused_forms(folder: &Path, dry_run: bool) -> Result<Vec<Leftover>> {
    let models = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let forms = models.flat_map(|model| optimize::leftovers(&model));
    let delete = |(path, bytes): (PathBuf, u64)| {
        if !dry_run {
            std::fs::remove_dir_all(&path).map_err(|e| Error::io(&path, &e))?;
        }
        Ok(Leftover { path, bytes })
    };
    forms.map(delete).collect()
}

fn deleted(left: &[Leftover]) -> Vec<Deleted> {
    left.iter().map(|file| Deleted { path: file.path.display().to_string(), bytes: file.bytes }).collect()
}

fn told(left: &[Leftover], dry_run: bool) -> String {
    let verb = if dry_run { "would delete" } else { "deleted" };
    let line = |file: &Leftover| format!("{verb} {}, {}\n", file.path.display(), megabytes(file.bytes));
    if left.is_empty() { "nothing to delete\n".into() } else { left.iter().map(line).collect() }
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The first folder with a complete model, the preferred variant first.
fn best(folder: &Path) -> Option<PathBuf> {
    let complete = installed(folder).into_iter().filter(|(_, bundle)| bundle.missing.is_empty());
    complete.min_by_key(|(_, bundle)| bundle.variant).map(|(path, _)| path)
}

/// The models in the folders inside `folder`, by the folders' names. A folder that cannot be read holds
/// none.
fn installed(folder: &Path) -> Vec<(PathBuf, Bundle)> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    let bundles = |path: PathBuf| {
        let bundles = gigastt_core::scan(&path).unwrap_or_default();
        bundles.into_iter().map(move |bundle| (path.clone(), bundle))
    };
    folders.into_iter().flat_map(bundles).collect()
}

fn entries(folder: Option<&Path>) -> Vec<Entry> {
    let default = folder.and_then(best);
    let mut entries: Vec<_> =
        folder.map(installed).unwrap_or_default().iter().map(Entry::installed).collect();
    entries.push(Entry {
        model: EMBEDDED.into(),
        name: EMBEDDED_NOTE.into(),
        quantization: None,
        bytes: None,
        optimized: None,
        missing: Vec::new(),
        default: false,
    });
    let default = default.map_or(EMBEDDED.into(), |path| path.display().to_string());
    if let Some(entry) = entries.iter_mut().find(|entry| entry.model == default && entry.missing.is_empty()) {
        entry.default = true;
    }
    entries
}

impl Entry {
    fn installed((path, bundle): &(PathBuf, Bundle)) -> Self {
        Self {
            model: path.display().to_string(),
            name: bundle.variant.model_name().into(),
            quantization: bundle.quantization.clone(),
            bytes: Some(bundle.files.iter().map(|(_, bytes)| bytes).sum()),
            optimized: optimize::forms(bundle).first().map(|made| Fast {
                form: made.form.code(),
                precise: made.precise,
                deviation: made.deviation,
            }),
            missing: bundle.missing.iter().map(|path| path.display().to_string()).collect(),
            default: false,
        }
    }

    /// What the table says beside the model.
    fn remark(&self) -> String {
        let mut remark = self.name.clone();
        if let Some(quantization) = &self.quantization {
            let _ = write!(remark, ", {quantization}");
        }
        if let Some(bytes) = self.bytes {
            let _ = write!(remark, ", {}", megabytes(bytes));
        }
        match &self.optimized {
            Some(Fast { form, precise: true, .. }) => {
                let _ = write!(remark, "; runs as {form}, exact products (a processor without VNNI)");
            }
            Some(Fast { form, .. }) => {
                let _ = write!(remark, "; runs as {form}");
            }
            None => {}
        }
        if let Some(missing) = self.missing.first() {
            let _ = write!(remark, "; cannot be used: {missing} is missing");
        }
        remark
    }
}

fn table(entries: &[Entry], folder: Option<&Path>) -> String {
    let width = entries.iter().map(|entry| entry.model.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in entries {
        let mark = if entry.default { '*' } else { ' ' };
        let _ = writeln!(text, "{mark} {:width$}  {}", entry.model, entry.remark());
    }
    let name = folder.map_or("nowhere: set GIGASTT_MODEL_DIR".into(), |path| path.display().to_string());
    let _ = writeln!(text, "\n* is taken without --model. Installed models are folders in: {name}");
    text + &fetchable(folder) + &unfinished(folder)
}

/// The published models that are not there.
fn fetchable(folder: Option<&Path>) -> String {
    let there = |model: &Pretrained| {
        folder.is_some_and(|folder| download::installed(folder, model.variant).is_some())
    };
    let line = |model: &Pretrained| {
        let size = model
            .bytes_about()
            .map_or("size not known".into(), |bytes| format!("about {}", megabytes(bytes)));
        let sums = if model.is_verifiable() { "" } else { ", only with --unverified" };
        format!("  gigastt download {:<20} {size}, {} licence{sums}\n", model.name(), model.licence)
    };
    let lines: String = MODELS.iter().filter(|model| !there(model)).map(line).collect();
    if lines.is_empty() { lines } else { format!("Not installed:\n{lines}") }
}

/// What downloads left that did not end.
fn unfinished(folder: Option<&Path>) -> String {
    let left = folder.and_then(|folder| download::leftovers(folder).ok()).unwrap_or_default();
    if left.is_empty() {
        return String::new();
    }
    let bytes = megabytes(left.iter().map(|file| file.bytes).sum());
    format!("Unfinished: {bytes}, with which `gigastt download` goes on; `gigastt models gc` deletes it\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a folder of models with these files; wants these models and these that are the default.
    fn check(files: &[&str], expected: &[(&str, bool)]) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "1234567").unwrap();
        }
        let entries = entries(Some(folder.path()));
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (Path::new(&entry.model).file_name().unwrap().to_str().unwrap(), entry.default))
            .collect();
        assert_eq!(seen, expected, "{files:?}");
        let table = table(&entries, Some(folder.path()));
        assert_eq!(table.matches("* ").count(), 2, "{table}");
        assert!(table.contains(folder.path().to_str().unwrap()), "{table}");
    }

    #[test]
    fn an_installed_model_comes_before_the_embedded_one() {
        let ctc = ["a/v3_ctc.onnx", "a/v3_vocab.txt"];
        let e2e = ["b/v3_e2e_ctc.int8.onnx", "b/v3_e2e_ctc_vocab.txt"];
        check(&[], &[("embedded", true)]);
        check(&["a/notes.txt", "v3_ctc.onnx"], &[("embedded", true)]);
        check(&ctc, &[("a", true), ("embedded", false)]);
        check(&ctc[..1], &[("a", false), ("embedded", true)]);
        check(&[ctc, e2e].concat(), &[("a", false), ("b", true), ("embedded", false)]);
    }

    #[test]
    fn forms_that_nothing_uses_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let form = folder.path().join("a/optimized/v3_ctc.int8.0123456789abcdef.1");
        std::fs::create_dir_all(&form).unwrap();
        std::fs::write(form.join("encoder.weights"), "1234567").unwrap();
        let expected = [Leftover { path: form.clone(), bytes: 7 }];
        assert_eq!(unused_forms(folder.path(), true).unwrap(), expected);
        assert_eq!(unused_forms(folder.path(), false).unwrap(), expected);
        assert_eq!((unused_forms(folder.path(), false).unwrap(), form.exists()), (Vec::new(), false));
    }

    #[test]
    fn what_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/v3_ctc.onnx"), "1234567").unwrap();
        let table = table(&entries(Some(folder.path())), None);
        assert!(table.contains("v3_vocab.txt is missing"), "{table}");
    }
}
