// Choosing an image out of an index (image-index.md of the OCI image specification).
import OCI

enum PlatformChoice {
    static func choose(from manifests: [Descriptor], wanted: Platform) throws(RegistryError) -> Descriptor {
        let images = manifests.filter { !isAttestation($0) }
        let fitting = images.filter { $0.platform?.fits(wanted) ?? false }
        // The least demanding machine first: an image without a variant runs everywhere.
        if let chosen = fitting.min(by: { ($0.platform?.variant ?? "") < ($1.platform?.variant ?? "") }) { return chosen }
        // Without a platform the image's own configuration decides.
        if images.count == 1, images[0].platform == nil { return images[0] }
        throw .noSuchPlatform(wanted: wanted, available: images.compactMap(\.platform))
    }

    /// Provenance that builders put beside an image's manifests; nothing to run.
    private static func isAttestation(_ descriptor: Descriptor) -> Bool {
        descriptor.annotations["vnd.docker.reference.type"] != nil
            || descriptor.platform.map { $0.operatingSystem == "unknown" && $0.architecture == "unknown" } ?? false
    }
}
