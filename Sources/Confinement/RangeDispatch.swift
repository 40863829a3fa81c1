// A shorter form of libseccomp's programs. Those compare with each number that a rule names; the kernel translates every instruction at every start, which for
// the default profile took longer than all else that confines a container. Most neighbouring numbers have the same answer: a search among ranges of numbers needs
// a quarter of the instructions. What depends on arguments is left to a program of libseccomp's for these system calls alone, behind the search.

struct RangeDispatch {
    struct Range: Equatable {
        var start: UInt32
        /// Nil: the program behind decides.
        var answer: UInt32?
    }

    /// AUDIT_ARCH_ and its ranges, from 0 on, in order.
    private var architectures: [(architecture: UInt32, ranges: [Range])] = []
    /// For other architectures.
    private let otherwise: UInt32

    /// Asks `program` about every number up to `last`, the first of those that all have one answer.
    init?(_ program: SeccompProgram, architectures: [UInt32], last: UInt32) {
        guard let otherwise = program.answer(to: SystemCall(architecture: 0, number: 0)) else { return nil }
        self.otherwise = otherwise
        for architecture in architectures {
            var ranges: [Range] = []
            for number in 0...last {
                let answer = program.answer(to: SystemCall(architecture: architecture, number: number))
                if ranges.isEmpty || ranges.last?.answer != answer { ranges.append(Range(start: number, answer: answer)) }
            }
            self.architectures.append((architecture, ranges))
        }
    }

    /// Numbers whose answer depends on arguments.
    func openNumbers(_ architecture: UInt32, upTo last: UInt32) -> Set<UInt32> {
        var numbers: Set<UInt32> = []
        for (_, ranges) in architectures.filter({ $0.architecture == architecture }) {
            for (index, range) in ranges.enumerated() where range.answer == nil {
                numbers.formUnion(range.start..<(index + 1 < ranges.count ? ranges[index + 1].start : last + 1))
            }
        }
        return numbers
    }

    private typealias Operation = SeccompProgram.Operation

    private struct Instruction {
        var operation: UInt16
        var whenTrue: UInt8 = 0
        var whenFalse: UInt8 = 0
        var constant: UInt32
    }

    /// The search, and behind it `rest`. Nil where a jump would be too long.
    func program(before rest: SeccompProgram) -> SeccompProgram? {
        var code: [Instruction] = []
        // Back to front: the distance to the program behind is known then.
        code.append(Instruction(operation: Operation.answer, constant: otherwise))
        for (architecture, ranges) in architectures.reversed() {
            guard let search = search(ranges, following: code.count), search.count + 1 <= 255 else { return nil }
            code =
                [
                    Instruction(operation: Operation.jumpIfEqual, whenTrue: 0, whenFalse: UInt8(search.count + 1), constant: architecture),
                    Instruction(operation: Operation.load, constant: 0),
                ] + search + code
        }
        code.insert(Instruction(operation: Operation.load, constant: 4), at: 0)
        let bytes = code.flatMap { SeccompProgram.instruction($0.operation, $0.whenTrue, $0.whenFalse, $0.constant) }
        return try? SeccompProgram(bytes: bytes + rest.bytes)
    }

    private struct Node {
        enum Target {
            case node(Int)
            case answer(UInt32?)
        }

        var start: UInt32
        var above: Target
        var below: Target
    }

    /// The nodes, and behind them one instruction for each answer. `following` instructions come between this code and the program behind.
    private func search(_ ranges: [Range], following: Int) -> [Instruction]? {
        var nodes: [Node] = []
        _ = build(ranges[...], &nodes)
        // In a fixed order: the same profile gives the same bytes.
        let answers = Set(ranges.map(\.answer)).sorted { ($0 ?? .max) < ($1 ?? .max) }
        func distance(to target: Node.Target, from index: Int) -> UInt8? {
            switch target {
            case .node(let other): UInt8(exactly: other - index - 1)
            case .answer(let answer): answers.firstIndex(of: answer).flatMap { UInt8(exactly: nodes.count + $0 - index - 1) }
            }
        }
        var code: [Instruction] = []
        for (index, node) in nodes.enumerated() {
            guard let above = distance(to: node.above, from: index), let below = distance(to: node.below, from: index) else { return nil }
            code.append(Instruction(operation: Operation.jumpIfNotLess, whenTrue: above, whenFalse: below, constant: node.start))
        }
        for (index, answer) in answers.enumerated() {
            if let answer {
                code.append(Instruction(operation: Operation.answer, constant: answer))
            } else {
                code.append(Instruction(operation: Operation.jump, constant: UInt32(answers.count - index - 1 + following)))
            }
        }
        return code
    }

    /// The root of a balanced tree over the ranges; its nodes come after it.
    private func build(_ ranges: ArraySlice<Range>, _ nodes: inout [Node]) -> Node.Target {
        guard ranges.count > 1 else { return .answer(ranges.first?.answer) }
        let middle = ranges.startIndex + ranges.count / 2
        let index = nodes.count
        nodes.append(Node(start: ranges[middle].start, above: .answer(nil), below: .answer(nil)))
        nodes[index].below = build(ranges[..<middle], &nodes)
        nodes[index].above = build(ranges[middle...], &nodes)
        return .node(index)
    }
}
