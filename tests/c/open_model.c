// Opens the model in a folder, and again from the files' bytes; prints a line for each: status and message.

#include <gigastt.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned char *read_all(const char *folder, const char *name, size_t *length) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    *length = 0;
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    unsigned char *bytes = malloc((size_t)size + 1);
    if (bytes) *length = fread(bytes, 1, (size_t)size, file);
    fclose(file);
    return bytes;
}

static void tell(gigastt_status status, gigastt_error *error) {
    printf("%s %s\n", gigastt_status_name(status), gigastt_error_message(error).data);
    gigastt_error_release(error);
}

int main(int argc, char **argv) {
    gigastt_config *config = NULL;
    gigastt_engine *engine = NULL;
    gigastt_error *error = NULL;
    if (argc != 2 || gigastt_config_new(&config, NULL) < 0 || gigastt_config_set(config, "threads", "1", NULL) < 0)
        return 2;
    if (gigastt_config_set_model_dir(config, argv[1], NULL) < 0) return 2;
    gigastt_status by_folder = gigastt_engine_open(config, &engine, &error);
    tell(by_folder, error);
    gigastt_engine_release(engine);
    engine = NULL;
    error = NULL;

    gigastt_model_bytes bytes = {0};
    bytes.struct_size = sizeof bytes;
    bytes.variant = "e2e_rnnt";
    unsigned char *encoder = read_all(argv[1], "v3_e2e_rnnt_encoder.int8w.onnx", &bytes.encoder_len);
    unsigned char *decoder = read_all(argv[1], "v3_e2e_rnnt_decoder.int8w.onnx", &bytes.decoder_len);
    unsigned char *joint = read_all(argv[1], "v3_e2e_rnnt_joint.int8w.onnx", &bytes.joint_len);
    unsigned char *vocab = read_all(argv[1], "v3_e2e_rnnt_vocab.txt", &bytes.vocab_len);
    bytes.encoder = encoder;
    bytes.decoder = decoder;
    bytes.joint = joint;
    bytes.vocab = vocab;
    gigastt_status by_bytes = gigastt_config_set_model_bytes(config, &bytes, &error);
    // Everything was copied: changing it now changes nothing.
    if (encoder) encoder[0] ^= 0xff;
    free(encoder);
    free(decoder);
    free(joint);
    free(vocab);
    if (by_bytes == GIGASTT_OK) by_bytes = gigastt_engine_open(config, &engine, &error);
    tell(by_bytes, error);
    gigastt_engine_release(engine);
    gigastt_config_release(config);
    return gigastt_live_objects() != 0;
}
