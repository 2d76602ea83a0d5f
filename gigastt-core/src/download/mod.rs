//! Fetching the published models: resumed where it stopped, verified while it streams, installed by a rename.
//!
//! [`fetch`] brings a model of [`MODELS`] into a folder of its own inside the models folder. A file gets its
//! name only when its SHA-256 is the known one and its bytes are on the disk; until then it is `NAME.part`,
//! which the next attempt goes on with, whatever ended the last one. A lock file lets processes that want
//! the same model wait for the one that fetches it.
//!
//! `registry` is data, `reply` decides and has no I/O, `part` is the file on the disk, `http` the client.
//! Waits are those of the stream's mailbox, so that a canceller ends them.
//!
//! ```no_run
//! use gigastt_core::download::{FetchHooks, FetchOptions, fetch};
//!
//! # fn main() -> gigastt_core::Result<()> {
//! let model = &gigastt_core::download::MODELS[0];
//! let folder = fetch(model, &FetchOptions::from_env()?, FetchHooks::default())?;
//! let engine = gigastt_core::Engine::builder().model(gigastt_core::Model::dir(folder)).build()?;
//! # Ok(())
//! # }
//! ```

mod http;
mod part;
mod registry;
mod reply;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::registry::{MODELS, Pretrained, RemoteFile};

use self::http::{Broken, Client, Request, broken_body};
use self::part::Part;
use self::reply::{Meaning, Patience, WAIT_MAX, meaning};
use crate::engine::Mailbox;
use crate::sync::FileLock;
use crate::{Bundle, Canceller, Error, ErrorKind, Result, Variant, scan};

/// Where the published models are, unless `GIGASTT_HUB` names a mirror.
pub const HUB: &str = "https://huggingface.co";

/// The variable that names a mirror of the hub: the beginning of an address, up to the repository.
pub const HUB_VARIABLE: &str = "GIGASTT_HUB";

/// The variable that forbids to fetch anything.
pub const OFFLINE_VARIABLE: &str = "GIGASTT_OFFLINE";

/// The variable that names the models folder.
pub const FOLDER_VARIABLE: &str = "GIGASTT_MODEL_DIR";

/// How often another process's lock is tried.
const LOCK_EVERY: Duration = Duration::from_millis(200);

/// Bytes between two [`FetchEvent::Bytes`].
const TELL_EVERY: u64 = 1 << 20;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 16;

/// Where the lock files are, inside the models folder. They are never deleted: who waits for one holds it
/// open, and would lock a file that is no longer there for others.
const LOCKS: &str = ".locks";

/// What onnx-asr needs beside the files, or it takes the front-end of an earlier version without a word.
const CONFIG: (&str, &str) =
    ("config.json", "{\"version\": \"v3\", \"features_size\": 64, \"subsampling_factor\": 4}\n");

/// What a file whose sum this release does not know is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Nothing: it is not fetched.
    #[default]
    Sums,
    /// It is taken on the hub's word, when it came whole. Known sums are checked all the same.
    Hub,
}

/// How a model is fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchOptions {
    /// The models folder, which gets a folder for each model.
    pub folder: PathBuf,
    /// The beginning of the addresses; `None`: nothing is fetched.
    pub hub: Option<String>,
    /// What is taken.
    pub trust: Trust,
    /// A connection that brings nothing for so long is given up; default 30 s.
    pub stall: Duration,
    /// Failures in a row, without a megabyte of progress between them, after which it is given up; default 6,
    /// which is half a minute of waiting.
    pub attempts: u32,
}

impl FetchOptions {
    /// From the hub, into `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            hub: Some(HUB.into()),
            trust: Trust::Sums,
            stall: Duration::from_secs(30),
            attempts: 6,
        }
    }

    /// What the environment says: `GIGASTT_MODEL_DIR`, `GIGASTT_HUB`, `GIGASTT_OFFLINE`.
    ///
    /// # Errors
    /// `ModelNotFound` when there is no place for models.
    pub fn from_env() -> Result<Self> {
        Ok(Self::new(models_folder()?).hub_from_env())
    }

    /// With the hub that the environment names, if any: `GIGASTT_HUB`, `GIGASTT_OFFLINE`.
    #[must_use]
    pub fn hub_from_env(mut self) -> Self {
        if let Some(hub) = variable(HUB_VARIABLE) {
            self.hub = Some(hub);
        }
        if is_offline() {
            self.hub = None;
        }
        self
    }
}

/// Whether `GIGASTT_OFFLINE` forbids to fetch: it is set, and not to `0` or `false`.
pub fn is_offline() -> bool {
    variable(OFFLINE_VARIABLE).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The models folder: what `GIGASTT_MODEL_DIR` names, else `gigastt/models` in the user's data folder.
///
/// # Errors
/// `ModelNotFound` when this user has no data folder.
pub fn models_folder() -> Result<PathBuf> {
    let standard = || Some(directories::ProjectDirs::from("", "", "gigastt")?.data_dir().join("models"));
    variable(FOLDER_VARIABLE).map(PathBuf::from).or_else(standard).ok_or_else(|| {
        Error::new(ErrorKind::ModelNotFound, "this user has no data folder; name one for models")
            .about(FOLDER_VARIABLE)
    })
}

/// What happens while a model is fetched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FetchEvent<'a> {
    /// Another process fetches this model; this one waits for it.
    Waiting,
    /// A file is asked for.
    File {
        /// Its name.
        file: &'a str,
    },
    /// Bytes came: after the answer's head, after each megabyte, and at the end.
    Bytes {
        /// The file's name.
        file: &'a str,
        /// Bytes that are there, from earlier attempts too.
        done: u64,
        /// Size of the whole file; `None` when the server does not tell.
        total: Option<u64>,
    },
    /// It went wrong and is tried again.
    Retry {
        /// The file's name.
        file: &'a str,
        /// What went wrong.
        reason: &'a str,
        /// How long it waits first.
        wait: Duration,
    },
    /// A file is installed.
    Installed {
        /// Its name.
        file: &'a str,
        /// Its size.
        bytes: u64,
        /// Its SHA-256.
        sha256: &'a str,
        /// Whether that is the known one; if not, it was taken on the hub's word.
        verified: bool,
    },
}

/// Who is told, and who can end it.
#[derive(Default)]
pub struct FetchHooks<'a> {
    /// Told of what happens, on the calling thread.
    pub event: Option<&'a mut dyn FnMut(FetchEvent<'_>)>,
    /// Ends it from another thread. What came is kept.
    pub canceller: Option<&'a Canceller>,
}

impl fmt::Debug for FetchHooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchHooks").field("canceller", &self.canceller).finish_non_exhaustive()
    }
}

/// Brings `model` into its folder inside the models folder and returns that folder. Files that are there and
/// right stay as they are; files that are there and wrong are fetched again. Blocks until it is done.
///
/// # Errors
/// `InvalidArgument` for options that cannot be, and for a model with unknown sums that is not trusted;
/// `ModelNotFound` when it is not there and may not be fetched; `Network` when the hub cannot be reached or
/// does not give it; `InvalidModel` when what it gives is not what was published; `Io`; `Cancelled`. Unless
/// it is `InvalidModel`, what came is kept for the next call.
pub fn fetch(model: &Pretrained, options: &FetchOptions, hooks: FetchHooks<'_>) -> Result<PathBuf> {
    fetch_with(model, options, hooks, &|mailbox, wait| {
        mailbox.wait(Some(wait));
    })
}

/// Waits for a time, or until the mailbox is cancelled.
type Pause<'a> = &'a dyn Fn(&Mailbox, Duration);

fn fetch_with(
    model: &Pretrained,
    options: &FetchOptions,
    hooks: FetchHooks<'_>,
    pause: Pause<'_>,
) -> Result<PathBuf> {
    let folder = options.folder.join(model.name());
    let mailbox = Arc::new(Mailbox::default());
    if let Some(canceller) = hooks.canceller {
        canceller.attach(&mailbox);
    }
    let mut job = Job { model, options, folder: folder.clone(), event: hooks.event, mailbox, pause };
    let missing = job.missing()?;
    if missing.is_empty() {
        return Ok(folder);
    }
    let hub = job.may_fetch(&missing)?;
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, &e))?;
    let _lock = job.lock()?;
    // Whoever held the lock may have brought them.
    let missing = job.missing()?;
    let client = Client::new(hub, options.stall);
    for file in missing {
        job.fetch_file(&client, hub, file)?;
    }
    part::write_if_missing(&folder.join(CONFIG.0), CONFIG.1)?;
    Ok(folder)
}

/// One model that is being fetched.
struct Job<'a, 'h> {
    model: &'a Pretrained,
    options: &'a FetchOptions,
    /// The model's own.
    folder: PathBuf,
    event: Option<&'h mut dyn FnMut(FetchEvent<'_>)>,
    mailbox: Arc<Mailbox>,
    pause: Pause<'a>,
}

/// How an attempt ended that may be followed by another one.
enum Attempt {
    /// Everything is there.
    Whole,
    /// What is there is a beginning.
    Partly(String, Option<Duration>),
    /// What is there is of no use.
    Useless(String),
}

impl<'a> Job<'a, '_> {
    /// The files that are not there, or wrong.
    fn missing(&self) -> Result<Vec<&'static RemoteFile>> {
        let alive = || self.alive();
        let right = |file: &RemoteFile| part::is_right(&self.folder.join(file.name), file, &alive);
        let mut missing = Vec::new();
        for file in self.model.files {
            if !right(file)? {
                missing.push(file);
            }
        }
        Ok(missing)
    }

    /// The hub that may be asked for `missing`.
    fn may_fetch(&self, missing: &[&RemoteFile]) -> Result<&'a str> {
        let name = self.model.name();
        let Some(hub) = &self.options.hub else {
            let message = format!(
                "it is not installed in {} and nothing may be fetched (--offline, {OFFLINE_VARIABLE}); run \
                 `gigastt download {name}` where there is a network and copy the folder {name}",
                self.options.folder.display()
            );
            return Err(Error::new(ErrorKind::ModelNotFound, message).about(name));
        };
        let has_host =
            |scheme| hub.strip_prefix(scheme).is_some_and(|rest| !rest.trim_matches('/').is_empty());
        if !has_host("https://") && !has_host("http://") {
            let message = format!("expected the beginning of an address, such as {HUB}, found {hub:?}");
            return Err(Error::new(ErrorKind::InvalidArgument, message).about(HUB_VARIABLE));
        }
        if self.options.attempts == 0 {
            return Err(
                Error::new(ErrorKind::InvalidArgument, "expected 1 or more, found 0").about("attempts")
            );
        }
        let unknown = missing.iter().find(|file| file.sha256.is_none());
        match (unknown, self.options.trust) {
            (Some(file), Trust::Sums) => {
                let message = format!(
                    "this release does not know the SHA-256 of {}, so it cannot tell whether the hub gives what \
                     was published; `gigastt download --unverified {name}` takes it on the hub's word",
                    file.name
                );
                Err(Error::new(ErrorKind::InvalidArgument, message).about(name))
            }
            (Some(_), Trust::Hub) | (None, Trust::Sums | Trust::Hub) => Ok(hub.trim_end_matches('/')),
        }
    }

    /// Waits until no other process fetches this model.
    fn lock(&mut self) -> Result<Option<FileLock>> {
        let folder = self.options.folder.join(LOCKS);
        let path = folder.join(self.model.name());
        let failed = |e| Error::io(&path, &e);
        fs::create_dir_all(&folder).map_err(failed)?;
        let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(FileLock::held(file))),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        self.tell(FetchEvent::Waiting);
                    }
                    (self.pause)(&self.mailbox, LOCK_EVERY);
                    self.alive()?;
                }
                Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                    // Two processes may then spoil each other's unfinished file, which its sum shows.
                    log::warn!("{}: this file system has no locks", path.display());
                    return Ok(None);
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Fetches one file and installs it.
    fn fetch_file(&mut self, client: &Client, hub: &str, file: &RemoteFile) -> Result<()> {
        let Pretrained { source, revision, .. } = self.model;
        let url = format!("{hub}/{source}/resolve/{revision}/{}", file.name);
        self.tell(FetchEvent::File { file: file.name });
        let mut part = Part::open(&self.folder.join(file.name), &|| self.alive())?;
        let mut patience = Patience::new(self.options.attempts, part.have());
        let mut differed = false;
        loop {
            let (reason, asked) = match self.attempt(client, &url, file, &mut part)? {
                Attempt::Whole if file.sha256.is_none_or(|expected| expected == part.sum()) => {
                    return self.install(file, part);
                }
                Attempt::Whole => {
                    let sum = part.sum();
                    // What an earlier process left may be to blame, but only once.
                    if std::mem::replace(&mut differed, true) {
                        part.discard()?;
                        return Err(differs(file, &url, &sum));
                    }
                    part.start_over()?;
                    (format!("its SHA-256 is {sum}, which is wrong"), None)
                }
                Attempt::Partly(reason, asked) => (reason, asked),
                Attempt::Useless(reason) => {
                    part.start_over()?;
                    (reason, None)
                }
            };
            let Some(wait) = patience.after_failure(part.have(), asked) else {
                return Err(given_up(&url, &reason, &patience, asked, part.have()));
            };
            self.tell(FetchEvent::Retry { file: file.name, reason: &reason, wait });
            log::info!("{url}: {reason}; tried again in {} s", wait.as_secs());
            (self.pause)(&self.mailbox, wait);
            self.alive()?;
        }
    }

    /// Asks once, and takes what comes.
    fn attempt(&mut self, client: &Client, url: &str, file: &RemoteFile, part: &mut Part) -> Result<Attempt> {
        if file.sha256.is_some_and(|expected| expected == part.sum()) {
            return Ok(Attempt::Whole);
        }
        let mailbox = Arc::clone(&self.mailbox);
        let hook = client.clone();
        let transferred =
            mailbox.interrupt.during(move || hook.shut_down(), || self.transfer(client, url, file, part));
        self.alive()?;
        transferred.unwrap_or_else(|| Err(cancelled()))
    }

    fn transfer(
        &mut self,
        client: &Client,
        url: &str,
        file: &RemoteFile,
        part: &mut Part,
    ) -> Result<Attempt> {
        // Without a sum only the server can tell that what is there is the beginning of its file.
        let tag = if file.sha256.is_none() { part.tag() } else { None };
        if file.sha256.is_none() && tag.is_none() && part.have() > 0 {
            part.start_over()?;
        }
        let from = part.have();
        let (head, mut body) = match client.get(&Request { url, from, if_range: tag.as_deref() }) {
            Ok(answer) => answer,
            Err(Broken { reason, passing: true }) => return Ok(Attempt::Partly(reason, None)),
            Err(Broken { reason, passing: false }) => return Err(network(url, reason)),
        };
        let total = match meaning(&head, from) {
            Meaning::Body { from: 0, total } => {
                part.start_over()?;
                if file.sha256.is_none() {
                    part.keep_tag(head.etag.as_deref())?;
                }
                total
            }
            Meaning::Body { from: _, total } => total,
            Meaning::Complete => return Ok(Attempt::Whole),
            Meaning::StartOver(reason) => return Ok(Attempt::Useless(reason)),
            Meaning::Later { reason, after } => return Ok(Attempt::Partly(reason, after)),
            Meaning::Refused(reason) => return Err(network(url, reason)),
        };
        if total.is_none() && file.sha256.is_none() {
            let reason =
                "neither the server nor this release knows its size, so nothing tells whether it is whole";
            return Err(network(url, reason));
        }
        self.take(&mut body, file, part, total)
    }

    /// Takes a body to its end.
    fn take(
        &mut self,
        body: &mut dyn std::io::Read,
        file: &RemoteFile,
        part: &mut Part,
        total: Option<u64>,
    ) -> Result<Attempt> {
        let bound = total.unwrap_or(file.bytes_max);
        if bound > file.bytes_max {
            return Err(too_large(file, bound));
        }
        let mut piece = vec![0; PIECE];
        let mut told = part.have();
        self.tell(FetchEvent::Bytes { file: file.name, done: told, total });
        loop {
            let n = match body.read(&mut piece) {
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Attempt::Partly(broken_body(&error).reason, None)),
            };
            if part.have() + n as u64 > bound {
                return match total {
                    Some(_) => Ok(Attempt::Useless("there is more of it than the server said".into())),
                    None => Err(too_large(file, part.have() + n as u64)),
                };
            }
            part.append(&piece[..n])?;
            self.alive()?;
            let at_end = n == 0;
            if at_end || part.have() >= told + TELL_EVERY {
                told = part.have();
                self.tell(FetchEvent::Bytes { file: file.name, done: told, total });
            }
            if at_end {
                return Ok(match total {
                    Some(total) if part.have() < total => {
                        Attempt::Partly(format!("it ended after {} of {total} bytes", part.have()), None)
                    }
                    Some(_) | None => Attempt::Whole,
                });
            }
        }
    }

    fn install(&mut self, file: &RemoteFile, part: Part) -> Result<()> {
        let (bytes, sum) = (part.have(), part.sum());
        let verified = file.sha256.is_some();
        part.install()?;
        if !verified {
            log::warn!("{}: taken on the hub's word, with the SHA-256 {sum}", file.name);
        }
        self.tell(FetchEvent::Installed { file: file.name, bytes, sha256: &sum, verified });
        Ok(())
    }

    fn tell(&mut self, event: FetchEvent<'_>) {
        if let Some(hook) = &mut self.event {
            hook(event);
        }
    }

    /// Fails once it was cancelled.
    fn alive(&self) -> Result<()> {
        if self.mailbox.cancelled() { Err(cancelled()) } else { Ok(()) }
    }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the download was cancelled; what came is kept")
}

fn network(url: &str, reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::Network, reason).about(url)
}

fn given_up(url: &str, reason: &str, patience: &Patience, asked: Option<Duration>, have: u64) -> Error {
    let end = match asked {
        Some(asked) if asked > WAIT_MAX => format!("the server asks to wait for {} s", asked.as_secs()),
        Some(_) | None => format!("given up after {} attempts in a row", patience.failed()),
    };
    network(url, format!("{reason}; {end}; {have} bytes are kept, the next download goes on after them"))
}

fn differs(file: &RemoteFile, url: &str, found: &str) -> Error {
    let expected = file.sha256.unwrap_or_default();
    let message = format!(
        "expected the SHA-256 {expected}, found {found} two times; nothing was installed. Something on the way \
         changes the file, or it is not the one that was published: try without proxy or mirror"
    );
    Error::new(ErrorKind::InvalidModel, message).about(url)
}

fn too_large(file: &RemoteFile, found: u64) -> Error {
    let message = format!("expected at most {} bytes, found {found} or more", file.bytes_max);
    Error::new(ErrorKind::InvalidModel, message).about(file.name)
}

/// The variant and the folder of the published model `name`, which is fetched if it is not there.
///
/// # Errors
/// `InvalidArgument` for an unknown name; as [`fetch`].
pub(crate) fn bring(name: &str, folder: Option<&Path>) -> Result<(Variant, PathBuf)> {
    let Some(model) = Pretrained::find(name) else {
        let names: Vec<_> = MODELS.iter().map(Pretrained::name).collect();
        let message = format!("expected one of {}", names.join(", "));
        return Err(Error::new(ErrorKind::InvalidArgument, message).about(name));
    };
    let options = match folder {
        Some(folder) => FetchOptions::new(folder).hub_from_env(),
        None => FetchOptions::from_env()?,
    };
    let path = match installed(&options.folder, model.variant) {
        Some(path) => path,
        None => fetch(model, &options, FetchHooks::default())?,
    };
    Ok((model.variant, path))
}

/// The folder inside the models folder `folder` that holds all files of this variant: the one that has its
/// name, else the first.
pub fn installed(folder: &Path, variant: Variant) -> Option<PathBuf> {
    let complete = |path: &PathBuf| {
        let fits = |bundle: &Bundle| bundle.variant == variant && bundle.missing.is_empty();
        scan(path).is_ok_and(|bundles| bundles.iter().any(fits))
    };
    let own = folder.join(variant.model_name());
    let mut folders: Vec<_> = folder.read_dir().into_iter().flatten().flatten().map(|e| e.path()).collect();
    folders.sort();
    std::iter::once(own).chain(folders).find(complete)
}

/// A file that a download left and that nothing waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Unfinished files in the folders of `folder`, the models folder. Those of a model that a process fetches
/// now are none.
///
/// # Errors
/// `Io`. A models folder that is not there has none.
pub fn leftovers(folder: &Path) -> Result<Vec<Leftover>> {
    let mut found = Vec::new();
    each_unlocked(folder, |path, bytes| {
        found.push(Leftover { path: path.to_owned(), bytes });
        Ok(())
    })?;
    Ok(found)
}

/// Deletes the [`leftovers`], and folders that are empty then.
///
/// # Errors
/// `Io`.
pub fn remove_leftovers(folder: &Path) -> Result<Vec<Leftover>> {
    let mut removed = Vec::new();
    each_unlocked(folder, |path, bytes| {
        fs::remove_file(path).map_err(|e| Error::io(path, &e))?;
        removed.push(Leftover { path: path.to_owned(), bytes });
        if let Some(parent) = path.parent() {
            // Fails where something else is in it, which is what is wanted.
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    })?;
    Ok(removed)
}

/// Visits the unfinished files, each with its size and under its model's lock.
fn each_unlocked(folder: &Path, mut visit: impl FnMut(&Path, u64) -> Result<()>) -> Result<()> {
    for model in entries(folder)? {
        let Some(name) = model.file_name().filter(|name| *name != LOCKS && model.is_dir()) else { continue };
        let lock = folder.join(LOCKS).join(name);
        // Where there is no lock file nobody ever fetched.
        let _lock = if lock.exists() {
            let file = File::open(&lock).map_err(|e| Error::io(&lock, &e))?;
            let Some(free) = FileLock::unless_held(file) else { continue };
            Some(free)
        } else {
            None
        };
        for path in entries(&model)? {
            let name = path.to_string_lossy();
            if (name.ends_with(part::ENDING) || name.ends_with(part::TAG_ENDING)) && path.is_file() {
                let bytes = fs::metadata(&path).map_err(|e| Error::io(&path, &e))?.len();
                visit(&path, bytes)?;
            }
        }
    }
    Ok(())
}

/// The paths in a folder, sorted; none when there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder, &e);
    let found = match folder.read_dir() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = found.map(|entry| Ok(entry.map_err(failed)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
