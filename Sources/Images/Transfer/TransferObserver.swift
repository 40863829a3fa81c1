// Who wants to know how far `load` and `save` have come.
public import OCI

/// Told about the layers of one image after another.
public struct TransferObserver {
    /// An image's layers, the lowest first, with their sizes in bytes: the next calls count them. A digest is the blob's, or the diff id where there is no other.
    public var begin: ([(digest: Digest, size: UInt64)]) -> Void
    /// So many bytes of a layer altogether.
    public var moved: (_ layer: Int, _ bytes: UInt64) -> Void
    /// `isNew`: it was not there before.
    public var finished: (_ layer: Int, _ isNew: Bool) -> Void

    public init(
        begin: @escaping ([(digest: Digest, size: UInt64)]) -> Void, moved: @escaping (_ layer: Int, _ bytes: UInt64) -> Void,
        finished: @escaping (_ layer: Int, _ isNew: Bool) -> Void
    ) {
        self.begin = begin
        self.moved = moved
        self.finished = finished
    }

    /// Nobody wants to know.
    public static var none: TransferObserver { TransferObserver(begin: { _ in }, moved: { _, _ in }, finished: { _, _ in }) }
}
