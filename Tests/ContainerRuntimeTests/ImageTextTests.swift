import Testing
import Wire

@testable import ContainerRuntime

@Suite struct ImageTextTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-21T08:33:02.79882591Z", 1_795_249_982), ("2024-02-29T23:59:59+01:00", 1_709_247_599),
            ("1969-12-31T23:59:59Z", -1), ("0001-01-01T00:00:00Z", -62_135_596_800), ("2000-03-01t00:00:00-00:30", 951_870_600),
        ] as [(String, Int64)])
    func timesAreRead(text: String, seconds: Int64) {
        #expect(Instant(text)?.seconds == seconds)
    }

    @Test(arguments: [
        "", "2024", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00Zx",
    ])
    func otherTextsAreNoTimes(text: String) {
        #expect(Instant(text) == nil)
    }

    @Test(
        arguments: [(0, "1970-01-01 00:00:00 +0000 UTC"), (1_709_247_599, "2024-02-29 22:59:59 +0000 UTC"), (-1, "1969-12-31 23:59:59 +0000 UTC")]
            as [(Int64, String)])
    func timesAreWritten(seconds: Int64, text: String) {
        #expect(Instant(seconds: seconds).text == text)
    }

    @Test(
        arguments: [
            (-5, "Less than a second ago"), (1, "1 second ago"), (59, "59 seconds ago"), (60, "About a minute ago"), (120, "2 minutes ago"),
            (3600, "About an hour ago"), (5400, "2 hours ago"), (47 * 3600, "47 hours ago"), (48 * 3600, "2 days ago"), (13 * 86_400, "13 days ago"),
            (14 * 86_400, "2 weeks ago"), (60 * 86_400, "2 months ago"), (730 * 86_400, "2 years ago"), (20_000 * 86_400, "54 years ago"),
        ] as [(Int64, String)])
    func agesAreDockersWords(seconds: Int64, text: String) {
        #expect(Instant(seconds: 1_000_000).age(at: Instant(seconds: 1_000_000 + seconds)) == text)
    }

    @Test(
        arguments: [
            (0, "0B"), (999, "999B"), (1000, "1kB"), (1234, "1.23kB"), (9_996, "10kB"), (77_840_000, "77.8MB"), (187_000_000, "187MB"),
            (999_600, "1MB"), (1_020_000_000, "1.02GB"), (UInt64.max, "18.4EB"),
        ] as [(UInt64, String)])
    func sizesAreDockersWords(bytes: UInt64, text: String) {
        #expect(Quantities.words(bytes) == text)
    }

    @Test(arguments: [("24h", 86_400), ("1h30m", 5400), ("90s", 90), ("0s", 0)] as [(String, Int64)])
    func durations(text: String, seconds: Int64) {
        #expect(Quantities.duration(text) == seconds)
    }

    @Test(arguments: ["", "h", "10", "1d", "-1h", "1h ", "99999999999h"])
    func otherTextsAreNoDurations(text: String) {
        #expect(Quantities.duration(text) == nil)
    }

    @Test func terminalsGetNothingToObey() {
        var table = Table(["A", "B"])
        table.add(["x\u{1B}[2J\u{9B}é", "y\u{202E}\n"])
        #expect(table.text == "A         B\nx?[2J?é   y??\n")
    }

    private enum Option: Equatable, Sendable { case quiet, output }

    @Test func optionsMayStandBehindOperands() throws {
        let parser = OptionParser<Option>(
            command: "x", definitions: [.init(.quiet, "quiet", short: "q", .none, ""), .init(.output, "output", short: "o", .required("FILE"), "")],
            isInterspersed: true)
        let (options, operands) = try parser.parse(["a", "-q", "-", "--output", "f", "b", "--", "-q"])
        #expect(options.map(\.key) == [.quiet, .output])
        #expect(operands == ["a", "-", "b", "-q"])
    }
}
