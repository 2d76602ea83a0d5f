// Streams raw 16-bit samples at 16 kHz from standard input and prints results as they come.
//
//     swift run words < samples.pcm

import Foundation
import Gigastt

let engine = try Engine()
let speaker = try await engine.recognizer(sampleRate: 16_000, options: ["endpoint": "assistant"])

let shown = Task {
    for try await result in speaker.results where result.isFinal {
        print(result.text)
    }
}
while case let data = FileHandle.standardInput.readData(ofLength: 640), !data.isEmpty {
    let samples = data.withUnsafeBytes { Array($0.bindMemory(to: Int16.self)) }
    var done = 0
    while done < samples.count {
        done += try samples[done...].withUnsafeBufferPointer { try speaker.push($0) }
        if done < samples.count { try await Task.sleep(for: .milliseconds(20)) }
    }
}
try speaker.finish()
try await shown.value
