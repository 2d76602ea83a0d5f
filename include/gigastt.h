/*
 *  libgigastt: Russian speech recognition in your program.
 *
 *  Rules that hold for every function:
 *
 *  - Threads. Every function may be called from any thread at any time, also on one object at once; none
 *    from the handler of a signal.
 *    Results (partials, finals, events, transcripts, errors) never change and may be read from any thread
 *    until they are released.
 *  - Handles (config, engine, recognizer, canceller) may be released while other threads are in a call
 *    with them: those calls go on with what they have, later ones get GIGASTT_INVALID_HANDLE.
 *  - Ownership. What comes out through a pointer to a pointer is yours: release it once with the function
 *    of its type. What an accessor returns belongs to the object asked, and lives as long.
 *    `_release` takes NULL, and does nothing then.
 *  - NULL is an error, GIGASTT_INVALID_ARGUMENT, where a function does not say that it may be passed.
 *  - Statuses. 0 is success. Negative numbers are errors. Positive numbers are answers without a result.
 *  - Outputs are written on GIGASTT_OK alone (`taken` also on GIGASTT_WOULD_BLOCK). `error` is last, may be
 *    NULL, and is set when the status is negative; release it then.
 *  - Texts are UTF-8 with a length, and end with a NUL besides. Times are in milliseconds.
 *  - Floating point. Threads that call have its exceptions masked and round to nearest, as programs start.
 *    Flush-to-zero changes nothing.
 *  - GIGASTT_INTERNAL is a defect of the library. The handle it hit then answers GIGASTT_POISONED.
 *  - fork. In a child of the process that uses the library, functions return GIGASTT_FORKED and releasing
 *    does nothing.
 *  - Nothing here prints, exits, aborts or throws. Callbacks must not throw through the library.
 *
 *  A complete program:
 *
 *
 *  // Prints the utterances of a 16-bit mono WAV file, or of one on standard input, streaming it as a microphone would.
 *  //
 *  //     cc -o words words.c $(pkg-config --cflags --libs gigastt) -Wl,-rpath,$(pkg-config --variable=libdir gigastt)
 *  //     ./words speech.wav
 *
 *  #include <gigastt.h>
 *  #include <stdio.h>
 *  #include <string.h>
 *
 *  static int fail(gigastt_error *error) {
 *      fprintf(stderr, "%s\n", gigastt_error_message(error).data);
 *      gigastt_error_release(error);
 *      return 1;
 *  }
 *
 *  static void print(gigastt_str text) {
 *      if (text.len > 0) printf("%s\n", text.data);
 *  }
 *
 *  // Prints the utterances that have been finished.
 *  static gigastt_status print_finals(gigastt_recognizer *speaker, gigastt_error **error) {
 *      gigastt_event *event = NULL;
 *      gigastt_status status;
 *      while ((status = gigastt_recognizer_poll_event(speaker, 0, &event, error)) == GIGASTT_OK) {
 *          if (gigastt_event_kind(event) == GIGASTT_EVENT_FINAL) print(gigastt_final_text(gigastt_event_final(event)));
 *          gigastt_event_release(event);
 *      }
 *      return status;
 *  }
 *
 *  // A recognizer that is full, of audio or of finals that nobody took, takes a part; the rest is pushed afterwards.
 *  static gigastt_status push(gigastt_recognizer *speaker, const int16_t *samples, size_t count,
 *                             gigastt_error **error) {
 *      while (count > 0) {
 *          size_t taken = 0;
 *          gigastt_status status = gigastt_recognizer_push_pcm(speaker, samples, count, &taken, error);
 *          // Ends as well when it is finals that fill it; other failures come again with the next push.
 *          if (status == GIGASTT_WOULD_BLOCK) gigastt_recognizer_wait_writable(speaker, -1, NULL);
 *          if (status >= 0) status = print_finals(speaker, error);
 *          if (status < 0) return status;
 *          samples += taken;
 *          count -= taken;
 *      }
 *      return GIGASTT_OK;
 *  }
 *
 *  static int recognize(gigastt_recognizer *speaker, FILE *wav) {
 *      gigastt_error *error = NULL;
 *      gigastt_transcript *transcript = NULL;
 *      int16_t samples[320];
 *      size_t count;
 *      while ((count = fread(samples, sizeof *samples, 320, wav)) > 0)
 *          if (push(speaker, samples, count, &error) < 0) return fail(error);
 *
 *      if (gigastt_recognizer_finish(speaker, -1, &transcript, &error) < 0) return fail(error);
 *      print(gigastt_transcript_text(transcript));
 *      gigastt_transcript_release(transcript);
 *      return 0;
 *  }
 *
 *  int main(int argc, char **argv) {
 *      gigastt_error *error = NULL;
 *      gigastt_engine *engine = NULL;
 *      gigastt_recognizer *speaker = NULL;
 *      unsigned char head[44];
 *      FILE *wav = argc == 2 && strcmp(argv[1], "-") != 0 ? fopen(argv[1], "rb") : argc == 2 ? stdin : NULL;
 *      if (!wav || fread(head, 1, sizeof head, wav) != sizeof head || memcmp(head + 36, "data", 4) != 0) {
 *          fprintf(stderr, "usage: words FILE.wav or - (16-bit, mono)\n");
 *          return 2;
 *      }
 *      int32_t rate = (int32_t)(head[24] | head[25] << 8 | (uint32_t)head[26] << 16);
 *
 *      int failed = 1;
 *      if (gigastt_engine_open(NULL, &engine, &error) < 0
 *          || gigastt_recognizer_open(engine, NULL, rate, &speaker, &error) < 0)
 *          fail(error);
 *      else
 *          failed = recognize(speaker, wav);
 *
 *      gigastt_recognizer_release(speaker);
 *      gigastt_engine_release(engine);
 *      fclose(wav);
 *      return failed;
 *  }
 */

#ifndef GIGASTT_H
#define GIGASTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The version of this header. `gigastt_version` tells that of the library.
 */
#define GIGASTT_VERSION "0.1.0"
#define GIGASTT_VERSION_MAJOR 0
#define GIGASTT_VERSION_MINOR 1
#define GIGASTT_VERSION_PATCH 0


/**
 * The version of the binary interface: the number in the library's SONAME. Programs built with one work with
 * every library of the same.
 */
#define GIGASTT_ABI_VERSION 1

/**
 * Ends transcriptions from another thread. Every function on it may be called from any thread at any time.
 */
typedef struct gigastt_canceller gigastt_canceller;

/**
 * What an engine, a stream or a transcription is to be like: a model, and values of keys. May be
 * used for any number of them and changed between; what was opened keeps what it was opened with.
 * Every function on it may be called from any thread.
 */
typedef struct gigastt_config gigastt_config;

/**
 * A loaded model and its worker threads, shared by any number of recognizers and transcriptions.
 * Counted: `_open` and `_retain` each ask for one `_release`. Every function on it may be called from
 * any thread at any time.
 */
typedef struct gigastt_engine gigastt_engine;

/**
 * What went wrong, in words. Functions that can fail take a `gigastt_error **` last: NULL, or the
 * address of a pointer that is set when the status is negative. Immutable: any thread may read it.
 */
typedef struct gigastt_error gigastt_error;

/**
 * What a stream tells, in this order: speech started, partials, final, and so on, and one end, after
 * which nothing follows. Immutable: any thread may read it. What it gives lives as long as it does.
 */
typedef struct gigastt_event gigastt_event;

/**
 * A finished utterance. Belongs to the event or transcript it comes from, and lives as long. Immutable:
 * any thread may read it.
 */
typedef struct gigastt_final gigastt_final;

/**
 * The newest state of an utterance that is being spoken. Immutable: any thread may read it. The texts
 * it gives live as long as it does.
 */
typedef struct gigastt_partial gigastt_partial;

/**
 * One speaker's stream. Every function on it may be called from any thread at any time, also while
 * another one waits in a call: pushing on an audio thread while a second thread waits for events is
 * what it is for. Calls take turns for microseconds; none holds up another while it waits.
 */
typedef struct gigastt_recognizer gigastt_recognizer;

/**
 * The finished utterances of a recording, or of a stream those that were not taken as events. Immutable:
 * any thread may read it. The texts and finals it gives live as long as it does.
 */
typedef struct gigastt_transcript gigastt_transcript;

/**
 * What a fallible function returns: 0 for success, a negative number for an error, a positive one for
 * a normal answer without a result.
 */
typedef int32_t gigastt_status;

/**
 * A model's files in memory. Set `struct_size` to `sizeof(gigastt_model_bytes)` and the parts that the
 * variant lacks to NULL and 0.
 */
typedef struct gigastt_model_bytes {
    /**
     * The size of this structure in bytes.
     */
    size_t struct_size;
    /**
     * `"e2e_rnnt"`, `"rnnt"`, `"e2e_ctc"` or `"ctc"`.
     */
    const char *variant;
    /**
     * The encoder's graph; for `ctc` variants the whole network's.
     */
    const uint8_t *encoder;
    /**
     * Its length in bytes.
     */
    size_t encoder_len;
    /**
     * The predictor's graph; for `rnnt` variants.
     */
    const uint8_t *decoder;
    /**
     * Its length in bytes.
     */
    size_t decoder_len;
    /**
     * The joint network's graph; for `rnnt` variants.
     */
    const uint8_t *joint;
    /**
     * Its length in bytes.
     */
    size_t joint_len;
    /**
     * The text of the vocabulary file.
     */
    const uint8_t *vocab;
    /**
     * Its length in bytes.
     */
    size_t vocab_len;
} gigastt_model_bytes;

/**
 * What an engine has done and does. Set `struct_size` to `sizeof(gigastt_engine_statistics)` before the call.
 */
typedef struct gigastt_engine_statistics {
    /**
     * The size of this structure in bytes.
     */
    size_t struct_size;
    /**
     * Streams that are open, transcriptions included.
     */
    uint64_t sessions;
    /**
     * Windows of audio that wait for a worker.
     */
    uint64_t queued;
    /**
     * Share of the workers' time that live streams took in the last seconds: 0 to about 1.
     */
    double load;
    /**
     * Seconds spent in the encoder, summed over the workers.
     */
    double encoder_s;
    /**
     * Seconds spent decoding, summed over the workers.
     */
    double decoder_s;
    /**
     * Seconds of audio encoded; what is encoded again counts again.
     */
    double encoded_s;
    /**
     * Windows encoded.
     */
    uint64_t windows;
    /**
     * Encoder calls; a call may hold several windows.
     */
    uint64_t calls;
    /**
     * Model calls that hit a defect.
     */
    uint64_t panics;
} gigastt_engine_statistics;

/**
 * A piece of text that belongs to another object and lives as long as it. UTF-8. `data` is never NULL
 * and ends with a NUL that `len` does not count.
 */
typedef struct gigastt_str {
    /**
     * The bytes.
     */
    const char *data;
    /**
     * Their number, without the NUL.
     */
    size_t len;
} gigastt_str;

/**
 * What an event is.
 */
typedef int32_t gigastt_event_type;

/**
 * How important a log line is.
 */
typedef int32_t gigastt_log_level;

/**
 * Receives log lines. `target` says where in the library it comes from; both strings are UTF-8,
 * NUL-terminated, and valid until it returns. Runs on any thread, several at a time, also inside calls:
 * it must not call this library, not throw and not jump out.
 */
typedef void (*gigastt_log_fn)(void *user, gigastt_log_level level, const char *target, const char *message);

/**
 * Called once with the user data when no callback will use it any more. On any thread. May be NULL.
 */
typedef void (*gigastt_destroy_fn)(void *user);

/**
 * A recognised word. Set `struct_size` to `sizeof(gigastt_word)` before a function fills it. Its text
 * lives as long as the result it comes from.
 */
typedef struct gigastt_word {
    /**
     * The size of this structure in bytes.
     */
    size_t struct_size;
    /**
     * The word with the punctuation that belongs to it, without spaces.
     */
    struct gigastt_str text;
    /**
     * Milliseconds from the start of the stream to where it starts.
     */
    int64_t start_ms;
    /**
     * Milliseconds from the start of the stream to where it ends.
     */
    int64_t end_ms;
    /**
     * 0 to 1.
     */
    double confidence;
} gigastt_word;

/**
 * What a stream has done and holds. Set `struct_size` to `sizeof(gigastt_recognizer_statistics)` before the
 * call.
 */
typedef struct gigastt_recognizer_statistics {
    /**
     * The size of this structure in bytes.
     */
    size_t struct_size;
    /**
     * Milliseconds of audio taken.
     */
    int64_t heard_ms;
    /**
     * Milliseconds of audio, from the stream's start, whose finals are out.
     */
    int64_t settled_ms;
    /**
     * Milliseconds by which what is recognised trails what was heard; grows when the engine has more to do
     * than it can.
     */
    int64_t lag_ms;
    /**
     * Windows of audio that wait for a worker or run.
     */
    uint64_t windows;
    /**
     * How often the partial changed.
     */
    uint64_t revisions;
    /**
     * Seconds the encoder took for this stream; of a shared call its share.
     */
    double encoder_s;
    /**
     * Seconds spent on resampling, features and voice activity, on the threads that push.
     */
    double front_end_s;
    /**
     * Bytes held: audio features, and the context that is kept of the running utterance.
     */
    uint64_t bytes;
} gigastt_recognizer_statistics;

/**
 * Receives the events of a recognizer, in order. `event` belongs to the library and is valid until the
 * callback returns. Runs on a thread of the engine, one callback at a time for all its recognizers, so
 * it should be short. It may call every function of the library except `gigastt_recognizer_finish` and
 * `gigastt_engine_drain`, also release its own recognizer. It must not throw and not jump out.
 */
typedef void (*gigastt_event_fn)(void *user, const struct gigastt_event *event);

/**
 * Hears how far a transcription is: milliseconds of audio whose text is done, and of the whole recording,
 * -1 where that is not known. Runs on the thread that transcribes. It must not throw and not jump out.
 */
typedef void (*gigastt_progress_fn)(void *user, int64_t done_ms, int64_t total_ms);

/**
 * Why an utterance ended.
 */
typedef int32_t gigastt_endpoint_reason;

/**
 * Speech was detected: `gigastt_event_at_ms`.
 */
#define GIGASTT_EVENT_SPEECH_STARTED 1

/**
 * The running utterance changed: `gigastt_event_partial`. States that were not taken in time are skipped.
 */
#define GIGASTT_EVENT_PARTIAL 2

/**
 * An utterance is finished: `gigastt_event_final`. None is ever skipped.
 */
#define GIGASTT_EVENT_FINAL 3

/**
 * The end: `gigastt_event_error` says whether it was a good one.
 */
#define GIGASTT_EVENT_END 4

/**
 * Something failed that no call could report.
 */
#define GIGASTT_LOG_ERROR 1

/**
 * Something is not as it should be.
 */
#define GIGASTT_LOG_WARN 2

/**
 * What a user may want to know.
 */
#define GIGASTT_LOG_INFO 3

/**
 * What a developer may want to know.
 */
#define GIGASTT_LOG_DEBUG 4

/**
 * Everything.
 */
#define GIGASTT_LOG_TRACE 5

/**
 * Done.
 */
#define GIGASTT_OK 0

/**
 * The recognizer is full and took nothing: take its events, or wait until it is writable.
 */
#define GIGASTT_WOULD_BLOCK 1

/**
 * Nothing new since the last call.
 */
#define GIGASTT_UNCHANGED 2

/**
 * The time limit was reached first.
 */
#define GIGASTT_TIMEOUT 3

/**
 * The stream has ended and its events were taken: nothing follows.
 */
#define GIGASTT_END 4

/**
 * An argument or option is NULL or out of its range.
 */
#define GIGASTT_INVALID_ARGUMENT -1

/**
 * The audio cannot be used: a broken container, an unsupported codec, samples that are no numbers.
 */
#define GIGASTT_INVALID_AUDIO -2

/**
 * A file could not be read or written.
 */
#define GIGASTT_IO -3

/**
 * No model at the place that was named.
 */
#define GIGASTT_MODEL_NOT_FOUND -4

/**
 * The model's files are not what they have to be.
 */
#define GIGASTT_INVALID_MODEL -5

/**
 * ONNX Runtime is missing, broken or too old.
 */
#define GIGASTT_RUNTIME -6

/**
 * The execution provider that was asked for is not there, or lacks a device, a library or memory.
 */
#define GIGASTT_PROVIDER -7

/**
 * The engine is full or overloaded: try again later.
 */
#define GIGASTT_BUSY -8

/**
 * The work was cancelled.
 */
#define GIGASTT_CANCELLED -9

/**
 * The stream was finished and takes nothing more.
 */
#define GIGASTT_CLOSED -10

/**
 * This is a forked child of the process that used the library. Nothing works here.
 */
#define GIGASTT_FORKED -11

/**
 * The model failed while it ran. Other streams are not affected.
 */
#define GIGASTT_INFERENCE -12

/**
 * A defect of this library; please report it.
 */
#define GIGASTT_INTERNAL -13

/**
 * The handle was released before, or never was one.
 */
#define GIGASTT_INVALID_HANDLE -14

/**
 * A defect of this library hit this handle in an earlier call: only releasing it is left.
 */
#define GIGASTT_POISONED -15

/**
 * A model could not be fetched: the hub cannot be reached, or does not give it.
 */
#define GIGASTT_NETWORK -16

/**
 * Enough silence after speech.
 */
#define GIGASTT_ENDPOINT_SILENCE 0

/**
 * The utterance reached its length bound; the speaker may be in the middle of a sentence.
 */
#define GIGASTT_ENDPOINT_LENGTH 1

/**
 * `gigastt_recognizer_force_endpoint`.
 */
#define GIGASTT_ENDPOINT_FORCED 2

/**
 * The stream was finished.
 */
#define GIGASTT_ENDPOINT_FINISH 3

/**
 * `gigastt_engine_drain`.
 */
#define GIGASTT_ENDPOINT_SHUTDOWN 4

/**
 * The stream reached a service's time limit.
 */
#define GIGASTT_ENDPOINT_SESSION_CAP 5

/**
 * A service heard nothing from its client for too long.
 */
#define GIGASTT_ENDPOINT_IDLE 6

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes a configuration of defaults in `*config`: the embedded model, a live stream of one channel.
 * Release it with `gigastt_config_release`. Any thread. Errors: `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_config_new(struct gigastt_config **config, struct gigastt_error **error);

/**
 * Releases a configuration. NULL is nothing to do. Any thread, also during a call with it.
 */
void gigastt_config_release(struct gigastt_config *config);

/**
 * Takes the model of GigaAM v3 whose files lie in the folder `path`. They are read when an engine is
 * opened. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
 */
gigastt_status gigastt_config_set_model_dir(struct gigastt_config *config,
                                            const char *path,
                                            struct gigastt_error **error);

/**
 * Takes a published model by its name, such as `gigaam-v3-e2e-rnnt`. When an engine is opened, the one that is
 * installed in the models folder is used (`GIGASTT_MODEL_DIR`, else `gigastt/models` in the user's data
 * folder); a model that is not there is fetched first and made fast for this machine, which takes as long as
 * that does: it may be hundreds of megabytes. `GIGASTT_OFFLINE=1` forbids it, `GIGASTT_HUB` names a mirror.
 * Any thread. Errors: `INVALID_ARGUMENT` (also for an unknown name), `INVALID_HANDLE`; of opening also
 * `NETWORK` and `MODEL_NOT_FOUND`.
 */
gigastt_status gigastt_config_set_pretrained(struct gigastt_config *config,
                                             const char *name,
                                             struct gigastt_error **error);

/**
 * Takes a model whose files are in memory. They are copied; nothing of `bytes` is used after the call.
 * Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
 */
gigastt_status gigastt_config_set_model_bytes(struct gigastt_config *config,
                                              const struct gigastt_model_bytes *bytes,
                                              struct gigastt_error **error);

/**
 * Sets the value of a key; `gigastt_config_keys_json` lists them. A value that cannot be read is
 * refused here, one out of its range where the configuration is used. The order of setting does not
 * matter. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
 */
gigastt_status gigastt_config_set(struct gigastt_config *config,
                                  const char *key,
                                  const char *value,
                                  struct gigastt_error **error);

/**
 * Puts a JSON array into `*json` that describes every key: `key`, `scope` (`engine` or `stream`),
 * `while_running` (whether `gigastt_recognizer_set` takes it), `values`, `default`, `about`. Release
 * the string with `gigastt_string_release`. Any thread. Errors: `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_config_keys_json(char **json, struct gigastt_error **error);

/**
 * Opens an engine into `*engine`: loads ONNX Runtime and the model and starts the workers. `config` may
 * be NULL: the embedded model, one worker for each core. Takes as long as reading the model does.
 * Release it with `gigastt_engine_release`. Any thread.
 * The first sets the environment variable `ORT_DISABLE_TELEMETRY` to 1, unless it is set, so that ONNX Runtime
 * reports nothing about the program to its maker. Who has threads that read the environment meanwhile sets it before.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `RUNTIME`, `PROVIDER`, `MODEL_NOT_FOUND`, `INVALID_MODEL`, `IO`;
 * of a published model also `NETWORK`.
 */
gigastt_status gigastt_engine_open(const struct gigastt_config *config,
                                   struct gigastt_engine **engine,
                                   struct gigastt_error **error);

/**
 * Counts one more owner, who releases the engine as well. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
 */
gigastt_status gigastt_engine_retain(struct gigastt_engine *engine, struct gigastt_error **error);

/**
 * Releases an engine. After the last release the handle is invalid; recognizers that are open, and calls
 * in progress, keep the model until they are gone. Who is last waits for the model calls that run, and at most
 * 2 s for a callback that runs: then no thread of the engine is left, and no user data. Inside a callback nothing
 * is waited for, and its thread ends after it. NULL is nothing to do. Any thread.
 */
void gigastt_engine_release(struct gigastt_engine *engine);

/**
 * Puts what is known of the model into `*json`: an object with `name`, `variant`, `quantization`,
 * `vocab_size`, `source`, `bytes`, `optimized` (the fast form that runs: `int8`, `fp32`, or null),
 * `threads`, `sample_rate`. Release the string with `gigastt_string_release`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
 */
gigastt_status gigastt_engine_info_json(const struct gigastt_engine *engine,
                                        char **json,
                                        struct gigastt_error **error);

/**
 * Fills `*stats`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
 */
gigastt_status gigastt_engine_stats(const struct gigastt_engine *engine,
                                    struct gigastt_engine_statistics *stats,
                                    struct gigastt_error **error);

/**
 * Before a program ends: opens no more recognizers, ends every open one as `gigastt_recognizer_finish`
 * does, with the reason `shutdown`, and waits until they have ended, for at most `timeout_ms`, or for ever
 * if negative. Their finals and ends wait to be taken. Finals whose second pass does not fit the time
 * are the newest text instead. `TIMEOUT`: some have not ended. Any thread, but not inside a callback.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
 */
gigastt_status gigastt_engine_drain(struct gigastt_engine *engine,
                                    int64_t timeout_ms,
                                    struct gigastt_error **error);

/**
 * The status of an error; `GIGASTT_OK` for NULL. Any thread.
 */
gigastt_status gigastt_error_status(const struct gigastt_error *error);

/**
 * The sentence for people: what was expected, what was found, and of which file or value. Empty for
 * NULL. Valid until the error is released. Any thread.
 */
struct gigastt_str gigastt_error_message(const struct gigastt_error *error);

/**
 * Releases an error. NULL is nothing to do. Any thread.
 */
void gigastt_error_release(struct gigastt_error *error);

/**
 * What it is; 0 for NULL. Any thread.
 */
gigastt_event_type gigastt_event_kind(const struct gigastt_event *event);

/**
 * Where speech was detected, in milliseconds from the start of the stream; -1 for other events and NULL.
 * Any thread.
 */
int64_t gigastt_event_at_ms(const struct gigastt_event *event);

/**
 * Its partial; NULL for other events. Belongs to the event: it is not released by itself. Any thread.
 */
const struct gigastt_partial *gigastt_event_partial(const struct gigastt_event *event);

/**
 * Its final; NULL for other events. Belongs to the event. Any thread.
 */
const struct gigastt_final *gigastt_event_final(const struct gigastt_event *event);

/**
 * Why the stream ended early: cancelled or failed. NULL for other events, and for the end of a stream
 * whose finals hold everything that was pushed. Belongs to the event: it is not released by itself. Any
 * thread.
 */
const struct gigastt_error *gigastt_event_error(const struct gigastt_event *event);

/**
 * Puts it as a JSON object into `*json`: `type` (`speech_started`, `partial`, `final` or `end`) and
 * what belongs to it. Release the string with `gigastt_string_release`. Any thread. Errors:
 * `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_event_to_json(const struct gigastt_event *event,
                                     char **json,
                                     struct gigastt_error **error);

/**
 * Releases it. NULL is nothing to do. Any thread.
 */
void gigastt_event_release(struct gigastt_event *event);

/**
 * How many objects of this library the program holds: handles, results and errors. For tests of
 * leaks. Any thread.
 */
size_t gigastt_live_objects(void);

/**
 * The version of the library, as in `"0.1.0"`. A constant that is never released. Any thread.
 */
const char *gigastt_version(void);

/**
 * The `GIGASTT_ABI_VERSION` of the library. Any thread.
 */
int32_t gigastt_abi_version(void);

/**
 * Has log lines up to `level` given to `callback` with `user`, or to nobody if `callback` is NULL, as before
 * the first call. `destroy`, if not NULL, is called once with `user`, when no call uses it any more; also
 * when this call fails. Any thread, but not inside the callback.
 * Errors: `INVALID_ARGUMENT`, `BUSY` when the program has a Rust logger of its own in the same copy of the
 * library.
 */
gigastt_status gigastt_set_log_callback(gigastt_log_fn callback,
                                        gigastt_log_level level,
                                        void *user,
                                        gigastt_destroy_fn destroy,
                                        struct gigastt_error **error);

/**
 * Names the library of ONNX Runtime for engines that are opened from here on, except those whose configuration
 * has a key `runtime`. Where neither names it, it is looked for, in this order: environment variable
 * `ORT_DYLIB_PATH`, the folder `gigastt` beside this library, this library's own, the folder of the program,
 * the active Python's packages, the system. A process loads it once. Any thread. Errors: `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_runtime_set_path(const char *path,
                                        struct gigastt_error **error);

/**
 * Everything recognised of the utterance so far; empty for NULL. Any thread.
 */
struct gigastt_str gigastt_partial_text(const struct gigastt_partial *partial);

/**
 * How many bytes of the text, from its start, never change; 0 in mode `two_pass`. Any thread.
 */
size_t gigastt_partial_committed_len(const struct gigastt_partial *partial);

/**
 * How many bytes of the text, from its start, are unlikely to change: a hint for displays; at least
 * `gigastt_partial_committed_len`. Any thread.
 */
size_t gigastt_partial_stable_len(const struct gigastt_partial *partial);

/**
 * A number that grows with every change; 0 for NULL. Any thread.
 */
uint64_t gigastt_partial_revision(const struct gigastt_partial *partial);

/**
 * Milliseconds of audio taken, from the start of the stream. Any thread.
 */
int64_t gigastt_partial_audio_ms(const struct gigastt_partial *partial);

/**
 * Milliseconds of audio, from the start of the stream, that the text accounts for. Any thread.
 */
int64_t gigastt_partial_decoded_ms(const struct gigastt_partial *partial);

/**
 * The number of its words; 0 for NULL. Any thread.
 */
size_t gigastt_partial_word_count(const struct gigastt_partial *partial);

/**
 * Fills `*word` with word `index`, counted from 0. Its text lives as long as the partial. Any thread.
 * Errors: `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_partial_word(const struct gigastt_partial *partial,
                                    size_t index,
                                    struct gigastt_word *word,
                                    struct gigastt_error **error);

/**
 * Puts it as a JSON object into `*json`: `text`, `committed`, `tentative`, `stable`, `revision`, `words`
 * (`word`, `start`, `end` in seconds, `confidence`), `audio_ms`, `decoded_ms`. Release the string with `gigastt_string_release`. Any thread. Errors:
 * `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_partial_to_json(const struct gigastt_partial *partial,
                                       char **json,
                                       struct gigastt_error **error);

/**
 * Releases it. NULL is nothing to do. Any thread.
 */
void gigastt_partial_release(struct gigastt_partial *partial);

/**
 * Opens a recognizer into `*recognizer` for samples at `sample_rate` Hz, 8000 to 192000. `config` may be
 * NULL. Does not wait and does not copy the model. It keeps the engine. Release it with
 * `gigastt_recognizer_release`. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `CLOSED` after a drain, `POISONED`.
 */
gigastt_status gigastt_recognizer_open(const struct gigastt_engine *engine,
                                       const struct gigastt_config *config,
                                       int32_t sample_rate,
                                       struct gigastt_recognizer **recognizer,
                                       struct gigastt_error **error);

/**
 * Takes 16-bit samples: all `count`, or as many as there is room for, and puts how many into `*taken`.
 * With several channels they are interleaved, and `count` counts the samples of all. `WOULD_BLOCK` when
 * nothing was taken: push them again after `gigastt_recognizer_wait_writable`. Nothing is ever dropped.
 * Never waits for the model. `samples` may be NULL when `count` is 0. Any thread; but it computes features, takes a
 * lock and allocates where a result has come, so a real-time audio callback hands its samples to another thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_push_pcm(struct gigastt_recognizer *recognizer,
                                           const int16_t *samples,
                                           size_t count,
                                           size_t *taken,
                                           struct gigastt_error **error);

/**
 * As `gigastt_recognizer_push_pcm`, with samples of full scale 1. Any thread.
 * Errors: `INVALID_AUDIO` when the first sample is no finite number; what comes before such a one is taken, so the
 * error follows when the rest is pushed. Else as `gigastt_recognizer_push_pcm`.
 */
gigastt_status gigastt_recognizer_push_pcm_f32(struct gigastt_recognizer *recognizer,
                                               const float *samples,
                                               size_t count,
                                               size_t *taken,
                                               struct gigastt_error **error);

/**
 * Waits until there is room for samples, for at most `timeout_ms`, or for ever if negative. `TIMEOUT`
 * when it was the limit. Any thread.
 * Errors: `BUSY` when it is finals that fill it, which must be taken; `INVALID_ARGUMENT`,
 * `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_wait_writable(struct gigastt_recognizer *recognizer,
                                                int64_t timeout_ms,
                                                struct gigastt_error **error);

/**
 * Stands for `frames` samples of each channel that the program lost: silence of that length keeps the
 * times right. Takes as many as there is room for and puts how many into `*taken`; `WOULD_BLOCK` for
 * none. Any thread. Errors: as `gigastt_recognizer_push_pcm`.
 */
gigastt_status gigastt_recognizer_gap(struct gigastt_recognizer *recognizer,
                                      uint64_t frames,
                                      uint64_t *taken,
                                      struct gigastt_error **error);

/**
 * Puts the newest state of the running utterance into `*partial`, if anything changed since the last
 * one was taken; else `UNCHANGED`, and `END` after the end. Never waits. Release it with
 * `gigastt_partial_release`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_poll_partial(struct gigastt_recognizer *recognizer,
                                               struct gigastt_partial **partial,
                                               struct gigastt_error **error);

/**
 * Puts the next event into `*event`, in order, waiting for at most `timeout_ms`, or for ever if negative.
 * Without one: `UNCHANGED` for a limit of 0, else `TIMEOUT`, and `END` after the end was taken. Release
 * it with `gigastt_event_release`. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`. A stream that failed or was cancelled says so
 * by its end.
 */
gigastt_status gigastt_recognizer_poll_event(struct gigastt_recognizer *recognizer,
                                             int64_t timeout_ms,
                                             struct gigastt_event **event,
                                             struct gigastt_error **error);

/**
 * Changes a key from the next sample on: those of `gigastt_config_keys_json` with `while_running`.
 * `endpoint` sets all values of its profile. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_set(struct gigastt_recognizer *recognizer,
                                      const char *key,
                                      const char *value,
                                      struct gigastt_error **error);

/**
 * Ends the stream, waits for its finals and puts those that were not taken as events into `*transcript`.
 * Within `timeout_ms`, or for as long as it takes if negative: a final whose second pass does not fit the
 * time is the newest text instead and says so. With a callback every event goes to it and the
 * transcript is empty; `TIMEOUT` when the callback takes longer, and it may be called again. Release
 * the transcript with `gigastt_transcript_release`. Any thread, but not inside a callback.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED` when called again, `CANCELLED`, `INFERENCE`,
 * `POISONED`.
 */
gigastt_status gigastt_recognizer_finish(struct gigastt_recognizer *recognizer,
                                         int64_t timeout_ms,
                                         struct gigastt_transcript **transcript,
                                         struct gigastt_error **error);

/**
 * Says that no more audio comes, and returns: the remaining finals and the end follow as events. For
 * programs that wait by a callback or a descriptor. Idempotent. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CANCELLED`, `INFERENCE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_close(struct gigastt_recognizer *recognizer, struct gigastt_error **error);

/**
 * Cancels the stream: what waits is dropped, every wait of its calls ends, and its end says
 * `CANCELLED`. Idempotent; never waits for anything. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
 */
gigastt_status gigastt_recognizer_cancel(struct gigastt_recognizer *recognizer, struct gigastt_error **error);

/**
 * Ends the running utterance here; its final follows as an event. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_force_endpoint(struct gigastt_recognizer *recognizer,
                                                 struct gigastt_error **error);

/**
 * Starts over as a new stream of the configuration it was opened with: what was not taken is gone, and so are
 * the changes of `gigastt_recognizer_set`; callback and descriptor stay. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_reset(struct gigastt_recognizer *recognizer, struct gigastt_error **error);

/**
 * Fills `*stats`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
 */
gigastt_status gigastt_recognizer_stats(const struct gigastt_recognizer *recognizer,
                                        struct gigastt_recognizer_statistics *stats,
                                        struct gigastt_error **error);

/**
 * Has every event given to `callback` with `user`, or to nobody if `callback` is NULL; events then wait to
 * be polled. `destroy`, if not NULL, is called once with `user`: when another callback is set or the
 * recognizer is released, after the last callback with it returned; also when this call fails. Do not
 * poll events beside it. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `INTERNAL`, `POISONED`.
 */
gigastt_status gigastt_recognizer_set_callback(struct gigastt_recognizer *recognizer,
                                               gigastt_event_fn callback,
                                               void *user,
                                               gigastt_destroy_fn destroy,
                                               struct gigastt_error **error);

/**
 * Puts a file descriptor into `*fd` that is readable, for `poll`, `epoll`, `kqueue` or a dispatch source,
 * while there is an event to take, and when there may be room again. Do not read it: each time it is
 * readable, call `gigastt_recognizer_poll_event` until it returns `UNCHANGED`. It belongs to the
 * recognizer, which closes it when it is released: stop watching it before. Not on Windows. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `IO` without descriptors left, `POISONED`.
 */
gigastt_status gigastt_recognizer_wait_fd(struct gigastt_recognizer *recognizer,
                                          int *fd,
                                          struct gigastt_error **error);

/**
 * Releases a recognizer and cancels its stream. Calls on other threads that wait for it end as
 * cancelled, and later ones get `INVALID_HANDLE`. No callback starts after it; one that runs is not waited for,
 * unless the engine goes with it: see `gigastt_engine_release`. NULL is nothing to do. Any thread.
 */
void gigastt_recognizer_release(struct gigastt_recognizer *recognizer);

/**
 * The name of a status in lower case, as in `"would_block"`; `"unknown"` for other numbers. A constant
 * that is never released. Any thread.
 */
const char *gigastt_status_name(gigastt_status status);

/**
 * Releases a string that a function handed out through `char **`. NULL is nothing to do. Any thread.
 */
void gigastt_string_release(char *string);

/**
 * Makes a canceller in `*canceller`. Release it with `gigastt_canceller_release`. Any thread.
 * Errors: `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_canceller_new(struct gigastt_canceller **canceller, struct gigastt_error **error);

/**
 * Cancels every transcription that was given the canceller, those that start later too. Idempotent; never
 * waits for anything. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
 */
gigastt_status gigastt_canceller_cancel(struct gigastt_canceller *canceller, struct gigastt_error **error);

/**
 * Releases a canceller; cancels nothing. NULL is nothing to do. Any thread.
 */
void gigastt_canceller_release(struct gigastt_canceller *canceller);

/**
 * Transcribes a recording of 16-bit samples at `sample_rate` Hz into `*transcript` and waits for it.
 * With several channels (key `channels`) they are interleaved, and `count` counts the samples of all.
 * `config`, `canceller` and `progress` may be NULL, and `samples` when `count` is 0. The samples must not change
 * before it returns.
 * Release the transcript with `gigastt_transcript_release`. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CANCELLED`, `INFERENCE`, `POISONED`.
 */
gigastt_status gigastt_transcribe_pcm(const struct gigastt_engine *engine,
                                      const struct gigastt_config *config,
                                      const int16_t *samples,
                                      size_t count,
                                      int32_t sample_rate,
                                      const struct gigastt_canceller *canceller,
                                      gigastt_progress_fn progress,
                                      void *user,
                                      struct gigastt_transcript **transcript,
                                      struct gigastt_error **error);

/**
 * Transcribes the audio file `path` (wav, flac, mp3, ogg, opus, m4a, aac, webm, aiff) of any length into
 * `*transcript`, in constant memory apart from the text, and waits for it. `config`, `canceller` and
 * `progress` may be NULL. Release the transcript with `gigastt_transcript_release`. Any thread.
 * Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `IO`, `INVALID_AUDIO`, `CANCELLED`, `INFERENCE`,
 * `POISONED`.
 */
gigastt_status gigastt_transcribe_file(const struct gigastt_engine *engine,
                                       const struct gigastt_config *config,
                                       const char *path,
                                       const struct gigastt_canceller *canceller,
                                       gigastt_progress_fn progress,
                                       void *user,
                                       struct gigastt_transcript **transcript,
                                       struct gigastt_error **error);

/**
 * The texts of its segments, joined by single spaces; empty for NULL. Any thread.
 */
struct gigastt_str gigastt_transcript_text(const struct gigastt_transcript *transcript);

/**
 * Milliseconds of audio from the start of the stream. Any thread.
 */
int64_t gigastt_transcript_duration_ms(const struct gigastt_transcript *transcript);

/**
 * The number of its finals; 0 for NULL. Any thread.
 */
size_t gigastt_transcript_segment_count(const struct gigastt_transcript *transcript);

/**
 * Final `index`, counted from 0; NULL where there is none. Lives as long as the transcript. Any thread.
 */
const struct gigastt_final *gigastt_transcript_segment(const struct gigastt_transcript *transcript,
                                                       size_t index);

/**
 * The number of its words; 0 for NULL. Any thread.
 */
size_t gigastt_transcript_word_count(const struct gigastt_transcript *transcript);

/**
 * Fills `*word` with word `index`, counted from 0. Its text lives as long as the transcript. Any thread.
 * Errors: `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_transcript_word(const struct gigastt_transcript *transcript,
                                       size_t index,
                                       struct gigastt_word *word,
                                       struct gigastt_error **error);

/**
 * Puts it as a JSON object into `*json`: `text`, `duration` in seconds, `words`, `segments`. Release the string with `gigastt_string_release`. Any thread. Errors:
 * `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_transcript_to_json(const struct gigastt_transcript *transcript,
                                          char **json,
                                          struct gigastt_error **error);

/**
 * Puts it as SubRip subtitles into `*srt`. Release the string with `gigastt_string_release`. Any thread. Errors:
 * `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_transcript_to_srt(const struct gigastt_transcript *transcript,
                                         char **srt,
                                         struct gigastt_error **error);

/**
 * Puts it as WebVTT subtitles into `*vtt`. Release the string with `gigastt_string_release`. Any thread. Errors:
 * `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_transcript_to_vtt(const struct gigastt_transcript *transcript,
                                         char **vtt,
                                         struct gigastt_error **error);

/**
 * Releases it. NULL is nothing to do. Any thread.
 */
void gigastt_transcript_release(struct gigastt_transcript *transcript);

/**
 * Its text, which may be empty; empty for NULL. Any thread.
 */
struct gigastt_str gigastt_final_text(const struct gigastt_final *utterance);

/**
 * The first sample that was encoded, at 16 kHz from the start of the stream: a multiple of 640. Any
 * thread.
 */
uint64_t gigastt_final_start_sample(const struct gigastt_final *utterance);

/**
 * One past the last sample that was encoded, at 16 kHz from the start of the stream. Any thread.
 */
uint64_t gigastt_final_end_sample(const struct gigastt_final *utterance);

/**
 * Why the utterance ended; -1 for NULL. Any thread.
 */
gigastt_endpoint_reason gigastt_final_endpoint_reason(const struct gigastt_final *utterance);

/**
 * Whether the text comes from one pass over the whole utterance. Any thread.
 */
bool gigastt_final_second_pass(const struct gigastt_final *utterance);

/**
 * The number of its words; 0 for NULL. Any thread.
 */
size_t gigastt_final_word_count(const struct gigastt_final *utterance);

/**
 * Fills `*word` with word `index`, counted from 0. Its text lives as long as the final. Any thread.
 * Errors: `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_final_word(const struct gigastt_final *utterance,
                                  size_t index,
                                  struct gigastt_word *word,
                                  struct gigastt_error **error);

/**
 * Puts it as a JSON object into `*json`: `text`, `start` and `end` in seconds, `span` in samples,
 * `endpoint_reason`, `second_pass`, `words`. Release the string with `gigastt_string_release`. Any thread. Errors:
 * `INVALID_ARGUMENT`.
 */
gigastt_status gigastt_final_to_json(const struct gigastt_final *utterance,
                                     char **json,
                                     struct gigastt_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GIGASTT_H */
