// Two speakers on one engine, each on a thread of its own: prints the words of two 16-bit mono WAV files.
//
//     flags="$(pkg-config --cflags --libs gigastt) -Wl,-rpath,$(pkg-config --variable=libdir gigastt)"
//     c++ -std=c++11 -o two_speakers two_speakers.cpp $flags -lpthread

#include <algorithm>
#include <fstream>
#include <gigastt.hpp>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

/// The samples of a WAV file as other programs write it: a head of 44 bytes, then the data.
static std::vector<std::int16_t> samples_of(const std::string &path, std::int32_t &rate) {
    std::ifstream file(path, std::ios::binary);
    unsigned char head[44];
    if (!file.read(reinterpret_cast<char *>(head), sizeof head)) throw std::runtime_error(path + ": not a WAV file");
    rate = head[24] | head[25] << 8 | head[26] << 16;
    std::vector<std::int16_t> samples;
    std::int16_t sample;
    while (file.read(reinterpret_cast<char *>(&sample), sizeof sample)) samples.push_back(sample);
    return samples;
}

static std::string listen(const gigastt::Engine &engine, const std::string &path) {
    std::int32_t rate = 0;
    const std::vector<std::int16_t> samples = samples_of(path, rate);
    gigastt::Config config;
    config.set("endpoint", "assistant");
    gigastt::Recognizer speaker = engine.recognizer(rate, config);
    // As a microphone would: 20 ms at a time.
    const std::size_t chunk = static_cast<std::size_t>(rate / 50);
    for (std::size_t at = 0; at < samples.size(); at += chunk)
        speaker.push(samples.data() + at, std::min(chunk, samples.size() - at));
    return speaker.finish().text();
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::cerr << "usage: two_speakers FIRST.wav SECOND.wav\n";
        return 2;
    }
    try {
        const gigastt::Engine engine;
        std::string words[2];
        std::string failures[2];
        std::vector<std::thread> threads;
        for (int speaker = 0; speaker < 2; ++speaker) {
            threads.emplace_back([&, speaker] {
                try {
                    words[speaker] = listen(engine, argv[speaker + 1]);
                } catch (const std::exception &error) {
                    failures[speaker] = error.what();
                }
            });
        }
        for (std::thread &thread : threads) thread.join();
        for (int speaker = 0; speaker < 2; ++speaker) {
            if (!failures[speaker].empty()) throw std::runtime_error(failures[speaker]);
            std::cout << words[speaker] << '\n';
        }
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
