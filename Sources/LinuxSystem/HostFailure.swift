// System calls that fail because a test wants them to. Debug builds only: a release build asks nobody.
#if DEBUG
    import Glibc
    import Synchronization

    /// Makes one call of `systemCall` on one thread fail without being made.
    public enum HostFailure {
        private struct Plan: Sendable {
            var thread: UInt
            var remaining: Int
            let errno: Int32
        }

        private static let isArmed = Atomic(false)
        private static let plan = Mutex<Plan?>(nil)
        private static let turn = Mutex(())

        /// Runs `body` with its `number`th system call (counted from 1) failing with `errno`; whether there were so many. One thread at a time has its turn.
        public static func strike(_ number: Int, errno: Int32, during body: () -> Void) -> Bool {
            turn.withLock { _ in
                plan.withLock { $0 = Plan(thread: UInt(pthread_self()), remaining: number, errno: errno) }
                isArmed.store(true, ordering: .releasing)
                body()
                isArmed.store(false, ordering: .releasing)
                return plan.withLock { plan in
                    defer { plan = nil }
                    return (plan?.remaining ?? 0) <= 0
                }
            }
        }

        /// The errno of the call that is about to be made, if it is to fail.
        static func strike() -> Int32? {
            guard isArmed.load(ordering: .acquiring) else { return nil }
            return plan.withLock { plan in
                guard plan?.thread == UInt(pthread_self()) else { return nil }
                plan?.remaining -= 1
                return plan?.remaining == 0 ? plan?.errno : nil
            }
        }
    }
#endif
