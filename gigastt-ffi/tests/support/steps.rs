//! Steps of any kind, for the stress test and the fuzzer: every function of the interface, on handles that are
//! alive, released or none, and on results in any order.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

use gigastt_core::sync::Mutex;
use gigastt_ffi::config::*;
use gigastt_ffi::dispatch::gigastt_event_fn;
use gigastt_ffi::engine::*;
use gigastt_ffi::error::*;
use gigastt_ffi::event::*;
use gigastt_ffi::handles::gigastt_live_objects;
use gigastt_ffi::library::*;
use gigastt_ffi::partial::*;
use gigastt_ffi::recognizer::*;
use gigastt_ffi::status::*;
use gigastt_ffi::text::gigastt_string_release;
use gigastt_ffi::transcribe::*;
use gigastt_ffi::transcript::*;
use gigastt_ffi::utterance::*;
use gigastt_ffi::words::gigastt_word;

use super::{Shared, config, text};

/// Chooses a number below its argument.
pub(crate) type Pick<'a> = &'a mut dyn FnMut(u64) -> u64;

/// Handles of one kind that threads share; a place may hold one that was released, or none.
struct Slots<T>(Mutex<[Shared<T>; 4]>);

impl<T> Slots<T> {
    fn new() -> Self {
        Self(Mutex::new(std::array::from_fn(|_| Shared(null_mut()))))
    }

    fn any(&self, pick: Pick<'_>) -> *mut T {
        self.0.lock()[pick(4) as usize].get()
    }

    /// Puts a handle into a place; the one that was there.
    fn put(&self, pick: Pick<'_>, handle: *mut T) -> *mut T {
        std::mem::replace(&mut self.0.lock()[pick(4) as usize], Shared(handle)).get()
    }

    fn all(&self) -> [*mut T; 4] {
        self.0.lock().each_ref().map(Shared::get)
    }
}

/// What all threads work on.
pub(crate) struct World {
    /// Never drained and released last.
    engine: Shared<gigastt_engine>,
    configs: Slots<gigastt_config>,
    engines: Slots<gigastt_engine>,
    streams: Slots<gigastt_recognizer>,
    cancellers: Slots<gigastt_canceller>,
    audio: Vec<f32>,
}

/// A result that one thread holds: used until it is released, which is done once.
enum Held {
    Error(*mut gigastt_error),
    Partial(*mut gigastt_partial),
    Event(*mut gigastt_event),
    Transcript(*mut gigastt_transcript),
}

/// The results of a thread.
#[derive(Default)]
pub(crate) struct Results(Vec<Held>);

const RESULTS_MAX: usize = 8;
const CHUNK: usize = 6_400;

impl World {
    /// Streams are opened on `engine` and hear parts of `audio`.
    pub(crate) fn new(engine: *mut gigastt_engine, audio: Vec<f32>) -> Self {
        Self {
            engine: Shared(engine),
            configs: Slots::new(),
            engines: Slots::new(),
            streams: Slots::new(),
            cancellers: Slots::new(),
            audio,
        }
    }

    /// Releases every handle.
    pub(crate) fn release(self) {
        // SAFETY: handles, released or not.
        unsafe {
            gigastt_engine_release(self.engine.get());
            self.configs.all().iter().for_each(|it| gigastt_config_release(*it));
            self.streams.all().iter().for_each(|it| gigastt_recognizer_release(*it));
            self.engines.all().iter().for_each(|it| gigastt_engine_release(*it));
            self.cancellers.all().iter().for_each(|it| gigastt_canceller_release(*it));
            gigastt_set_log_callback(None, 0, null_mut(), None, null_mut());
        }
    }

    /// One step.
    pub(crate) fn step(&self, pick: Pick<'_>, results: &mut Results) {
        let mut failure = null_mut();
        let error = if pick(2) == 0 { null_mut() } else { &raw mut failure };
        // SAFETY: handles, released or not, results that are alive, and good addresses.
        let status = unsafe {
            match pick(16) {
                0..=7 => self.use_stream(pick, error, results),
                8..=9 => self.open_stream(pick, error),
                10 => self.configure(pick, error),
                11 => self.use_engine(pick, error),
                12 => self.transcribe(pick, error, results),
                13 => self.use_library(pick, error),
                _ => results.look(pick, error),
            }
        };
        assert!(![GIGASTT_INTERNAL, GIGASTT_POISONED, GIGASTT_FORKED].contains(&status), "found {status}");
        assert!(failure.is_null() || status < 0, "an error beside status {status}");
        if !failure.is_null() {
            // SAFETY: alive.
            assert_eq!(unsafe { gigastt_error_status(failure) }, status);
            results.keep(pick, Held::Error(failure));
        }
    }

    fn chunk(&self, pick: Pick<'_>) -> &[f32] {
        let from = pick((self.audio.len() - CHUNK) as u64) as usize;
        &self.audio[from..from + CHUNK]
    }

    unsafe fn open_stream(&self, pick: Pick<'_>, error: *mut *mut gigastt_error) -> gigastt_status {
        let mut opened = null_mut();
        let engine = if pick(8) == 0 { self.engines.any(pick) } else { self.engine.get() };
        let config = if pick(4) == 0 { self.configs.any(pick) } else { null_mut() };
        let rate = [16_000, 16_000, 8_000, 48_000, 7][pick(5) as usize];
        // SAFETY: as in `step`.
        unsafe {
            let status = gigastt_recognizer_open(engine, config, rate, place(pick, &raw mut opened), error);
            if !opened.is_null() {
                gigastt_recognizer_release(self.streams.put(pick, opened));
            }
            status
        }
    }

    unsafe fn use_stream(
        &self,
        pick: Pick<'_>,
        error: *mut *mut gigastt_error,
        results: &mut Results,
    ) -> gigastt_status {
        let stream = self.streams.any(pick);
        let (timeout_ms, mut taken, mut gap, mut fd) = (pick(3) as i64, 0, 0, 0);
        let (mut partial, mut event, mut transcript) = (null_mut(), null_mut(), null_mut());
        // SAFETY: as in `step`.
        let status = unsafe {
            match pick(22) {
                0..=4 => {
                    let (data, count) = (self.chunk(pick).as_ptr(), CHUNK);
                    let taken = place(pick, &raw mut taken);
                    gigastt_recognizer_push_pcm_f32(stream, place(pick, data.cast_mut()), count, taken, error)
                }
                5 => {
                    let samples = integers(self.chunk(pick));
                    gigastt_recognizer_push_pcm(stream, samples.as_ptr(), CHUNK, &raw mut taken, error)
                }
                6 => gigastt_recognizer_poll_partial(stream, place(pick, &raw mut partial), error),
                7..=9 => {
                    gigastt_recognizer_poll_event(stream, timeout_ms, place(pick, &raw mut event), error)
                }
                10 => gigastt_recognizer_wait_writable(stream, timeout_ms, error),
                11 => gigastt_recognizer_cancel(stream, error),
                12 => gigastt_recognizer_reset(stream, error),
                13 => gigastt_recognizer_wait_fd(stream, place(pick, &raw mut fd), error),
                14 => gigastt_recognizer_finish(stream, timeout_ms, place(pick, &raw mut transcript), error),
                15 => gigastt_recognizer_gap(stream, pick(100_000), place(pick, &raw mut gap), error),
                16 => gigastt_recognizer_force_endpoint(stream, error),
                17 => {
                    let (key, value) = (any(pick, &KEYS), any(pick, &VALUES));
                    gigastt_recognizer_set(stream, key, value, error)
                }
                18 => gigastt_recognizer_close(stream, error),
                19 => {
                    let mut stats: gigastt_recognizer_statistics = zeroed();
                    stats.struct_size = size_of_val(&stats) - pick(2) as usize;
                    gigastt_recognizer_stats(stream, place(pick, &raw mut stats), error)
                }
                20 => {
                    let user = Box::into_raw(Box::new((Shared(stream), pick(16)))).cast();
                    let callback: gigastt_event_fn = if pick(4) == 0 { None } else { Some(on_event) };
                    gigastt_recognizer_set_callback(stream, callback, user, Some(destroy), error)
                }
                _ => {
                    gigastt_recognizer_release(stream);
                    GIGASTT_OK
                }
            }
        };
        for held in [Held::Partial(partial), Held::Event(event), Held::Transcript(transcript)] {
            results.keep(pick, held);
        }
        status
    }

    unsafe fn configure(&self, pick: Pick<'_>, error: *mut *mut gigastt_error) -> gigastt_status {
        let config = self.configs.any(pick);
        // SAFETY: as in `step`.
        unsafe {
            match pick(8) {
                0 | 1 => {
                    let mut made = null_mut();
                    let status = gigastt_config_new(place(pick, &raw mut made), error);
                    if !made.is_null() {
                        // Engines of it run the scripted model.
                        gigastt_config_set(made, c"fake".as_ptr(), c"0".as_ptr(), null_mut());
                        gigastt_config_release(self.configs.put(pick, made));
                    }
                    status
                }
                2 | 3 => gigastt_config_set(config, any(pick, &CONFIG_KEYS), any(pick, &VALUES), error),
                4 => gigastt_config_set_model_dir(config, any(pick, &PATHS), error),
                5 => {
                    let name = [c"gigaam-v3-ctc", c"gigaam-v9"];
                    gigastt_config_set_pretrained(config, any(pick, &name), error)
                }
                6 => {
                    let mut bytes: gigastt_model_bytes = zeroed();
                    bytes.struct_size = size_of_val(&bytes) - pick(2) as usize;
                    bytes.variant = any(pick, &[c"ctc", c"rnnt", c"none"]);
                    bytes.encoder = place(pick, c"graph".as_ptr().cast_mut()).cast();
                    (bytes.encoder_len, bytes.vocab_len) = (5, 0);
                    gigastt_config_set_model_bytes(config, place(pick, &raw mut bytes), error)
                }
                _ => {
                    gigastt_config_release(config);
                    GIGASTT_OK
                }
            }
        }
    }

    unsafe fn use_engine(&self, pick: Pick<'_>, error: *mut *mut gigastt_error) -> gigastt_status {
        let mut engine = self.engines.any(pick);
        // SAFETY: as in `step`.
        unsafe {
            match pick(6) {
                0 => {
                    // Not with NULL, which stands for the embedded model.
                    let (made_of, mut opened) = (config(&[("fake", "0"), ("threads", "2")]), null_mut());
                    let from = if pick(2) == 0 { made_of } else { self.configs.any(pick) };
                    let status = match from.is_null() {
                        true => GIGASTT_OK,
                        false => gigastt_engine_open(from, place(pick, &raw mut opened), error),
                    };
                    gigastt_config_release(made_of);
                    if !opened.is_null() {
                        gigastt_engine_release(self.engines.put(pick, opened));
                    }
                    status
                }
                1 => {
                    let mut stats: gigastt_engine_statistics = zeroed();
                    stats.struct_size = size_of_val(&stats) - pick(2) as usize;
                    engine = self.engine_or(pick, engine);
                    gigastt_engine_stats(engine, place(pick, &raw mut stats), error)
                }
                2 => {
                    let mut json = null_mut();
                    engine = self.engine_or(pick, engine);
                    let status = gigastt_engine_info_json(engine, place(pick, &raw mut json), error);
                    read(json);
                    status
                }
                3 => {
                    engine = self.engine_or(pick, engine);
                    let status = gigastt_engine_retain(engine, error);
                    if status == GIGASTT_OK {
                        gigastt_engine_release(engine);
                    }
                    status
                }
                4 => gigastt_engine_drain(engine, pick(3) as i64, error),
                _ => {
                    gigastt_engine_release(engine);
                    GIGASTT_OK
                }
            }
        }
    }

    fn engine_or(&self, pick: Pick<'_>, other: *mut gigastt_engine) -> *mut gigastt_engine {
        if pick(2) == 0 { other } else { self.engine.get() }
    }

    unsafe fn transcribe(
        &self,
        pick: Pick<'_>,
        error: *mut *mut gigastt_error,
        results: &mut Results,
    ) -> gigastt_status {
        let (mut transcript, mut heard) = (null_mut(), 0_i64);
        let (config, canceller) = (self.configs.any(pick), self.cancellers.any(pick));
        let engine = self.engines.any(pick);
        let engine = self.engine_or(pick, engine);
        // SAFETY: as in `step`.
        let status = unsafe {
            let (user, done) = ((&raw mut heard).cast(), place(pick, &raw mut transcript));
            match pick(6) {
                0 | 1 => {
                    let samples = integers(self.chunk(pick));
                    let data = place(pick, samples.as_ptr().cast_mut());
                    gigastt_transcribe_pcm(
                        engine,
                        config,
                        data,
                        CHUNK,
                        16_000,
                        canceller,
                        Some(on_progress),
                        user,
                        done,
                        error,
                    )
                }
                2 => {
                    let path = any(pick, &PATHS);
                    gigastt_transcribe_file(
                        engine,
                        config,
                        path,
                        canceller,
                        Some(on_progress),
                        user,
                        done,
                        error,
                    )
                }
                3 => {
                    let mut made = null_mut();
                    let status = gigastt_canceller_new(place(pick, &raw mut made), error);
                    if !made.is_null() {
                        gigastt_canceller_release(self.cancellers.put(pick, made));
                    }
                    status
                }
                4 => gigastt_canceller_cancel(canceller, error),
                _ => {
                    gigastt_canceller_release(canceller);
                    GIGASTT_OK
                }
            }
        };
        results.keep(pick, Held::Transcript(transcript));
        status
    }

    unsafe fn use_library(&self, pick: Pick<'_>, error: *mut *mut gigastt_error) -> gigastt_status {
        // SAFETY: as in `step`.
        unsafe {
            match pick(4) {
                0 => {
                    let mut json = null_mut();
                    let status = gigastt_config_keys_json(place(pick, &raw mut json), error);
                    read(json);
                    status
                }
                1 => gigastt_runtime_set_path(any(pick, &PATHS), error),
                2 => {
                    let user = Box::new((Shared::<gigastt_recognizer>(null_mut()), 0_u64));
                    let user = Box::into_raw(user).cast();
                    let callback: gigastt_log_fn = if pick(4) == 0 { None } else { Some(on_log) };
                    gigastt_set_log_callback(callback, pick(7) as i32, user, Some(destroy), error)
                }
                _ => {
                    assert!(!CStr::from_ptr(gigastt_version()).is_empty());
                    assert!(!CStr::from_ptr(gigastt_status_name(pick(40) as i32 - 20)).is_empty());
                    assert!(gigastt_live_objects() > 0 && gigastt_abi_version() == GIGASTT_ABI_VERSION);
                    GIGASTT_OK
                }
            }
        }
    }
}

impl Results {
    /// Takes a result, if there is one, in another's place when there are many.
    fn keep(&mut self, pick: Pick<'_>, held: Held) {
        if held.is_null() {
            return;
        }
        if self.0.len() == RESULTS_MAX {
            self.0.swap_remove(pick(RESULTS_MAX as u64) as usize);
        }
        self.0.push(held);
    }

    /// Reads one, or what is none.
    unsafe fn look(&self, pick: Pick<'_>, error: *mut *mut gigastt_error) -> gigastt_status {
        let held = self.0.get(pick(RESULTS_MAX as u64) as usize);
        // SAFETY: alive, or NULL.
        unsafe {
            match held {
                Some(Held::Error(it)) => {
                    text(gigastt_error_message(*it));
                    assert!(gigastt_error_status(*it) < 0);
                    GIGASTT_OK
                }
                Some(Held::Partial(it)) => look_at_partial(*it, pick, error),
                Some(Held::Event(it)) => look_at_event(*it, pick, error),
                Some(Held::Transcript(it)) => look_at_transcript(*it, pick, error),
                None => match pick(5) {
                    0 => {
                        assert_eq!(text(gigastt_error_message(null())), "");
                        gigastt_error_status(null())
                    }
                    1 => look_at_partial(null(), pick, error),
                    2 => look_at_event(null(), pick, error),
                    3 => look_at_final(null(), pick, error),
                    _ => look_at_transcript(null(), pick, error),
                },
            }
        }
    }
}

impl Held {
    fn is_null(&self) -> bool {
        match self {
            Self::Error(it) => it.is_null(),
            Self::Partial(it) => it.is_null(),
            Self::Event(it) => it.is_null(),
            Self::Transcript(it) => it.is_null(),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: alive or NULL, and here alone.
        unsafe {
            match self {
                Self::Error(it) => gigastt_error_release(*it),
                Self::Partial(it) => gigastt_partial_release(*it),
                Self::Event(it) => gigastt_event_release(*it),
                Self::Transcript(it) => gigastt_transcript_release(*it),
            }
        }
    }
}

/// How `word` and the number of words and the text as JSON are asked for.
type GiveWord<T> =
    unsafe extern "C" fn(*const T, usize, *mut gigastt_word, *mut *mut gigastt_error) -> gigastt_status;
type GiveText<T> =
    unsafe extern "C" fn(*const T, *mut *mut c_char, *mut *mut gigastt_error) -> gigastt_status;

/// Asks for a word below or at the bound, or for a text.
unsafe fn ask<T>(
    it: *const T,
    words: usize,
    word: GiveWord<T>,
    texts: &[GiveText<T>],
    pick: Pick<'_>,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: alive or NULL, and good addresses.
    unsafe {
        if pick(2) == 0 {
            let mut found: gigastt_word = zeroed();
            found.struct_size = size_of_val(&found) - pick(8) as usize / 7;
            let index = pick(words as u64 + 1) as usize;
            let status = word(it, index, place(pick, &raw mut found), error);
            if status == GIGASTT_OK {
                assert!(index < words && !text(found.text).is_empty() && found.start_ms <= found.end_ms);
            }
            return status;
        }
        let mut made = null_mut();
        let status = texts[pick(texts.len() as u64) as usize](it, place(pick, &raw mut made), error);
        read(made);
        status
    }
}

unsafe fn look_at_partial(
    it: *const gigastt_partial,
    pick: Pick<'_>,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: alive or NULL.
    unsafe {
        let length = text(gigastt_partial_text(it)).len();
        let (committed, stable) = (gigastt_partial_committed_len(it), gigastt_partial_stable_len(it));
        assert!(committed <= stable && stable <= length);
        assert!(gigastt_partial_decoded_ms(it) <= gigastt_partial_audio_ms(it));
        assert_eq!(gigastt_partial_revision(it) > 0, !it.is_null());
        let words = gigastt_partial_word_count(it);
        ask(it, words, gigastt_partial_word, &[gigastt_partial_to_json], pick, error)
    }
}

unsafe fn look_at_event(
    it: *const gigastt_event,
    pick: Pick<'_>,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: alive or NULL; its parts live as long as it.
    unsafe {
        let (kind, at_ms) = (gigastt_event_kind(it), gigastt_event_at_ms(it));
        let (partial, utterance) = (gigastt_event_partial(it), gigastt_event_final(it));
        assert_eq!(at_ms >= 0, kind == GIGASTT_EVENT_SPEECH_STARTED);
        assert_eq!(partial.is_null(), kind != GIGASTT_EVENT_PARTIAL);
        assert_eq!(utterance.is_null(), kind != GIGASTT_EVENT_FINAL);
        text(gigastt_error_message(gigastt_event_error(it)));
        match pick(3) {
            0 => look_at_partial(partial, pick, error),
            1 => look_at_final(utterance, pick, error),
            _ => {
                let mut json = null_mut();
                let status = gigastt_event_to_json(it, place(pick, &raw mut json), error);
                read(json);
                status
            }
        }
    }
}

unsafe fn look_at_final(
    it: *const gigastt_final,
    pick: Pick<'_>,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: alive or NULL.
    unsafe {
        text(gigastt_final_text(it));
        assert!(gigastt_final_start_sample(it) <= gigastt_final_end_sample(it));
        assert_eq!(gigastt_final_endpoint_reason(it) < 0, it.is_null());
        assert!(!gigastt_final_second_pass(it) || !it.is_null());
        let words = gigastt_final_word_count(it);
        ask(it, words, gigastt_final_word, &[gigastt_final_to_json], pick, error)
    }
}

unsafe fn look_at_transcript(
    it: *const gigastt_transcript,
    pick: Pick<'_>,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: alive or NULL; its finals live as long as it.
    unsafe {
        text(gigastt_transcript_text(it));
        assert!(gigastt_transcript_duration_ms(it) >= 0);
        let segments = gigastt_transcript_segment_count(it);
        let index = pick(segments as u64 + 1) as usize;
        let segment = gigastt_transcript_segment(it, index);
        assert_eq!(segment.is_null(), index == segments);
        if pick(2) == 0 {
            return look_at_final(segment, pick, error);
        }
        let texts: [GiveText<_>; 3] =
            [gigastt_transcript_to_json, gigastt_transcript_to_srt, gigastt_transcript_to_vtt];
        ask(it, gigastt_transcript_word_count(it), gigastt_transcript_word, &texts, pick, error)
    }
}

/// Hears events, and now and then does what a callback may do: ask more of its own stream, or release it.
unsafe extern "C" fn on_event(user: *mut c_void, event: *const gigastt_event) {
    let mut taken = 0;
    // SAFETY: the data that was set with it, not destroyed while it runs, and an event that is alive.
    unsafe {
        let (stream, when) = &*user.cast::<(Shared<gigastt_recognizer>, u64)>();
        look_at_event(event, &mut |bound| when % bound, null_mut());
        let (stream, none) = (stream.get(), null_mut());
        let _: gigastt_status = match (gigastt_event_kind(event) as u64 + when) % 8 {
            0 => {
                gigastt_recognizer_release(stream);
                GIGASTT_OK
            }
            1 => gigastt_recognizer_cancel(stream, none),
            2 => gigastt_recognizer_gap(stream, 640, &raw mut taken, none),
            3 => gigastt_recognizer_set_callback(stream, None, null_mut(), None, none),
            _ => GIGASTT_OK,
        };
    }
}

unsafe extern "C" fn destroy(user: *mut c_void) {
    // SAFETY: made by `Box::into_raw` and given here once.
    drop(unsafe { Box::from_raw(user.cast::<(Shared<gigastt_recognizer>, u64)>()) });
}

unsafe extern "C" fn on_progress(user: *mut c_void, done_ms: i64, _: i64) {
    // SAFETY: the number of the call.
    let heard = unsafe { &mut *user.cast::<i64>() };
    assert!(*heard <= done_ms);
    *heard = done_ms;
}

unsafe extern "C" fn on_log(
    _: *mut c_void,
    level: gigastt_log_level,
    target: *const c_char,
    message: *const c_char,
) {
    // SAFETY: strings that live until it returns.
    let length = unsafe { CStr::from_ptr(target).count_bytes() + CStr::from_ptr(message).count_bytes() };
    assert!(length > 0 && (GIGASTT_LOG_ERROR..=GIGASTT_LOG_TRACE).contains(&level));
}

const KEYS: [&CStr; 6] = [c"endpoint", c"silence_ms", c"utterance_max_ms", c"gate", c"threads", c"\xff"];
const CONFIG_KEYS: [&CStr; 6] =
    [c"endpoint", c"silence_ms", c"utterance_max_ms", c"gate", c"channels", c"\xff"];
const VALUES: [&CStr; 7] = [c"manual", c"captions", c"1000", c"25000", c"none", c"true", c""];
const PATHS: [&CStr; 3] = [c"/nowhere", c"Cargo.toml", c"\xff"];

/// One of these, or rarely NULL.
fn any(pick: Pick<'_>, texts: &[&'static CStr]) -> *const c_char {
    let text = texts[pick(texts.len() as u64) as usize];
    place(pick, text.as_ptr().cast_mut())
}

/// An address, or rarely NULL.
fn place<T>(pick: Pick<'_>, address: *mut T) -> *mut T {
    if pick(16) == 15 { null_mut() } else { address }
}

/// Reads a string and releases it; NULL is none.
unsafe fn read(string: *mut c_char) {
    // SAFETY: alive or NULL.
    unsafe {
        if !string.is_null() {
            CString::from(CStr::from_ptr(string)).into_string().unwrap();
        }
        gigastt_string_release(string);
    }
}

/// A structure of C without anything in it.
fn zeroed<T: Copy>() -> T {
    // SAFETY: the structures of the interface are numbers and pointers.
    unsafe { std::mem::zeroed() }
}

fn integers(samples: &[f32]) -> Vec<i16> {
    samples.iter().map(|sample| (sample * 32_767.0) as i16).collect()
}
