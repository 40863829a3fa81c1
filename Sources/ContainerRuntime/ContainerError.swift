// Why a container could not be started. Each text is a sentence without its full stop: what failed, on which value, what to do.
public import Confinement
import Glibc
public import Images
public import Jail
public import LinuxSystem
public import OCI

public enum ContainerError: Error, Equatable, CustomStringConvertible {
    /// The command line is wrong: the sentence is followed by a hint to `--help` of `command`.
    case usage(String, command: String)
    case image(name: String, ImageError)
    /// Of an image that has to be unpacked.
    case layer(ImageError)
    case store(StoreError)
    case noSuchImage(String)
    case imageName(OCIError)
    /// A registry may have it.
    case notStored(ImageName)
    /// Docker's sentence about what is refused without --force.
    case conflict(String)
    case outputIsATerminal
    case emptyInput
    /// A file that the user wants written.
    case output(path: String, SystemError)
    /// A file that the user named or that belongs to the installation can't be opened.
    case file(what: String, SystemError, remedy: String)
    case system(what: String, SystemError)
    /// What -v, --mount or config.json names.
    case hostTree(path: String, SystemError, origin: String)
    case environmentFile(path: String, line: Int, problem: String)
    case environmentFileTooLarge(path: String)
    case imageConfiguration(field: String, value: String, remedy: String)
    case noCommand
    case notATerminal
    case nameInUse(String)
    case noScratchSpace(directory: String, SystemError)
    case noFileSystemMaker
    case fileSystemMakerFailed(status: Int32)
    case damagedTemplate(path: String)
    case tooLargeRequest
    case tooManyVariables(Int)
    case diskStore(path: String, SystemError)
    case diskStoreFull(path: String)
    case diskLimit(String)
    case corruptedLayer(name: String, found: Digest, expected: Digest)
    case damagedDiskMap
    case diskVanished
    /// What config.json asks for can't be done; the problem continues the field's name.
    case bundle(field: String, problem: String)
    /// runc's sentence about a container, which engines read.
    case container(String)
    case confinement(ConfinementError)
    case kvm(KVMDeviceError)
    case jail(JailError)
    /// A process that this one started has said on standard error what went wrong.
    case reported

    public var description: String {
        switch self {
        case .usage(let sentence, _): sentence
        case .image(let name, let error): "image \"\(name)\": \(error)"
        case .layer(let error): "the image can't be unpacked: \(error)"
        case .store(let error): error.description
        case .noSuchImage(let name): "No such image: \(name)"
        case .imageName(let error): error.description
        case .notStored(let name): "the image \(name) is not in the store: get it with 'swiftlet pull \(name)'"
        case .conflict(let sentence): "conflict: \(sentence)"
        case .outputIsATerminal: "cowardly refusing to save to a terminal. Use the -o flag or redirect"
        case .emptyInput: "requested load from stdin, but stdin is empty: give -i FILE, or < FILE"
        case .output(let path, let error): "\(path) cannot be written: \(error.reason): check -o"
        case .file(let what, let error, let remedy): "\(what) \(error.subject) cannot be opened: \(error.reason): \(remedy)"
        case .hostTree(let path, let error, let origin) where error.errno == ENOTSUP:
            "the host's \(path) is neither a directory nor a regular file, which is all that a virtual machine can see of a host: check \(origin)"
        case .hostTree(let path, let error, let origin): "the host's \(path) cannot be opened: \(error.reason): check \(origin)"
        case .system(let what, let error): "\(what): \(error.call) failed: \(error.reason)"
        case .environmentFile(let path, let line, let problem): "the environment file \(path), line \(line): \(problem)"
        case .environmentFileTooLarge(let path): "the environment file \(path) exceeds 4 MiB: check --env-file"
        case .imageConfiguration(let field, let value, let remedy):
            "the image's configuration has the \(field) \"\(value)\", which cannot be used: \(remedy)"
        case .noCommand: "no command: the image names none, give one after its name"
        case .notATerminal: "standard input is no terminal, as -i -t needs: leave -t out"
        case .nameInUse(let name): "the name \"\(name)\" is in use by a running container: choose another --name or wait until it ends"
        case .noScratchSpace(let directory, let error):
            "no scratch file can be made in \(directory): \(error.reason): set TMPDIR to a directory with space"
        case .noFileSystemMaker: "--storage-size needs mke2fs, which is not installed: install e2fsprogs or leave the option out"
        case .fileSystemMakerFailed(let status): "mke2fs failed with status \(status) on the scratch disk: choose another --storage-size"
        case .damagedTemplate(let path): "the disk template \(path) is damaged: install Swiftlet again"
        case .tooManyVariables(let count): "\(count) environment variables are too many: at most \(Environment.limit) are supported"
        case .diskStore(let path, let error):
            "the unpacked images in \(path) can't be used: \(error.call) failed: \(error.reason): set SWIFTLET_STORE to a directory of yours"
        case .diskStoreFull(let path):
            "no space is left for the unpacked image in \(path): make room, or set SWIFTLET_STORE to a directory that has some"
        case .diskLimit(let text): "SWIFTLET_DISK_LIMIT=\"\(text)\" is no size: set it to one like 500m or 20g"
        case .corruptedLayer(let name, let found, let expected):
            "\(name) is corrupted: the digest of its blob is \(found), not \(expected): fetch or build the image again"
        case .damagedDiskMap: "the image can't be unpacked: the map of its disk makes no sense: this is a bug in swiftlet, or a malicious image"
        case .diskVanished: "the unpacked image was removed before it could be used: try again"
        case .bundle(let field, let problem): "config.json: \(field)\(problem)"
        case .container(let sentence): sentence
        case .confinement(let error): error.description
        case .kvm(let error): "\(error)"
        case .jail(let error): "\(error)"
        case .reported: "an error was reported before"
        case .tooLargeRequest: "the arguments and the environment together exceed 4 MiB: shorten them"
        }
    }

    /// What a shell sees: the same for every failure of ours, as with `docker run`.
    public static let exitCode: Int32 = 125

    /// The same of the commands of an OCI runtime, as with runc.
    public static let runtimeExitCode: Int32 = 1
    /// Of `exec` alone, whose other statuses are its process's.
    public static let execExitCode: Int32 = 255

    /// What a shell sees when a command for images fails: as with Docker's, 125 only where its options are wrong.
    public var imageCommandExitCode: Int32 {
        if case .usage = self { Self.exitCode } else { 1 }
    }
}
