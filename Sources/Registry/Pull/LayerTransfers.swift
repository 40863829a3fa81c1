// Several layers at once: a few threads, each with a connection of its own, take one layer after the other.
import Images
import LinuxSystem
import OCI
import Progress
import Synchronization

/// What a pull takes from its surroundings.
public struct PullSettings: Sendable {
    /// HOME, DOCKER_CONFIG, the proxies and so on.
    public let environment: [String: String]
    /// In seconds: a transfer that brings next to nothing for so long is broken off and tried again.
    public let stallSeconds: Int
    /// How many layers are transferred at once: docs/adr/0012 has the measurement.
    public let parallelTransfers: Int

    public init(environment: [String: String], stallSeconds: Int = 30, parallelTransfers: Int = 4) {
        self.environment = environment
        self.stallSeconds = stallSeconds
        self.parallelTransfers = parallelTransfers
    }
}

final class LayerTransfers: Sendable {
    private struct State {
        /// The first layer that nobody has taken.
        var next = 0
        var unfinished: Int
        var failure: RegistryError?
    }

    private let client: RegistryClient
    private let layers: [Descriptor]
    private let store: ContentStore
    private let settings: PullSettings
    private let progress: TransferProgress
    private let state: Mutex<State>

    init(_ client: RegistryClient, _ layers: [Descriptor], _ store: ContentStore, _ settings: PullSettings, _ progress: TransferProgress) {
        self.client = client
        self.layers = layers
        self.store = store
        self.settings = settings
        self.progress = progress
        state = Mutex(State(unfinished: layers.count))
    }

    /// Returns when all layers are in the store; throws with the first that can't be had.
    func run() throws(RegistryError) {
        do throws(SystemError) {
            let changed = try EventFD()
            let epoll = try Epoll()
            try epoll.add(changed.raw, .readable, token: 0)
            let signal = try changed.descriptor.duplicate().release()
            for _ in 0..<min(settings.parallelTransfers, layers.count) {
                try Thread.start(named: "transfer", stackSize: 1 << 20) { self.transfer(signalling: signal) }
            }
            while state.withLock({ $0.unfinished > 0 && $0.failure == nil }) {
                progress.draw()
                try epoll.wait(timeout: TransferProgress.redrawInterval) { _ in }
                changed.drain()
            }
            progress.draw()
        } catch { throw .system(what: "the transfers cannot be started", error) }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    /// One thread's work. `signal` is an eventfd that stays open.
    private func transfer(signalling signal: Int32) {
        do throws(RegistryError) {
            let connection = try Connection(stallSeconds: settings.stallSeconds)
            while let index = take() {
                try fetch(index, connection)
                state.withLock { $0.unfinished -= 1 }
                EventFD.signal(signal)
            }
        } catch {
            state.withLock { if $0.failure == nil { $0.failure = error } }
            EventFD.signal(signal)
        }
    }

    private func take() -> Int? {
        state.withLock { state in
            guard state.failure == nil, state.next < layers.count else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func fetch(_ index: Int, _ connection: Connection) throws(RegistryError) {
        let observer = BlobObserver(
            received: { self.progress.moved(index, $0) },
            waits: { milliseconds, _ in self.progress.retries(index, in: (milliseconds + 999) / 1000) })
        let what = "the layer \(layers[index].digest)"
        let isNew = try client.fetch(layers[index], what: what, into: store, connection, observer)
        progress.finish(index, isNew: isNew)
    }
}
