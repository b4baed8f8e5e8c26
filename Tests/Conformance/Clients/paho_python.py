"""Eclipse Paho for Python against a broker: one line for each feature.

paho_python.py HOST PORT TRANSPORT VERSION AUTHORITY
"""
import queue
import socket
import sys

import paho.mqtt.client as mqtt

host, port, transport, version, authority = sys.argv[1:6]
WAIT = 5
PROTOCOL = mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311
BASE = f"clients/paho-python/{transport}/{version}"


class Client:
    def __init__(self, name, will=None):
        kind = "websockets" if transport in ("ws", "wss") else "tcp"
        arguments = dict(
            client_id=f"paho-python-{transport}-{version}-{name}", protocol=PROTOCOL, transport=kind
        )
        if hasattr(mqtt, "CallbackAPIVersion"):
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        if PROTOCOL != mqtt.MQTTv5:
            arguments["clean_session"] = True
        self.client = mqtt.Client(**arguments)
        if transport in ("tls", "wss"):
            self.client.tls_set(ca_certs=authority)
        if kind == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if will:
            self.client.will_set(will, "gone", qos=1)
        self.connected, self.subscribed = queue.Queue(), queue.Queue()
        self.messages, self.published = queue.Queue(), queue.Queue()
        self.client.on_connect = lambda *a: self.connected.put(a[3])
        self.client.on_subscribe = lambda *a: self.subscribed.put(a[2])
        self.client.on_publish = lambda *a: self.published.put(a[2])
        self.client.on_message = lambda _, __, m: self.messages.put(m)
        self.client.connect(host, int(port), keepalive=30)
        self.client.loop_start()
        code = self.connected.get(timeout=WAIT)
        assert code == 0, f"CONNACK {code}"

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        self.subscribed.get(timeout=WAIT)

    def publish(self, topic, payload, qos, retain=False):
        self.client.publish(topic, payload, qos, retain)
        self.published.get(timeout=WAIT)

    def expect(self, payload, qos, retain=False):
        message = self.messages.get(timeout=WAIT)
        got = (message.payload.decode(), message.qos, bool(message.retain))
        assert got == (payload, qos, retain), f"got {got}"

    def vanish(self):
        self.client.loop_stop()
        plain = self.client.socket()
        plain = getattr(plain, "_socket", plain)
        plain.shutdown(socket.SHUT_RDWR)

    def end(self):
        self.client.disconnect()
        self.client.loop_stop()


def connect():
    client = Client("connect")
    client.subscribe(BASE + "/connect", 0)
    client.end()


def message(qos):
    def feature():
        receiver, sender = Client(f"sub{qos}"), Client(f"pub{qos}")
        receiver.subscribe(f"{BASE}/{qos}", qos)
        sender.publish(f"{BASE}/{qos}", f"qos {qos}", qos)
        receiver.expect(f"qos {qos}", qos)
        receiver.end()
        sender.end()

    return feature


def retained():
    sender = Client("keeper")
    sender.publish(BASE + "/kept", "kept", 1, retain=True)
    receiver = Client("late")
    receiver.subscribe(BASE + "/kept", 1)
    receiver.expect("kept", 1, retain=True)
    sender.publish(BASE + "/kept", "", 1, retain=True)
    receiver.end()
    sender.end()


def will():
    watcher = Client("watcher")
    watcher.subscribe(BASE + "/will", 1)
    Client("mortal", will=BASE + "/will").vanish()
    watcher.expect("gone", 1)
    watcher.end()


features = {"connect": connect, "qos0": message(0), "qos1": message(1), "qos2": message(2)}
features |= {"retained": retained, "will": will}
for name, feature in features.items():
    try:
        feature()
        print(name, "ok", flush=True)
    except Exception as error:
        print(name, "fail", type(error).__name__, str(error).replace("\n", " "), flush=True)
