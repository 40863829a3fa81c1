// What the agent can't do, as it reports it to the host.
public import AgentProtocol
public import GuestSystem

/// One sentence for the user: what failed, on what, and the way out.
public struct Failure: Error {
    public let kind: FailureKind
    public let text: Sentence

    public init(_ kind: FailureKind, _ text: Sentence) {
        self.kind = kind
        self.text = text
    }
}
