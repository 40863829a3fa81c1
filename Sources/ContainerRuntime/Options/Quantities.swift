// Sizes, CPU counts, limits and signals as the user writes them, with Docker's spelling.
import AgentProtocol
import Glibc

enum Quantities {
    /// Bytes of `512m`, `1.5g`, `64MiB`, …: a decimal number and b, k, m, g or t (powers of 1024), perhaps followed by b or ib. Nil if it is none.
    static func size(_ text: String) -> UInt64? {
        var rest = text.utf8[...]
        guard let (whole, fraction) = decimal(&rest) else { return nil }
        var unit: UInt64 = 1
        if let letter = rest.popFirst() {
            switch letter | 0x20 {
            case UInt8(ascii: "b"): return rest.isEmpty && fraction.value == 0 ? whole : nil
            case UInt8(ascii: "k"): unit = 1 << 10
            case UInt8(ascii: "m"): unit = 1 << 20
            case UInt8(ascii: "g"): unit = 1 << 30
            case UInt8(ascii: "t"): unit = 1 << 40
            default: return nil
            }
            let suffix = rest.map { $0 | 0x20 }
            guard suffix.isEmpty || suffix == Array("b".utf8) || suffix == Array("ib".utf8) else { return nil }
        } else if fraction.value != 0 {
            return nil
        }
        let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
        let part = fraction.scale.dividingFullWidth(fraction.value.multipliedFullWidth(by: unit)).quotient
        let (sum, carry) = product.addingReportingOverflow(part)
        return overflow || carry || sum > UInt64(Int64.max) ? nil : sum
    }

    /// Virtual CPUs for `--cpus N`: N rounded up, since a machine has whole ones. Nil unless 0 < N.
    static func cpus(_ text: String) -> UInt64? {
        var rest = text.utf8[...]
        guard let (whole, fraction) = decimal(&rest), rest.isEmpty, whole < 1 << 32 else { return nil }
        let count = whole + (fraction.value == 0 ? 0 : 1)
        return count == 0 ? nil : count
    }

    /// The same number as processor time in microseconds for each 100,000; at least 1,000, as the kernel wants it.
    static func processorTime(_ text: String) -> UInt64? {
        var rest = text.utf8[...]
        guard cpus(text) != nil, let (whole, fraction) = decimal(&rest) else { return nil }
        return max(1000, whole * 100_000 + fraction.value * 100_000 / fraction.scale)
    }

    /// Digits, perhaps a point and up to nine digits.
    private static func decimal(_ rest: inout Substring.UTF8View) -> (whole: UInt64, fraction: (value: UInt64, scale: UInt64))? {
        let digits = rest.prefix { isDigit($0) }
        rest = rest.dropFirst(digits.count)
        var fraction: (value: UInt64, scale: UInt64) = (0, 1)
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            let decimals = rest.prefix { isDigit($0) }
            rest = rest.dropFirst(decimals.count)
            guard decimals.count <= 9, digits.count + decimals.count > 0 else { return nil }
            for digit in decimals { fraction = (fraction.value * 10 + UInt64(digit - 0x30), fraction.scale * 10) }
        } else if digits.isEmpty {
            return nil
        }
        guard let whole = digits.isEmpty ? 0 : UInt64(String(decoding: Array(digits), as: UTF8.self)) else { return nil }
        return (whole, fraction)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// Names of setrlimit(2) as `--ulimit` has them; the index is the RLIMIT_ number.
    static let limitNames = [
        "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice",
        "rtprio", "rttime",
    ]

    /// `NAME=SOFT[:HARD]`; -1 is unlimited. Throws a phrase that says what is wrong.
    static func limit(_ text: String) -> Result<ResourceLimit, Phrase> {
        let name = text.utf8.prefix { $0 != UInt8(ascii: "=") }
        let values = text.utf8.dropFirst(name.count + 1)
        guard let resource = limitNames.firstIndex(where: { $0.utf8.elementsEqual(name) }) else {
            return .failure(
                Phrase("unknown limit \"\(String(decoding: Array(name), as: UTF8.self))\": use one of \(limitNames.joined(separator: ", "))"))
        }
        let parts = values.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            .map { limitValue(String(decoding: Array($0), as: UTF8.self)) }
        guard parts.count <= 2, let soft = parts.first ?? nil, let hard = parts.last ?? nil else {
            return .failure(Phrase("\"\(text)\" is not NAME=SOFT[:HARD] with numbers, or -1 for unlimited"))
        }
        guard soft <= hard else { return .failure(Phrase("the soft limit of \"\(text)\" exceeds the hard one")) }
        return .success(ResourceLimit(resource: UInt32(resource), soft: soft, hard: hard))
    }

    private static func limitValue(_ text: String) -> UInt64? {
        text == "-1" || text == "unlimited" ? UInt64.max : UInt64(text)
    }

    private static let signalNames = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD",
        "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ]

    /// 1 to 64 for `SIGQUIT`, `quit`, `3`, `RTMIN+3`, …; nil if it is none.
    static func signal(_ text: String) -> UInt8? {
        if let number = UInt8(text) { return (1...64).contains(number) ? number : nil }
        var name = text.uppercased()
        if name.utf8.starts(with: "SIG".utf8) { name = String(name.dropFirst(3)) }
        if let index = signalNames.firstIndex(of: name) { return UInt8(index + 1) }
        switch name {
        case "RTMIN": return 34
        case "RTMAX": return 64
        case "IOT": return 6
        case "POLL": return 29
        case "CLD": return 17
        default: break
        }
        if name.utf8.starts(with: "RTMIN+".utf8), let offset = UInt8(name.dropFirst(6)), offset <= 30 { return 34 + offset }
        if name.utf8.starts(with: "RTMAX-".utf8), let offset = UInt8(name.dropFirst(6)), offset <= 30 { return 64 - offset }
        return nil
    }
}

/// A part of a sentence that says what is wrong with a value.
struct Phrase: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ text: String) { description = text }
}
