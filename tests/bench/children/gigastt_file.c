// One recording through libgigastt: FOLDER SUFFIX THREADS RECORDING. Prints a JSON object.

#include <gigastt.h>
#include <stdio.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int argc, char **argv) {
    gigastt_error *error = NULL;
    gigastt_config *config = NULL;
    gigastt_engine *engine = NULL;
    gigastt_transcript *transcript = NULL;
    double start = now(), loaded = start, finished = start;
    char *info = NULL;
    int failed = argc != 5 || gigastt_config_new(&config, &error) < 0
                 || gigastt_config_set_model_dir(config, argv[1], &error) < 0
                 || gigastt_config_set(config, "quantization", argv[2], &error) < 0
                 || gigastt_config_set(config, "threads", argv[3], &error) < 0
                 || gigastt_engine_open(config, &engine, &error) < 0;
    if (!failed) {
        loaded = now();
        failed = gigastt_transcribe_file(engine, NULL, argv[4], NULL, NULL, NULL, &transcript, &error) < 0;
        finished = now();
        failed = failed || gigastt_engine_info_json(engine, &info, &error) < 0;
    }
    if (failed)
        fprintf(stderr, "%s\n", gigastt_error_message(error).data);
    else
        // The object with what is known of the model goes on.
        printf("{\"load_s\": %.6f, \"wall_s\": %.6f, %s\n", loaded - start, finished - loaded, info + 1);
    gigastt_string_release(info);
    gigastt_error_release(error);
    gigastt_transcript_release(transcript);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    return failed;
}
