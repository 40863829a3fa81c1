// What is to be timed. One line per command, fields separated by tabs: NAME, SITUATION, then VARIABLE=VALUE for its environment, the program and its arguments.
// `%r` in one of them becomes the round's number.
import Glibc

/// What else the machine has while a command runs.
enum Situation: String {
    /// No other virtual machine: KVM switches the CPU's virtualisation on for the command, and off after it.
    case alone
    /// Another, empty virtual machine exists.
    case beside
    /// As `alone`, and no file system's pages are in memory.
    case cold
    /// It makes no difference.
    case any
}

struct Plan {
    struct Command {
        let name: String
        let situation: Situation
        let words: [String]

        func words(round: Int) -> [String] {
            words.map { word in
                guard let mark = word.firstIndex(of: "%"), word[mark...].hasPrefix("%r") else { return word }
                return word[..<mark] + "\(round)" + word[word.index(mark, offsetBy: 2)...]
            }
        }
    }

    let commands: [Command]

    init(path: String) {
        let text = String(decoding: readWhole(path), as: UTF8.self)
        commands = text.split(separator: "\n").map { line in
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count > 2, let situation = Situation(rawValue: fields[1]) else { fail("a line of the plan makes no sense: \(line)") }
            return Command(name: fields[0], situation: situation, words: Array(fields[2...]))
        }
    }
}
