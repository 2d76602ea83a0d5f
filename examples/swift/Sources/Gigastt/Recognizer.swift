import CGigastt
import Dispatch

#if canImport(AVFoundation)
import AVFoundation
#endif

/// One speaker's stream. Every method may be called from any thread or task, so it needs no actor: pushing belongs
/// on the audio thread.
public final class Recognizer: @unchecked Sendable {
    private let handle: Handle
    public let sampleRate: Int32

    /// Volatile and final results in order, until the stream ends; volatile ones that nobody was there to take are
    /// skipped. One consumer; it ends by throwing where the stream failed or was cancelled. Cancelling the task that
    /// reads them cancels the stream. They outlive the recognizer, whose release finishes the stream.
    public let results: AsyncThrowingStream<Result, Error>

    init(handle pointer: OpaquePointer, sampleRate: Int32) {
        let handle = Handle(pointer)
        self.handle = handle
        self.sampleRate = sampleRate
        let reader = Reader(handle)
        results = AsyncThrowingStream<Result, Error>(unfolding: { try await reader.next() })
    }

    deinit { gigastt_recognizer_close(handle.pointer, nil) }

    /// Takes samples: all, or as many as there is room for; returns how many. Never waits, so it may be called on
    /// the audio thread.
    @discardableResult
    public func push(_ samples: UnsafeBufferPointer<Int16>) throws -> Int {
        var taken = 0
        try call { gigastt_recognizer_push_pcm(handle.pointer, samples.baseAddress, samples.count, &taken, $0) }
        return taken
    }

    /// The same for samples of full scale 1.
    @discardableResult
    public func push(_ samples: UnsafeBufferPointer<Float>) throws -> Int {
        var taken = 0
        try call { gigastt_recognizer_push_pcm_f32(handle.pointer, samples.baseAddress, samples.count, &taken, $0) }
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

    /// Says that no more audio comes, and returns: the rest of the results follow, and their loop ends.
    public func finish() throws {
        try call { gigastt_recognizer_close(handle.pointer, $0) }
    }

    /// Ends the running utterance here.
    public func forceEndpoint() throws {
        try call { gigastt_recognizer_force_endpoint(handle.pointer, $0) }
    }

    /// Cancels the stream. Never waits.
    public func cancel() {
        handle.cancel()
    }
}

/// The stream in the library. The recognizer holds it, and whoever reads the results.
private final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    func cancel() { gigastt_recognizer_cancel(pointer, nil) }

    deinit { gigastt_recognizer_release(pointer) }
}

/// Takes the events. The results alone hold it, and let it go when the task that reads them is cancelled.
private final class Reader: Sendable {
    private let handle: Handle

    init(_ handle: Handle) { self.handle = handle }

    /// The next result; nil after the end.
    func next() async throws -> Result? {
        let handle = self.handle
        return try await withTaskCancellationHandler {
            try await background { () throws -> Result? in
                while true {
                    var event: OpaquePointer?
                    let status = try call { gigastt_recognizer_poll_event(handle.pointer, -1, &event, $0) }
                    guard status == GIGASTT_OK else { return nil }
                    defer { gigastt_event_release(event) }
                    if let partial = gigastt_event_partial(event) { return Result(partial: partial) }
                    if let utterance = gigastt_event_final(event) { return Result(final: utterance) }
                    if let error = gigastt_event_error(event) { throw GigasttError(error) }
                }
            }
        } onCancel: {
            handle.cancel()
        }
    }

    deinit { handle.cancel() }
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
