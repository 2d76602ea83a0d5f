"""What gigastt.hpp adds to the C interface: callbacks as functions, and objects that are moved."""

from support import SAMPLES, run, spoken

SAMPLE = "sample_08"

PROGRAM = """
#include <atomic>
#include <chrono>
#include <fstream>
#include <gigastt.hpp>
#include <iostream>
#include <thread>
#include <vector>

static std::vector<std::int16_t> samples_of(const char *path) {
    std::ifstream file(path, std::ios::binary);
    file.seekg(44);
    std::vector<std::int16_t> samples;
    for (std::int16_t sample; file.read(reinterpret_cast<char *>(&sample), sizeof sample);) samples.push_back(sample);
    return samples;
}

template <typename Use>
static void throws(int line, Use use) {
    try {
        use();
        std::cout << "line " << line << " throws nothing\\n";
    } catch (const gigastt::Error &error) {
        if (error.status() != GIGASTT_INVALID_ARGUMENT) std::cout << "line " << line << ": " << error.what() << '\\n';
    }
}
#define THROWS(USE) throws(__LINE__, [&] { USE; })

int main(int, char **argv) {
    const std::vector<std::int16_t> samples = samples_of(argv[1]);
    gigastt::Engine engine;
    gigastt::Recognizer speaker = engine.recognizer(16000);
    %s
}
"""


def ran(build, tmp_path, body):
    source = tmp_path / "program.cpp"
    source.write_text(PROGRAM % body)
    return run(build(source), SAMPLES / f"{SAMPLE}.wav").strip()


def test_a_callback_hears_the_finals(build, tmp_path):
    body = """
    std::string heard;
    std::atomic<bool> ended(false);
    speaker.set_callback([&](const gigastt::Event &event) {
        if (event.kind() == GIGASTT_EVENT_FINAL) heard += event.final_().text;
        if (event.kind() == GIGASTT_EVENT_END) ended = true;
    });
    speaker.push(samples.data(), samples.size());
    speaker.close();
    for (int waited_ms = 0; !ended && waited_ms < 60000; waited_ms += 10)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::cout << heard;"""
    assert ran(build, tmp_path, body) == spoken(SAMPLE)


def test_without_a_callback_events_wait_to_be_polled(build, tmp_path):
    body = """
    speaker.set_callback([](const gigastt::Event &) {});
    speaker.set_callback(nullptr);
    speaker.push(samples.data(), samples.size());
    std::cout << speaker.finish().text();"""
    assert ran(build, tmp_path, body) == spoken(SAMPLE)


def test_what_was_moved_from_holds_nothing(build, tmp_path):
    """And where it was moved to is as before."""
    body = """
    speaker.push(samples.data(), samples.size());
    speaker.close();
    std::unique_ptr<gigastt::Event> first = speaker.poll_event(gigastt::forever);
    gigastt::Event event(std::move(*first));
    THROWS(first->kind());
    THROWS(first->json());
    THROWS(first->end_status());
    first.reset();
    std::unique_ptr<gigastt::Event> second = speaker.poll_event(gigastt::forever);
    const gigastt_event_type kind = second->kind();
    event = std::move(*second);
    THROWS(second->at_ms());
    second.reset();
    if (event.kind() != kind || event.json().empty()) std::cout << "another event\\n";
    while (event.kind() != GIGASTT_EVENT_FINAL) event = std::move(*speaker.poll_event(gigastt::forever));
    std::cout << event.final_().text << '\\n';

    gigastt::Recognizer other(std::move(speaker));
    THROWS(speaker.cancel());
    other.cancel();
    gigastt::Config config, config_2(std::move(config));
    THROWS(config.set("threads", "1"));
    THROWS(gigastt::Engine of_nothing(config));
    THROWS(engine.recognizer(16000, config));
    gigastt::Canceller canceller, canceller_2(std::move(canceller));
    THROWS(canceller.cancel());
    THROWS(engine.transcribe(argv[1], &config_2, &canceller));
    gigastt::Transcript transcript = engine.transcribe(argv[1]), transcript_2(std::move(transcript));
    THROWS(transcript.text());
    THROWS(transcript.words());
    THROWS(transcript.duration_ms());
    THROWS(transcript.segments());
    if (transcript_2.text().empty()) std::cout << "no transcript\\n";
    gigastt::Engine engine_2(std::move(engine));
    THROWS(engine.info_json());
    THROWS(engine.recognizer(16000));"""
    assert ran(build, tmp_path, body) == spoken(SAMPLE)


def test_floats_are_pushed_as_a_whole(build, tmp_path):
    body = """
    const std::vector<float> floats = [&] {
        std::vector<float> all;
        for (const std::int16_t sample : samples) all.push_back(static_cast<float>(sample) / 32768.0F);
        return all;
    }();
    speaker.push(floats.data(), floats.size());
    std::cout << speaker.finish().text();"""
    assert ran(build, tmp_path, body) == spoken(SAMPLE)
