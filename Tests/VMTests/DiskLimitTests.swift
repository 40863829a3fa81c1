// Limits of a container's disks, in a real machine: reads and writes that go past the guest's page cache.
import Foundation
import Testing

extension VirtualMachines {
    @Suite struct DiskLimits {
        let swiftlet: Swiftlet

        init() throws { swiftlet = try Swiftlet() }

        /// Milliseconds that `commands` take inside, measured there.
        private func milliseconds(_ options: [String], _ commands: String) throws -> Int {
            let outcome = try swiftlet.shell(
                ["--storage-size", "64m"] + options,
                "head -c 4194304 /dev/zero >/data && sync && \(Self.now) && \(commands) && \(Self.now)")
            #expect(outcome.ending == .exited(0), "\(outcome)")
            let moments = outcome.lines.compactMap { Double($0) }
            try #require(moments.count == 2, "\(outcome)")
            return Int((moments[1] - moments[0]) * 1000)
        }

        /// Seconds since the machine started, with two decimals.
        private static let now = "cut -d ' ' -f 1 /proc/uptime"
        private static let reading = "dd if=/data of=/dev/null bs=256k iflag=direct 2>/dev/null"
        private static let writing = "dd if=/dev/zero of=/new bs=256k count=16 oflag=direct 2>/dev/null"

        /// 4 MiB at 2 MiB a second: two seconds, less the tenth of a second that may be saved up. A slow machine takes longer, never less.
        @Test func bytesReadAreLimited() throws {
            let limited = try milliseconds(["--device-read-bps", "/:2m"], Self.reading)
            #expect(limited >= 1850)
            #expect(try milliseconds(["--device-write-bps", "/:20m"], Self.reading) < limited / 2)
        }

        @Test func bytesWrittenAreLimited() throws {
            let limited = try milliseconds(["--device-write-bps", "/:4mb"], Self.writing)
            #expect(limited >= 850)
            #expect(try milliseconds(["--device-read-bps=/:1m"], Self.writing) < limited / 2)
        }

        /// Sixteen requests, ten a second.
        @Test(arguments: [("--device-read-iops", reading), ("--device-write-iops", writing)])
        func operationsAreLimited(option: String, commands: String) throws {
            #expect(try milliseconds([option, "/:10"], commands) >= 1400)
        }

        /// Reads that wait for their limits are given up with the machine.
        @Test func theEndDoesNotWaitForLimits() throws {
            let outcome = try swiftlet.shell(
                ["--storage-size", "64m", "--device-read-bps", "/:512k"],
                "head -c 4194304 /dev/zero >/data; sync; dd if=/data of=/dev/null bs=1M iflag=direct 2>/dev/null & echo written; kill -9 $!; exit 3")
            #expect(outcome.ending == .exited(3), "\(outcome)")
            #expect(outcome.text == "written\n", "\(outcome)")
        }
    }
}
