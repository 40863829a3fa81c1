// Text for people: columns as Docker aligns them, and nothing that a terminal would obey.
import OCI

struct Table {
    /// Docker's tables have at least so wide columns, and so much space between them.
    private static let minimumWidth = 10
    private static let gap = 3

    private var rows: [[String]]

    init(_ titles: [String]) { rows = [titles] }

    mutating func add(_ row: [String]) { rows.append(row.map(\.printable)) }

    /// One line for each row; the last column ends where its text does.
    var text: String {
        let columns = rows[0].indices
        let widths = columns.map { column in max(Self.minimumWidth, (rows.map { $0[column].unicodeScalars.count }.max() ?? 0) + Self.gap) }
        var text = ""
        for row in rows {
            for column in columns.dropLast() {
                text += row[column] + String(repeating: " ", count: widths[column] - row[column].unicodeScalars.count)
            }
            text += (row.last ?? "") + "\n"
        }
        return text
    }
}

extension String {
    /// With question marks for what a terminal would obey: images and registries choose some of the words that we print.
    public var printable: String { String(String.UnicodeScalarView(unicodeScalars.map { $0.isControl ? "?" : $0 })) }
}
