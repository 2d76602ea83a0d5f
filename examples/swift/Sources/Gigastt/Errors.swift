import CGigastt

/// What failed, with the negative status of gigastt.h.
public struct GigasttError: Error, CustomStringConvertible, Sendable {
    public let status: Int32
    public let message: String

    public var description: String { message }

    init(status: Int32, message: String) {
        self.status = status
        self.message = message
    }

    init(_ error: OpaquePointer) {
        status = gigastt_error_status(error)
        message = String(gigastt_error_message(error))
    }
}

/// Calls a function of C; its status unless it is an error, which is thrown.
@discardableResult
func call(_ body: (UnsafeMutablePointer<OpaquePointer?>) -> gigastt_status) throws -> gigastt_status {
    var error: OpaquePointer?
    let status = body(&error)
    guard status < 0 else { return status }
    defer { gigastt_error_release(error) }
    if let error { throw GigasttError(error) }
    throw GigasttError(status: status, message: String(cString: gigastt_status_name(status)))
}

/// What a call that succeeded has put into its output.
func made(_ handle: OpaquePointer?) throws -> OpaquePointer {
    guard let handle else { throw GigasttError(status: GIGASTT_INTERNAL, message: "an output is missing") }
    return handle
}

extension String {
    /// A copy of a text of the library.
    init(_ text: gigastt_str) {
        let bytes = UnsafeRawBufferPointer(start: text.data, count: text.len)
        self = String(decoding: bytes, as: UTF8.self)
    }
}
