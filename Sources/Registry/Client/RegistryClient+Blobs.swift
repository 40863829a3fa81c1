// Blobs: "Pulling blobs" of the OCI distribution specification, straight into the store, going on where an earlier transfer ended.
import Images
import OCI

/// Writes a blob's bytes into the store, in larger pieces than they come.
private final class BlobBody: ResponseBody {
    private let what: String
    private let ingest: Ingest
    private let onProgress: (UInt64) -> Void
    /// Where the request asked to begin.
    private let offset: UInt64
    private var buffer: [UInt8] = []

    /// In bytes. libcurl hands over 16 KiB at most.
    private static let pieceLength = 256 << 10

    init(_ what: String, _ ingest: Ingest, _ onProgress: @escaping (UInt64) -> Void) {
        self.what = what
        self.ingest = ingest
        self.onProgress = onProgress
        offset = ingest.received
        buffer.reserveCapacity(Self.pieceLength)
    }

    func begin(_ response: Response) throws(RegistryError) {
        buffer.removeAll(keepingCapacity: true)
        var start = offset
        if response.status == 206 {
            guard ContentRange(response.contentRange ?? "")?.first == offset else {
                // The next attempt asks for the whole.
                try stored { () throws(StoreError) in try ingest.restart() }
                throw .wrongContent(what: what, problem: "another part came than was asked for")
            }
        } else if offset > 0 {
            // The peer doesn't do ranges.
            start = 0
            try stored { () throws(StoreError) in try ingest.restart() }
            onProgress(0)
        }
        if let length = response.contentLength, length != ingest.descriptor.size - start {
            throw .wrongSize(what: what, expected: ingest.descriptor.size, found: start.addingReportingOverflow(length).partialValue)
        }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws(RegistryError) {
        let total = ingest.received + UInt64(buffer.count + bytes.count)
        guard total <= ingest.descriptor.size else { throw .wrongSize(what: what, expected: ingest.descriptor.size, found: total) }
        // SAFETY: copies the bytes during the call.
        unsafe buffer.append(contentsOf: bytes)
        if buffer.count >= Self.pieceLength { try flush() }
    }

    /// Also after a transfer that broke off: what came is kept.
    func flush() throws(RegistryError) {
        do throws(StoreError) {
            let piece = buffer
            try ingest.append(piece.span)
        } catch { throw .store(error) }
        buffer.removeAll(keepingCapacity: true)
        onProgress(ingest.received)
    }
}

/// Runs `body` with the store's errors as ours.
func stored<Value>(_ body: () throws(StoreError) -> Value) throws(RegistryError) -> Value {
    do throws(StoreError) { return try body() } catch { throw .store(error) }
}

/// Hears how a blob is getting on.
struct BlobObserver {
    /// In bytes, from the blob's beginning.
    let received: (UInt64) -> Void
    let waits: WaitObserver
}

extension RegistryClient {
    /// In bytes: a transfer that moved as much has got on, however it ended.
    private static let worthwhile: UInt64 = 1 << 20

    /// Stores a blob, unless it is there already: then the result is false.
    func fetch(
        _ descriptor: Descriptor, what: String, into store: ContentStore, _ connection: Connection, _ observer: BlobObserver
    ) throws(RegistryError) -> Bool {
        var isLastTry = false
        while true {
            guard let ingest = try stored({ () throws(StoreError) in try store.ingest(descriptor) }) else { return false }
            let wasResumed = ingest.received > 0
            observer.received(ingest.received)
            if ingest.received < descriptor.size { try download(what, ingest, connection, observer) }
            do throws(StoreError) {
                try ingest.finish()
                return true
            } catch .wrongDigest(let expected, let found) {
                // The part that was there already may have come from a registry that lies.
                guard wasResumed, !isLastTry else { throw .wrongDigest(what: what, expected: expected, found: found) }
                isLastTry = true
            } catch { throw .store(error) }
        }
    }

    private func download(
        _ what: String, _ ingest: Ingest, _ connection: Connection, _ observer: BlobObserver
    ) throws(RegistryError) {
        let descriptor = ingest.descriptor
        var mark = ingest.received
        let hasProgressed = {
            defer { mark = ingest.received }
            return ingest.received > mark && ingest.received - mark >= Self.worthwhile
        }
        let (response, message) = try retrying(observer.waits, hasProgressed) { () throws(TransferFailure) in
            let body = BlobBody(what, ingest, observer.received)
            let answer: (response: Response, message: [UInt8])
            do throws(TransferFailure) {
                answer = try self.attempt("blobs/\(descriptor.digest)", connection, into: body, onWait: observer.waits) { request in
                    request.offset = ingest.received
                }
            } catch {
                do throws(RegistryError) { try body.flush() } catch { throw .permanent(error) }
                throw error
            }
            do throws(RegistryError) {
                try body.flush()
                if answer.response.status == 416, ingest.received > 0 {
                    try stored { () throws(StoreError) in try ingest.restart() }
                    throw .interrupted(host: self.host, detail: "it has no such part of the blob")
                }
                if answer.response.isSuccess, ingest.received < descriptor.size {
                    throw .wrongSize(what: what, expected: descriptor.size, found: ingest.received)
                }
            } catch {
                if case .store = error { throw .permanent(error) }
                throw TransferFailure(error: error, isTemporary: true)
            }
            return answer
        }
        guard response.isSuccess else { throw refusal(response, message, what: what) }
    }
}
