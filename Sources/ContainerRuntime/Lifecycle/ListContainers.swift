// `swiftlet list`: all containers of a root.
import OCI
import Wire

enum ListContainers {
    static func text(_ directories: borrowing ContainerDirectories, _ options: [ParsedOption<RuntimeOption>]) throws(ContainerError) -> String {
        let format = options.last { $0.key == .format }?.value?.string ?? "table"
        guard ["table", "json"].contains(format) else {
            throw RuntimeOption.parser(.list).usage("the option --format has the value \"\(format)\": it is table or json")
        }
        var table = Table(["ID", "PID", "STATUS", "BUNDLE", "CREATED"])
        var states: [JSONValue] = []
        var names = ""
        for identifier in try directories.identifiers {
            // One may go meanwhile.
            guard let directory = try? directories.find(identifier), let record = try? directory.read() else { continue }
            let status = directory.status(of: record)
            names += identifier + "\n"
            states.append(record.state(status, isWhole: true))
            table.add([
                identifier, status == .stopped ? "0" : "\(record.process)", status.rawValue, record.bundle,
                Instant(seconds: record.created).standardText,
            ])
        }
        if options.contains(where: { $0.key == .quiet }) { return names }
        return format == "json" ? try JSONText.line(.array(states)) : table.text
    }
}
