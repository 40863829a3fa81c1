// Descriptors have other numbers in the process that they are sent to: on the way, a configuration counts them.
public import Wire

extension LaunchConfiguration {
    /// Every number of a descriptor becomes what `number` says; those of the standard streams (0 to 2), which are inherited, stay.
    public mutating func renumberDescriptors<Failure: Error>(_ number: (Int32) throws(Failure) -> Int32) throws(Failure) {
        func renumber(_ descriptor: inout Int32) throws(Failure) { if !(0...2).contains(descriptor) { descriptor = try number(descriptor) } }
        try renumber(&machine.kernel.descriptor)
        if var initrd = machine.initrd {
            try renumber(&initrd.descriptor)
            machine.initrd = initrd
        }
        for index in machine.disks.indices { try machine.disks[index].renumberDescriptors(renumber) }
        if var socket = machine.files {
            try renumber(&socket)
            machine.files = socket
        }
        if case .container(var container) = task, var lifecycle = container.lifecycle {
            try renumber(&lifecycle.control)
            try renumber(&lifecycle.status)
            container.lifecycle = lifecycle
            task = .container(container)
        }
        if case .unpacking(var unpacking) = task {
            for index in unpacking.steps.indices {
                guard var map = unpacking.steps[index].map else { continue }
                try renumber(&map)
                unpacking.steps[index].map = map
            }
            task = .unpacking(unpacking)
        }
        if var output = timeline {
            try renumber(&output)
            timeline = output
        }
    }

    /// The same configuration for another process, and the descriptors to send there, each once, in their order: the first one is 3 in it, the next one 4.
    public var countingDescriptors: (configuration: LaunchConfiguration, descriptors: [Int32]) {
        var copy = self
        var descriptors: [Int32] = []
        var numbers: [Int32: Int32] = [:]
        copy.renumberDescriptors { descriptor in
            if let number = numbers[descriptor] { return number }
            descriptors.append(descriptor)
            numbers[descriptor] = Int32(descriptors.count) + 2
            return Int32(descriptors.count) + 2
        }
        return (copy, descriptors)
    }

    /// What `countingDescriptors` made, with the descriptors that arrived in the same order. Throws for a number that belongs to none of them.
    public mutating func resolveDescriptors(_ descriptors: [Int32]) throws(WireError) {
        try renumberDescriptors { (number) throws(WireError) in
            guard descriptors.indices.contains(Int(number) - 3) else { throw .unknownValue }
            return descriptors[Int(number) - 3]
        }
    }
}

extension Disk {
    fileprivate mutating func renumberDescriptors<Failure: Error>(_ renumber: (inout Int32) throws(Failure) -> Void) throws(Failure) {
        switch content {
        case .extents(var extents):
            for index in extents.indices { try renumber(&extents[index].descriptor) }
            content = .extents(extents)
        case .mapped(let blocks, var runs, var files):
            try renumber(&runs.descriptor)
            for index in files.indices { try renumber(&files[index]) }
            content = .mapped(blocks: blocks, runs: runs, files: files)
        }
        if case .copyOnWrite(var files, let limit) = access {
            for index in files.indices { try renumber(&files[index]) }
            access = .copyOnWrite(files, limit: limit)
        }
    }
}
