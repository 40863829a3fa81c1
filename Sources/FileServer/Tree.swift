// What a server shows of the host.
public import LinuxSystem

/// A directory of the host with all that is below it, or a file.
public struct Tree: Sendable {
    let root: SharedDescriptor
    let isReadOnly: Bool

    /// `root`: a directory or a regular file, opened with O_PATH.
    public init(root: SharedDescriptor, isReadOnly: Bool) {
        self.root = root
        self.isReadOnly = isReadOnly
    }
}

/// For how long a guest may believe what it was told.
public enum CacheMode: String, Sendable, CaseIterable {
    /// Not at all: every name and attribute is asked for again.
    case never
    /// A second: what the host's users change is seen then, or when a file is opened.
    case auto
    /// For ever: nobody but the guest changes the tree.
    case always

    /// In nanoseconds.
    var validity: UInt64 {
        switch self {
        case .never: 0
        case .auto: 1_000_000_000
        case .always: 86_400_000_000_000
        }
    }
}
