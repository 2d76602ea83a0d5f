import CGigastt

/// A recognised word; times in seconds from the start of the stream.
public struct Word: Sendable, Equatable {
    public let text: String
    public let start: Double
    public let end: Double
    public let confidence: Double
}

/// What a recognizer has to say of an utterance, as Apple's SpeechAnalyzer says it: volatile results replace one
/// another until a final one comes.
public struct Result: Sendable, Equatable {
    public let text: String
    public let words: [Word]
    /// The utterance is finished: this text does not change, and the next result is of the next utterance.
    public let isFinal: Bool
    /// The part of the text that may still change; empty when final.
    public let volatileRange: Range<String.Index>

    init(partial: OpaquePointer) {
        let text = String(gigastt_partial_text(partial))
        let committed = text.utf8.index(text.utf8.startIndex, offsetBy: gigastt_partial_committed_len(partial))
        self.text = text
        words = Word.all(gigastt_partial_word_count(partial)) { gigastt_partial_word(partial, $0, $1, nil) }
        isFinal = false
        volatileRange = committed..<text.endIndex
    }

    init(final utterance: OpaquePointer) {
        text = String(gigastt_final_text(utterance))
        words = Word.all(gigastt_final_word_count(utterance)) { gigastt_final_word(utterance, $0, $1, nil) }
        isFinal = true
        volatileRange = text.endIndex..<text.endIndex
    }
}

/// The finals of a recording.
public struct Transcript: Sendable, Equatable {
    public let text: String
    public let words: [Word]
    /// Seconds of audio.
    public let duration: Double

    init(_ transcript: OpaquePointer) {
        text = String(gigastt_transcript_text(transcript))
        words = Word.all(gigastt_transcript_word_count(transcript)) {
            gigastt_transcript_word(transcript, $0, $1, nil)
        }
        duration = Double(gigastt_transcript_duration_ms(transcript)) / 1000
    }
}

extension Word {
    static func all(_ count: Int, _ fill: (Int, UnsafeMutablePointer<gigastt_word>) -> gigastt_status) -> [Word] {
        (0..<count).compactMap { index in
            var word = gigastt_word()
            word.struct_size = MemoryLayout<gigastt_word>.size
            guard fill(index, &word) == GIGASTT_OK else { return nil }
            return Word(
                text: String(word.text), start: Double(word.start_ms) / 1000, end: Double(word.end_ms) / 1000,
                confidence: word.confidence)
        }
    }
}
