// usage: Report RAW DIRECTORY: reads what a session left in RAW, prints the table, writes DIRECTORY/RESULTS.json and DIRECTORY/RESULTS.md.
import Foundation

guard CommandLine.arguments.count == 3 else {
    FileHandle.standardError.write(Data("usage: Report RAW DIRECTORY\n".utf8))
    exit(2)
}
let results = try Measurements(directory: CommandLine.arguments[1]).results
let encoder = JSONEncoder()
encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
let target = CommandLine.arguments[2]
try encoder.encode(results).write(to: URL(fileURLWithPath: "\(target)/RESULTS.json"))
let table = Table(results)
try Data(table.markdown.utf8).write(to: URL(fileURLWithPath: "\(target)/RESULTS.md"))
print(table.text, terminator: "")
