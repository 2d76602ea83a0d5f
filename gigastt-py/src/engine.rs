//! `_native.Engine`: the engine's calls, detached from the interpreter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
#[cfg(feature = "scripted")]
use std::time::Duration;

use gigastt_core::download::{self, FetchEvent, FetchHooks, FetchOptions, MODELS, Pretrained};
use gigastt_core::{Canceller, Model, ModelBytes, Provider, Variant};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{Live, Recording, count};
use crate::attended::attended;
use crate::bell::Courier;
use crate::errors::{OrRaise, codes, invalid};
use crate::recognizer::Recognizer;
use crate::results;
use crate::transcribe::{self, Callbacks};

/// The code of every kind of error with the name of its class.
#[pyfunction]
pub(crate) fn error_codes() -> Vec<(&'static str, &'static str)> {
    codes()
}

/// Brings the published model `name` into the models folder `models`, unless it is there. Signals of Python
/// end it, whatever it waits for, with what came kept, and so does what `progress` raises.
#[pyfunction]
#[pyo3(signature = (name, models, progress))]
pub(crate) fn fetch(
    py: Python<'_>,
    name: &str,
    models: PathBuf,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let Some(model) = Pretrained::find(name) else {
        let names: Vec<_> = MODELS.iter().map(Pretrained::name).collect();
        return Err(invalid(py, "name", format!("expected one of {}, found {name}", names.join(", "))));
    };
    if download::installed(&models, model.variant).is_some() {
        return Ok(());
    }
    let options = FetchOptions::new(models).hub_from_env();
    let canceller = Canceller::new();
    let work = {
        let canceller = canceller.clone();
        move |notes: &SyncSender<_>| {
            // When nobody listens any more the canceller has fired.
            let mut event = |event: FetchEvent<'_>| {
                if let FetchEvent::Bytes { file, done, total } = event {
                    let _ = notes.send((file.to_owned(), done, total));
                }
            };
            let hooks = FetchHooks { event: Some(&mut event), canceller: Some(&canceller) };
            download::fetch(model, &options, hooks)
        }
    };
    let tell = |py: Python<'_>, (file, done, total): (String, u64, Option<u64>)| {
        let Some(progress) = &progress else { return Ok(()) };
        progress.call1(py, (results::download(py, &file, done, total)?,)).map(drop)
    };
    attended(py, "gigastt-fetch", &canceller, work, tell)?.or_raise(py).map(drop)
}

/// An engine over the scripted model, whose calls take `call_s` seconds, for tests.
#[cfg(feature = "scripted")]
#[pyfunction]
pub(crate) fn scripted(py: Python<'_>, threads: usize, call_s: f64) -> PyResult<Engine> {
    let call = Duration::from_secs_f64(call_s);
    let script = gigastt_core::fake::Script { call, ..gigastt_core::fake::Script::default() };
    let engine = gigastt_core::Engine::fake(script, threads).or_raise(py)?;
    Ok(Engine { engine: Some(engine), courier: Arc::default() })
}

/// The folder of the package, where this library lies; `None` where it was not loaded from a file.
fn home(py: Python<'_>) -> Option<PathBuf> {
    let file: PathBuf = py.import("gigastt").ok()?.getattr("__file__").ok()?.extract().ok()?;
    file.parent().map(Path::to_path_buf)
}

/// A loaded model with its workers.
#[pyclass(frozen, module = "gigastt._native")]
pub(crate) struct Engine {
    engine: Option<gigastt_core::Engine>,
    courier: Arc<Courier>,
}

#[pymethods]
impl Engine {
    /// `folder` of `None` with `files` of `None` is the embedded model; with `pretrained` it is the models
    /// folder.
    #[new]
    #[pyo3(signature = (*, folder, files, pretrained, variant, quantization, threads, provider, sessions_max, runtime))]
    #[allow(clippy::too_many_arguments)] // By keyword, from one place.
    fn new(
        py: Python<'_>,
        folder: Option<PathBuf>,
        files: Option<Bound<'_, PyDict>>,
        pretrained: Option<&str>,
        variant: Option<&str>,
        quantization: Option<&str>,
        threads: Option<i64>,
        provider: &str,
        sessions_max: Option<i64>,
        runtime: Option<PathBuf>,
    ) -> PyResult<Self> {
        let variant = variant.map(|name| variant_named(py, name)).transpose()?;
        let mut model = match (folder, files) {
            (Some(folder), _) => match pretrained {
                Some(name) => Model::pretrained_in(name, folder),
                None => Model::dir(folder),
            },
            (None, Some(files)) => model_in_memory(py, &files, variant)?,
            (None, None) => Model::embedded(),
        };
        if let Some(variant) = variant {
            model = model.variant(variant);
        }
        if let Some(quantization) = quantization {
            model = model.quantization(quantization);
        }
        let Some(provider) = Provider::from_code(provider) else {
            let names = Provider::ALL.map(Provider::code).join(", ");
            return Err(invalid(py, "provider", format!("expected one of {names}, found {provider}")));
        };
        let mut builder = gigastt_core::Engine::builder().model(model).provider(provider);
        if let Some(threads) = threads {
            builder = builder.threads(count(py, "threads", threads)?);
        }
        if let Some(sessions_max) = sessions_max {
            builder = builder.sessions_max(count(py, "sessions_max", sessions_max)?);
        }
        if let Some(runtime) = runtime {
            builder = builder.runtime(runtime);
        }
        if let Some(folder) = home(py) {
            builder = builder.runtime_folder(folder);
        }
        // Nothing ends it halfway, but who waits for it need not stay.
        let load = move |_: &SyncSender<()>| builder.build();
        let engine = attended(py, "gigastt-load", &Canceller::new(), load, |_, ()| Ok(()))?.or_raise(py)?;
        Ok(Self { engine: Some(engine), courier: Arc::default() })
    }

    #[getter]
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        results::model_info(py, self.engine(py)?.info())
    }

    #[getter]
    fn threads(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.engine(py)?.threads())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.engine(py)?;
        results::engine_stats(py, &py.detach(|| engine.stats()).or_raise(py)?)
    }

    fn recognizer(&self, py: Python<'_>, options: Live) -> PyResult<Recognizer> {
        let (engine, options) = (self.engine(py)?, options.options(py)?);
        let recognizer = py.detach(|| engine.recognizer(options.clone())).or_raise(py)?;
        Ok(Recognizer::new(recognizer, &options, &self.courier))
    }

    #[pyo3(signature = (path, options, progress, on_segment))]
    fn transcribe_path<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        options: Recording,
        progress: Option<Py<PyAny>>,
        on_segment: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let recording = transcribe::Recording::path(path);
        self.transcribe(py, recording, &options, Callbacks { progress, on_segment })
    }

    #[pyo3(signature = (data, options, progress, on_segment))]
    fn transcribe_bytes<'py>(
        &self,
        py: Python<'py>,
        data: Vec<u8>,
        options: Recording,
        progress: Option<Py<PyAny>>,
        on_segment: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let recording = transcribe::Recording::bytes(data);
        self.transcribe(py, recording, &options, Callbacks { progress, on_segment })
    }

    /// `size` in bytes: the file can seek; `None`: it is read from front to back.
    #[pyo3(signature = (file, name, size, options, progress, on_segment))]
    #[allow(clippy::too_many_arguments)] // From one place.
    fn transcribe_file<'py>(
        &self,
        py: Python<'py>,
        file: Py<PyAny>,
        name: &str,
        size: Option<u64>,
        options: Recording,
        progress: Option<Py<PyAny>>,
        on_segment: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let recording = transcribe::Recording::file(file, name, size);
        self.transcribe(py, recording, &options, Callbacks { progress, on_segment })
    }

    #[pyo3(signature = (samples, sample_rate, options, progress, on_segment))]
    fn transcribe_samples<'py>(
        &self,
        py: Python<'py>,
        samples: Bound<'py, PyAny>,
        sample_rate: i64,
        options: Recording,
        progress: Option<Py<PyAny>>,
        on_segment: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let recording = transcribe::Recording::samples(&samples, count(py, "sample_rate", sample_rate)?)?;
        self.transcribe(py, recording, &options, Callbacks { progress, on_segment })
    }
}

impl Engine {
    fn engine(&self, py: Python<'_>) -> PyResult<&gigastt_core::Engine> {
        self.engine.as_ref().ok_or_else(|| invalid(py, "engine", "was taken apart"))
    }

    fn transcribe<'py>(
        &self,
        py: Python<'py>,
        recording: transcribe::Recording,
        options: &Recording,
        callbacks: Callbacks,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (canceller, options) = (options.canceller(), options.options(py)?);
        transcribe::run(py, self.engine(py)?, recording, options, callbacks, &canceller)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waits for the model calls that run; a log record of a worker may need the interpreter.
        let engine = self.engine.take();
        Python::try_attach(|py| py.detach(|| drop(engine)));
    }
}

fn variant_named(py: Python<'_>, name: &str) -> PyResult<Variant> {
    Variant::from_code(name).ok_or_else(|| {
        let names = Variant::ALL.map(Variant::code).join(", ");
        invalid(py, "variant", format!("expected one of {names}, found {name}"))
    })
}

fn model_in_memory(py: Python<'_>, files: &Bound<'_, PyDict>, variant: Option<Variant>) -> PyResult<Model> {
    let variant =
        variant.ok_or_else(|| invalid(py, "variant", "expected the variant of a model in memory"))?;
    let bytes = |name: &str| -> PyResult<Option<std::borrow::Cow<'static, [u8]>>> {
        let value = files.get_item(name)?.filter(|value| !value.is_none());
        value.map(|value| Ok(value.extract::<Vec<u8>>()?.into())).transpose()
    };
    let needed = |name: &str| {
        bytes(name)?.ok_or_else(|| invalid(py, name, "expected the bytes of this part of the model"))
    };
    Ok(Model::bytes(ModelBytes {
        variant,
        encoder: needed("encoder")?,
        decoder: bytes("decoder")?,
        joint: bytes("joint")?,
        vocab: needed("vocab")?,
    }))
}
