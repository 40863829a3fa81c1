// Which disks an image has: one for each of its layers together with all layers below.
import Images
import OCI

/// The layers of an image cut into parts, each of which becomes a disk image of its own that later parts, and other images, build upon.
///
/// A part's chain digest names all layers up to its end, as the image specification's ChainID does ("Layer ChainID" in config.md), but of the layers' blobs as they are
/// stored: it is the host that has verified those, and no layer's content can lie about them (docs/adr/0011).
struct LayerChain: Equatable {
    struct Part: Equatable {
        let chain: Digest
        /// Numbers of the layers, the lowest first.
        let layers: Range<Int>
    }

    /// More layers than this share their last part: each part is an open file of every container.
    static let partLimit = 128

    let parts: [Part]

    /// `blobs` names the stored layers, the lowest first.
    init(_ blobs: [Digest]) {
        var parts: [Part] = []
        var chain: Digest?
        var start = 0
        for (number, blob) in blobs.enumerated() {
            let next = chain.map { Digest(of: Array("\($0) \(blob)".utf8)) } ?? blob
            chain = next
            guard parts.count < Self.partLimit - 1 || number == blobs.count - 1 else { continue }
            parts.append(Part(chain: next, layers: start..<number + 1))
            start = number + 1
        }
        self.parts = parts
    }

    /// Of the whole image; nil for one without layers.
    var top: Digest? { parts.last?.chain }
}
