// How long random tests run: briefly in an ordinary run, longer when asked.
import Glibc

public enum FuzzBudget {
    /// Per test case: SWIFTLET_FUZZ_MILLISECONDS, or 100.
    public static var duration: Duration { .milliseconds(number("SWIFTLET_FUZZ_MILLISECONDS") ?? 100) }

    /// SWIFTLET_FUZZ_SEED, or 1, and the next: a longer run with another seed sees other things.
    public static var seeds: ClosedRange<UInt64> {
        let first = UInt64(number("SWIFTLET_FUZZ_SEED") ?? 1)
        return first...first + 1
    }

    private static func number(_ name: String) -> Int? {
        // SAFETY: nothing in a test run changes the environment.
        guard let text = unsafe getenv(name) else { return nil }
        return unsafe Int(String(cString: text))
    }
}
