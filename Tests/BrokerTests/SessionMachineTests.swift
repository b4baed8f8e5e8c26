import Base
import Broker
import MQTT
import TestKit
import Testing

@Suite("The protocol of one session")
struct SessionMachineTests {
    private func machine(
        _ version: ProtocolVersion = .v5, isStored: Bool = false, receiveMaximum: UInt16 = 10
    ) -> SessionMachine {
        SessionMachine(
            version: version, isStored: isStored, receiveMaximum: receiveMaximum)
    }

    @Test("a QoS 2 publish is published once, however often it is repeated [MQTT-4.3.3-10]")
    func repeats() {
        var machine = machine()
        func publish() -> SessionMachine.PublishVerdict {
            machine.receivePublish(packetID: 5, qos: .exactlyOnce, limit: 10)
        }
        #expect(publish() == .publish(serial: 0, isLast: false))
        #expect(publish() == .ignoreRepeat)
        machine.inbound.complete(0, .success)
        #expect(publish() == .ignoreRepeat)
        same(machine.inbound.popDone()?.packetID, 5)
        #expect(publish() == .answerRepeat)
        same(machine.receivePubrel(packetID: 5), .success)
        same(machine.receivePubrel(packetID: 5), .packetIdentifierNotFound)
        #expect(publish() == .publish(serial: 1, isLast: false))
    }

    @Test("a QoS 2 publish that was refused may be sent anew under its id")
    func refusedQoS2() {
        var machine = machine()
        _ = machine.receivePublish(packetID: 5, qos: .exactlyOnce, limit: 10)
        machine.inbound.complete(0, .quotaExceeded)
        same(machine.inbound.popDone()?.reasonCode, .quotaExceeded)
        same(machine.receivePubrel(packetID: 5), .packetIdentifierNotFound)
        let again = machine.receivePublish(packetID: 5, qos: .exactlyOnce, limit: 10)
        #expect(again == .publish(serial: 1, isLast: false))
    }

    @Test("5.0 is told its receive maximum and refused beyond it [MQTT-3.3.4-7]")
    func receiveMaximum() {
        var machine = machine()
        for id in 1...3 as ClosedRange<UInt16> {
            let qos: QoS = id == 2 ? .exactlyOnce : .atLeastOnce
            let verdict = machine.receivePublish(packetID: id, qos: qos, limit: 3)
            #expect(verdict == .publish(serial: UInt32(id - 1), isLast: false))
        }
        let fourth = machine.receivePublish(packetID: 4, qos: .atLeastOnce, limit: 3)
        #expect(fourth == .exceedsReceiveMaximum)
        // A repeat takes no room.
        let again = machine.receivePublish(packetID: 2, qos: .exactlyOnce, limit: 3)
        #expect(again == .ignoreRepeat)
        machine.inbound.complete(0, .success)
        _ = machine.inbound.popDone()
        let fifth = machine.receivePublish(packetID: 4, qos: .atLeastOnce, limit: 3)
        #expect(fifth == .publish(serial: 3, isLast: false))
    }

    @Test("3.x cannot know the limit: it is not read on once the window is full")
    func holdsBack() {
        var machine = machine(.v311)
        var verdicts: [SessionMachine.PublishVerdict] = []
        for id in 1...3 as ClosedRange<UInt16> {
            verdicts.append(machine.receivePublish(packetID: id, qos: .atLeastOnce, limit: 2))
        }
        #expect(
            verdicts == [
                .publish(serial: 0, isLast: false), .publish(serial: 1, isLast: true),
                .publish(serial: 2, isLast: true),
            ])
    }

    @Test(
        "the way of a QoS 2 delivery, with PUBREC repeated at each point", arguments: [true, false])
    func qos2Out(isStored: Bool) {
        var machine = machine(isStored: isStored)
        let id = machine.openOutbound(.exactlyOnce)
        let received: SessionMachine.AckVerdict =
            isStored ? .commitReceived(sequence: 1) : .release(sequence: 1)
        same(machine.receivePubcomp(packetID: id), .wrongKind)
        same(machine.receivePuback(packetID: id, reasonCode: .success), .wrongKind)
        same(machine.receivePubrec(packetID: id, reasonCode: .success), received)
        if isStored {
            same(machine.receivePubrec(packetID: id, reasonCode: .success), .ignore)
            same(machine.receivePubcomp(packetID: id), .wrongKind)
            same(machine.completeReceived(1), true)
            same(!machine.completeReceived(1), true)
        }
        same(machine.receivePubrec(packetID: id, reasonCode: .success), .release(sequence: 1))
        same(machine.receivePubcomp(packetID: id), .finished(sequence: 1, refused: false))
        same(machine.receivePubcomp(packetID: id), .ignore)
        same(machine.receivePubrec(packetID: id, reasonCode: .success), .releaseUnknown)
        same(machine.outbound.inFlight, 0)
    }

    @Test("PUBACK and PUBREC of 0x80 or above end the exchange [MQTT-4.4.0-2]")
    func refusedByClient() {
        var machine = machine()
        let first = machine.openOutbound(.atLeastOnce)
        let second = machine.openOutbound(.exactlyOnce)
        same(
            machine.receivePuback(packetID: first, reasonCode: .quotaExceeded),
            .finished(sequence: 1, refused: true))
        same(
            machine.receivePubrec(packetID: second, reasonCode: .quotaExceeded),
            .finished(sequence: 2, refused: true))
        same(machine.outbound.inFlight, 0)
    }

    @Test("no more is sent than the client takes at once [MQTT-3.3.4-9]")
    func sendQuota() {
        var machine = machine(receiveMaximum: 2)
        let first = machine.openOutbound(.atLeastOnce)
        _ = machine.openOutbound(.exactlyOnce)
        same(!machine.hasSendQuota, true)
        _ = machine.receivePuback(packetID: first, reasonCode: .success)
        same(machine.hasSendQuota, true)
    }

    @Test("an id that is open under the other QoS is in use")
    func identifierInUse() {
        var machine = machine()
        _ = machine.receivePublish(packetID: 5, qos: .exactlyOnce, limit: 10)
        _ = machine.receivePublish(packetID: 6, qos: .atLeastOnce, limit: 10)
        same(
            machine.receivePublish(packetID: 5, qos: .atLeastOnce, limit: 10),
            .identifierInUse(serial: 2))
        same(
            machine.receivePublish(packetID: 6, qos: .exactlyOnce, limit: 10),
            .identifierInUse(serial: 3))
        same(machine.inbound.isOpen(5) && machine.inbound.isOpen(6), true)
        same(machine.inbound.isOpen(7), false)
    }

    @Test("unreleased ids of a resumed session are repeats")
    func restore() {
        var machine = machine(isStored: true)
        machine.inbound.restore(unreleased: 77)
        let verdict = machine.receivePublish(packetID: 77, qos: .exactlyOnce, limit: 10)
        #expect(verdict == .answerRepeat)
        same(machine.receivePubrel(packetID: 77), .success)
    }

    @Test("acknowledgements in any order and number break nothing", arguments: Seed.series(4))
    func anyAcknowledgement(seed: Seed) {
        var random = seed.random()
        var machine = machine(isStored: random.chance(percent: 50))
        for _ in 0..<5_000 {
            let id = UInt16(random.below(30))
            let code: ReasonCode = random.chance(percent: 10) ? .unspecifiedError : .success
            switch random.below(6) {
            case 0:
                if machine.hasSendQuota {
                    _ = machine.openOutbound(
                        random.chance(percent: 50) ? .atLeastOnce : .exactlyOnce)
                }
            case 1: _ = machine.receivePuback(packetID: id, reasonCode: code)
            case 2: _ = machine.receivePubrec(packetID: id, reasonCode: code)
            case 3: _ = machine.receivePubcomp(packetID: id)
            case 4: _ = machine.completeReceived(UInt64(random.below(200)))
            default: _ = machine.receivePubrel(packetID: id)
            }
            same(machine.outbound.inFlight <= 10, true)
        }
    }
}
