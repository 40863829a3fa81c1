// PID 1 of a machine that unpacks an image's layers: one after another, as the host asks for them (docs/adr/0018).
internal import AgentProtocol
internal import CGuest
internal import FirstProcess
internal import GuestSystem
internal import Wire

@_cdecl("main")
public func layerAgentMain() -> Int32 {
    let host = HostLink()
    // Whether the layer before left its disk to the next one. Nil: nothing has been unpacked yet.
    var diskIsMounted: Bool?
    while true {
        host.receive { message in
            switch message {
            case .unpackLayer(let layer):
                do throws(Failure) {
                    if diskIsMounted == nil { try MachineFiles.prepare(["/disk"]) }
                    try LayerWork.unpack(layer, diskIsMounted: diskIsMounted ?? false)
                    diskIsMounted = !layer.completesDisk
                    host.send(.layerUnpacked)
                } catch { host.report(error) }
            case .shutDown: Machine.reset()
            default: host.report(Failure(.agent, "this machine's initrd unpacks layers, and runs no containers"))
            }
        }
    }
}
