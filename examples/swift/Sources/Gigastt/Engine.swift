import CGigastt

/// A loaded model and its workers.
public actor Engine {
    let handle: OpaquePointer

    /// Loads a model: of a folder, or the embedded one. `options` are the keys of `gigastt_config_keys_json`.
    public init(model folder: String? = nil, options: [String: String] = [:]) throws {
        let config = try Config(options)
        if let folder {
            try call { gigastt_config_set_model_dir(config.handle, folder, $0) }
        }
        var engine: OpaquePointer?
        try call { gigastt_engine_open(config.handle, &engine, $0) }
        handle = try made(engine)
    }

    deinit { gigastt_engine_release(handle) }

    /// A stream of samples at `sampleRate` Hz.
    public func recognizer(sampleRate: Int32, options: [String: String] = [:]) throws -> Recognizer {
        let config = try Config(options)
        var recognizer: OpaquePointer?
        try call { gigastt_recognizer_open(handle, config.handle, sampleRate, &recognizer, $0) }
        return Recognizer(handle: try made(recognizer), sampleRate: sampleRate)
    }

    /// Transcribes a file. Cancelling the task cancels the transcription. Runs on a thread of its own: the
    /// executor's are not for waiting.
    public nonisolated func transcribe(file path: String, options: [String: String] = [:]) async throws -> Transcript {
        let config = try Config(options)
        let canceller = try Canceller()
        let engine = handle
        return try await withTaskCancellationHandler {
            try await background {
                // The engine, its configuration and the canceller live until the work is done.
                try withExtendedLifetime((self, config, canceller)) {
                    var transcript: OpaquePointer?
                    try call {
                        gigastt_transcribe_file(
                            engine, config.handle, path, canceller.handle, nil, nil, &transcript, $0)
                    }
                    defer { gigastt_transcript_release(transcript) }
                    return Transcript(try made(transcript))
                }
            }
        } onCancel: {
            canceller.cancel()
        }
    }
}

final class Config: @unchecked Sendable {
    let handle: OpaquePointer

    init(_ options: [String: String]) throws {
        var config: OpaquePointer?
        try call { gigastt_config_new(&config, $0) }
        handle = try made(config)
        for (key, value) in options {
            try call { gigastt_config_set(handle, key, value, $0) }
        }
    }

    deinit { gigastt_config_release(handle) }
}

final class Canceller: @unchecked Sendable {
    let handle: OpaquePointer

    init() throws {
        var canceller: OpaquePointer?
        try call { gigastt_canceller_new(&canceller, $0) }
        handle = try made(canceller)
    }

    func cancel() { gigastt_canceller_cancel(handle, nil) }

    deinit { gigastt_canceller_release(handle) }
}
