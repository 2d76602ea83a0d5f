import CGigastt
import Dispatch

#if canImport(AVFoundation)
import AVFoundation
#endif

/// One speaker's stream. Every method may be called from any thread or task, so it needs no actor: pushing belongs
/// on the audio thread.
public final class Recognizer: @unchecked Sendable {
    let handle: OpaquePointer
    public let sampleRate: Int32

    /// Volatile and final results in order, until the stream ends. One consumer; it ends by throwing where the
    /// stream failed or was cancelled. Ending the loop early, or cancelling its task, cancels the stream.
    public let results: AsyncThrowingStream<Result, Error>

    init(handle: OpaquePointer, sampleRate: Int32) {
        self.handle = handle
        self.sampleRate = sampleRate
        let (results, continuation) = AsyncThrowingStream<Result, Error>.makeStream()
        self.results = results
        continuation.onTermination = { reason in
            if case .cancelled = reason { gigastt_recognizer_cancel(handle, nil) }
        }
        let user = Unmanaged.passRetained(Listener(continuation)).toOpaque()
        gigastt_recognizer_set_callback(
            handle,
            { user, event in
                guard let user else { return }
                Unmanaged<Listener>.fromOpaque(user).takeUnretainedValue().hear(event)
            },
            user,
            { user in
                guard let user else { return }
                Unmanaged<Listener>.fromOpaque(user).release()
            },
            nil)
    }

    deinit { gigastt_recognizer_release(handle) }

    /// Takes samples: all, or as many as there is room for; returns how many. Never waits, so it may be called on
    /// the audio thread.
    @discardableResult
    public func push(_ samples: UnsafeBufferPointer<Int16>) throws -> Int {
        var taken = 0
        try call { gigastt_recognizer_push_pcm(handle, samples.baseAddress, samples.count, &taken, $0) }
        return taken
    }

    /// The same for samples of full scale 1.
    @discardableResult
    public func push(_ samples: UnsafeBufferPointer<Float>) throws -> Int {
        var taken = 0
        try call { gigastt_recognizer_push_pcm_f32(handle, samples.baseAddress, samples.count, &taken, $0) }
        return taken
    }

    #if canImport(AVFoundation)
    /// Takes the first channel of a buffer of an audio tap; returns how many frames were taken.
    @discardableResult
    public func push(_ buffer: AVAudioPCMBuffer) throws -> Int {
        guard Int32(buffer.format.sampleRate) == sampleRate else {
            throw GigasttError(
                status: GIGASTT_INVALID_ARGUMENT,
                message: "expected a buffer at \(sampleRate) Hz, found \(buffer.format.sampleRate) Hz")
        }
        let frames = Int(buffer.frameLength)
        if !buffer.format.isInterleaved || buffer.format.channelCount == 1 {
            if let channels = buffer.floatChannelData {
                return try push(UnsafeBufferPointer(start: channels[0], count: frames))
            }
            if let channels = buffer.int16ChannelData {
                return try push(UnsafeBufferPointer(start: channels[0], count: frames))
            }
        }
        throw GigasttError(
            status: GIGASTT_INVALID_ARGUMENT, message: "expected float or 16-bit samples, each channel by itself")
    }
    #endif

    /// Ends the stream: the rest of its results follow, and it returns after the last one. Cancelling the task
    /// cancels the stream.
    public func finish() async throws {
        try await withTaskCancellationHandler {
            try await background { [self] in
                var transcript: OpaquePointer?
                try call { gigastt_recognizer_finish(handle, -1, &transcript, $0) }
                gigastt_transcript_release(transcript)
            }
        } onCancel: {
            cancel()
        }
    }

    /// Ends the running utterance here.
    public func forceEndpoint() throws {
        try call { gigastt_recognizer_force_endpoint(handle, $0) }
    }

    /// Cancels the stream. Never waits.
    public func cancel() {
        gigastt_recognizer_cancel(handle, nil)
    }
}

/// What the callback is given: hands the events on.
private final class Listener: @unchecked Sendable {
    private let continuation: AsyncThrowingStream<Result, Error>.Continuation

    init(_ continuation: AsyncThrowingStream<Result, Error>.Continuation) {
        self.continuation = continuation
    }

    func hear(_ event: OpaquePointer?) {
        if let partial = gigastt_event_partial(event) {
            continuation.yield(Result(partial: partial))
        } else if let utterance = gigastt_event_final(event) {
            continuation.yield(Result(final: utterance))
        } else if gigastt_event_kind(event) == GIGASTT_EVENT_END {
            continuation.finish(throwing: gigastt_event_error(event).map(GigasttError.init))
        }
    }

    deinit { continuation.finish() }
}

/// Runs work that waits on a thread of its own.
func background<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async {
            do {
                continuation.resume(returning: try work())
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}
