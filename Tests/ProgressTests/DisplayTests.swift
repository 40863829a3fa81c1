import Testing

@testable import Progress

@Suite struct DisplayTests {
    private func item(_ stage: TransferProgress.Item.Stage, _ moved: UInt64 = 0, of size: UInt64 = 1_234_567_890) -> TransferProgress.Item {
        var item = TransferProgress.Item(name: "0123456789ab", size: size)
        item.moved = moved
        item.stage = stage
        return item
    }

    @Test func barsFitAnyTerminal() {
        let items = (0..<30).map { number in
            item([.waiting, .moving, .retrying(3), .complete, .present][number % 5], UInt64(number) * 40_000_000)
        }
        for columns in 1...200 {
            for rows in [1, 2, 5, 24, 60] {
                let lines = Bars.lines(items, .pull, columns: columns, rows: rows)
                #expect(lines.count <= max(rows - 1, 2))
                #expect(lines.allSatisfy { $0.count <= max(columns - 1, 10) })
            }
        }
    }

    @Test func barsOfEightyColumns() {
        #expect(
            Bars.lines([item(.moving, 617_283_945)], .pull, columns: 80, rows: 24) == [
                "0123456789ab: Downloading [=================>                   ] 617.3MB/1.2GB"
            ])
        #expect(Bars.lines([item(.retrying(1))], .pull, columns: 80, rows: 24) == ["0123456789ab: Retrying in 1 second"])
        #expect(Bars.lines([item(.moving, 5, of: 0)], .pull, columns: 30, rows: 24) == ["0123456789ab: 5B/0B"])
    }

    @Test func manyLayersAreSummedUp() {
        let items = [item(.complete, 1_234_567_890), item(.present), item(.moving, 1), item(.waiting)]
        let lines = Bars.lines(items, .pull, columns: 80, rows: 4)
        #expect(lines.count == 2)
        #expect(lines[0] == "2 of 4 layers, 2.5GB/4.9GB")
        #expect(lines[1].hasPrefix("0123456789ab: Downloading ["))
    }

    @Test(arguments: [
        (0, "0B"), (999, "999B"), (1000, "1.0kB"), (999_949, "999.9kB"), (999_950, "1.0MB"), (12_345_678, "12.3MB"), (5e15, "5000.0TB"),
    ])
    func amounts(bytes: Double, expected: String) {
        #expect(Bars.megabytes(bytes) == expected)
    }
}
