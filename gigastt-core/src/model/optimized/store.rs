//! Where optimised forms lie: in `optimized/` inside the model's folder, each in a folder of its own that is
//! there whole or not at all and never changes.
//!
//! `GRAPH.FORM.KEY.N/` holds `encoder.onnx`, its weights, which are mapped into memory, what the source gave
//! for the fixed window, and a note of what it was made from. A newer one has a greater N. Files that are in
//! use are deleted by their names alone: who mapped them keeps them.

use std::fs::{self, DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest as _, Sha256};

use super::Form;
use crate::sync::FileLock;
use crate::{Error, ErrorKind, Result};

/// The folder inside the model's.
pub(super) const FOLDER: &str = "optimized";

/// The version of this arrangement and of the rewrite; a form of another one is made anew.
const REWRITE: u32 = 6;

/// What the names of folders end in that are being written.
const UNFINISHED: &str = ".part";

const GRAPH: &str = "encoder.onnx";
pub(super) const WEIGHTS: &str = "encoder.weights";
const EXPECTED: &str = "expected";
const NOTE: &str = "note";

/// Digits of the key in a name.
const KEY_DIGITS: usize = 16;

/// What a form is for: it suits no other version, provider or processor.
pub(super) struct Key(String);

impl Key {
    pub(super) fn new(runtime: &str, provider: &str, processor: &str) -> Self {
        Self(format!("rewrite {REWRITE}; {runtime}; {provider}; {processor}"))
    }

    fn digest(&self) -> String {
        let mut digest = hex(&Sha256::digest(self.0.as_bytes()));
        digest.truncate(KEY_DIGITS);
        digest
    }
}

/// The file a form is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified_ns: u64,
    sha256: String,
}

impl Source {
    /// Of the file at `path`, whose bytes are at hand.
    pub(super) fn of(path: &Path, content: &[u8]) -> Result<Self> {
        let (bytes, modified_ns) = stat(path)?;
        Ok(Self { bytes, modified_ns, sha256: hex(&Sha256::digest(content)) })
    }

    /// Whether the file at `path` is still that one. It is read only when its time has changed.
    fn is_still(&self, path: &Path) -> Result<bool> {
        const SECOND_NS: u64 = 1_000_000_000;
        let (bytes, modified_ns) = stat(path)?;
        // Archives and images keep whole seconds of a file's time.
        let whole_second = modified_ns.is_multiple_of(SECOND_NS);
        let same_time = modified_ns == self.modified_ns
            || (whole_second && modified_ns / SECOND_NS == self.modified_ns / SECOND_NS);
        if bytes != self.bytes || same_time {
            return Ok(bytes == self.bytes);
        }
        Ok(sum(path)? == self.sha256)
    }
}

/// The SHA-256 of a file.
fn sum(path: &Path) -> Result<String> {
    let failed = |e| Error::io(path, &e);
    let (mut file, mut piece, mut hash) =
        (File::open(path).map_err(failed)?, vec![0; 1 << 16], Sha256::new());
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&piece[..n]),
        }
    }
}

fn stat(path: &Path) -> Result<(u64, u64)> {
    let metadata = fs::metadata(path).map_err(|e| Error::io(path, &e))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((metadata.len(), modified.map_or(0, |time| time.as_nanos() as u64)))
}

/// What is noted of a form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    pub form: Form,
    pub key: String,
    pub source: Source,
    /// Matrix products in 8 bits.
    pub products: usize,
    pub deviation: f64,
    /// Whether products take the exact way, as this processor's fast one would saturate.
    pub precise: bool,
    graph_bytes: u64,
    weights_bytes: u64,
    expected_bytes: u64,
}

impl Note {
    fn text(&self) -> String {
        let Self { form, key, source, products, deviation, precise, .. } = self;
        let Source { bytes, modified_ns, sha256 } = source;
        let sizes = format!("{} {} {}", self.graph_bytes, self.weights_bytes, self.expected_bytes);
        format!(
            "form {}\nkey {key}\nsource {bytes} {modified_ns} {sha256}\nproducts {products}\n\
             deviation {deviation:e}\nprecise {precise}\nsizes {sizes}\n",
            form.code()
        )
    }

    /// Provider and processor of its key.
    fn machine(&self) -> &str {
        let start = self.key.rmatch_indices("; ").nth(1).map_or(0, |(at, _)| at);
        self.key.split_at(start).1
    }

    fn parse(text: &str) -> Option<Self> {
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let mut source = line("source")?.split(' ');
        let mut sizes = line("sizes")?.split(' ').map(|size| size.parse().ok());
        Some(Self {
            form: Form::from_code(line("form")?)?,
            key: line("key")?.into(),
            source: Source {
                bytes: source.next()?.parse().ok()?,
                modified_ns: source.next()?.parse().ok()?,
                sha256: source.next()?.into(),
            },
            products: line("products")?.parse().ok()?,
            deviation: line("deviation")?.parse().ok()?,
            precise: line("precise")?.parse().ok()?,
            graph_bytes: sizes.next()??,
            weights_bytes: sizes.next()??,
            expected_bytes: sizes.next()??,
        })
    }
}

/// A form in its folder.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub folder: PathBuf,
    /// `None` when the folder is not what it was written as.
    pub note: Option<Note>,
    pub form: Form,
    digest: String,
    number: u64,
}

impl Stored {
    pub(super) fn graph(&self) -> PathBuf {
        self.folder.join(GRAPH)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.note.as_ref().map_or(0, |note| note.graph_bytes + note.weights_bytes)
    }

    /// Whether it can be used for the file at `source` under `key`. A file of the wrong size must not even
    /// be opened: what is missing of a mapped file kills the process.
    pub(super) fn suits(&self, source: &Path, key: &Key) -> Result<bool> {
        match &self.note {
            Some(note) => Ok(note.key == key.0 && note.source.is_still(source)?),
            None => Ok(false),
        }
    }

    /// What the source gave for the fixed window.
    pub(super) fn expected(&self) -> Result<Vec<f32>> {
        let path = self.folder.join(EXPECTED);
        let bytes = fs::read(&path).map_err(|e| Error::io(&path, &e))?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// Deletes it.
    pub(super) fn delete(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, &e))
    }
}

/// The forms of the graph `source`, the newest first.
pub(super) fn of(source: &Path) -> Vec<Stored> {
    let (Some(folder), Some(stem)) = (source.parent(), source.file_stem().and_then(|stem| stem.to_str()))
    else {
        return Vec::new();
    };
    let mut found: Vec<_> =
        entries(&folder.join(FOLDER)).into_iter().filter_map(|path| stored(path, stem)).collect();
    found.sort_by_key(|stored| std::cmp::Reverse(stored.number));
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn stored(folder: PathBuf, stem: &str) -> Option<Stored> {
    let name = folder.file_name()?.to_str()?.strip_prefix(stem)?.strip_prefix('.')?;
    let mut parts = name.split('.');
    let (form, digest) = (Form::from_code(parts.next()?)?, parts.next()?.to_owned());
    let (number, None) = (parts.next()?.parse().ok()?, parts.next()) else { return None };
    let note = fs::read_to_string(folder.join(NOTE)).ok().and_then(|text| Note::parse(&text));
    let note = note.filter(|note| {
        let whole = |name: &str, bytes| fs::metadata(folder.join(name)).is_ok_and(|m| m.len() == bytes);
        whole(GRAPH, note.graph_bytes)
            && whole(WEIGHTS, note.weights_bytes)
            && whole(EXPECTED, note.expected_bytes)
    });
    Some(Stored { folder, note, form, digest, number })
}

/// The right to write forms beside a graph. Other processes wait for it.
pub(super) struct Writer {
    folder: PathBuf,
    stem: String,
    source: PathBuf,
    _lock: Option<FileLock>,
}

impl Writer {
    /// Waits for it.
    ///
    /// # Errors
    /// `Io` when nothing can be written there.
    pub(super) fn new(source: &Path) -> Result<Self> {
        let (Some(parent), Some(stem)) = (source.parent(), source.file_stem()) else {
            return Err(Error::new(ErrorKind::InvalidArgument, "expected a file in a folder").in_file(source));
        };
        let (folder, stem) = (parent.join(FOLDER), stem.to_string_lossy().into_owned());
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, &e))?;
        let path = folder.join(".lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|e| Error::io(&path, &e))?;
        // Where there are no locks two processes may both make one, of which the newer is used.
        let lock = lock.lock().map(|()| FileLock::held(lock)).ok();
        Ok(Self { folder, stem, source: source.into(), _lock: lock })
    }

    /// A folder to write in, which [`commit`](Self::commit) gives its name.
    pub(super) fn begin(&self) -> Result<Unfinished> {
        self.sweep();
        let folder = self.folder.join(format!("{}.{}{UNFINISHED}", self.stem, std::process::id()));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).map_err(|e| Error::io(&folder, &e))?;
        Ok(Unfinished { folder })
    }

    /// Deletes what writers left that ended before they were done.
    fn sweep(&self) {
        let left = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{}.", self.stem)) && name.ends_with(UNFINISHED)
        };
        for path in entries(&self.folder).into_iter().filter(|path| left(path)) {
            if let Err(error) = fs::remove_dir_all(&path) {
                log::warn!("{}: {error}", path.display());
            }
        }
    }

    /// Makes what was written the form that is used, and deletes those it replaces.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn commit(
        &self,
        written: &Unfinished,
        key: &Key,
        form: Form,
        source: Source,
        facts: Facts<'_>,
    ) -> Result<Stored> {
        let size = |name: &str| {
            let path = written.folder.join(name);
            fs::metadata(&path).map(|metadata| metadata.len()).map_err(|e| Error::io(&path, &e))
        };
        let Facts { products, deviation, precise, expected } = facts;
        let bytes: Vec<u8> = expected.iter().flat_map(|value| value.to_le_bytes()).collect();
        write(&written.folder.join(EXPECTED), &bytes)?;
        let note = Note {
            form,
            key: key.0.clone(),
            source,
            products,
            deviation,
            precise,
            graph_bytes: size(GRAPH)?,
            weights_bytes: size(WEIGHTS)?,
            expected_bytes: bytes.len() as u64,
        };
        write(&written.folder.join(NOTE), note.text().as_bytes())?;
        for name in [GRAPH, WEIGHTS, EXPECTED, NOTE] {
            settle(&written.folder.join(name))?;
        }
        sync_folder(&written.folder)?;
        let (digest, older) = (key.digest(), of(&self.source));
        let number = older.first().map_or(0, |newest| newest.number) + 1;
        let folder = self.folder.join(format!("{}.{}.{digest}.{number}", self.stem, form.code()));
        fs::rename(&written.folder, &folder).map_err(|e| Error::io(&folder, &e))?;
        sync_folder(&self.folder)?;
        for replaced in older.iter().filter(|older| older.digest == digest) {
            replaced.delete()?;
        }
        Ok(Stored { folder, note: Some(note), form, digest, number })
    }
}

/// What is known of a form that was written.
pub(super) struct Facts<'a> {
    pub products: usize,
    pub deviation: f64,
    pub precise: bool,
    pub expected: &'a [f32],
}

/// A folder that goes away unless it got its name.
pub(super) struct Unfinished {
    pub folder: PathBuf,
}

impl Unfinished {
    pub(super) fn graph(&self) -> PathBuf {
        self.folder.join(GRAPH)
    }

    /// Makes sure that there is a file of weights: ONNX Runtime writes none where there are none of any size.
    pub(super) fn weights(&self) -> Result<()> {
        let path = self.folder.join(WEIGHTS);
        if path.exists() { Ok(()) } else { write(&path, &[]) }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.folder.exists() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The folders of forms that no graph uses any more, and those that were not finished, with their sizes.
pub(super) fn leftovers(model: &Path) -> Vec<(PathBuf, u64)> {
    let folder = model.join(FOLDER);
    // Who writes now holds the lock.
    if File::open(folder.join(".lock")).is_ok_and(|file| FileLock::unless_held(file).is_none()) {
        return Vec::new();
    }
    let graphs: Vec<_> =
        entries(model).into_iter().filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    let mut used = Vec::new();
    for graph in &graphs {
        let mut machines = Vec::new();
        for Stored { folder, note, .. } in of(graph) {
            let is_fresh = |note: &Note| stat(graph).is_ok_and(|(bytes, _)| bytes == note.source.bytes);
            // One for each kind of machine, the newest, while its source has the same size. Those before were
            // made for another ONNX Runtime or by another release.
            let Some(note) = note.filter(is_fresh) else { continue };
            let machine = note.machine().to_owned();
            if !machines.contains(&machine) {
                machines.push(machine);
                used.push(folder);
            }
        }
    }
    let folders = entries(&folder).into_iter().filter(|path| path.is_dir() && !used.contains(path));
    folders
        .map(|path| {
            (path.clone(), entries(&path).iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum())
        })
        .collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create(path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|e| Error::io(path, &e))
}

/// Brings a file to the disk, and keeps others from changing it.
fn settle(path: &Path) -> Result<()> {
    let settled = File::options().write(true).open(path).and_then(|file| {
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        file.sync_all()
    });
    settled.map_err(|e| Error::io(path, &e))
}

fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| Error::io(folder, &e))?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
