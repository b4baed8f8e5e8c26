"""aiomqtt (or its forerunner asyncio-mqtt) against a broker: one line for each feature.

aiomqtt_python.py HOST PORT TRANSPORT VERSION AUTHORITY
"""
import asyncio
import contextlib
import inspect
import socket
import ssl
import sys

try:
    import aiomqtt
except ImportError:
    import asyncio_mqtt as aiomqtt

host, port, transport, version, authority = sys.argv[1:6]
WAIT = 5
BASE = f"clients/aiomqtt/{transport}/{version}"
NAME = "identifier" if "identifier" in inspect.signature(aiomqtt.Client).parameters else "client_id"


def client(name, will=None):
    arguments = dict(
        hostname=host,
        port=int(port),
        protocol=aiomqtt.ProtocolVersion.V5 if version == "5" else aiomqtt.ProtocolVersion.V311,
        transport="websockets" if transport in ("ws", "wss") else "tcp",
    )
    arguments[NAME] = f"aiomqtt-{transport}-{version}-{name}"
    if transport in ("ws", "wss"):
        arguments["websocket_path"] = "/mqtt"
    if transport in ("tls", "wss"):
        arguments["tls_context"] = ssl.create_default_context(cafile=authority)
    if will:
        arguments["will"] = aiomqtt.Will(will, "gone", qos=1)
    return aiomqtt.Client(**arguments)


@contextlib.asynccontextmanager
async def messages(connection):
    """The old library gives them out by a context, the new one as an attribute."""
    if inspect.ismethod(connection.messages):
        async with connection.messages() as stream:
            yield stream
    else:
        yield connection.messages


async def expect(stream, payload, qos, retain=False):
    async for message in stream:
        got = (message.payload.decode(), message.qos, bool(message.retain))
        assert got == (payload, qos, retain), f"got {got}"
        return


async def connect():
    async with client("connect") as connection:
        await connection.subscribe(BASE + "/connect", qos=0)


def message(qos):
    async def feature():
        async with client(f"sub{qos}") as receiver, client(f"pub{qos}") as sender:
            async with messages(receiver) as stream:
                await receiver.subscribe(f"{BASE}/{qos}", qos=qos)
                await sender.publish(f"{BASE}/{qos}", f"qos {qos}", qos=qos)
                await expect(stream, f"qos {qos}", qos)

    return feature


async def retained():
    async with client("keeper") as sender, client("late") as receiver:
        await sender.publish(BASE + "/kept", "kept", qos=1, retain=True)
        async with messages(receiver) as stream:
            await receiver.subscribe(BASE + "/kept", qos=1)
            await expect(stream, "kept", 1, retain=True)
        await sender.publish(BASE + "/kept", "", qos=1, retain=True)


async def will():
    async with client("watcher") as watcher:
        async with messages(watcher) as stream:
            await watcher.subscribe(BASE + "/will", qos=1)
            with contextlib.suppress(aiomqtt.MqttError):
                async with client("mortal", will=BASE + "/will") as mortal:
                    plain = mortal._client.socket()
                    plain = getattr(plain, "_socket", plain)
                    plain.shutdown(socket.SHUT_RDWR)
                    await asyncio.sleep(0.2)
            await expect(stream, "gone", 1)


async def main():
    features = {"connect": connect, "qos0": message(0), "qos1": message(1), "qos2": message(2)}
    features |= {"retained": retained, "will": will}
    for name, feature in features.items():
        try:
            await asyncio.wait_for(feature(), WAIT * 2)
            print(name, "ok", flush=True)
        except Exception as error:
            print(name, "fail", type(error).__name__, str(error).replace("\n", " "), flush=True)


asyncio.run(main())
