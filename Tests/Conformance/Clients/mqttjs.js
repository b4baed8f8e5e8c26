// MQTT.js against a broker: one line for each feature.
//
//   node mqttjs.js HOST PORT TRANSPORT VERSION AUTHORITY
"use strict";
const fs = require("fs");
const mqtt = require("mqtt");

const [host, port, transport, version, authority] = process.argv.slice(2);
const scheme = { tcp: "mqtt", tls: "mqtts", ws: "ws", wss: "wss" }[transport];
const url = `${scheme}://${host}:${port}` + (transport.startsWith("ws") ? "/mqtt" : "");
const base = `clients/mqttjs/${transport}/${version}`;
const waitMilliseconds = 5000;

function within(promise, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what} took too long`)), waitMilliseconds);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function open(name, will) {
    const options = {
        clientId: `mqttjs-${transport}-${version}-${name}`,
        protocolVersion: version === "5" ? 5 : 4,
        reconnectPeriod: 0,
        clean: true,
    };
    if (transport === "tls" || transport === "wss") options.ca = fs.readFileSync(authority);
    if (will) options.will = { topic: will, payload: "gone", qos: 1, retain: false };
    const client = mqtt.connect(url, options);
    client.arrived = [];
    client.waiting = [];
    client.on("message", (topic, payload, packet) => {
        const message = `${payload} ${packet.qos} ${packet.retain}`;
        const next = client.waiting.shift();
        if (next) next(message);
        else client.arrived.push(message);
    });
    await within(new Promise((resolve, reject) => {
        client.once("connect", resolve);
        client.once("error", reject);
        client.once("close", () => reject(new Error("closed")));
    }), "CONNACK");
    client.on("error", () => {});
    return client;
}

const call = (client, method, ...rest) => within(new Promise((resolve, reject) => {
    client[method](...rest, (error) => (error ? reject(error) : resolve()));
}), method);

async function expect(client, message) {
    const got = client.arrived.length
        ? client.arrived.shift()
        : await within(new Promise((resolve) => client.waiting.push(resolve)), "a message");
    if (got !== message) throw new Error(`got ${got}`);
}

const end = (client) => call(client, "end", false, {});

async function connect() {
    const client = await open("connect");
    await call(client, "subscribe", `${base}/connect`, { qos: 0 });
    await end(client);
}

const message = (qos) => async () => {
    const receiver = await open(`sub${qos}`);
    const sender = await open(`pub${qos}`);
    await call(receiver, "subscribe", `${base}/${qos}`, { qos });
    await call(sender, "publish", `${base}/${qos}`, `qos ${qos}`, { qos });
    await expect(receiver, `qos ${qos} ${qos} false`);
    await end(receiver);
    await end(sender);
};

async function retained() {
    const sender = await open("keeper");
    await call(sender, "publish", `${base}/kept`, "kept", { qos: 1, retain: true });
    const receiver = await open("late");
    await call(receiver, "subscribe", `${base}/kept`, { qos: 1 });
    await expect(receiver, "kept 1 true");
    await call(sender, "publish", `${base}/kept`, "", { qos: 1, retain: true });
    await end(receiver);
    await end(sender);
}

async function will() {
    const watcher = await open("watcher");
    await call(watcher, "subscribe", `${base}/will`, { qos: 1 });
    const mortal = await open("mortal", `${base}/will`);
    mortal.stream.destroy();
    await expect(watcher, "gone 1 false");
    await end(watcher);
}

async function main() {
    const features = {
        connect, qos0: message(0), qos1: message(1), qos2: message(2), retained, will,
    };
    for (const [name, feature] of Object.entries(features)) {
        try {
            await feature();
            console.log(`${name} ok`);
        } catch (error) {
            console.log(`${name} fail ${String(error.message).replace(/\n/g, " ")}`);
        }
    }
    process.exit(0);
}

main();
