import Base
import EventLoops
import Testing

/// One end of a session over memory: what a loop does around the engine, as simple as can be.
final class TLSSide {
    let engine: TLSEngine
    let slot: Int32
    /// Unconsumed bytes, in the engine's shape.
    private(set) var buffer: [UInt8] = []
    /// Plain bytes taken so far.
    private(set) var plain: [UInt8] = []
    private(set) var events: [TLSEvent] = []
    /// Bytes for the other end.
    private(set) var outgoing: [UInt8] = []
    private(set) var keptMax = 0
    /// How many of the ready bytes the reader takes.
    var consumption: (Int) -> Int = { $0 }

    init(
        _ engine: TLSEngine, _ context: TLSContext, serverName: String? = nil,
        resuming ticket: TLSTicket? = nil
    ) throws {
        self.engine = engine
        slot = try #require(engine.open(context, serverName: serverName, resuming: ticket))
    }

    func connect() {
        note(engine.connect(slot))
    }

    func receive(_ bytes: [UInt8]) {
        buffer += bytes
        let event = buffer.withUnsafeMutableBytes { engine.receive(slot, $0) }
        note(event)
        let taken = consumption(engine.plainCount(slot))
        plain += buffer[..<taken]
        let dropped = buffer.withUnsafeMutableBytes {
            engine.settle(slot, $0, consumed: taken)
        }
        buffer.removeFirst(dropped)
        keptMax = max(keptMax, buffer.count)
    }

    func send(_ bytes: [UInt8]) {
        #expect(bytes.withUnsafeBytes { engine.seal(slot, $0) })
        #expect(engine.finish(slot))
        takeOutput()
    }

    func shutDown() {
        engine.shutDown(slot)
        takeOutput()
    }

    func takeOutgoing() -> [UInt8] {
        defer { outgoing = [] }
        return outgoing
    }

    private func note(_ event: TLSEvent) {
        if event != .none { events.append(event) }
        takeOutput()
    }

    private func takeOutput() {
        outgoing += engine.output
        engine.clearOutput()
    }

    deinit { engine.close(slot) }
}

/// A client and a server connected by memory.
struct TLSPair {
    let client: TLSSide
    let server: TLSSide

    init(
        _ serverContext: TLSContext, _ clientContext: TLSContext,
        engine: TLSEngine = TLSEngine(TLSLimits()), serverName: String = "localhost",
        resuming ticket: TLSTicket? = nil
    ) throws {
        server = try TLSSide(engine, serverContext)
        client = try TLSSide(
            TLSEngine(TLSLimits()), clientContext, serverName: serverName, resuming: ticket)
    }

    /// Carries bytes to and fro until both are silent.
    func exchange() {
        if client.events.isEmpty, client.outgoing.isEmpty, server.events.isEmpty {
            client.connect()
        }
        while !client.outgoing.isEmpty || !server.outgoing.isEmpty {
            let toServer = client.takeOutgoing()
            if !toServer.isEmpty { server.receive(toServer) }
            let toClient = server.takeOutgoing()
            if !toClient.isEmpty { client.receive(toClient) }
        }
    }

    var isEstablished: Bool {
        client.events.first == .established && server.events.first == .established
    }
}
