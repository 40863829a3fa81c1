// `swiftlet-config <FILE`: a TOML document on standard input becomes JSON on standard output. What is wrong with it goes to standard error as one sentence, and the exit status is 1.
import Glibc
import TOMLKit

/// As `swiftlet` has it for what it reads.
let sizeLimit = 1 << 20

func fail(_ sentence: String) -> Never {
    var line = Array((sentence + "\n").utf8)
    _ = write(STDERR_FILENO, &line, line.count)
    exit(1)
}

var bytes: [UInt8] = []
var chunk = [UInt8](repeating: 0, count: 65536)
while true {
    let count = read(STDIN_FILENO, &chunk, chunk.count)
    if count == 0 { break }
    guard count > 0 else { fail("it can't be read") }
    bytes += chunk[..<count]
    guard bytes.count <= sizeLimit else { fail("it exceeds 1 MiB") }
}
guard let text = String(validating: bytes, as: UTF8.self) else { fail("it is not UTF-8") }
do {
    print(try TOMLTable(string: text).convert(to: .json))
} catch let error as TOMLParseError {
    fail("line \(error.source.begin.line), column \(error.source.begin.column): \(error.description)")
} catch { fail("\(error)") }
