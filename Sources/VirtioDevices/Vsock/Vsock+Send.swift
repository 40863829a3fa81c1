// Packets to the guest (the receive queue): virtio 1.2 §5.10.6.
import Glibc
import LinuxSystem
import Virtio

extension Vsock {
    /// Gives a connection its place among the senders if it has something for the guest.
    func enqueue(_ connection: VsockConnection) {
        guard !connection.isQueued, connection.prepareToSend() else { return }
        connection.isQueued = true
        senders.append(.connection(connection.token))
    }

    /// Fills receive buffers, one packet per sender and round, until there is nothing to send, no buffer, or others must have their turn.
    func sendPending() throws(VirtioError) -> Progress {
        guard queues.indices.contains(Queue.receive) else { return .idle }
        let queue = queues[Queue.receive]
        var packets = 0
        while let sender = senders.first {
            guard packets < Vsock.turn else {
                try queue.signalUsed()
                return .more
            }
            guard let chain = try queue.next() else {
                // The driver's next buffer is notified only if we ask for it here. Rings that lie over each other can make that look like news for ever.
                packets += 1
                if try queue.requestNotifications() { continue }
                break
            }
            try queue.suppressNotifications()
            senders.removeFirst()
            let written: UInt32?
            switch sender {
            case .reset(let ports):
                written = try put(packet(ports, VsockOperation.reset), chain)
            case .connection(let token):
                guard case .connection(let connection) = sources[token] else {
                    queue.putBack()
                    continue
                }
                connection.isQueued = false
                written = try send(connection, chain)
                if isLive(connection) { enqueue(connection) }
            }
            if let written {
                try queue.complete(chain, written: written)
                metrics.packetsToGuest += 1
            } else {
                queue.putBack()
            }
            packets += 1
        }
        try queue.signalUsed()
        return transmitIsBlocked && senders.count < Vsock.senderLimit ? .more : .idle
    }

    private func packet(_ ports: VsockPorts, _ operation: UInt16) -> VsockHeader {
        VsockHeader(
            sourceCID: Vsock.hostCID, destinationCID: guestCID, sourcePort: ports.host, destinationPort: ports.guest, operation: operation)
    }

    /// A packet of a connection carries its credit; whatever is sent makes a CREDIT_UPDATE needless.
    private func packet(_ connection: VsockConnection, _ operation: UInt16) -> VsockHeader {
        var header = packet(connection.ports, operation)
        header.bufferAllocation = UInt32(VsockConnection.bufferSize)
        header.forwardedCount = connection.forwarded
        connection.announced = connection.forwarded
        connection.outgoing.remove(.creditUpdate)
        return header
    }

    /// Writes a packet without payload, or the header of one whose payload is there already.
    private func put(_ header: VsockHeader, _ chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32 {
        var writer = chain.writer
        guard try writer.write(header) else {
            throw .malformedRequest("a vsock receive buffer of \(writer.remaining) bytes, too small for a header")
        }
        return UInt32(VsockHeader.size) + header.length
    }

    /// Sends the connection's most urgent packet; nil if it turned out to have none.
    private func send(_ connection: VsockConnection, _ chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32? {
        if connection.outgoing.remove(.request) != nil { return try put(packet(connection, VsockOperation.request), chain) }
        if connection.outgoing.remove(.response) != nil { return try put(packet(connection, VsockOperation.response), chain) }
        if connection.outgoing.remove(.reset) != nil {
            let written = try put(packet(connection, VsockOperation.reset), chain)
            remove(connection)
            return written
        }
        if connection.wantsRead, connection.credit > 0, let written = try sendData(connection, chain) { return written }
        if connection.outgoing.remove(.shutdown) != nil {
            var header = packet(connection, VsockOperation.shutdown)
            header.flags = connection.hostShutdown.rawValue
            connection.toldShutdown = connection.hostShutdown
            return try put(header, chain)
        }
        if connection.outgoing.remove(.creditRequest) != nil {
            return try put(packet(connection, VsockOperation.creditRequest), chain)
        }
        if connection.outgoing.contains(.creditUpdate) { return try put(packet(connection, VsockOperation.creditUpdate), chain) }
        return nil
    }

    /// Receives from the socket behind the header's place in the guest's buffer; nil if there was nothing, or the end.
    private func sendData(_ connection: VsockConnection, _ chain: borrowing DescriptorChain) throws(VirtioError) -> UInt32? {
        var payload = chain.writer
        guard payload.remaining > VsockHeader.size else {
            throw .malformedRequest("a vsock receive buffer of \(payload.remaining) bytes, without room for payload")
        }
        payload.skip(VsockHeader.size)
        switch try payload.receive(from: connection.socket.raw, atMost: UInt64(min(connection.credit, Vsock.payloadLimit))) {
        case .moved(let count) where count > 0:
            connection.countSent(count)
            metrics.bytesToGuest += UInt64(count)
            var header = packet(connection, VsockOperation.data)
            header.length = UInt32(count)
            return try put(header, chain)
        case .wouldBlock: connection.mayRead = false
        case .failed(EFAULT): throw .malformedRequest("a vsock receive buffer that is not in RAM")
        // The end, or ECONNRESET from an end that was closed with bytes unread.
        case .moved, .failed: endOfHost(connection)
        }
        return nil
    }

    /// In bytes; Linux's own limit for a packet.
    private static let payloadLimit: UInt32 = 64 << 10

    private func endOfHost(_ connection: VsockConnection) {
        connection.mayRead = false
        connection.shutDown(connection.isHungUp ? .both : .send)
    }
}
