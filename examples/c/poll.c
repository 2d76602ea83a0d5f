// Live text of raw 16-bit samples on standard input, in one thread: a poll loop over the input and the
// recognizer's descriptor. The same works with epoll, kqueue and dispatch sources.
//
//     cc -o poll poll.c $(pkg-config --cflags --libs gigastt) -Wl,-rpath,$(pkg-config --variable=libdir gigastt)
//     arecord -q -f S16_LE -r 16000 -c 1 -t raw | ./poll

#include <gigastt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RATE = 16000, CHUNK = 640 };

// Bytes that were read and not yet taken: less than a sample at its end, or all while there is no room.
static unsigned char input[CHUNK];
static size_t filled;

static int fail(gigastt_error *error) {
    fprintf(stderr, "%s\n", gigastt_error_message(error).data);
    gigastt_error_release(error);
    return 1;
}

// Gives whole samples to the recognizer; what it does not take stays.
static gigastt_status push(gigastt_recognizer *speaker, gigastt_error **error) {
    int16_t samples[CHUNK / 2];
    size_t taken = 0;
    memcpy(samples, input, filled / 2 * 2);
    gigastt_status status = gigastt_recognizer_push_pcm(speaker, samples, filled / 2, &taken, error);
    filled -= taken * 2;
    memmove(input, input + taken * 2, filled);
    return status;
}

// Takes what is there. GIGASTT_END after the end.
static gigastt_status show(gigastt_recognizer *speaker, gigastt_error **error) {
    gigastt_event *event = NULL;
    gigastt_status status;
    while ((status = gigastt_recognizer_poll_event(speaker, 0, &event, error)) == GIGASTT_OK) {
        if (gigastt_event_kind(event) == GIGASTT_EVENT_PARTIAL)
            fprintf(stderr, "\r%s", gigastt_partial_text(gigastt_event_partial(event)).data);
        if (gigastt_event_kind(event) == GIGASTT_EVENT_FINAL)
            printf("%s\n", gigastt_final_text(gigastt_event_final(event)).data);
        if (gigastt_event_kind(event) == GIGASTT_EVENT_END && gigastt_event_error(event) != NULL)
            fprintf(stderr, "%s\n", gigastt_error_message(gigastt_event_error(event)).data);
        gigastt_event_release(event);
    }
    return status;
}

static int loop(gigastt_recognizer *speaker) {
    gigastt_error *error = NULL;
    struct pollfd watched[2] = {{-1, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (gigastt_recognizer_wait_fd(speaker, &watched[0].fd, &error) < 0) return fail(error);
    for (;;) {
        // Without room the input waits; the descriptor tells of room as well.
        int full = filled >= 2;
        watched[1].events = full ? 0 : POLLIN;
        if (poll(watched, watched[1].fd < 0 || full ? 1 : 2, -1) < 0) return 1;

        gigastt_status status = show(speaker, &error);
        if (status == GIGASTT_END) return 0;
        if (status < 0) return fail(error);

        if (watched[1].fd >= 0 && !full && (watched[1].revents & (POLLIN | POLLHUP)) != 0) {
            ssize_t got = read(STDIN_FILENO, input + filled, CHUNK - filled);
            if (got < 0) return 1;
            filled += (size_t)got;
            if (got == 0) {
                watched[1].fd = -1;
                if (gigastt_recognizer_close(speaker, &error) < 0) return fail(error);
                filled = 0;
            }
        }
        if (filled >= 2 && push(speaker, &error) < 0) return fail(error);
    }
}

int main(void) {
    gigastt_error *error = NULL;
    gigastt_engine *engine = NULL;
    gigastt_recognizer *speaker = NULL;
    int failed = 1;
    if (gigastt_engine_open(NULL, &engine, &error) < 0
        || gigastt_recognizer_open(engine, NULL, RATE, &speaker, &error) < 0)
        fail(error);
    else
        failed = loop(speaker);
    gigastt_recognizer_release(speaker);
    gigastt_engine_release(engine);
    return failed;
}
