// Prints what a compiled program has of the header inside it: sizes, offsets and numbers.

#include <gigastt.h>
#include <stddef.h>
#include <stdio.h>

#define TYPE(type) printf("%s size %zu\n", #type, sizeof(type))
#define FIELD(type, field) printf("%s.%s offset %zu\n", #type, #field, offsetof(type, field))
#define NUMBER(name) printf("%s = %d\n", #name, (int)name)

int main(void) {
    TYPE(gigastt_model_bytes);
    FIELD(gigastt_model_bytes, struct_size);
    FIELD(gigastt_model_bytes, variant);
    FIELD(gigastt_model_bytes, encoder);
    FIELD(gigastt_model_bytes, encoder_len);
    FIELD(gigastt_model_bytes, decoder);
    FIELD(gigastt_model_bytes, decoder_len);
    FIELD(gigastt_model_bytes, joint);
    FIELD(gigastt_model_bytes, joint_len);
    FIELD(gigastt_model_bytes, vocab);
    FIELD(gigastt_model_bytes, vocab_len);

    TYPE(gigastt_engine_statistics);
    FIELD(gigastt_engine_statistics, struct_size);
    FIELD(gigastt_engine_statistics, sessions);
    FIELD(gigastt_engine_statistics, queued);
    FIELD(gigastt_engine_statistics, load);
    FIELD(gigastt_engine_statistics, encoder_s);
    FIELD(gigastt_engine_statistics, decoder_s);
    FIELD(gigastt_engine_statistics, encoded_s);
    FIELD(gigastt_engine_statistics, windows);
    FIELD(gigastt_engine_statistics, calls);
    FIELD(gigastt_engine_statistics, panics);

    TYPE(gigastt_str);
    FIELD(gigastt_str, data);
    FIELD(gigastt_str, len);

    TYPE(gigastt_word);
    FIELD(gigastt_word, struct_size);
    FIELD(gigastt_word, text);
    FIELD(gigastt_word, start_ms);
    FIELD(gigastt_word, end_ms);
    FIELD(gigastt_word, confidence);

    TYPE(gigastt_recognizer_statistics);
    FIELD(gigastt_recognizer_statistics, struct_size);
    FIELD(gigastt_recognizer_statistics, heard_ms);
    FIELD(gigastt_recognizer_statistics, settled_ms);
    FIELD(gigastt_recognizer_statistics, lag_ms);
    FIELD(gigastt_recognizer_statistics, windows);
    FIELD(gigastt_recognizer_statistics, revisions);
    FIELD(gigastt_recognizer_statistics, encoder_s);
    FIELD(gigastt_recognizer_statistics, front_end_s);
    FIELD(gigastt_recognizer_statistics, bytes);

    TYPE(gigastt_status);
    TYPE(gigastt_event_type);
    TYPE(gigastt_endpoint_reason);
    TYPE(gigastt_log_level);

    NUMBER(GIGASTT_ABI_VERSION);
    NUMBER(GIGASTT_EVENT_SPEECH_STARTED);
    NUMBER(GIGASTT_EVENT_PARTIAL);
    NUMBER(GIGASTT_EVENT_FINAL);
    NUMBER(GIGASTT_EVENT_END);
    NUMBER(GIGASTT_LOG_ERROR);
    NUMBER(GIGASTT_LOG_WARN);
    NUMBER(GIGASTT_LOG_INFO);
    NUMBER(GIGASTT_LOG_DEBUG);
    NUMBER(GIGASTT_LOG_TRACE);
    NUMBER(GIGASTT_OK);
    NUMBER(GIGASTT_WOULD_BLOCK);
    NUMBER(GIGASTT_UNCHANGED);
    NUMBER(GIGASTT_TIMEOUT);
    NUMBER(GIGASTT_END);
    NUMBER(GIGASTT_INVALID_ARGUMENT);
    NUMBER(GIGASTT_INVALID_AUDIO);
    NUMBER(GIGASTT_IO);
    NUMBER(GIGASTT_MODEL_NOT_FOUND);
    NUMBER(GIGASTT_INVALID_MODEL);
    NUMBER(GIGASTT_RUNTIME);
    NUMBER(GIGASTT_PROVIDER);
    NUMBER(GIGASTT_BUSY);
    NUMBER(GIGASTT_CANCELLED);
    NUMBER(GIGASTT_CLOSED);
    NUMBER(GIGASTT_FORKED);
    NUMBER(GIGASTT_INFERENCE);
    NUMBER(GIGASTT_INTERNAL);
    NUMBER(GIGASTT_INVALID_HANDLE);
    NUMBER(GIGASTT_POISONED);
    NUMBER(GIGASTT_NETWORK);
    NUMBER(GIGASTT_ENDPOINT_SILENCE);
    NUMBER(GIGASTT_ENDPOINT_LENGTH);
    NUMBER(GIGASTT_ENDPOINT_FORCED);
    NUMBER(GIGASTT_ENDPOINT_FINISH);
    NUMBER(GIGASTT_ENDPOINT_SHUTDOWN);
    NUMBER(GIGASTT_ENDPOINT_SESSION_CAP);
    NUMBER(GIGASTT_ENDPOINT_IDLE);
    return 0;
}
