// `swiftlet-registry pull [--platform=P] [--quiet] [--insecure] -- NAME`: gets an image from a registry into the store.
//
// `swiftlet pull` becomes this program, `swiftlet run` starts it. They have parsed their own command lines: what comes here is exactly the form above, NAME in
// any of its spellings. The environment says the rest: SWIFTLET_STORE and its like (StoreLocation), the credentials' files, proxies, and
// SWIFTLET_PULL_STALL_SECONDS. Progress and errors go to standard error, the result to standard output; the exit status is 0 or 1.
import CLinux
import Glibc
import Images
import LinuxSystem
import OCI
import Progress
import Registry

func environment() -> [String: String] {
    var variables: [String: String] = [:]
    // SAFETY: environ is a NULL-terminated vector of strings; nothing in this process changes it.
    guard var next = unsafe clinux_environment() else { return [:] }
    while let entry = unsafe next.pointee {
        let text = unsafe String(cString: entry)
        if let equals = text.firstIndex(of: "=") { variables[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
        unsafe next += 1
    }
    return variables
}

/// Threads may be in the middle of their transfers: no destructor runs under them.
func end(_ sentence: String) -> Never {
    printError("swiftlet: " + printable(sentence, limit: 4000))
    _exit(1)
}

struct Invocation {
    var platform: Platform?
    var isQuiet = false
    var isInsecure = false
    let name: String

    /// Nil for anything but the one form.
    init?(_ arguments: [String]) {
        var rest = arguments[...]
        guard rest.popFirst() == "pull" else { return nil }
        while let argument = rest.popFirst(), argument != "--" {
            switch argument {
            case "--quiet": isQuiet = true
            case "--insecure": isInsecure = true
            case _ where argument.hasPrefix("--platform="):
                platform = Platform(name: String(argument.dropFirst("--platform=".count)))
                if platform == nil { return nil }
            default: return nil
            }
        }
        guard let name = rest.popFirst(), rest.isEmpty else { return nil }
        self.name = name
    }
}

ignoreSignal(SIGPIPE)
guard let invocation = Invocation(Array(CommandLine.arguments.dropFirst())) else {
    end("swiftlet-registry is a part of Swiftlet: use 'swiftlet pull NAME'")
}
let variables = environment()
let name: ImageName
do throws(OCIError) { name = try ImageName(invocation.name) } catch { end(error.description) }

let progress = TransferProgress(.onStandardError(isQuiet: invocation.isQuiet, terminal: variables["TERM"]), .pull)
let stallSeconds = variables["SWIFTLET_PULL_STALL_SECONDS"].flatMap { Int($0) }.map { min(max($0, 1), 3600) } ?? 30
let parallel = variables["SWIFTLET_PULL_PARALLEL"].flatMap { Int($0) }.map { min(max($0, 1), 32) } ?? 4

let result: PullResult
do throws(StoreError) {
    let location = try StoreLocation.directory(isRoot: geteuid() == 0) { variables["\($0)"].map { Array($0.utf8) } }
    let store = try ContentStore.open(location)
    do throws(RegistryError) {
        result = try Pull.run(
            PullRequest(name: name, platform: invocation.platform, isInsecure: invocation.isInsecure), into: store,
            PullSettings(environment: variables, stallSeconds: stallSeconds, parallelTransfers: parallel), progress)
    } catch { end("cannot pull \(name.familiar): \(error)") }
} catch { end(error.description) }

var text = ""
if !invocation.isQuiet {
    text += "Digest: \(result.digest)\n"
    text += "Status: \(result.isNew ? "Downloaded newer image" : "Image is up to date") for \(name.familiar)\n"
}
text += name.canonical + "\n"
do throws(SystemError) { try writeAll(STDOUT_FILENO, Array(text.utf8)) } catch { end("the result cannot be written: \(error.reason)") }
