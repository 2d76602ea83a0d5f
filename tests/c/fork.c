// In a forked child every function says so, releasing does nothing, and nothing hangs, although the parent has
// workers and a callback's thread. The parent goes on. Fails when a function does not ask which process it is in.

#define _POSIX_C_SOURCE 200809L
#include <gigastt.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_event(void *user, const gigastt_event *event) {
    (void)user;
    (void)event;
}

static int child(gigastt_config *config, gigastt_engine *engine, gigastt_recognizer *speaker) {
    int16_t samples[320] = {0};
    size_t taken = 77;
    gigastt_error *error = NULL;
    gigastt_engine *another = NULL;
    gigastt_event *event = NULL;
    gigastt_transcript *transcript = NULL;
    if (gigastt_recognizer_push_pcm(speaker, samples, 320, &taken, &error) != GIGASTT_FORKED || taken != 77) return 1;
    if (gigastt_error_status(error) != GIGASTT_FORKED || !strstr(gigastt_error_message(error).data, "fork")) return 2;
    gigastt_error_release(error);
    if (gigastt_recognizer_poll_event(speaker, -1, &event, NULL) != GIGASTT_FORKED) return 3;
    if (gigastt_recognizer_finish(speaker, -1, &transcript, NULL) != GIGASTT_FORKED) return 4;
    if (gigastt_recognizer_cancel(speaker, NULL) != GIGASTT_FORKED) return 5;
    if (gigastt_engine_open(config, &another, NULL) != GIGASTT_FORKED || another != NULL) return 6;
    if (gigastt_engine_drain(engine, -1, NULL) != GIGASTT_FORKED) return 7;
    gigastt_recognizer_release(speaker);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    return strcmp(gigastt_version(), GIGASTT_VERSION) != 0;
}

int main(void) {
    gigastt_config *config = NULL;
    gigastt_engine *engine = NULL;
    gigastt_recognizer *speaker = NULL;
    gigastt_transcript *transcript = NULL;
    int16_t samples[1600] = {0};
    size_t taken = 0;
    int how = 0;
    if (gigastt_config_new(&config, NULL) < 0 || gigastt_engine_open(config, &engine, NULL) < 0
        || gigastt_recognizer_open(engine, NULL, 16000, &speaker, NULL) < 0
        || gigastt_recognizer_set_callback(speaker, on_event, NULL, NULL, NULL) < 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) _exit(child(config, engine, speaker));
    if (pid < 0 || waitpid(pid, &how, 0) != pid) return 1;
    printf("child: %d\n", WIFEXITED(how) ? WEXITSTATUS(how) : -1);
    if (gigastt_recognizer_push_pcm(speaker, samples, 1600, &taken, NULL) < 0 || taken != 1600
        || gigastt_recognizer_finish(speaker, -1, &transcript, NULL) < 0)
        return 1;
    gigastt_transcript_release(transcript);
    gigastt_recognizer_release(speaker);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    return gigastt_live_objects() != 0;
}
