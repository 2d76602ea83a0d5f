/// C++11 over gigastt.h: owning types, and exceptions in place of statuses. Header-only and optional.
///
///     gigastt::Engine engine;
///     gigastt::Recognizer speaker = engine.recognizer(16000);
///     speaker.push(samples.data(), samples.size());
///     std::cout << speaker.finish().text() << '\n';
///
/// Threads and lifetimes are those of gigastt.h. Word, Partial and Final are plain data. Other objects can
/// be moved; one that was moved from holds nothing, and using it throws. Engine, Config and Canceller can
/// be copied as well: the copies are the same object.

#ifndef GIGASTT_HPP
#define GIGASTT_HPP

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gigastt.h"

namespace gigastt {

/// What failed, with the negative status of gigastt.h.
class Error : public std::runtime_error {
public:
    Error(gigastt_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    gigastt_status status() const noexcept { return status_; }

private:
    gigastt_status status_;
};

/// A recognised word.
struct Word {
    std::string text;
    std::int64_t start_ms;
    std::int64_t end_ms;
    double confidence;
};

namespace detail {

/// Receives the error of one call.
class Call {
public:
    Call() noexcept : error_(nullptr) {}
    Call(const Call &) = delete;
    Call &operator=(const Call &) = delete;
    ~Call() { gigastt_error_release(error_); }

    operator gigastt_error **() noexcept { return &error_; }

    /// The status, unless it is an error.
    gigastt_status check(gigastt_status status) const {
        if (status < 0) {
            const gigastt_str message = gigastt_error_message(error_);
            throw Error(status, message.len ? std::string(message.data, message.len) : gigastt_status_name(status));
        }
        return status;
    }

private:
    gigastt_error *error_;
};

/// What an object holds, which is nothing once it was moved from.
template <typename T>
T *held(T *object) {
    if (!object) throw Error(GIGASTT_INVALID_ARGUMENT, "the object was moved from and holds nothing");
    return object;
}

inline std::string copy(gigastt_str text) { return std::string(text.data, text.len); }

/// Takes a string that a function handed out.
inline std::string take(char *text) {
    const std::unique_ptr<char, void (*)(char *)> owner(text, gigastt_string_release);
    return std::string(text);
}

/// -1, the limit of gigastt.h that stands for none, at `forever`.
inline std::int64_t limit(std::chrono::milliseconds timeout) { return timeout.count(); }

template <typename T, void (*release)(T *)>
struct Release {
    void operator()(T *object) const noexcept { release(object); }
};

template <typename T, void (*release)(T *)>
using Owner = std::unique_ptr<T, Release<T, release>>;

template <typename T>
std::vector<Word> words(const T *object, std::size_t count,
                        gigastt_status (*get)(const T *, std::size_t, gigastt_word *, gigastt_error **)) {
    std::vector<Word> all;
    all.reserve(count);
    for (std::size_t index = 0; index < count; ++index) {
        gigastt_word word = gigastt_word();
        word.struct_size = sizeof word;
        Call call;
        call.check(get(object, index, &word, call));
        all.push_back(Word{copy(word.text), word.start_ms, word.end_ms, word.confidence});
    }
    return all;
}

template <typename T>
std::string json(const T *object, gigastt_status (*get)(const T *, char **, gigastt_error **)) {
    char *text = nullptr;
    Call call;
    call.check(get(object, &text, call));
    return take(text);
}

}  // namespace detail

/// Waits for as long as it takes.
constexpr std::chrono::milliseconds forever(-1);

/// The newest state of an utterance that is being spoken. A copy: it depends on nothing.
struct Partial {
    std::string text;
    /// Bytes of the text, from its start, that never change, and that are unlikely to.
    std::size_t committed_len;
    std::size_t stable_len;
    std::uint64_t revision;
    std::int64_t audio_ms;
    std::int64_t decoded_ms;
    std::vector<Word> words;

    explicit Partial(const gigastt_partial *partial)
        : text(detail::copy(gigastt_partial_text(partial))),
          committed_len(gigastt_partial_committed_len(partial)),
          stable_len(gigastt_partial_stable_len(partial)),
          revision(gigastt_partial_revision(partial)),
          audio_ms(gigastt_partial_audio_ms(partial)),
          decoded_ms(gigastt_partial_decoded_ms(partial)),
          words(detail::words(partial, gigastt_partial_word_count(partial), gigastt_partial_word)) {}

    std::string committed() const { return text.substr(0, committed_len); }
    std::string tentative() const { return text.substr(committed_len); }
    std::string stable() const { return text.substr(0, stable_len); }
};

/// A finished utterance. A copy: it depends on nothing.
struct Final {
    std::string text;
    std::uint64_t start_sample;
    std::uint64_t end_sample;
    gigastt_endpoint_reason endpoint_reason;
    bool second_pass;
    std::vector<Word> words;

    explicit Final(const gigastt_final *utterance)
        : text(detail::copy(gigastt_final_text(utterance))),
          start_sample(gigastt_final_start_sample(utterance)),
          end_sample(gigastt_final_end_sample(utterance)),
          endpoint_reason(gigastt_final_endpoint_reason(utterance)),
          second_pass(gigastt_final_second_pass(utterance)),
          words(detail::words(utterance, gigastt_final_word_count(utterance), gigastt_final_word)) {}
};

/// What a stream tells. Owns it, or looks at one of the library inside a callback.
class Event {
public:
    explicit Event(gigastt_event *owned) : owner_(owned), event_(owned) {}
    explicit Event(const gigastt_event *borrowed) : owner_(), event_(borrowed) {}
    Event(Event &&other) noexcept : owner_(std::move(other.owner_)), event_(other.event_) { other.event_ = nullptr; }
    Event &operator=(Event other) noexcept {
        std::swap(owner_, other.owner_);
        std::swap(event_, other.event_);
        return *this;
    }

    gigastt_event_type kind() const { return gigastt_event_kind(get()); }
    std::int64_t at_ms() const { return gigastt_event_at_ms(get()); }
    /// For events of these kinds only.
    Partial partial() const { return Partial(gigastt_event_partial(get())); }
    Final final_() const { return Final(gigastt_event_final(get())); }
    /// At the end: GIGASTT_OK, or why the stream ended early.
    gigastt_status end_status() const { return gigastt_error_status(gigastt_event_error(get())); }
    std::string json() const { return detail::json(get(), gigastt_event_to_json); }

    const gigastt_event *get() const { return detail::held(event_); }

private:
    detail::Owner<gigastt_event, gigastt_event_release> owner_;
    const gigastt_event *event_;
};

/// The finished utterances of a recording or stream.
class Transcript {
public:
    explicit Transcript(gigastt_transcript *owned) : owner_(owned) {}

    std::string text() const { return detail::copy(gigastt_transcript_text(get())); }
    std::int64_t duration_ms() const { return gigastt_transcript_duration_ms(get()); }
    std::vector<Word> words() const {
        return detail::words(get(), gigastt_transcript_word_count(get()), gigastt_transcript_word);
    }
    std::vector<Final> segments() const {
        std::vector<Final> all;
        for (std::size_t index = 0; index < gigastt_transcript_segment_count(get()); ++index)
            all.emplace_back(gigastt_transcript_segment(get(), index));
        return all;
    }
    std::string json() const { return detail::json(get(), gigastt_transcript_to_json); }
    std::string srt() const { return detail::json(get(), gigastt_transcript_to_srt); }
    std::string vtt() const { return detail::json(get(), gigastt_transcript_to_vtt); }

    const gigastt_transcript *get() const { return detail::held(owner_.get()); }

private:
    detail::Owner<gigastt_transcript, gigastt_transcript_release> owner_;
};

/// What an engine or a stream is to be like.
class Config {
public:
    Config() {
        gigastt_config *config = nullptr;
        detail::Call call;
        call.check(gigastt_config_new(&config, call));
        handle_ = std::shared_ptr<gigastt_config>(config, gigastt_config_release);
    }

    Config &set(const std::string &key, const std::string &value) {
        detail::Call call;
        call.check(gigastt_config_set(get(), key.c_str(), value.c_str(), call));
        return *this;
    }

    Config &model_dir(const std::string &path) {
        detail::Call call;
        call.check(gigastt_config_set_model_dir(get(), path.c_str(), call));
        return *this;
    }

    /// A published model by its name, which is fetched when an engine is made and it is not installed.
    Config &pretrained(const std::string &name) {
        detail::Call call;
        call.check(gigastt_config_set_pretrained(get(), name.c_str(), call));
        return *this;
    }

    Config &model_bytes(const gigastt_model_bytes &bytes) {
        detail::Call call;
        call.check(gigastt_config_set_model_bytes(get(), &bytes, call));
        return *this;
    }

    gigastt_config *get() const { return detail::held(handle_.get()); }

private:
    std::shared_ptr<gigastt_config> handle_;
};

/// Ends transcriptions from another thread.
class Canceller {
public:
    Canceller() {
        gigastt_canceller *canceller = nullptr;
        detail::Call call;
        call.check(gigastt_canceller_new(&canceller, call));
        handle_ = std::shared_ptr<gigastt_canceller>(canceller, gigastt_canceller_release);
    }

    void cancel() const {
        detail::Call call;
        call.check(gigastt_canceller_cancel(get(), call));
    }

    gigastt_canceller *get() const { return detail::held(handle_.get()); }

private:
    std::shared_ptr<gigastt_canceller> handle_;
};

/// One speaker's stream.
class Recognizer {
public:
    explicit Recognizer(gigastt_recognizer *owned) : handle_(owned) {}

    /// Takes all samples; waits while there is no room. Throws Error with GIGASTT_BUSY, some samples taken, where
    /// it is untaken finals that fill it (key `finals_max`): who pushes for an hour takes events besides.
    void push(const std::int16_t *samples, std::size_t count) { push_all(samples, count); }

    /// The same for samples of full scale 1.
    void push(const float *samples, std::size_t count) { push_all(samples, count); }

    /// Takes as many samples as there is room for, and returns how many. Never waits.
    std::size_t try_push(const std::int16_t *samples, std::size_t count) {
        std::size_t taken = 0;
        detail::Call call;
        call.check(gigastt_recognizer_push_pcm(get(), samples, count, &taken, call));
        return taken;
    }

    /// The same for samples of full scale 1.
    std::size_t try_push(const float *samples, std::size_t count) {
        std::size_t taken = 0;
        detail::Call call;
        call.check(gigastt_recognizer_push_pcm_f32(get(), samples, count, &taken, call));
        return taken;
    }

    /// False when the limit was reached first.
    bool wait_writable(std::chrono::milliseconds timeout = forever) {
        detail::Call call;
        return call.check(gigastt_recognizer_wait_writable(get(), detail::limit(timeout), call)) == GIGASTT_OK;
    }

    std::uint64_t gap(std::uint64_t frames) {
        std::uint64_t taken = 0;
        detail::Call call;
        call.check(gigastt_recognizer_gap(get(), frames, &taken, call));
        return taken;
    }

    /// The newest partial if there is a new one, else NULL. Never waits.
    std::unique_ptr<Partial> poll_partial() {
        gigastt_partial *partial = nullptr;
        detail::Call call;
        if (call.check(gigastt_recognizer_poll_partial(get(), &partial, call)) != GIGASTT_OK) return nullptr;
        const detail::Owner<gigastt_partial, gigastt_partial_release> owner(partial);
        return std::unique_ptr<Partial>(new Partial(partial));
    }

    /// The next event, or NULL when the limit was reached first or the end was taken.
    std::unique_ptr<Event> poll_event(std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) {
        gigastt_event *event = nullptr;
        detail::Call call;
        const gigastt_status status =
            call.check(gigastt_recognizer_poll_event(get(), detail::limit(timeout), &event, call));
        return std::unique_ptr<Event>(status == GIGASTT_OK ? new Event(event) : nullptr);
    }

    void set(const std::string &key, const std::string &value) {
        detail::Call call;
        call.check(gigastt_recognizer_set(get(), key.c_str(), value.c_str(), call));
    }

    /// Ends the stream and returns the finals that were not taken as events. Throws Error with the positive
    /// status GIGASTT_TIMEOUT where a callback takes longer than the limit.
    Transcript finish(std::chrono::milliseconds timeout = forever) {
        gigastt_transcript *transcript = nullptr;
        detail::Call call;
        const gigastt_status status =
            call.check(gigastt_recognizer_finish(get(), detail::limit(timeout), &transcript, call));
        if (status != GIGASTT_OK) throw Error(status, "the callback takes longer than the limit");
        return Transcript(transcript);
    }

    void close() {
        detail::Call call;
        call.check(gigastt_recognizer_close(get(), call));
    }

    void cancel() {
        detail::Call call;
        call.check(gigastt_recognizer_cancel(get(), call));
    }

    void force_endpoint() {
        detail::Call call;
        call.check(gigastt_recognizer_force_endpoint(get(), call));
    }

    void reset() {
        detail::Call call;
        call.check(gigastt_recognizer_reset(get(), call));
    }

    /// Gives every event to `callback`, on a thread of the engine. What it throws is swallowed: nothing may
    /// be thrown through the library.
    void set_callback(std::function<void(const Event &)> callback) {
        using Function = std::function<void(const Event &)>;
        // Before it is moved, and before there is something to lose: the arguments of a call have no order.
        const gigastt_event_fn function = callback ? &call_back : nullptr;
        gigastt_recognizer *const recognizer = get();
        detail::Call call;
        Function *const user = new Function(std::move(callback));
        call.check(gigastt_recognizer_set_callback(recognizer, function, user, &destroy, call));
    }

    int wait_fd() {
        int fd = -1;
        detail::Call call;
        call.check(gigastt_recognizer_wait_fd(get(), &fd, call));
        return fd;
    }

    gigastt_recognizer_statistics stats() const {
        gigastt_recognizer_statistics stats = gigastt_recognizer_statistics();
        stats.struct_size = sizeof stats;
        detail::Call call;
        call.check(gigastt_recognizer_stats(get(), &stats, call));
        return stats;
    }

    gigastt_recognizer *get() const { return detail::held(handle_.get()); }

private:
    template <typename Sample>
    void push_all(const Sample *samples, std::size_t count) {
        while (count > 0) {
            const std::size_t taken = try_push(samples, count);
            if (taken == 0) wait_writable();
            samples += taken;
            count -= taken;
        }
    }

    static void call_back(void *user, const gigastt_event *event) noexcept {
        try {
            (*static_cast<std::function<void(const Event &)> *>(user))(Event(event));
        } catch (...) {
        }
    }

    static void destroy(void *user) noexcept { delete static_cast<std::function<void(const Event &)> *>(user); }

    detail::Owner<gigastt_recognizer, gigastt_recognizer_release> handle_;
};

/// A loaded model and its workers.
class Engine {
public:
    /// The embedded model, one worker for each core.
    Engine() : Engine(nullptr) {}
    explicit Engine(const Config &config) : Engine(config.get()) {}

    /// A stream of samples at `sample_rate` Hz.
    Recognizer recognizer(std::int32_t sample_rate) const { return open(nullptr, sample_rate); }
    Recognizer recognizer(std::int32_t sample_rate, const Config &config) const {
        return open(config.get(), sample_rate);
    }

    Transcript transcribe(const std::string &path, const Config *config = nullptr,
                          const Canceller *canceller = nullptr) const {
        gigastt_transcript *transcript = nullptr;
        detail::Call call;
        call.check(gigastt_transcribe_file(get(), config ? config->get() : nullptr, path.c_str(),
                                           canceller ? canceller->get() : nullptr, nullptr, nullptr, &transcript,
                                           call));
        return Transcript(transcript);
    }

    Transcript transcribe(const std::int16_t *samples, std::size_t count, std::int32_t sample_rate,
                          const Config *config = nullptr, const Canceller *canceller = nullptr) const {
        gigastt_transcript *transcript = nullptr;
        detail::Call call;
        call.check(gigastt_transcribe_pcm(get(), config ? config->get() : nullptr, samples, count, sample_rate,
                                          canceller ? canceller->get() : nullptr, nullptr, nullptr, &transcript,
                                          call));
        return Transcript(transcript);
    }

    /// False when some streams have not ended within the limit.
    bool drain(std::chrono::milliseconds timeout = forever) const {
        detail::Call call;
        return call.check(gigastt_engine_drain(get(), detail::limit(timeout), call)) == GIGASTT_OK;
    }

    std::string info_json() const { return detail::json<gigastt_engine>(get(), gigastt_engine_info_json); }

    gigastt_engine_statistics stats() const {
        gigastt_engine_statistics stats = gigastt_engine_statistics();
        stats.struct_size = sizeof stats;
        detail::Call call;
        call.check(gigastt_engine_stats(get(), &stats, call));
        return stats;
    }

    gigastt_engine *get() const { return detail::held(handle_.get()); }

private:
    explicit Engine(const gigastt_config *config) {
        gigastt_engine *engine = nullptr;
        detail::Call call;
        call.check(gigastt_engine_open(config, &engine, call));
        handle_ = std::shared_ptr<gigastt_engine>(engine, gigastt_engine_release);
    }

    Recognizer open(const gigastt_config *config, std::int32_t sample_rate) const {
        gigastt_recognizer *recognizer = nullptr;
        detail::Call call;
        call.check(gigastt_recognizer_open(get(), config, sample_rate, &recognizer, call));
        return Recognizer(recognizer);
    }

    std::shared_ptr<gigastt_engine> handle_;
};

}  // namespace gigastt

#endif  // GIGASTT_HPP
