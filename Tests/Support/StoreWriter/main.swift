// A process that stores blobs, to be killed at any instant. usage: store-writer STORE SEED COUNT SIZE
// Blob I of a seed is the same in every process. Each one gets a name once it is stored: test/SEED:I.
import Glibc
import Images
import OCI

let arguments = CommandLine.arguments
guard arguments.count >= 5, let seed = UInt64(arguments[2]), let count = Int(arguments[3]), let size = Int(arguments[4]) else { exit(2) }

func blob(_ number: Int) -> [UInt8] {
    var state = seed &* 1_000_003 &+ UInt64(number)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(size)
    while bytes.count < size {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes.append(UInt8(truncatingIfNeeded: state >> 33))
    }
    return bytes
}

do {
    let store = try ContentStore.open(arguments[1])
    for number in 0..<count {
        let bytes = blob(number)
        let descriptor = Descriptor(mediaType: "application/octet-stream", digest: Digest(of: bytes), size: UInt64(bytes.count))
        if let ingest = try store.ingest(descriptor) {
            var start = Int(ingest.received)
            while start < bytes.count {
                let end = min(start + 4096, bytes.count)
                try ingest.append(Array(bytes[start..<end]).span)
                start = end
            }
            try ingest.finish()
        }
        try store.record(ImageName("test/\(seed):\(number)"), descriptor)
    }
} catch {
    print("\(error)")
    exit(1)
}
