import Base
import WebSocket

/// The WebSocket of one connection: upgrade, then frames. A cell of the shell's slab.
struct WebSocketStage {
    /// Control frames in a row, without a byte of data between them, before we hang up.
    static let controlFramesMax = 64

    let options: UpgradeOptions
    var upgrade = UpgradeDecoder()
    var decoder = FrameDecoder()
    var isUpgraded = false
    /// Open in the sense of the protocol: a close frame is owed when we end it.
    var isOpen = false
    /// The client has closed, and packets that it sent before wait for the worker.
    var pendingClose: CloseCode?
    private var controlFrames = 0

    init(options: UpgradeOptions) { self.options = options }

    /// Counts a ping; false once there were too many.
    mutating func countControl() -> Bool {
        controlFrames += decoder.takeControlCount()
        return controlFrames <= Self.controlFramesMax
    }

    mutating func resetControl(_ consumed: Int) {
        if consumed > 0 { controlFrames = 0 }
    }
}
