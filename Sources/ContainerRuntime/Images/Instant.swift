// Points in time as documents write them (RFC 3339), and how Docker speaks of them.

import Glibc

/// Seconds since 1970-01-01 00:00 UTC.
struct Instant: Equatable, Comparable {
    let seconds: Int64

    init(seconds: Int64) { self.seconds = seconds }

    /// Nil unless `text` is like `2026-05-01T12:34:56.789Z` or `…+02:00`. Fractions of a second are dropped.
    init?(_ text: String) {
        var rest = text.utf8[...]
        func number(_ digits: Int, before separator: UInt8?) -> Int64? {
            let part = rest.prefix(digits)
            guard part.count == digits, part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            rest = rest.dropFirst(digits)
            if let separator {
                guard let next = rest.popFirst(), next | 0x20 == separator | 0x20 else { return nil }
            }
            return part.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        guard let year = number(4, before: UInt8(ascii: "-")), let month = number(2, before: UInt8(ascii: "-")), (1...12).contains(month),
            let day = number(2, before: UInt8(ascii: "T")), (1...31).contains(day),
            let hour = number(2, before: UInt8(ascii: ":")), hour < 24, let minute = number(2, before: UInt8(ascii: ":")), minute < 60,
            let second = number(2, before: nil), second <= 60
        else { return nil }
        if rest.first == UInt8(ascii: ".") { rest = rest.dropFirst().drop { (0x30...0x39).contains($0) } }
        var offset: Int64 = 0
        guard let zone = rest.popFirst() else { return nil }
        if zone | 0x20 != UInt8(ascii: "z") {
            guard zone == UInt8(ascii: "+") || zone == UInt8(ascii: "-"), let hours = number(2, before: UInt8(ascii: ":")), hours < 24,
                let minutes = number(2, before: nil), minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (zone == UInt8(ascii: "+") ? 60 : -60)
        }
        guard rest.isEmpty else { return nil }
        seconds = Self.days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    }

    static func < (first: Instant, second: Instant) -> Bool { first.seconds < second.seconds }

    /// Days from 1970-01-01 in the Gregorian calendar; years begin in March here, so that a leap day is the last one.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// As in `2026-05-01 12:34:56 +0000 UTC`.
    var text: String {
        let (day, time) = (Self.floor(seconds, 86_400), seconds - Self.floor(seconds, 86_400) * 86_400)
        let shifted = day + 719_468
        let era = Self.floor(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func two(_ number: Int64) -> String { (number < 10 ? "0" : "") + "\(number)" }
        return "\(year)-\(two(month))-\(two(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)) "
            + "\(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)) +0000 UTC"
    }

    /// As in `2026-05-01T12:34:56Z`.
    var standardText: String {
        let words = text.split(separator: " ")
        return "\(words[0])T\(words[1])Z"
    }

    static var now: Instant { Instant(seconds: Int64(time(nil))) }

    private static func floor(_ number: Int64, _ divisor: Int64) -> Int64 {
        number >= 0 ? number / divisor : -((divisor - 1 - number) / divisor)
    }

    /// How long ago, in Docker's words.
    func age(at now: Instant) -> String {
        let elapsed = max(0, now.seconds - seconds)
        let minutes = elapsed / 60
        // Rounded to the next whole hour.
        let hours = (elapsed + 1800) / 3600
        let words =
            switch elapsed {
            case 0: "Less than a second"
            case 1: "1 second"
            case ..<60: "\(elapsed) seconds"
            case ..<120: "About a minute"
            case ..<3600: "\(minutes) minutes"
            default:
                switch hours {
                case ...1: "About an hour"
                case ..<48: "\(hours) hours"
                case ..<(24 * 7 * 2): "\(hours / 24) days"
                case ..<(24 * 30 * 2): "\(hours / 24 / 7) weeks"
                case ..<(24 * 365 * 2): "\(hours / 24 / 30) months"
                default: "\(elapsed / 3600 / 24 / 365) years"
                }
            }
        return words + " ago"
    }
}

extension Quantities {
    /// Bytes in Docker's words: three digits and a unit of powers of 1000, as in `77.8MB`.
    static func words(_ bytes: UInt64) -> String {
        let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
        var (scale, unit): (UInt64, Int) = (1, 0)
        while unit + 1 < units.count, bytes / scale >= 1000 {
            scale *= 1000
            unit += 1
        }
        // Hundredths, tenths or wholes, rounded; what rounds up to 1000 is the next unit's 1.
        for (limit, fraction) in [(UInt64(10), UInt64(100)), (100, 10), (1000, 1)] where bytes / scale < limit {
            let step = max(1, scale / fraction)
            let rounded = (bytes / step + (bytes % step >= (step + 1) / 2 && step > 1 ? 1 : 0))
            let parts = scale / step
            guard rounded < limit * parts else {
                if limit == 1000, unit + 1 < units.count { return "1" + units[unit + 1] }
                return "\(limit)" + units[unit]
            }
            let digits = String(rounded % parts + parts).dropFirst()
            let decimals = trimmed(String(digits))
            return "\(rounded / parts)" + (decimals.isEmpty ? "" : "." + decimals) + units[unit]
        }
        return "\(bytes / scale)" + units[unit]
    }

    private static func trimmed(_ digits: String) -> String {
        var bytes = Array(digits.utf8)
        while bytes.last == 0x30 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Seconds of a duration as Go writes them: `24h`, `1h30m`, `90s`. Nil if it is none.
    static func duration(_ text: String) -> Int64? {
        var rest = text.utf8[...]
        var total: Int64 = 0
        if rest.isEmpty { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { (0x30...0x39).contains($0) }
            guard !digits.isEmpty, digits.count <= 9, let number = Int64(String(decoding: Array(digits), as: UTF8.self)) else { return nil }
            rest = rest.dropFirst(digits.count)
            switch rest.popFirst() {
            case UInt8(ascii: "h"): total += number * 3600
            case UInt8(ascii: "m"): total += number * 60
            case UInt8(ascii: "s"): total += number
            default: return nil
            }
        }
        return total
    }
}
