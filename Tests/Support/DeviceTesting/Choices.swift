// Where an attack's decisions come from: random numbers of a seed, or the bytes that a fuzzer invents.
import VirtioTesting

public protocol Choices {
    /// A number from 0 to `limit` - 1.
    mutating func pick(_ limit: Int) -> Int
    /// Any number of 64 bits.
    mutating func bits() -> UInt64
    /// There are no more decisions to be had; those that are asked for all the same are zeros.
    var isExhausted: Bool { get }
}

extension Choices {
    /// Once in so many times.
    public mutating func chance(in count: Int) -> Bool { pick(count) == count - 1 }

    public mutating func element<Element>(_ elements: [Element]) -> Element { elements[pick(elements.count)] }
}

/// The same decisions for the same seed, without end.
public struct SeededChoices: Choices {
    private var random: SeededRandom

    public init(seed: UInt64) { random = SeededRandom(seed: seed) }

    public mutating func pick(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
    public mutating func bits() -> UInt64 { random.next() }
    public var isExhausted: Bool { false }
}

/// Decisions as a fuzzer's input spells them: a byte each, or two or four where there is more to choose from.
public struct InputChoices: Choices {
    private let bytes: [UInt8]
    private var offset = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public mutating func pick(_ limit: Int) -> Int { Int(take(limit <= 1 << 8 ? 1 : limit <= 1 << 16 ? 2 : 4) % UInt64(limit)) }
    public mutating func bits() -> UInt64 { take(8) }
    public var isExhausted: Bool { offset >= bytes.count }

    private mutating func take(_ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<count where offset + index < bytes.count { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
        offset += count
        return value
    }
}
