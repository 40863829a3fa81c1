// Packets from the guest (the transmit queue): virtio 1.2 §5.10.6.
import Glibc
import LinuxSystem
import Virtio

extension Vsock {
    /// Serves the transmit queue, and then what its packets made us answer.
    func receivePackets() throws(VirtioError) -> Progress {
        guard queues.indices.contains(Queue.transmit) else { return .idle }
        transmitIsBlocked = false
        let progress = try queues[Queue.transmit].serve(atMost: Vsock.turn) { (chain) throws(VirtioError) in
            guard senders.count < Vsock.senderLimit else {
                transmitIsBlocked = true
                return .putBack
            }
            var reader = chain.reader
            try receive(&reader)
            return .used(0)
        }
        return try merge(progress, sendPending())
    }

    private func receive(_ reader: inout ChainReader) throws(VirtioError) {
        var header = VsockHeader()
        metrics.packetsFromGuest += 1
        guard try reader.read(into: &header), header.sourceCID == guestCID, header.destinationCID == Vsock.hostCID else {
            metrics.badPackets += 1
            return
        }
        let ports = VsockPorts(host: header.destinationPort, guest: header.sourcePort)
        guard header.type == VsockHeader.stream, UInt64(header.length) <= reader.remaining else {
            metrics.badPackets += 1
            return refuse(ports, header)
        }
        reader.limit(to: UInt64(header.length))
        if header.operation == VsockOperation.request { return try request(ports, header) }
        guard let connection = connections[ports] else { return refuse(ports, header) }
        connection.learn(header)
        try handle(header, connection, &reader)
        if isLive(connection) { enqueue(connection) }
    }

    private func handle(_ header: VsockHeader, _ connection: VsockConnection, _ reader: inout ChainReader) throws(VirtioError) {
        switch (header.operation, connection.state) {
        case (VsockOperation.reset, _): remove(connection)
        case (VsockOperation.response, .requested(let greeting)): established(connection, greeting: greeting)
        case (_, .requested), (VsockOperation.response, _): violated(connection)
        case (VsockOperation.data, .established): try data(connection, &reader)
        case (VsockOperation.shutdown, .established): shutDown(connection, VsockShutdown(rawValue: header.flags))
        case (VsockOperation.creditUpdate, _): break
        case (VsockOperation.creditRequest, _): connection.outgoing.insert(.creditUpdate)
        // Late packets of a guest that has closed already.
        case (VsockOperation.data, .draining), (VsockOperation.shutdown, .draining): break
        default: violated(connection)
        }
    }

    // MARK: Opening

    private func request(_ ports: VsockPorts, _ header: VsockHeader) throws(VirtioError) {
        if let known = connections[ports] { return violated(known) }
        guard connections.count < Vsock.connectionLimit, let socket = host.open(port: ports.host) else {
            metrics.refused += 1
            return refuse(ports, header)
        }
        let connection = try add(ports, socket, .established)
        connection.learn(header)
        connection.outgoing.insert(.response)
        enqueue(connection)
    }

    private func established(_ connection: VsockConnection, greeting: Bool) {
        connection.state = .established
        guard greeting else { return }
        // An empty socket takes a short line at once.
        var line = ByteRing(limit: 32)
        line.append(Array("OK \(connection.ports.host)\n".utf8))
        if line.send(to: connection.socket.raw).obstacle != nil { violated(connection) }
    }

    /// Answers a packet that belongs to no connection, unless it is an RST itself.
    private func refuse(_ ports: VsockPorts, _ header: VsockHeader) {
        if let connection = connections[ports] { return violated(connection) }
        guard header.operation != VsockOperation.reset else { return }
        senders.append(.reset(ports))
    }

    /// Ends a connection whose guest broke the rules. Its socket closes at once, so that the number of descriptors follows the limit.
    private func violated(_ connection: VsockConnection) {
        metrics.violations += 1
        remove(connection)
        senders.append(.reset(connection.ports))
    }

    // MARK: Data

    private func data(_ connection: VsockConnection, _ reader: inout ChainReader) throws(VirtioError) {
        let count = Int(reader.remaining)
        // More than we gave credit for, or after the guest has said that it would send no more.
        guard count <= connection.pending.limit - connection.pending.count, !connection.guestShutdown.contains(.send) else {
            return violated(connection)
        }
        metrics.bytesFromGuest += UInt64(count)
        if connection.pending.count == 0, !connection.isDeaf { try sendStraight(connection, &reader) }
        let rest = Int(reader.remaining)
        if connection.isDeaf {
            connection.countForwarded(rest)
        } else if rest > 0 {
            connection.pending.append(try reader.bytes(rest))
        }
    }

    /// From guest RAM into the socket, as much as it takes.
    private func sendStraight(_ connection: VsockConnection, _ reader: inout ChainReader) throws(VirtioError) {
        while reader.remaining > 0 {
            switch try reader.send(to: connection.socket.raw) {
            case .moved(let count): connection.countForwarded(count)
            case .wouldBlock: return
            // No RAM there as the kernel sees it: the guest's fault.
            case .failed(EFAULT): throw .malformedRequest("a vsock packet whose payload is not in RAM")
            case .failed: return becomeDeaf(connection)
            }
        }
    }

    /// The socket's reader is gone (EPIPE, ECONNRESET): the guest is told, and what it still sends is dropped. So is the reader, should it be there after all: it would wait
    /// for what was lost.
    private func becomeDeaf(_ connection: VsockConnection) {
        connection.isDeaf = true
        connection.isFinished = true
        shutdown(connection.socket.raw, Int32(SHUT_WR))
        connection.countForwarded(connection.pending.count)
        connection.pending = ByteRing(limit: connection.pending.limit)
        connection.shutDown(.receive)
    }

    /// Moves what a full socket left behind, and then the end of the stream.
    func flush(_ connection: VsockConnection) {
        if connection.pending.count > 0 {
            let (moved, obstacle) = connection.pending.send(to: connection.socket.raw)
            connection.countForwarded(moved)
            if case .failed = obstacle { becomeDeaf(connection) }
        }
        guard connection.pending.count == 0 else { return }
        if case .draining = connection.state {
            connection.outgoing.insert(.reset)
        } else if connection.guestShutdown.contains(.send), !connection.isFinished {
            connection.isFinished = true
            shutdown(connection.socket.raw, Int32(SHUT_WR))
        }
    }

    // MARK: Closing

    private func shutDown(_ connection: VsockConnection, _ directions: VsockShutdown) {
        let known = connection.guestShutdown
        connection.guestShutdown.formUnion(directions.intersection(.both))
        if connection.guestShutdown == .both {
            connection.state = .draining
        } else if connection.guestShutdown.subtracting(known) == .receive {
            shutdown(connection.socket.raw, Int32(SHUT_RD))
        }
        flush(connection)
    }
}
