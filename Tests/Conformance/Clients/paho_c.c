// Eclipse Paho for C against a broker: one line for each feature.
//
//   paho_c HOST PORT TRANSPORT VERSION AUTHORITY
//
// Build: cc paho_c.c -lpaho-mqtt3cs

#include <MQTTClient.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MILLISECONDS = 5000 };

static char url[256], base[128];
static const char *transport, *authority;
static bool is5;
static char fault[256];

static bool fail(const char *what, int code) {
    snprintf(fault, sizeof fault, "%s: %d", what, code);
    return false;
}

static bool open_client(MQTTClient *client, const char *name, const char *will) {
    char id[128];
    snprintf(id, sizeof id, "paho-c-%s-%d-%s", transport, is5 ? 5 : 3, name);
    MQTTClient_createOptions creation = MQTTClient_createOptions_initializer;
    creation.MQTTVersion = is5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    int code = MQTTClient_createWithOptions(
        client, url, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &creation);
    if (code) return fail("create", code);
    MQTTClient_connectOptions options3 = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
    MQTTClient_connectOptions options = is5 ? options5 : options3;
    options.MQTTVersion = creation.MQTTVersion;
    options.connectTimeout = 5;
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    tls.trustStore = authority;
    tls.verify = 1;
    if (!strcmp(transport, "tls") || !strcmp(transport, "wss")) options.ssl = &tls;
    MQTTClient_willOptions testament = MQTTClient_willOptions_initializer;
    testament.topicName = will;
    testament.message = "gone";
    testament.qos = 1;
    if (will) options.will = &testament;
    if (is5) {
        options.cleanstart = 1;
        MQTTResponse response = MQTTClient_connect5(*client, &options, NULL, NULL);
        code = response.reasonCode;
        MQTTResponse_free(response);
    } else {
        options.cleansession = 1;
        code = MQTTClient_connect(*client, &options);
    }
    return code ? fail("connect", code) : true;
}

static bool subscribe(MQTTClient client, const char *topic, int qos) {
    int code;
    if (is5) {
        MQTTResponse response = MQTTClient_subscribe5(client, topic, qos, NULL, NULL);
        code = (int)response.reasonCode >= 0x80 || (int)response.reasonCode < 0
            ? (int)response.reasonCode : 0;
        MQTTResponse_free(response);
    } else {
        code = MQTTClient_subscribe(client, topic, qos);
    }
    return code ? fail("subscribe", code) : true;
}

static bool publish(
    MQTTClient client, const char *topic, const char *payload, int qos, bool retain) {
    MQTTClient_message message = MQTTClient_message_initializer;
    message.payload = (void *)payload;
    message.payloadlen = (int)strlen(payload);
    message.qos = qos;
    message.retained = retain;
    MQTTClient_deliveryToken token = 0;
    int code;
    if (is5) {
        MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
        code = response.reasonCode;
        MQTTResponse_free(response);
    } else {
        code = MQTTClient_publishMessage(client, topic, &message, &token);
    }
    if (code) return fail("publish", code);
    code = MQTTClient_waitForCompletion(client, token, WAIT_MILLISECONDS);
    return code ? fail("acknowledgement", code) : true;
}

static bool expect(MQTTClient client, const char *payload, int qos, bool retain) {
    char *topic = NULL;
    int length = 0;
    MQTTClient_message *message = NULL;
    int code = MQTTClient_receive(client, &topic, &length, &message, WAIT_MILLISECONDS);
    if (!message) return fail("no message", code);
    bool same = message->payloadlen == (int)strlen(payload) && message->qos == qos
        && !memcmp(message->payload, payload, strlen(payload)) && !!message->retained == retain;
    if (!same)
        snprintf(
            fault, sizeof fault, "got %.*s qos %d retain %d", message->payloadlen,
            (char *)message->payload, message->qos, message->retained);
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
    return same;
}

static void end(MQTTClient *client) {
    if (is5) MQTTClient_disconnect5(*client, 1000, MQTTREASONCODE_SUCCESS, NULL);
    else MQTTClient_disconnect(*client, 1000);
    MQTTClient_destroy(client);
}

static bool test_connect(void) {
    MQTTClient client;
    char topic[256];
    snprintf(topic, sizeof topic, "%s/connect", base);
    bool ok = open_client(&client, "connect", NULL) && subscribe(client, topic, 0);
    end(&client);
    return ok;
}

static bool test_message(int qos) {
    MQTTClient receiver, sender;
    char topic[256], payload[16];
    snprintf(topic, sizeof topic, "%s/%d", base, qos);
    snprintf(payload, sizeof payload, "qos %d", qos);
    bool ok = open_client(&receiver, "sub", NULL) && subscribe(receiver, topic, qos)
        && open_client(&sender, "pub", NULL) && publish(sender, topic, payload, qos, false)
        && expect(receiver, payload, qos, false);
    if (!ok) return false;
    end(&receiver);
    end(&sender);
    return true;
}

static bool test_retained(void) {
    MQTTClient receiver, sender;
    char topic[256];
    snprintf(topic, sizeof topic, "%s/kept", base);
    bool ok = open_client(&sender, "keeper", NULL) && publish(sender, topic, "kept", 1, true)
        && open_client(&receiver, "late", NULL) && subscribe(receiver, topic, 1)
        && expect(receiver, "kept", 1, true) && publish(sender, topic, "", 1, true);
    if (!ok) return false;
    end(&receiver);
    end(&sender);
    return true;
}

// The will's owner is another process, which ends without a word.
static bool test_will(int go, int done) {
    MQTTClient watcher;
    char topic[256], byte = 1;
    snprintf(topic, sizeof topic, "%s/will", base);
    bool ok = open_client(&watcher, "watcher", NULL) && subscribe(watcher, topic, 1);
    if (write(go, &byte, 1) != 1 || read(done, &byte, 1) != 1) return fail("child", 0);
    ok = ok && expect(watcher, "gone", 1, false);
    if (ok) end(&watcher);
    return ok;
}

static void live_and_vanish(int go, int done) {
    MQTTClient mortal;
    char topic[256], byte;
    snprintf(topic, sizeof topic, "%s/will", base);
    if (read(go, &byte, 1) == 1 && open_client(&mortal, "mortal", topic)
        && write(done, &byte, 1) == 1)
        usleep(100000);
    _exit(0);
}

static void verdict(const char *feature, bool ok) {
    printf(ok ? "%s ok\n" : "%s fail %s\n", feature, fault);
    fflush(stdout);
}

int main(int count, char **arguments) {
    if (count < 6) return 64;
    transport = arguments[3];
    is5 = !strcmp(arguments[4], "5");
    authority = arguments[5];
    const char *scheme = !strcmp(transport, "tls") ? "ssl" : transport;
    bool is_web = transport[0] == 'w';
    snprintf(
        url, sizeof url, "%s://%s:%s%s", scheme, arguments[1], arguments[2], is_web ? "/mqtt" : "");
    snprintf(base, sizeof base, "clients/paho-c/%s/%s", transport, arguments[4]);
    int go[2], done[2];
    if (pipe(go) || pipe(done)) return 1;
    pid_t child = fork();  // before the library has started a thread
    if (child == 0) live_and_vanish(go[0], done[1]);
    verdict("connect", test_connect());
    verdict("qos0", test_message(0));
    verdict("qos1", test_message(1));
    verdict("qos2", test_message(2));
    verdict("retained", test_retained());
    verdict("will", test_will(go[1], done[0]));
    waitpid(child, NULL, 0);
    return 0;
}
