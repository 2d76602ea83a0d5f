// fork FILE: in a forked child every function says so, releasing does nothing, and nothing hangs, although the parent has
// workers and a callback's thread. The parent goes on. Fails when a function does not ask which process it is in.

#define _POSIX_C_SOURCE 200809L
#include <gigastt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_event(void *user, const gigastt_event *event) {
    (void)user;
    (void)event;
}

// What the parent made.
static gigastt_config *config;
static gigastt_engine *engine;
static gigastt_recognizer *speaker;
static gigastt_canceller *canceller;
static gigastt_partial *partial;
static gigastt_event *event;
static gigastt_transcript *transcript;
static char *json;

static int failed;

// `what` is a call of a function. It answers this, whatever else is wrong with its arguments.
#define FORKED(what) \
    do { \
        if ((what) != GIGASTT_FORKED) failed = 1, printf("%s\n", #what); \
    } while (0)

static int child(void) {
    int16_t samples[320] = {0};
    float floats[320] = {0};
    size_t taken = 77;
    uint64_t gap = 77;
    int fd = 77;
    char *text = NULL;
    gigastt_error *error = NULL;
    gigastt_config *another_config = NULL;
    gigastt_engine *another_engine = NULL;
    gigastt_recognizer *another_speaker = NULL;
    gigastt_canceller *another_canceller = NULL;
    gigastt_partial *new_partial = NULL;
    gigastt_event *new_event = NULL;
    gigastt_transcript *new_transcript = NULL;
    gigastt_model_bytes bytes = {0};
    gigastt_engine_statistics engine_stats = {0};
    gigastt_recognizer_statistics speaker_stats = {0};
    gigastt_word word = {0};
    const gigastt_final *utterance = gigastt_transcript_segment(transcript, 0);
    bytes.struct_size = sizeof bytes;
    engine_stats.struct_size = sizeof engine_stats;
    speaker_stats.struct_size = sizeof speaker_stats;
    word.struct_size = sizeof word;

    FORKED(gigastt_recognizer_push_pcm(speaker, samples, 320, &taken, &error));
    if (gigastt_error_status(error) != GIGASTT_FORKED || !strstr(gigastt_error_message(error).data, "fork")) return 2;
    gigastt_error_release(error);

    FORKED(gigastt_set_log_callback(NULL, 0, NULL, NULL, NULL));
    FORKED(gigastt_runtime_set_path("/nowhere.so", NULL));

    FORKED(gigastt_config_new(&another_config, NULL));
    FORKED(gigastt_config_keys_json(&text, NULL));
    FORKED(gigastt_config_set(config, "threads", "1", NULL));
    FORKED(gigastt_config_set_model_dir(config, "/nowhere", NULL));
    FORKED(gigastt_config_set_model_bytes(config, &bytes, NULL));
    FORKED(gigastt_config_set_pretrained(config, "gigaam-v3-ctc", NULL));

    FORKED(gigastt_engine_open(config, &another_engine, NULL));
    FORKED(gigastt_engine_retain(engine, NULL));
    FORKED(gigastt_engine_info_json(engine, &text, NULL));
    FORKED(gigastt_engine_stats(engine, &engine_stats, NULL));
    FORKED(gigastt_engine_drain(engine, -1, NULL));

    FORKED(gigastt_recognizer_open(engine, NULL, 16000, &another_speaker, NULL));
    FORKED(gigastt_recognizer_push_pcm_f32(speaker, floats, 320, &taken, NULL));
    FORKED(gigastt_recognizer_wait_writable(speaker, -1, NULL));
    FORKED(gigastt_recognizer_gap(speaker, 320, &gap, NULL));
    FORKED(gigastt_recognizer_poll_partial(speaker, &new_partial, NULL));
    FORKED(gigastt_recognizer_poll_event(speaker, -1, &new_event, NULL));
    FORKED(gigastt_recognizer_set(speaker, "endpoint", "manual", NULL));
    FORKED(gigastt_recognizer_finish(speaker, -1, &new_transcript, NULL));
    FORKED(gigastt_recognizer_close(speaker, NULL));
    FORKED(gigastt_recognizer_cancel(speaker, NULL));
    FORKED(gigastt_recognizer_force_endpoint(speaker, NULL));
    FORKED(gigastt_recognizer_reset(speaker, NULL));
    FORKED(gigastt_recognizer_stats(speaker, &speaker_stats, NULL));
    FORKED(gigastt_recognizer_set_callback(speaker, on_event, NULL, NULL, NULL));
    FORKED(gigastt_recognizer_wait_fd(speaker, &fd, NULL));

    FORKED(gigastt_canceller_new(&another_canceller, NULL));
    FORKED(gigastt_canceller_cancel(canceller, NULL));
    FORKED(gigastt_transcribe_pcm(engine, NULL, samples, 320, 16000, canceller, NULL, NULL, &new_transcript, NULL));
    FORKED(gigastt_transcribe_file(engine, NULL, "/nowhere.wav", canceller, NULL, NULL, &new_transcript, NULL));

    FORKED(gigastt_partial_word(partial, 0, &word, NULL));
    FORKED(gigastt_partial_to_json(partial, &text, NULL));
    FORKED(gigastt_event_to_json(event, &text, NULL));
    FORKED(gigastt_final_word(utterance, 0, &word, NULL));
    FORKED(gigastt_final_to_json(utterance, &text, NULL));
    FORKED(gigastt_transcript_word(transcript, 0, &word, NULL));
    FORKED(gigastt_transcript_to_json(transcript, &text, NULL));
    FORKED(gigastt_transcript_to_srt(transcript, &text, NULL));
    FORKED(gigastt_transcript_to_vtt(transcript, &text, NULL));

    if (taken != 77 || gap != 77 || fd != 77 || text || word.text.data || another_config || another_engine
        || another_speaker || another_canceller || new_partial || new_event || new_transcript)
        return 3;

    const size_t live = gigastt_live_objects();
    gigastt_recognizer_release(speaker);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    gigastt_canceller_release(canceller);
    gigastt_partial_release(partial);
    gigastt_event_release(event);
    gigastt_transcript_release(transcript);
    gigastt_string_release(json);
    if (gigastt_live_objects() != live) return 4;
    fflush(stdout);
    return failed;
}

// Fills `partial`, `event` and `transcript` with what comes of the samples in a file.
static int recognize(const char *path) {
    static int16_t samples[160000];
    size_t taken = 0, count;
    gigastt_recognizer *other = NULL;
    FILE *file = fopen(path, "rb");
    if (!file) return 1;
    count = fread(samples, sizeof *samples, 160000, file);
    fclose(file);
    // Without a pause the partial waits until it is taken.
    if (gigastt_config_set(config, "endpoint", "manual", NULL) < 0
        || gigastt_recognizer_open(engine, config, 16000, &other, NULL) < 0
        || gigastt_recognizer_push_pcm(other, samples, count / 2, &taken, NULL) != GIGASTT_OK
        || gigastt_recognizer_poll_event(other, -1, &event, NULL) != GIGASTT_OK
        || gigastt_recognizer_push_pcm(other, samples + taken, count - taken, &taken, NULL) != GIGASTT_OK)
        return 1;
    while (gigastt_recognizer_poll_partial(other, &partial, NULL) == GIGASTT_UNCHANGED) poll(NULL, 0, 1);
    if (!partial || gigastt_recognizer_finish(other, -1, &transcript, NULL) < 0) return 1;
    gigastt_recognizer_release(other);
    return 0;
}

int main(int argc, char **argv) {
    int16_t samples[1600] = {0};
    size_t taken = 0;
    int how = 0;
    gigastt_transcript *nothing = NULL;
    if (argc != 2 || gigastt_config_new(&config, NULL) < 0 || gigastt_engine_open(config, &engine, NULL) < 0
        || gigastt_canceller_new(&canceller, NULL) < 0 || gigastt_engine_info_json(engine, &json, NULL) < 0
        || recognize(argv[1])
        || gigastt_recognizer_open(engine, NULL, 16000, &speaker, NULL) < 0
        || gigastt_recognizer_set_callback(speaker, on_event, NULL, NULL, NULL) < 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) _exit(child());
    if (pid < 0 || waitpid(pid, &how, 0) != pid) return 1;
    printf("child: %d\n", WIFEXITED(how) ? WEXITSTATUS(how) : -1);
    if (gigastt_recognizer_push_pcm(speaker, samples, 1600, &taken, NULL) < 0 || taken != 1600
        || gigastt_recognizer_finish(speaker, -1, &nothing, NULL) < 0)
        return 1;
    gigastt_transcript_release(nothing);
    gigastt_string_release(json);
    gigastt_transcript_release(transcript);
    gigastt_event_release(event);
    gigastt_partial_release(partial);
    gigastt_canceller_release(canceller);
    gigastt_recognizer_release(speaker);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    return gigastt_live_objects() != 0;
}
