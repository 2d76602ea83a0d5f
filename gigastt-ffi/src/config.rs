//! Configurations: what an engine or a stream is to be like.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::c_char;

use gigastt_core::audio::RATE;
use gigastt_core::download::{MODELS, Pretrained};
use gigastt_core::sync::Mutex;
use gigastt_core::{Engine, EngineBuilder, Model, ModelBytes, Options, Variant};

use crate::error::gigastt_error;
use crate::fence::{Failure, fence, out, slice, string};
use crate::handles::Handles;
use crate::options::{KEYS, Key};
use crate::status::{GIGASTT_OK, gigastt_status};

/// What an engine, a stream or a transcription is to be like: a model, and values of keys. May be
/// used for any number of them and changed between; what was opened keeps what it was opened with.
/// Every function on it may be called from any thread.
pub struct gigastt_config(());

pub(crate) static CONFIGS: Handles<gigastt_config, Config> = Handles::new("config");

/// What a handle of `gigastt_config` stands for.
#[derive(Default)]
pub(crate) struct Config(Mutex<Settings>);

#[derive(Default, Clone)]
pub(crate) struct Settings {
    model: Option<Model>,
    /// By the key's place in the table, so that the order of setting does not matter.
    values: BTreeMap<usize, String>,
}

impl Config {
    /// A copy; the defaults for none.
    pub(crate) fn settings(config: Option<&Self>) -> Settings {
        config.map(|config| config.0.lock().clone()).unwrap_or_default()
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        let (place, key) = Key::find(key)?;
        key.check(value)?;
        self.0.lock().values.insert(place, value.to_owned());
        Ok(())
    }
}

impl Settings {
    fn values(&self) -> impl Iterator<Item = (&'static Key, &str)> {
        self.values.iter().map(|(place, value)| (&KEYS[*place], value.as_str()))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// The options of a stream that starts from `options`.
    pub(crate) fn stream(&self, mut options: Options) -> Result<Options, Failure> {
        for (key, value) in self.values() {
            key.open(&mut options, value)?;
        }
        Ok(options)
    }

    /// The engine.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        #[cfg(feature = "fake-model")]
        if let Some(call) = self.value("fake").and_then(|value| value.parse().ok()) {
            let threads = self.value("threads").and_then(|value| value.parse().ok()).unwrap_or(2);
            let call = std::time::Duration::from_millis(call);
            return Ok(Engine::fake(gigastt_core::fake::Script { call, ..Default::default() }, threads)?);
        }
        let mut builder = crate::library::with_runtime(Engine::builder());
        for (key, value) in self.values() {
            builder = key.build(builder, value)?;
        }
        Ok(self.with_model(builder).build()?)
    }

    fn with_model(&self, builder: EngineBuilder) -> EngineBuilder {
        let (variant, quantization) = (self.value("variant"), self.value("quantization"));
        let Some(mut model) =
            self.model.clone().or_else(|| variant.or(quantization).map(|_| Model::embedded()))
        else {
            return builder;
        };
        if let Some(variant) = variant.and_then(Variant::from_code) {
            model = model.variant(variant);
        }
        if let Some(suffix) = quantization {
            model = model.quantization(suffix);
        }
        builder.model(model)
    }
}

/// Makes a configuration of defaults in `*config`: the embedded model, a live stream of one channel.
/// Release it with `gigastt_config_release`. Any thread. Errors: `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_config_new(
    config: *mut *mut gigastt_config,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("config", config)?;
        let made = CONFIGS.insert(std::sync::Arc::default());
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { place.write(made) };
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Releases a configuration. NULL is nothing to do. Any thread, also during a call with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_config_release(config: *mut gigastt_config) {
    crate::handles::release(&CONFIGS, config, drop);
}

/// Takes the model of GigaAM v3 whose files lie in the folder `path`. They are read when an engine is
/// opened. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_config_set_model_dir(
    config: *mut gigastt_config,
    path: *const c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let config = CONFIGS.find(config)?;
        // SAFETY: NULL or a string by the contract of the header.
        let path = unsafe { string("path", path) }?;
        config.0.lock().model = Some(Model::dir(path));
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Takes a published model by its name, such as `gigaam-v3-e2e-rnnt`. When an engine is opened, the one that is
/// installed in the models folder is used (`GIGASTT_MODEL_DIR`, else `gigastt/models` in the user's data
/// folder); a model that is not there is fetched first and made fast for this machine, which takes as long as
/// that does: it may be hundreds of megabytes. `GIGASTT_OFFLINE=1` forbids it, `GIGASTT_HUB` names a mirror.
/// Any thread. Errors: `INVALID_ARGUMENT` (also for an unknown name), `INVALID_HANDLE`; of opening also
/// `NETWORK` and `MODEL_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_config_set_pretrained(
    config: *mut gigastt_config,
    name: *const c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let config = CONFIGS.find(config)?;
        // SAFETY: NULL or a string by the contract of the header.
        let name = unsafe { string("name", name) }?;
        if Pretrained::find(name).is_none() {
            let names: Vec<_> = MODELS.iter().map(Pretrained::name).collect();
            return Err(Failure::argument(format!(
                "name: expected one of {}, found {name:?}",
                names.join(", ")
            )));
        }
        config.0.lock().model = Some(Model::pretrained(name));
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// A model's files in memory. Set `struct_size` to `sizeof(gigastt_model_bytes)` and the parts that the
/// variant lacks to NULL and 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gigastt_model_bytes {
    /// The size of this structure in bytes.
    pub struct_size: usize,
    /// `"e2e_rnnt"`, `"rnnt"`, `"e2e_ctc"` or `"ctc"`.
    pub variant: *const c_char,
    /// The encoder's graph; for `ctc` variants the whole network's.
    pub encoder: *const u8,
    /// Its length in bytes.
    pub encoder_len: usize,
    /// The predictor's graph; for `rnnt` variants.
    pub decoder: *const u8,
    /// Its length in bytes.
    pub decoder_len: usize,
    /// The joint network's graph; for `rnnt` variants.
    pub joint: *const u8,
    /// Its length in bytes.
    pub joint_len: usize,
    /// The text of the vocabulary file.
    pub vocab: *const u8,
    /// Its length in bytes.
    pub vocab_len: usize,
}

// SAFETY: `#[repr(C)]`, its size first, then pointers and numbers.
unsafe impl crate::structs::Versioned for gigastt_model_bytes {
    const FIRST: usize = size_of::<Self>();
}

/// Takes a model whose files are in memory. They are copied; nothing of `bytes` is used after the call.
/// Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_config_set_model_bytes(
    config: *mut gigastt_config,
    bytes: *const gigastt_model_bytes,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let config = CONFIGS.find(config)?;
        // SAFETY: NULL or readable by the contract of the header.
        let bytes = unsafe { crate::structs::read(bytes, "bytes") }?;
        // SAFETY: a string and readable parts by the contract of the header.
        let model = unsafe { model_of(&bytes) }?;
        config.0.lock().model = Some(model);
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// # Safety
/// The pointers are NULL or readable for their lengths, and the variant's is a string.
unsafe fn model_of(bytes: &gigastt_model_bytes) -> Result<Model, Failure> {
    // SAFETY: by the contract of this function.
    let code = unsafe { string("variant", bytes.variant) }?;
    let variant = Variant::from_code(code).ok_or_else(|| {
        Failure::argument(format!("variant: expected e2e_rnnt, rnnt, e2e_ctc or ctc, found {code:?}"))
    })?;
    let copy = |name, data, len| -> Result<Cow<'static, [u8]>, Failure> {
        // SAFETY: by the contract of this function.
        unsafe { slice(name, data, len) }.map(|part| Cow::Owned(part.to_vec()))
    };
    let part = |name, data, len| (len > 0).then(|| copy(name, data, len)).transpose();
    Ok(Model::bytes(ModelBytes {
        variant,
        encoder: copy("encoder", bytes.encoder, bytes.encoder_len)?,
        decoder: part("decoder", bytes.decoder, bytes.decoder_len)?,
        joint: part("joint", bytes.joint, bytes.joint_len)?,
        vocab: copy("vocab", bytes.vocab, bytes.vocab_len)?,
    }))
}

/// Sets the value of a key; `gigastt_config_keys_json` lists them. A value that cannot be read is
/// refused here, one out of its range where the configuration is used. The order of setting does not
/// matter. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_config_set(
    config: *mut gigastt_config,
    key: *const c_char,
    value: *const c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let config = CONFIGS.find(config)?;
        // SAFETY: NULL or strings by the contract of the header.
        let (key, value) = unsafe { (string("key", key)?, string("value", value)?) };
        config.set(key, value)?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Puts a JSON array into `*json` that describes every key: `key`, `scope` (`engine` or `stream`),
/// `while_running` (whether `gigastt_recognizer_set` takes it), `values`, `default`, `about`. Release
/// the string with `gigastt_string_release`. Any thread. Errors: `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_config_keys_json(
    json: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("json", json)?;
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { crate::text::give(place, crate::options::keys_json()) }?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// The options of a live stream at `sample_rate`.
pub(crate) fn live(config: Option<&Config>, sample_rate: i32) -> Result<Options, Failure> {
    let rate = u32::try_from(sample_rate).unwrap_or(0);
    Config::settings(config).stream(Options::new(rate))
}

/// The options of a transcription; `sample_rate` matters to samples only.
pub(crate) fn recording(config: Option<&Config>, sample_rate: Option<i32>) -> Result<Options, Failure> {
    let mut options = Options::file();
    options.format.sample_rate = sample_rate.map_or(RATE, |rate| u32::try_from(rate).unwrap_or(0));
    Config::settings(config).stream(options)
}
