// Media types of the OCI image specification 1.1 and of Docker's image manifest version 2, schema 2.

/// How a layer's tar stream is stored.
public enum Compression: Equatable, Sendable {
    case none, gzip, zstd

    /// Judged by a file's first bytes: archives written by `docker save` don't say.
    public init(magic: [UInt8]) {
        if magic.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if magic.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
            self = .zstd
        } else {
            self = .none
        }
    }
}

/// What a media type says, as far as running an image needs it.
public enum MediaType: Equatable, Sendable {
    case index
    case manifest
    case configuration
    case layer(Compression)
    case unknown

    public init(_ text: String) {
        self =
            switch text {
            case "application/vnd.oci.image.index.v1+json",
                "application/vnd.docker.distribution.manifest.list.v2+json":
                .index
            case "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json":
                .manifest
            case "application/vnd.oci.image.config.v1+json",
                "application/vnd.docker.container.image.v1+json":
                .configuration
            case "application/vnd.oci.image.layer.v1.tar",
                "application/vnd.oci.image.layer.nondistributable.v1.tar",
                "application/vnd.docker.image.rootfs.diff.tar",
                "application/vnd.docker.image.rootfs.foreign.diff.tar":
                .layer(.none)
            case "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
                .layer(.gzip)
            case "application/vnd.oci.image.layer.v1.tar+zstd",
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
                "application/vnd.docker.image.rootfs.diff.tar.zstd":
                .layer(.zstd)
            default:
                .unknown
            }
    }
}
