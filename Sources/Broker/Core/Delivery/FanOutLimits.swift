/// Limits of messages with many receivers; tests and simulator choose smaller ones.
package struct FanOutLimits: Sendable {
    /// A message with more receivers on a loop reaches them in slices.
    package var receiversAtOnce = 1_024
    /// Receivers that such messages reach in one turn. Each costs a write to its socket, about five
    /// microseconds, and whoever comes meanwhile waits for two turns.
    package var slice = 256
    /// Bytes of such messages, and of the lists of their receivers, that may wait.
    package var bytesMax = 64 << 20
    /// Deliveries that the input of one turn should cause at most: a few milliseconds. After a turn
    /// with more, each connection has a smaller part.
    package var turnDeliveries = 32_768

    package init() {}
}
