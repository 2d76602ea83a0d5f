//! Files that appear whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use gigastt_core::{Error, Result};

/// A file that will be written. It is made in its folder under another name and renamed when complete,
/// so nobody ever sees half of it and an older file of that name survives a failure. What is there and
/// is no regular file (a device, a pipe) is written to directly.
pub(crate) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Makes sure beforehand that the file can be written.
    ///
    /// # Errors
    /// `Io` with the path.
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        // A link stays a link: what it leads to is written.
        let draft = Self { path: path.canonicalize().unwrap_or(path) };
        if draft.path.is_dir() {
            return Err(draft.fails(&std::io::ErrorKind::IsADirectory.into()));
        }
        if !draft.is_special() {
            draft.temporary()?;
        }
        Ok(draft)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// `Io` with the path.
    pub(crate) fn finish(self, content: &str) -> Result<()> {
        if self.is_special() {
            return std::fs::write(&self.path, content).map_err(|error| self.fails(&error));
        }
        let mut file = self.temporary()?;
        file.write_all(content.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(|error| self.fails(&error))?;
        file.persist(&self.path).map_err(|error| self.fails(&error.error))?;
        Ok(())
    }

    fn is_special(&self) -> bool {
        self.path.exists() && !self.path.is_file()
    }

    /// A file beside the one that is meant. It is deleted when dropped.
    fn temporary(&self) -> Result<tempfile::NamedTempFile> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".gigastt-");
        // Who may read it is for the umask to say, as for any other file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(folder).map_err(|error| self.fails(&error))
    }

    fn fails(&self, error: &std::io::Error) -> Error {
        Error::io(&self.path, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn an_unfinished_draft_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let draft = Draft::new(folder.path().join("a.txt")).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        drop(draft);
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_finished_draft_replaces_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "old").unwrap();
        Draft::new(path.clone()).unwrap().finish("new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("a.txt"), folder.path().join("b.txt"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        Draft::new(link.clone()).unwrap().finish("new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "new");

        let null = Path::new("/dev/null");
        Draft::new(null.to_owned()).unwrap().finish("new").unwrap();
        assert!(!null.is_file());
    }

    #[test]
    fn what_cannot_be_written_is_told_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("missing").join("a.txt"), folder.path().to_owned()] {
            let error = Draft::new(path.clone()).err().expect("no draft");
            assert_eq!(error.subject(), Some(&*path.display().to_string()));
        }
    }
}
