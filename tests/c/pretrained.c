/* Opens the published model argv[1] and prints the status's name and the engine's description. */
#include <gigastt.h>
#include <stdio.h>

int main(int argc, char **argv) {
    gigastt_config *config = NULL;
    gigastt_engine *engine = NULL;
    char *json = NULL;
    gigastt_status status;
    if (argc != 2 || gigastt_config_new(&config, NULL) < 0) return 2;
    status = gigastt_config_set_pretrained(config, argv[1], NULL);
    if (status >= 0) status = gigastt_engine_open(config, &engine, NULL);
    printf("%s\n", gigastt_status_name(status));
    if (engine && gigastt_engine_info_json(engine, &json, NULL) >= 0) printf("%s\n", json);
    gigastt_string_release(json);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    return 0;
}
