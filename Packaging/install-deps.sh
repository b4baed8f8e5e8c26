#!/usr/bin/env bash
# Installs what the build needs and does not find, through apt if that is possible.
#
#   Packaging/install-deps.sh            libraries and tools for building and testing
#   Packaging/install-deps.sh --clients  also the MQTT clients that `make clients` runs
#
# Says nothing and changes nothing when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()

have_header() { # header
    local folder
    for folder in /usr/include /usr/include/"$(uname -m)"-linux-gnu /usr/local/include; do
        [ -e "$folder/$1" ] && return 0
    done
    return 1
}
need_header() { have_header "$1" || missing+=("$2"); }                # header, package
need_command() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); } # command, package

need_header liburing.h liburing-dev
need_header openssl/ssl.h libssl-dev
[ ! -d CShims/CRocksDB ] || need_header rocksdb/c.h librocksdb-dev
need_command git git
need_command mosquitto_pub mosquitto-clients

if [ "${1:-}" = "--clients" ]; then
    need_command mosquitto mosquitto
    need_command openssl openssl
    need_command node nodejs
    need_header MQTTAsync.h libpaho-mqtt-dev
    [ -d /usr/share/nodejs/mqtt ] || missing+=(node-mqtt)
    /usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null || missing+=(python3-paho-mqtt)
    if ! /usr/bin/python3 -c 'import aiomqtt' 2>/dev/null &&
        ! /usr/bin/python3 -c 'import asyncio_mqtt' 2>/dev/null; then
        # Debian 12 still has aiomqtt under its old name.
        if apt-cache show python3-aiomqtt >/dev/null 2>&1; then
            missing+=(python3-aiomqtt)
        else
            missing+=(python3-asyncio-mqtt)
        fi
    fi
fi

if ! command -v swift >/dev/null 2>&1; then
    echo "swift is not on the PATH: install Swift 6.3 or newer from https://www.swift.org/install/" >&2
    exit 1
fi
[ ${#missing[@]} -gt 0 ] || exit 0

echo "missing: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        echo "not root: run  sudo apt-get install ${missing[*]}  (or your system's equivalent)" >&2
        exit 1
    fi
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "no apt here: install the equivalent of the Debian packages ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y --no-install-recommends "${missing[@]}")
"${as_root[@]}" "${install[@]}" || {
    "${as_root[@]}" apt-get update && "${as_root[@]}" "${install[@]}"
}
