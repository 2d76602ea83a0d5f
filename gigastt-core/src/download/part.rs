//! A file that is not whole yet: `NAME.part` beside the place it will have.
//!
//! It is hashed as it grows, so that nothing is read twice; only what an earlier process left is. It gets
//! its name by a rename after the sum was found right and the bytes are on the disk, and never before.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::RemoteFile;
use crate::{Error, Result};

/// What the names of unfinished files end in.
pub(super) const ENDING: &str = ".part";

/// What the names of notes beside them end in: the tag of the server's file that they are a part of.
pub(super) const TAG_ENDING: &str = ".part-tag";

/// Bytes that are read at a time.
const PIECE: usize = 1 << 16;

/// The longest tag that is kept.
const TAG_MAX: usize = 256;

/// See the module.
pub(super) struct Part {
    path: PathBuf,
    place: PathBuf,
    tag_path: PathBuf,
    file: File,
    have: u64,
    hash: Sha256,
}

impl Part {
    /// The part of the file that will be `place`: what an earlier attempt left, or an empty one. `alive` is
    /// asked while it is read.
    ///
    /// # Errors
    /// `Io`; what `alive` says.
    pub(super) fn open(place: &Path, alive: &dyn Fn() -> Result<()>) -> Result<Self> {
        let path = with_ending(place, ENDING);
        let failed = |e| Error::io(&path, &e);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut part = Self {
            file: file.map_err(failed)?,
            tag_path: with_ending(place, TAG_ENDING),
            place: place.to_owned(),
            have: 0,
            hash: Sha256::new(),
            path: path.clone(),
        };
        let mut piece = vec![0; PIECE];
        loop {
            alive()?;
            match part.file.read(&mut piece).map_err(failed)? {
                0 => return Ok(part),
                n => {
                    part.hash.update(&piece[..n]);
                    part.have += n as u64;
                }
            }
        }
    }

    /// Bytes that are there.
    pub(super) fn have(&self) -> u64 {
        self.have
    }

    /// The SHA-256 of what is there.
    pub(super) fn sum(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Error::io(&self.path, &e))?;
        self.hash.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is there.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn start_over(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|e| Error::io(&self.path, &e))?;
        (self.have, self.hash) = (0, Sha256::new());
        self.keep_tag(None)
    }

    /// The tag that was kept with what is there.
    pub(super) fn tag(&self) -> Option<String> {
        fs::read_to_string(&self.tag_path).ok().filter(|tag| !tag.is_empty() && tag.len() <= TAG_MAX)
    }

    /// Notes the tag of the server's file. Before the first byte, so that a tag is never that of other bytes.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn keep_tag(&self, tag: Option<&str>) -> Result<()> {
        let kept = match tag {
            Some(tag) if tag.len() <= TAG_MAX => fs::write(&self.tag_path, tag),
            _ if self.tag_path.exists() => fs::remove_file(&self.tag_path),
            _ => Ok(()),
        };
        kept.map_err(|e| Error::io(&self.tag_path, &e))
    }

    /// Gives it its name. The bytes are on the disk before the name is, and the name when this returns.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn install(self) -> Result<()> {
        self.keep_tag(None)?;
        self.file.sync_all().map_err(|e| Error::io(&self.path, &e))?;
        // Windows renames no file that is open.
        drop(self.file);
        fs::rename(&self.path, &self.place).map_err(|e| Error::io(&self.place, &e))?;
        self.place.parent().map_or(Ok(()), sync_folder)
    }

    /// Removes it.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn discard(self) -> Result<()> {
        self.keep_tag(None)?;
        drop(self.file);
        fs::remove_file(&self.path).map_err(|e| Error::io(&self.path, &e))
    }
}

/// Whether the file `place` is there and is what `file` says. Without a known sum it is enough that it is
/// there.
///
/// # Errors
/// `Io`; what `alive` says.
pub(super) fn is_right(place: &Path, file: &RemoteFile, alive: &dyn Fn() -> Result<()>) -> Result<bool> {
    let Some(expected) = file.sha256 else { return Ok(place.is_file()) };
    if !place.is_file() {
        return Ok(false);
    }
    let failed = |e| Error::io(place, &e);
    let mut opened = File::open(place).map_err(failed)?;
    let (mut piece, mut hash) = (vec![0; PIECE], Sha256::new());
    loop {
        alive()?;
        match opened.read(&mut piece).map_err(failed)? {
            0 => return Ok(hex(&hash.finalize()) == expected),
            n => hash.update(&piece[..n]),
        }
    }
}

/// A small file that appears whole or not at all, unless there is one of its name.
///
/// # Errors
/// `Io`.
pub(super) fn write_if_missing(place: &Path, content: &str) -> Result<()> {
    if place.exists() {
        return Ok(());
    }
    let path = with_ending(place, ENDING);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| Error::io(&path, &e))?;
    fs::rename(&path, place).map_err(|e| Error::io(place, &e))
}

/// Brings the names in a folder to the disk, on systems where that is done apart from the files.
///
/// # Errors
/// `Io`.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| Error::io(folder, &e))?;
    }
    Ok(())
}

fn with_ending(place: &Path, ending: &str) -> PathBuf {
    let mut path = place.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
