// 32 sessions on one engine from 8 threads, again and again for so many seconds: each final is that of the same
// audio transcribed alone.
//
//     sessions SECONDS FILE.wav...

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <gigastt.hpp>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

using Samples = std::vector<std::int16_t>;

static Samples samples_of(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    file.seekg(44);
    Samples samples;
    std::int16_t sample;
    while (file.read(reinterpret_cast<char *>(&sample), sizeof sample)) samples.push_back(sample);
    return samples;
}

// An engine with too much to do refuses new streams for a while; the sessions that run go on.
static gigastt::Recognizer open(const gigastt::Engine &engine) {
    for (;;) {
        try {
            return engine.recognizer(16000);
        } catch (const gigastt::Error &error) {
            if (error.status() != GIGASTT_BUSY) throw;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    }
}

static std::string text_of(const gigastt::Engine &engine, const Samples &samples, std::size_t chunk) {
    gigastt::Recognizer speaker = open(engine);
    for (std::size_t at = 0; at < samples.size(); at += chunk)
        speaker.push(samples.data() + at, std::min(chunk, samples.size() - at));
    return speaker.finish().json();
}

int main(int argc, char **argv) {
    const std::size_t threads = 8, open_at_once = 4;
    if (argc < 3) return 2;
    std::vector<Samples> audio;
    for (int index = 2; index < argc; ++index) audio.push_back(samples_of(argv[index]));
    const gigastt::Engine engine;
    std::vector<std::string> alone;
    for (const Samples &samples : audio) alone.push_back(text_of(engine, samples, 320));

    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
    std::atomic<long> sessions(0), wrong(0);
    const auto work = [&](std::size_t number) {
        for (std::size_t round = number; round == number || std::chrono::steady_clock::now() < end; ++round) {
            // Several of one thread side by side, pushed in turns of different sizes.
            std::vector<gigastt::Recognizer> speakers;
            for (std::size_t i = 0; i < open_at_once; ++i) speakers.push_back(open(engine));
            const auto which = [&](std::size_t i) { return (round + i) % audio.size(); };
            std::vector<std::size_t> at(open_at_once, 0);
            for (bool more = true; more;) {
                more = false;
                for (std::size_t i = 0; i < open_at_once; ++i) {
                    const Samples &samples = audio[which(i)];
                    const std::size_t count = std::min<std::size_t>(160 * (1 + i * 7), samples.size() - at[i]);
                    speakers[i].push(samples.data() + at[i], count);
                    at[i] += count;
                    more = more || at[i] < samples.size();
                }
            }
            for (std::size_t i = 0; i < open_at_once; ++i) {
                ++sessions;
                const std::string found = speakers[i].finish().json();
                if (found == alone[which(i)]) continue;
                ++wrong;
                std::cerr << "alone " + alone[which(i)] + "\nfound " + found + "\n";
            }
        }
    };
    std::vector<std::thread> pool;
    for (std::size_t number = 0; number < threads; ++number) {
        pool.emplace_back([&, number] {
            try {
                work(number);
            } catch (const std::exception &error) {
                std::cerr << error.what() << '\n';
                ++wrong;
            }
        });
    }
    for (std::thread &thread : pool) thread.join();
    std::cout << "sessions: " << sessions << ", different: " << wrong << '\n';
    return wrong == 0 ? 0 : 1;
}
