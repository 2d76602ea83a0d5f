// The same with sherpa-onnx.

#include <sherpa-onnx/c-api/c-api.h>
#include <stdio.h>

int main(int argc, char **argv) {
    char encoder[1024], decoder[1024], joint[1024], vocab[1024];
    if (argc != 3) return 2;
    snprintf(encoder, sizeof encoder, "%s/v3_e2e_rnnt_encoder.int8w.onnx", argv[1]);
    snprintf(decoder, sizeof decoder, "%s/v3_e2e_rnnt_decoder.int8w.onnx", argv[1]);
    snprintf(joint, sizeof joint, "%s/v3_e2e_rnnt_joint.int8w.onnx", argv[1]);
    snprintf(vocab, sizeof vocab, "%s/v3_e2e_rnnt_vocab.txt", argv[1]);
    SherpaOnnxOfflineRecognizerConfig config = {0};
    config.feat_config.sample_rate = 16000;
    config.feat_config.feature_dim = 64;
    config.model_config.transducer.encoder = encoder;
    config.model_config.transducer.decoder = decoder;
    config.model_config.transducer.joiner = joint;
    config.model_config.tokens = vocab;
    config.model_config.model_type = "nemo_transducer";
    config.model_config.provider = "cpu";
    config.model_config.num_threads = 1;
    config.decoding_method = "greedy_search";
    const SherpaOnnxOfflineRecognizer *recognizer = SherpaOnnxCreateOfflineRecognizer(&config);
    const SherpaOnnxWave *wave = SherpaOnnxReadWave(argv[2]);
    if (recognizer && wave) {
        const SherpaOnnxOfflineStream *stream = SherpaOnnxCreateOfflineStream(recognizer);
        SherpaOnnxAcceptWaveformOffline(stream, wave->sample_rate, wave->samples, wave->num_samples);
        SherpaOnnxDecodeOfflineStream(recognizer, stream);
        const SherpaOnnxOfflineRecognizerResult *result = SherpaOnnxGetOfflineStreamResult(stream);
        fprintf(stderr, "%s\n", result->text);
        SherpaOnnxDestroyOfflineRecognizerResult(result);
        SherpaOnnxDestroyOfflineStream(stream);
    }
    printf("%s\n", recognizer ? "words" : "refused");
    SherpaOnnxFreeWave(wave);
    SherpaOnnxDestroyOfflineRecognizer(recognizer);
    return 0;
}
