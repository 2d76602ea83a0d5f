// Opens the model in a folder and transcribes a recording with it: `opened` or the refusal.

#include <gigastt.h>
#include <stdio.h>

int main(int argc, char **argv) {
    gigastt_config *config = NULL;
    gigastt_engine *engine = NULL;
    gigastt_transcript *transcript = NULL;
    if (argc != 3 || gigastt_config_new(&config, NULL) < 0 || gigastt_config_set(config, "threads", "1", NULL) < 0
        || gigastt_config_set_model_dir(config, argv[1], NULL) < 0)
        return 2;
    gigastt_status status = gigastt_engine_open(config, &engine, NULL);
    if (status == GIGASTT_OK)
        status = gigastt_transcribe_file(engine, NULL, argv[2], NULL, NULL, NULL, &transcript, NULL);
    printf("%s\n", status == GIGASTT_OK ? "words" : "refused");
    gigastt_transcript_release(transcript);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    return 0;
}
