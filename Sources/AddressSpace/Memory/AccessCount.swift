// How often a test's device reaches for guest RAM. Debug builds only: a release build counts nothing.
#if DEBUG
    import Synchronization

    /// Accesses to a `GuestMemory`, and how many more there may be. One beyond them fails, so that a device that would go on for ever comes to an end.
    public final class AccessCount: Sendable {
        private let done = Atomic<Int>(0)
        private let limit = Atomic<Int>(.max)

        /// Counts anew from here.
        public func begin(limit: Int) {
            done.store(0, ordering: .relaxed)
            self.limit.store(limit, ordering: .relaxed)
        }

        /// Since `begin`.
        public var total: Int { done.load(ordering: .relaxed) }

        /// Whether more were tried than there may be.
        public var isExceeded: Bool { total > limit.load(ordering: .relaxed) }

        /// One more; false beyond the limit.
        func count() -> Bool { done.wrappingAdd(1, ordering: .relaxed).newValue <= limit.load(ordering: .relaxed) }
    }
#endif
