//! Finds the shared library of ONNX Runtime and looks at the file before anybody loads it.
//!
//! The order is: the path that was passed, the environment variable `ORT_DYLIB_PATH`, the folders of the
//! library that this code is part of, the folder of the running program (and `../lib` of it), the active
//! Python's package `onnxruntime`, the system. A path or variable that was set and is wrong is an error;
//! nothing else is tried then. Every error tells this order and what mends it. Nothing is run or loaded
//! here.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::{Error, ErrorKind, Result};

/// The environment variable that names the library.
pub(crate) const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Names to ask the system's loader for when no file was found.
#[cfg(target_os = "windows")]
pub(crate) const LOADER_NAMES: [&str; 1] = ["onnxruntime.dll"];
/// Names to ask the system's loader for when no file was found.
#[cfg(target_os = "macos")]
pub(crate) const LOADER_NAMES: [&str; 1] = ["libonnxruntime.dylib"];
/// Names to ask the system's loader for when no file was found.
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
pub(crate) const LOADER_NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

/// How the library was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The caller passed its path.
    Argument,
    /// `ORT_DYLIB_PATH`.
    Variable,
    /// Beside the library that this code is part of, or the running program, or in `../lib` of that.
    Beside,
    /// In the active Python's package.
    Python,
    /// In a folder of the system.
    System,
    /// By its bare name, through the system's loader.
    Loader,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argument => "the path that was passed",
            Self::Variable => VARIABLE,
            Self::Beside => "beside the program or its library",
            Self::Python => "the active Python's package",
            Self::System => "the system's folders",
            Self::Loader => "the system's loader",
        })
    }
}

/// A library file that exists and is a complete shared library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Absolute.
    pub path: PathBuf,
    /// How it was found.
    pub how: How,
}

/// Where to look: what of the process and the system the search depends on.
#[derive(Debug, Default)]
pub(crate) struct Places {
    argument: Option<PathBuf>,
    variable: Option<OsString>,
    beside: Vec<PathBuf>,
    python: Vec<PathBuf>,
    system: Vec<PathBuf>,
}

impl Places {
    /// The places of the running process: the path that was passed, and the folders in which the library lies
    /// that this code is part of.
    pub(crate) fn of_process(argument: Option<&Path>, folders: &[PathBuf]) -> Self {
        let program = std::env::current_exe().ok();
        let home = program.as_deref().and_then(Path::parent);
        let of_program = home.into_iter().flat_map(|home| [home.to_path_buf(), home.join("../lib")]);
        Self {
            argument: argument.map(Path::to_path_buf),
            variable: std::env::var_os(VARIABLE).filter(|value| !value.is_empty()),
            beside: folders.iter().cloned().chain(of_program).collect(),
            python: python_folders(|name| std::env::var_os(name)),
            system: system_folders(),
        }
    }

    /// Finds the library; `None` when no place has it.
    ///
    /// # Errors
    /// `Runtime` when a path was passed or the variable is set and names no usable library, or when the
    /// first library found in another place is not usable.
    pub(crate) fn find(&self) -> Result<Option<Found>> {
        let named = [
            (self.argument.as_deref(), How::Argument),
            (self.variable.as_deref().map(Path::new), How::Variable),
        ];
        let named = named.into_iter().find_map(|(path, how)| Some((path?.to_path_buf(), how)));
        let places = [(&self.beside, How::Beside), (&self.python, How::Python), (&self.system, How::System)];
        let mut folders =
            places.iter().flat_map(|(folders, how)| folders.iter().map(|folder| (folder, *how)));
        let Some((path, how)) =
            named.or_else(|| folders.find_map(|(folder, how)| Some((library_in(folder)?, how))))
        else {
            return Ok(None);
        };
        let path = std::path::absolute(&path).unwrap_or(path);
        let found = Found { path, how };
        match check_library(&found.path) {
            Ok(()) => Ok(Some(found)),
            Err(what) => Err(self.unusable(&found, &what)),
        }
    }

    /// The error for a library that is broken, too old or another one: `what` it is.
    pub(crate) fn unusable(&self, found: &Found, what: &str) -> Error {
        let cure = match found.how {
            How::Argument => "pass the path of another, or none".to_owned(),
            How::Variable => format!("let {VARIABLE} name another, or unset it"),
            How::Beside | How::Python | How::System | How::Loader => {
                format!("replace it, or let {VARIABLE} name another")
            }
        };
        let message = format!(
            "{what} (found by: {}); to mend it, {cure}; `pip install --upgrade --force-reinstall onnxruntime`, or \
             `make setup` in a checkout, brings one that works; {}",
            found.how,
            self.searched()
        );
        Error::new(ErrorKind::Runtime, message).in_file(&found.path)
    }

    /// The error for a machine without ONNX Runtime: where it was looked for and how to mend it.
    pub(crate) fn missing(&self) -> Error {
        let message = format!(
            "ONNX Runtime was not found; to mend it, run `pip install onnxruntime`, or `make setup` in a checkout, \
             or let {VARIABLE} name the library; {}",
            self.searched()
        );
        Error::new(ErrorKind::Runtime, message)
    }

    /// All places in their order, whatever the first one held.
    fn searched(&self) -> String {
        let named = |path: Option<&Path>, none: &str| path.map_or(none.into(), |p| p.display().to_string());
        let mut folders: Vec<&Path> = Vec::new();
        for folder in self.beside.iter().chain(&self.python).chain(&self.system) {
            if !folders.contains(&folder.as_path()) {
                folders.push(folder);
            }
        }
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        format!(
            "searched in this order: a path that is passed ({}), {VARIABLE} ({}), {}, the system's loader for {}",
            named(self.argument.as_deref(), "none"),
            named(self.variable.as_deref().map(Path::new), "not set"),
            folders.join(", "),
            LOADER_NAMES.join(" and ")
        )
    }
}

/// The library in `folder`: the unversioned name, else the newest version.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    let best = names.filter_map(|name| Some((library_version(name.to_str()?)?, name))).max()?;
    Some(folder.join(best.1))
}

/// The version in a name of ONNX Runtime's library: `libonnxruntime.so.1.32.0`,
/// `libonnxruntime.1.32.0.dylib`; the greatest one for a name without, `None` for other files
/// (`libonnxruntime_providers_shared.so`).
fn library_version(name: &str) -> Option<Vec<u32>> {
    let version = if cfg!(target_os = "windows") {
        name.eq_ignore_ascii_case("onnxruntime.dll").then_some("")
    } else if cfg!(target_os = "macos") {
        name.strip_prefix("libonnxruntime")?.strip_suffix(".dylib")
    } else {
        name.strip_prefix("libonnxruntime.so")
    }?;
    if version.is_empty() {
        return Some(vec![u32::MAX]);
    }
    version.strip_prefix('.')?.split('.').map(|part| part.parse().ok()).collect()
}

/// Folders in which the active Python keeps the package's library: of a virtual or conda
/// environment, and of the first `python3` on the path.
fn python_folders(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut prefixes: Vec<PathBuf> = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(set).collect();
    let path = variable("PATH").unwrap_or_default();
    let program = if cfg!(windows) { "python.exe" } else { "python3" };
    if let Some(folder) = std::env::split_paths(&path).find(|folder| folder.join(program).is_file()) {
        prefixes.extend(prefixes_of(&folder, program, &variable));
    }
    let mut folders: Vec<PathBuf> = prefixes.iter().flat_map(|prefix| packages_of(prefix)).collect();
    folders.extend(set("HOME").iter().flat_map(|home| packages_of(&home.join(".local"))));
    let mut seen = HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// The prefixes a Python in `folder` may have. A folder of pyenv holds scripts in place of the
/// programs; the version they run is named by a variable or a file.
fn prefixes_of(folder: &Path, program: &str, variable: &impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let Some(parent) = folder.parent() else { return Vec::new() };
    if folder.ends_with("shims") {
        let global = || fs::read_to_string(parent.join("version")).ok().map(OsString::from);
        let versions = variable("PYENV_VERSION").or_else(global).unwrap_or_default();
        let versions = versions.to_string_lossy();
        let versions = versions.split([':', '\n']).map(str::trim).filter(|version| !version.is_empty());
        return versions.map(|version| parent.join("versions").join(version)).collect();
    }
    if cfg!(windows) {
        return vec![folder.to_path_buf(), parent.to_path_buf()];
    }
    let mut prefixes = vec![parent.to_path_buf()];
    if parent == Path::new("/usr") || parent == Path::new("/") {
        prefixes.splice(0..0, [PathBuf::from("/usr/local"), PathBuf::from("/usr")]);
    }
    let real = fs::canonicalize(folder.join(program)).ok();
    prefixes.extend(real.and_then(|real| Some(real.parent()?.parent()?.to_path_buf())));
    prefixes
}

/// `onnxruntime/capi` of the packages under a Python's prefix, newest Python first.
fn packages_of(prefix: &Path) -> Vec<PathBuf> {
    let capi = |packages: PathBuf| packages.join("onnxruntime").join("capi");
    if cfg!(windows) {
        return vec![capi(prefix.join("Lib").join("site-packages"))];
    }
    let mut folders = Vec::new();
    for lib in ["lib", "lib64"] {
        let names =
            fs::read_dir(prefix.join(lib)).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut pythons: Vec<_> =
            names.filter_map(|name| Some((python_version(name.to_str()?)?, name))).collect();
        pythons.sort_unstable_by(|a, b| b.cmp(a));
        for (_, python) in pythons {
            let packages =
                ["site-packages", "dist-packages"].map(|name| prefix.join(lib).join(&python).join(name));
            folders.extend(packages.into_iter().filter(|packages| packages.is_dir()).map(capi));
        }
    }
    folders
}

/// The version in `python3` or `python3.11`.
fn python_version(name: &str) -> Option<Vec<u32>> {
    name.strip_prefix("python")?.split('.').map(|part| part.parse().ok()).collect()
}

/// The folders of the system's loader, as far as they are the same everywhere.
fn system_folders() -> Vec<PathBuf> {
    let (variable, fixed): (_, &[&str]) = if cfg!(windows) {
        ("PATH", &[])
    } else if cfg!(target_os = "macos") {
        ("DYLD_LIBRARY_PATH", &["/opt/homebrew/lib", "/usr/local/lib", "/usr/lib"])
    } else {
        ("LD_LIBRARY_PATH", &["/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", "/lib"])
    };
    let listed = std::env::var_os(variable).unwrap_or_default();
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&listed).filter(|folder| !folder.as_os_str().is_empty()).collect();
    for folder in fixed {
        folders.push(folder.into());
        if cfg!(target_os = "linux") && folder.ends_with("lib") {
            folders.push(Path::new(folder).join(format!("{}-linux-gnu", std::env::consts::ARCH)));
        }
    }
    folders
}

/// Looks at a library file before the system's loader does: mapping a truncated one kills the process.
/// Says what is wrong.
fn check_library(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|e| format!("expected ONNX Runtime's library: {e}"))?;
    if !metadata.is_file() {
        return Err("expected the file of ONNX Runtime's library, found a folder or a device".into());
    }
    let mut file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    let needed = declared_size(&mut file).map_err(|e| format!("cannot be read: {e}"))?;
    match needed {
        None => Err(format!("expected a shared library, found {} bytes of something else", metadata.len())),
        Some(needed) if needed > metadata.len() => {
            Err(format!("the library is truncated: it declares {needed} bytes and has {}", metadata.len()))
        }
        Some(_) => Ok(()),
    }
}

/// The bytes a shared library declares to have: exact for 64-bit little-endian ELF, 0 for other
/// formats with the right beginning (Mach-O and PE loaders check by themselves), `None` for anything
/// that is not a library of this system.
fn declared_size(file: &mut (impl Read + Seek)) -> std::io::Result<Option<u64>> {
    let mut head = Vec::new();
    file.by_ref().take(64).read_to_end(&mut head)?;
    if cfg!(windows) {
        return Ok(head.starts_with(b"MZ").then_some(0));
    }
    if cfg!(target_os = "macos") {
        let magics: [[u8; 4]; 3] =
            [[0xcf, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe], [0xca, 0xfe, 0xba, 0xbf]];
        return Ok(magics.iter().any(|magic| head.starts_with(magic)).then_some(0));
    }
    if !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    if head.len() < 64 {
        return Ok(Some(64));
    }
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Ok(Some(0));
    }
    let (segments, sections) = (le(&head, 32, 8).unwrap_or(0), le(&head, 40, 8).unwrap_or(0));
    let (segment_size, segment_count) = (le(&head, 54, 2).unwrap_or(0), le(&head, 56, 2).unwrap_or(0));
    let (section_size, section_count) = (le(&head, 58, 2).unwrap_or(0), le(&head, 60, 2).unwrap_or(0));
    let mut needed = sections.saturating_add(section_size * section_count);
    needed = needed.max(segments.saturating_add(segment_size * segment_count));
    let mut table = Vec::new();
    file.seek(SeekFrom::Start(segments))?;
    file.by_ref().take(segment_size * segment_count).read_to_end(&mut table)?;
    for segment in table.chunks_exact((segment_size as usize).max(1)) {
        let (offset, size) = (le(segment, 8, 8).unwrap_or(0), le(segment, 32, 8).unwrap_or(0));
        needed = needed.max(offset.saturating_add(size));
    }
    Ok(Some(needed))
}

/// The little-endian number of `size` bytes at `at`.
fn le(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    Some(bytes.get(at..at + size)?.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest complete library for `check_library` on this system.
    fn library(extra: &str) -> Vec<u8> {
        let magic: &[u8] = if cfg!(windows) {
            b"MZ"
        } else if cfg!(target_os = "macos") {
            &[0xcf, 0xfa, 0xed, 0xfe]
        } else {
            b"\x7fELF\x02\x01"
        };
        let mut bytes = magic.to_vec();
        bytes.resize(64, 0);
        bytes.extend(extra.as_bytes());
        bytes
    }

    fn name() -> &'static str {
        LOADER_NAMES[LOADER_NAMES.len() - 1]
    }

    fn put(folder: &Path) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name());
        fs::write(&path, library("")).unwrap();
        path
    }

    #[test]
    fn places_are_searched_in_order() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let files = ["argument", "variable", "beside", "python", "system"].map(|folder| put(&at(folder)));
        let mut places = Places {
            argument: Some(files[0].clone()),
            variable: Some(files[1].clone().into()),
            beside: vec![at("none"), at("beside")],
            python: vec![at("python")],
            system: vec![at("system")],
        };
        let check = |places: &Places, index: usize, how| {
            let found = places.find().unwrap().unwrap();
            assert_eq!(found, Found { path: files[index].clone(), how });
        };
        check(&places, 0, How::Argument);
        places.argument = None;
        check(&places, 1, How::Variable);
        places.variable = None;
        check(&places, 2, How::Beside);
        places.beside.clear();
        check(&places, 3, How::Python);
        places.python.clear();
        check(&places, 4, How::System);
        places.system.clear();
        assert_eq!(places.find().unwrap(), None);
    }

    #[test]
    fn folders_of_the_library_come_before_those_of_the_program() {
        let folders = ["/library/gigastt".into(), "/library".into()];
        let places = Places::of_process(None, &folders);
        assert_eq!(places.beside[..2], folders);
        let program = std::env::current_exe().unwrap();
        assert_eq!(places.beside[2], program.parent().unwrap());
    }

    #[test]
    fn what_was_named_and_is_wrong_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let good = put(&root.path().join("good"));
        let file = |name: &str, bytes: &[u8]| {
            let path = root.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let check = |path: &Path, expected: &str| {
            let beside = vec![good.parent().unwrap().to_path_buf()];
            let by_variable =
                Places { variable: Some(path.into()), beside: beside.clone(), ..Places::default() };
            let by_argument = Places {
                argument: Some(path.into()),
                variable: Some(good.clone().into()),
                beside: beside.clone(),
                ..Places::default()
            };
            for (places, cure) in [(by_variable, "unset it"), (by_argument, "pass the path of another")] {
                let error = places.find().unwrap_err();
                assert_eq!(error.subject(), path.to_str());
                told(&error, &[expected, cure, path.to_str().unwrap(), beside[0].to_str().unwrap()]);
            }
        };
        check(&root.path().join("none"), "expected ONNX Runtime's library");
        check(root.path(), "found a folder");
        check(&file("text", b"hello"), "found 5 bytes of something else");
        check(&file("empty", b""), "found 0 bytes of something else");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_truncation_of_a_library_is_noticed() {
        // One segment of 10 bytes at 200, one section header of 64 bytes at 150.
        let mut whole = library("");
        whole.resize(214, 7);
        let mut put = |at: usize, bytes: &[u8]| whole[at..at + bytes.len()].copy_from_slice(bytes);
        put(32, &64_u64.to_le_bytes());
        put(40, &150_u64.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &1_u16.to_le_bytes());
        put(58, &64_u16.to_le_bytes());
        put(60, &1_u16.to_le_bytes());
        put(64 + 8, &200_u64.to_le_bytes());
        put(64 + 32, &10_u64.to_le_bytes());
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("library");
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(check_library(&path).is_ok(), length == whole.len(), "{length}");
        }
    }

    #[test]
    fn only_the_library_itself_counts() {
        let check =
            |name: &str, expected: Option<&[u32]>| assert_eq!(library_version(name).as_deref(), expected);
        if cfg!(target_os = "linux") {
            check("libonnxruntime.so", Some(&[u32::MAX]));
            check("libonnxruntime.so.1", Some(&[1]));
            check("libonnxruntime.so.1.32.0", Some(&[1, 32, 0]));
            check("libonnxruntime.so.debug", None);
            check("libonnxruntime_providers_shared.so", None);
            check("libonnxruntime", None);
            assert!(library_version("libonnxruntime.so.1.32.0") > library_version("libonnxruntime.so.1.9.0"));
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_active_python_is_found_without_running_it() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let python = |prefix: &str, version: &str| {
            let capi = at(prefix).join(format!("lib/python{version}/site-packages/onnxruntime/capi"));
            fs::create_dir_all(&capi).unwrap();
            fs::create_dir_all(at(prefix).join("bin")).unwrap();
            fs::write(at(prefix).join("bin/python3"), "").unwrap();
            capi
        };
        let check = |variables: &[(&str, PathBuf)], expected: &[&Path]| {
            let variable =
                |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone().into());
            assert_eq!(python_folders(variable), expected, "{variables:?}");
        };
        let (venv, newer, older) = (python("venv", "3.11"), python("own", "3.12"), python("own", "3.9"));
        check(&[], &[]);
        check(&[("VIRTUAL_ENV", at("venv"))], &[&venv]);
        check(&[("PATH", at("own/bin"))], &[&newer, &older]);
        check(&[("VIRTUAL_ENV", at("venv")), ("PATH", at("own/bin"))], &[&venv, &newer, &older]);
        let user = python("home/.local", "3.10");
        check(&[("HOME", at("home"))], &[&user]);
        let (old, new) = (python("pyenv/versions/3.11.9", "3.11"), python("pyenv/versions/3.13.0", "3.13"));
        fs::create_dir_all(at("pyenv/shims")).unwrap();
        fs::write(at("pyenv/shims/python3"), "#!/bin/sh").unwrap();
        fs::write(at("pyenv/version"), "3.11.9\n").unwrap();
        check(&[("PATH", at("pyenv/shims"))], &[&old]);
        check(&[("PATH", at("pyenv/shims")), ("PYENV_VERSION", "3.13.0".into())], &[&new]);
        let mut path = at("none").into_os_string();
        path.push(":");
        path.push(at("own/bin"));
        check(&[("PATH", path.into())], &[&newer, &older]);
    }

    /// Wants an error with what every one of ONNX Runtime tells, and `expected`.
    fn told(error: &Error, expected: &[&str]) {
        assert_eq!(error.kind(), ErrorKind::Runtime);
        let always = ["to mend it, ", "`pip install ", "`make setup`", VARIABLE, LOADER_NAMES[0]];
        for words in always.iter().chain(expected) {
            assert!(error.message().contains(words), "`{words}` in: {error}");
        }
    }

    #[test]
    fn every_error_tells_the_places_in_their_order_and_the_cure() {
        let folders = ["/l", "/p", "/py", "/sys"];
        let [library, program, python, system] = folders.map(PathBuf::from);
        let beside = vec![library, program.clone()];
        let places =
            Places { beside, python: vec![python, program], system: vec![system], ..Places::default() };
        let order =
            "a path that is passed (none), ORT_DYLIB_PATH (not set), /l, /p, /py, /sys, the system's loader";
        told(&places.missing(), &[order, "pip install onnxruntime"]);
        let found = Found { path: "/p/library".into(), how: How::Beside };
        let error = places.unusable(&found, "too old");
        told(&error, &[order, "too old", "beside the program", "replace it", "--upgrade --force-reinstall"]);
        assert_eq!(error.subject(), Some("/p/library"));
    }
}
