// Prints the utterances of a 16-bit mono WAV file, or of one on standard input, streaming it as a microphone would.
//
//     cc -o words words.c $(pkg-config --cflags --libs gigastt) -Wl,-rpath,$(pkg-config --variable=libdir gigastt)
//     ./words speech.wav

#include <gigastt.h>
#include <stdio.h>
#include <string.h>

static int fail(gigastt_error *error) {
    fprintf(stderr, "%s\n", gigastt_error_message(error).data);
    gigastt_error_release(error);
    return 1;
}

static void print(gigastt_str text) {
    if (text.len > 0) printf("%s\n", text.data);
}

// Prints the utterances that have been finished.
static gigastt_status print_finals(gigastt_recognizer *speaker, gigastt_error **error) {
    gigastt_event *event = NULL;
    gigastt_status status;
    while ((status = gigastt_recognizer_poll_event(speaker, 0, &event, error)) == GIGASTT_OK) {
        if (gigastt_event_kind(event) == GIGASTT_EVENT_FINAL) print(gigastt_final_text(gigastt_event_final(event)));
        gigastt_event_release(event);
    }
    return status;
}

// A recognizer that is full, of audio or of finals that nobody took, takes a part; the rest is pushed afterwards.
static gigastt_status push(gigastt_recognizer *speaker, const int16_t *samples, size_t count,
                           gigastt_error **error) {
    while (count > 0) {
        size_t taken = 0;
        gigastt_status status = gigastt_recognizer_push_pcm(speaker, samples, count, &taken, error);
        // Ends as well when it is finals that fill it; other failures come again with the next push.
        if (status == GIGASTT_WOULD_BLOCK) gigastt_recognizer_wait_writable(speaker, -1, NULL);
        if (status >= 0) status = print_finals(speaker, error);
        if (status < 0) return status;
        samples += taken;
        count -= taken;
    }
    return GIGASTT_OK;
}

static int recognize(gigastt_recognizer *speaker, FILE *wav) {
    gigastt_error *error = NULL;
    gigastt_transcript *transcript = NULL;
    int16_t samples[320];
    size_t count;
    while ((count = fread(samples, sizeof *samples, 320, wav)) > 0)
        if (push(speaker, samples, count, &error) < 0) return fail(error);

    if (gigastt_recognizer_finish(speaker, -1, &transcript, &error) < 0) return fail(error);
    print(gigastt_transcript_text(transcript));
    gigastt_transcript_release(transcript);
    return 0;
}

int main(int argc, char **argv) {
    gigastt_error *error = NULL;
    gigastt_engine *engine = NULL;
    gigastt_recognizer *speaker = NULL;
    unsigned char head[44];
    FILE *wav = argc == 2 && strcmp(argv[1], "-") != 0 ? fopen(argv[1], "rb") : argc == 2 ? stdin : NULL;
    if (!wav || fread(head, 1, sizeof head, wav) != sizeof head || memcmp(head + 36, "data", 4) != 0) {
        fprintf(stderr, "usage: words FILE.wav or - (16-bit, mono)\n");
        return 2;
    }
    int32_t rate = (int32_t)(head[24] | head[25] << 8 | (uint32_t)head[26] << 16);

    int failed = 1;
    if (gigastt_engine_open(NULL, &engine, &error) < 0
        || gigastt_recognizer_open(engine, NULL, rate, &speaker, &error) < 0)
        fail(error);
    else
        failed = recognize(speaker, wav);

    gigastt_recognizer_release(speaker);
    gigastt_engine_release(engine);
    fclose(wav);
    return failed;
}
