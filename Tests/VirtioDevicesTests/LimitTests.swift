// Token buckets with a clock of the test's, and the block device that waits for them.
import AddressSpace
import DeviceTesting
import LinuxSystem
import Synchronization
import Testing
import Virtio
import VirtioTesting

@testable import VirtioDevices

private let second: UInt64 = 1_000_000_000

/// A clock that moves when it is told to.
private final class TestClock: Sendable {
    /// An hour ahead of the real one, so that no timer fires by itself.
    private let value = Atomic(monotonicNanoseconds() + 3600 * second)
    var now: UInt64 { value.load(ordering: .relaxed) }
    func advance(_ nanoseconds: UInt64) { value.wrappingAdd(nanoseconds, ordering: .relaxed) }
}

@Suite struct TokenBuckets {
    /// Takes `tokens` as soon as they are there; when that is.
    private func take(_ tokens: UInt64, from bucket: inout TokenBucket, at now: UInt64) -> UInt64 {
        let moment = bucket.moment(for: tokens, now: now)
        #expect(bucket.moment(for: tokens, now: moment) == moment)
        if moment > now { #expect(bucket.moment(for: tokens, now: moment - 1) > moment - 1) }
        bucket.take(tokens, now: moment)
        return moment
    }

    @Test func aFullBucketGivesAtOnceAndThenAtItsRate() {
        var bucket = TokenBucket(Allowance(rate: 1000, capacity: 100))
        #expect(take(60, from: &bucket, at: 7) == 7)
        #expect(take(40, from: &bucket, at: 7) == 7)
        // Ten tokens take 10 ms.
        #expect(take(10, from: &bucket, at: 7) == 7 + 10_000_000)
        #expect(take(100, from: &bucket, at: 7 + 10_000_000) == 7 + 110_000_000)
    }

    @Test func aBucketNeverHoldsMoreThanItsCapacity() {
        var bucket = TokenBucket(Allowance(rate: 1000, capacity: 100))
        bucket.take(100, now: 0)
        let later = 3600 * second
        #expect(take(100, from: &bucket, at: later) == later)
        #expect(take(1, from: &bucket, at: later) == later + 1_000_000)
    }

    @Test func aRequestLargerThanTheBucketTakesAFullOneAndLeavesADebt() {
        var bucket = TokenBucket(Allowance(rate: 1000, capacity: 100))
        #expect(take(1000, from: &bucket, at: 0) == 0)
        // 900 tokens of debt and one more.
        #expect(take(1, from: &bucket, at: 0) == 901_000_000)
        // Not full: it has to be for the next large one.
        #expect(take(1000, from: &bucket, at: 901_000_000) == 1_001_000_000)
    }

    @Test func theTokensForOnceComeFirstAndNeverAgain() {
        var bucket = TokenBucket(Allowance(rate: 1000, capacity: 100, burst: 500))
        #expect(take(450, from: &bucket, at: 0) == 0)
        #expect(take(150, from: &bucket, at: 0) == 0)
        #expect(take(100, from: &bucket, at: 0) == 100_000_000)
        #expect(take(101, from: &bucket, at: 3600 * second) == 3600 * second)
        #expect(take(1, from: &bucket, at: 3600 * second) == 3600 * second + 2_000_000)
    }

    @Test(arguments: [1, 3, 7, 1000, 10_485_760, 1 << 40] as [UInt64]) func inTheLongRunItIsTheRate(rate: UInt64) {
        var bucket = TokenBucket(Allowance(rate: rate, capacity: max(1, rate / 10)))
        var now: UInt64 = 0
        let step = max(1, rate / 17)
        var taken: UInt64 = 0
        while taken < rate * 5 {
            now = take(step, from: &bucket, at: now)
            taken += step
        }
        let shortest = Double(taken - step - max(1, rate / 10)) / Double(rate)
        #expect(Double(now) / 1e9 >= shortest * 0.9999)
        #expect(Double(now) / 1e9 <= Double(taken) / Double(rate) * 1.0001)
    }

    @Test(arguments: [0, 1, 1 << 32, 1 << 63, .max] as [UInt64], [0, 1, 1 << 32, .max] as [UInt64])
    func nothingOverflows(tokens: UInt64, burst: UInt64) {
        for rate in [0, 1, .max] as [UInt64] {
            for capacity in [0, 1, .max] as [UInt64] {
                var bucket = TokenBucket(Allowance(rate: rate, capacity: capacity, burst: burst))
                for now in [0, 1, UInt64(Int64.max) - 1, UInt64(Int64.max), .max] {
                    #expect(bucket.moment(for: tokens, now: now) >= now)
                    for _ in 0..<4 { bucket.take(tokens, now: now) }
                }
            }
        }
    }

    @Test func bothBucketsMustHaveWhatARequestNeeds() {
        var limiter = RateLimiter(RateLimits(bytes: Allowance(rate: 1000, capacity: 1000), operations: Allowance(rate: 1, capacity: 2)))
        #expect(limiter.admit(bytes: 10, now: 0) == nil)
        #expect(limiter.admit(bytes: 10, now: 0) == nil)
        // Operations are used up, and asking takes no bytes.
        for _ in 0..<5 { #expect(limiter.admit(bytes: 980, now: 0) == second) }
        #expect(limiter.admit(bytes: 1000, now: second) == nil)
        #expect(limiter.admit(bytes: 500, now: second) == 2 * second)
    }
}

/// A disk with limits, whose clock is the test's. The timer's is the real one, so the test says itself when it fires.
private final class LimitedDisk {
    let clock = TestClock()
    let file: ScratchFile
    let driver: MockDriver

    init(reading: RateLimits = RateLimits(), writing: RateLimits = RateLimits(), with other: LimitedDisk? = nil) throws {
        file = try ScratchFile(size: 1 << 20)
        let clock = clock
        limiter = other?.limiter ?? SharedRateLimiter(reading: reading, writing: writing) { clock.now }
        let backend = try BlockBackend.concatenation(of: [(file.raw, 0, 1 << 20)], name: "limited", access: .inPlace)
        driver = try MockDriver(try Block(backend, serial: "limited", throttle: try Throttle(limiter)))
        try driver.start()
    }

    let limiter: SharedRateLimiter

    /// Makes a request available; its answer is looked for by `answered`.
    @discardableResult
    func submit(_ type: UInt32, bytes: Int = 4096) throws -> UInt16 {
        let header = driver.allocate(16)
        try driver.memory.store(UInt64(type), at: header)
        try driver.memory.store(UInt64(0), at: GuestAddress(header.value + 8))
        let data = driver.allocate(UInt64(bytes))
        let status = driver.allocate(1)
        let isRead = type == Request.read
        let head = try driver.queues[0].add(
            readable: [(header, 16)] + (isRead ? [] : [(data, bytes)]), writable: (isRead ? [(data, bytes)] : []) + [(status, 1)])
        try driver.queues[0].publish()
        try driver.settle()
        return head
    }

    /// Requests that were answered since the last call.
    func answered() throws -> Int { try driver.queues[0].takeUsed().count }

    /// As when the timer fires so much later.
    func pass(_ nanoseconds: UInt64) throws -> Int {
        clock.advance(nanoseconds)
        driver.transport.hostReady()
        try driver.settle()
        return try answered()
    }
}

@Suite struct LimitedDisks {
    private static let tenOperations = RateLimits(operations: Allowance(rate: 10, capacity: 1))

    @Test func requestsWaitForTheirTokensInTheirOrder() throws {
        let disk = try LimitedDisk(writing: Self.tenOperations)
        for _ in 0..<4 { try disk.submit(Request.write) }
        #expect(try disk.answered() == 1)
        #expect(try disk.pass(99_999_999) == 0)
        #expect(try disk.pass(1) == 1)
        #expect(try disk.pass(100_000_000) == 1)
        #expect(try disk.pass(100_000_000) == 1)
        #expect(try disk.pass(100_000_000) == 0)
        #expect(disk.driver.transport.withDevice { ($0 as? Block)?.metrics.limited } == 3)
    }

    @Test func bytesAreLimitedToo() throws {
        let disk = try LimitedDisk(reading: RateLimits(bytes: Allowance(rate: 40_960, capacity: 4096)))
        for _ in 0..<3 { try disk.submit(Request.read) }
        #expect(try disk.answered() == 1)
        #expect(try disk.pass(100_000_000) == 1)
        #expect(try disk.pass(100_000_000) == 1)
    }

    @Test func readsDoNotWaitForWrites() throws {
        let disk = try LimitedDisk(writing: Self.tenOperations)
        for _ in 0..<4 { try disk.submit(Request.write) }
        #expect(try disk.answered() == 1)
        for _ in 0..<4 { try disk.submit(Request.read) }
        #expect(try disk.answered() == 4)
    }

    @Test func disksMayShareTheirLimits() throws {
        let disk = try LimitedDisk(reading: Self.tenOperations)
        let other = try LimitedDisk(with: disk)
        try disk.submit(Request.read)
        #expect(try disk.answered() == 1)
        try other.submit(Request.read)
        #expect(try other.answered() == 0)
        disk.clock.advance(100_000_000)
        #expect(try other.pass(0) == 1)
    }

    @Test func aResetForgetsWhatWaits() throws {
        let disk = try LimitedDisk(writing: Self.tenOperations)
        for _ in 0..<4 { try disk.submit(Request.write) }
        disk.driver.reset()
        #expect(try disk.driver.start() == Status.live)
        #expect(try disk.pass(second) == 0)
        // Tokens are the host's business: a reset buys none.
        try disk.submit(Request.write)
        #expect(try disk.answered() == 1)
        try disk.submit(Request.write)
        #expect(try disk.answered() == 0)
    }

    /// A driver may offer a descriptor again before it is answered. What the device keeps is bounded by its queue.
    @Test func moreThanTheQueueHoldsIsNotTaken() throws {
        let disk = try LimitedDisk(writing: Self.tenOperations)
        _ = try disk.driver.start(queueSize: 8)
        try disk.submit(Request.write)
        let head = try disk.submit(Request.write)
        for _ in 0..<64 {
            try disk.driver.queues[0].offer(head)
            try disk.driver.queues[0].publish()
            try disk.driver.settle()
        }
        let limited = disk.driver.transport.withDevice { ($0 as? Block)?.metrics.limited ?? 0 }
        #expect(limited <= 8)
    }

    @Test func theTimerWakesTheDevice() throws {
        let file = try ScratchFile(size: 1 << 20)
        let limiter = SharedRateLimiter(
            reading: RateLimits(), writing: RateLimits(operations: Allowance(rate: 100, capacity: 1)), clock: monotonicNanoseconds)
        let backend = try BlockBackend.concatenation(of: [(file.raw, 0, 1 << 20)], name: "limited", access: .inPlace)
        let driver = try MockDriver(try Block(backend, serial: "", throttle: try Throttle(limiter)))
        try driver.start()
        let header = driver.allocate(16)
        try driver.memory.store(UInt64(Request.flush), at: header)
        let status = driver.allocate(1)
        let began = monotonicNanoseconds()
        for _ in 0..<5 { try driver.queues[0].add(readable: [(header, 16)], writable: [(status, 1)]) }
        try driver.queues[0].publish()
        var answered = 0
        while answered < 5 {
            #expect(try driver.runOnce(timeout: 10_000))
            answered += try driver.queues[0].takeUsed().count
        }
        #expect(monotonicNanoseconds() - began >= 40_000_000)
        // And then it sleeps.
        #expect(try !driver.runOnce(timeout: 30))
    }
}
