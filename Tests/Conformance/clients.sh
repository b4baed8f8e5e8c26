#!/usr/bin/env bash
# Other people's MQTT clients against apus: connect and subscribe, publish with each QoS, retained
# messages and wills; over TCP, TLS, WebSocket and WebSocket over TLS; MQTT 3.1.1 and 5.0.
#
#   Tests/Conformance/clients.sh [name of a client…]     all that are installed
#
# Prints a table and ends with 1 if a cell failed. BINARY names another build of apus.
set -uo pipefail
cd "$(dirname "$0")/../.."
. Tests/Conformance/serve.sh
folder=Tests/Conformance/Clients
features=(connect qos0 qos1 qos2 retained will)

# An authority and a certificate for this run alone.
openssl_quietly() { openssl "$@" >>"$work/openssl" 2>&1; }
make_certificates() {
    local curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    openssl_quietly req -x509 "${curve[@]}" -days 2 -subj "/CN=Test authority" \
        -keyout "$work/ca.key" -out "$work/ca.pem" &&
        openssl_quietly req "${curve[@]}" -subj "/CN=localhost" \
            -keyout "$work/server.key" -out "$work/server.csr" &&
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$work/names" &&
        openssl_quietly x509 -req -days 2 -in "$work/server.csr" -CA "$work/ca.pem" \
            -CAkey "$work/ca.key" -CAcreateserial -extfile "$work/names" -out "$work/server.pem"
}
make_certificates || {
    echo "openssl cannot make certificates:"
    cat "$work/openssl"
    exit 1
}
secure=(certificates="$work/server.pem" keys="$work/server.key")
start_apus --set listeners.tls=127.0.0.1:0 --set listeners.ws=127.0.0.1:0 \
    --set listeners.wss=127.0.0.1:0 \
    --set "listeners.tls.${secure[0]}" --set "listeners.tls.${secure[1]}" \
    --set "listeners.wss.${secure[0]}" --set "listeners.wss.${secure[1]}" || exit 1

# A Python that has a module: the system's, else an environment of our own filled by pip.
python_with() { # module package…
    local module="$1" python
    shift
    for python in /usr/bin/python3 python3; do
        "$python" -c "import $module" 2>/dev/null && echo "$python" && return 0
    done
    [ $# -gt 0 ] || return 1
    [ -x "$work/python/bin/python" ] || python3 -m venv "$work/python" >>"$work/pip" 2>&1
    "$work/python/bin/pip" install -q "$@" >>"$work/pip" 2>&1
    "$work/python/bin/python" -c "import $module" 2>/dev/null && echo "$work/python/bin/python"
}

# Sets command and version of a client, or skipped.
prepare() {
    skipped="" command=()
    case "$1" in
    mosquitto)
        command -v mosquitto_sub >/dev/null || { skipped="mosquitto-clients is missing" && return; }
        command=("$folder/mosquitto.sh")
        title="mosquitto $(mosquitto_pub --version 2>&1 | sed -n 's/.*version \([0-9.]*\).*/\1/p' | head -1)"
        ;;
    paho-python)
        local python
        python="$(python_with paho.mqtt.client paho-mqtt)" ||
            { skipped="neither python3-paho-mqtt nor pip" && return; }
        command=("$python" "$folder/paho_python.py")
        title="paho-python $("$python" -c 'import paho.mqtt as m; print(m.__version__)')"
        ;;
    aiomqtt)
        local python name=aiomqtt
        if ! python="$(python_with aiomqtt aiomqtt)"; then
            # Its name on Debian 12.
            name=asyncio-mqtt
            python="$(python_with asyncio_mqtt)" ||
                { skipped="neither python3-aiomqtt nor pip" && return; }
        fi
        command=("$python" "$folder/aiomqtt_python.py")
        title="$name $("$python" -c "from importlib.metadata import version as v; print(v('$name'))" 2>/dev/null)"
        ;;
    mqttjs)
        NODE_PATH=/usr/share/nodejs node -e 'require("mqtt")' 2>/dev/null ||
            { skipped="nodejs or node-mqtt is missing" && return; }
        export NODE_PATH=/usr/share/nodejs
        command=(node "$folder/mqttjs.js")
        title="MQTT.js $(node -p 'require("mqtt/package.json").version')"
        ;;
    paho-c)
        "${CC:-cc}" -O1 -o "$work/paho" "$folder/paho_c.c" -lpaho-mqtt3cs >"$work/cc" 2>&1 ||
            { skipped="libpaho-mqtt-dev or a C compiler is missing" && return; }
        command=("$work/paho")
        title="paho-c $(dpkg-query -W -f '${Version}' libpaho-mqtt-dev 2>/dev/null | cut -d- -f1)"
        ;;
    *) skipped="no such client" ;;
    esac
}

is_serving() { [ -z "$apus_pid" ] || kill -0 "$apus_pid" 2>/dev/null; }

# mosquitto's clients of most distributions are built without WebSocket.
speaks() { # client transport
    [ "$1" != mosquitto ] || [ "$2" = tcp ] || [ "$2" = tls ]
}

failed=0 cells=0 notes="$work/notes"
: >"$notes"
printf '%-22s %-5s %-6s' client over MQTT
printf ' %-8s' "${features[@]}"
echo
clients=("$@")
[ ${#clients[@]} -gt 0 ] || clients=(mosquitto paho-python aiomqtt mqttjs paho-c)
for client in "${clients[@]}"; do
    prepare "$client"
    if [ -n "$skipped" ]; then
        printf '%-22s skipped: %s\n' "$client" "$skipped"
        continue
    fi
    for transport in tcp tls ws wss; do
        speaks "$client" "$transport" || continue
        for version in 3 5; do
            shown=3.1.1
            [ "$version" = 3 ] || shown=5.0
            is_serving || break 3
            mkdir -p "$work/run"
            timeout 90 "${command[@]}" localhost "$(port "$transport")" "$transport" "$version" \
                "$work/ca.pem" "$work/run" >"$work/result" 2>"$work/stderr"
            printf '%-22s %-5s %-6s' "$title" "$transport" "$shown"
            for feature in "${features[@]}"; do
                line="$(grep -m1 "^$feature " "$work/result")" || line="$feature fail no answer"
                cells=$((cells + 1))
                if [ "${line#"$feature "}" = ok ]; then
                    printf ' %-8s' ok
                else
                    printf ' %-8s' FAIL
                    failed=$((failed + 1))
                    echo "$title $transport $shown: $line" >>"$notes"
                fi
            done
            echo
            [ -s "$work/result" ] || tail -3 "$work/stderr" >>"$notes"
            rm -rf "$work/run"
        done
    done
done
cat "$notes"
if ! is_serving; then
    echo "apus has ended:"
    tail -20 "$work/log"
    failed=$((failed + 1))
fi
echo "clients: $cells cells, $failed failed"
[ "$failed" = 0 ]
