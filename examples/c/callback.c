// Prints finals as they come, by a callback, while the main thread pushes a 16-bit mono WAV file.
//
//     cc -o callback callback.c $(pkg-config --cflags --libs gigastt) -Wl,-rpath,$(pkg-config --variable=libdir gigastt)
//     ./callback speech.wav

#include <gigastt.h>
#include <stdio.h>
#include <string.h>

// On a thread of the engine. It should be short: other callbacks wait for it.
static void on_event(void *user, const gigastt_event *event) {
    int *finals = user;
    if (gigastt_event_kind(event) == GIGASTT_EVENT_FINAL) {
        printf("%s\n", gigastt_final_text(gigastt_event_final(event)).data);
        ++*finals;
    }
}

static int fail(gigastt_error *error) {
    fprintf(stderr, "%s\n", gigastt_error_message(error).data);
    gigastt_error_release(error);
    return 1;
}

static int listen(gigastt_recognizer *speaker, FILE *wav) {
    gigastt_error *error = NULL;
    gigastt_transcript *nothing = NULL;
    int16_t samples[320];
    size_t count;
    int finals = 0;
    if (gigastt_recognizer_set_callback(speaker, on_event, &finals, NULL, &error) < 0) return fail(error);
    while ((count = fread(samples, sizeof *samples, 320, wav)) > 0) {
        size_t done = 0, taken = 0;
        while (done < count) {
            gigastt_status status =
                gigastt_recognizer_push_pcm(speaker, samples + done, count - done, &taken, &error);
            if (status == GIGASTT_OK) done += taken;
            if (status == GIGASTT_WOULD_BLOCK) status = gigastt_recognizer_wait_writable(speaker, -1, &error);
            if (status < 0) return fail(error);
        }
    }
    // Returns after the callback heard the end, so `finals` outlives its use.
    if (gigastt_recognizer_finish(speaker, -1, &nothing, &error) < 0) return fail(error);
    gigastt_transcript_release(nothing);
    fprintf(stderr, "finals: %d\n", finals);
    return 0;
}

int main(int argc, char **argv) {
    gigastt_error *error = NULL;
    gigastt_engine *engine = NULL;
    gigastt_recognizer *speaker = NULL;
    unsigned char head[44];
    FILE *wav = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!wav || fread(head, 1, sizeof head, wav) != sizeof head || memcmp(head + 36, "data", 4) != 0) {
        fprintf(stderr, "usage: callback FILE.wav (16-bit, mono)\n");
        return 2;
    }
    int32_t rate = (int32_t)(head[24] | head[25] << 8 | (uint32_t)head[26] << 16);

    int failed = 1;
    if (gigastt_engine_open(NULL, &engine, &error) < 0
        || gigastt_recognizer_open(engine, NULL, rate, &speaker, &error) < 0)
        fail(error);
    else
        failed = listen(speaker, wav);

    gigastt_recognizer_release(speaker);
    gigastt_engine_release(engine);
    fclose(wav);
    return failed;
}
