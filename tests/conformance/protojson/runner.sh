#!/bin/sh
# Builds protobuf's conformance runner from the source package of this Debian's protobuf, against its libraries.
#   tests/conformance/protojson/runner.sh FOLDER
# FOLDER gets conformance_test_runner and descriptors.binpb, which describes the messages of the tests.
# Needs g++, protobuf-compiler, libprotobuf-dev, libjsoncpp-dev.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT INT TERM
cd "$build"

# The machine's own package sources, as sources of sources, with lists and caches of their own: no root is needed.
mkdir sources lists cache
grep -rilE 'debian|ubuntu' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | while read -r list; do
    sed -E 's/^deb /deb-src /; s/^Types:.*/Types: deb-src/' "$list" >"sources/$(basename "$list")"
done
apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$build/sources" -o Dir::Cache="$build/cache" \
        -o Dir::State::lists="$build/lists" -o APT::Sandbox::User="$(id -un)" "$@"
}
apt update
apt source --download-only protobuf
tar xzf protobuf_*.orig.tar.gz
source=$(echo "$build"/protobuf-*/)

protos="conformance.proto google/protobuf/test_messages_proto2.proto google/protobuf/test_messages_proto3.proto"
protoc -I "$source/conformance" -I "$source/src" --cpp_out=. --include_imports --descriptor_set_out="$out/descriptors.binpb" $protos
# The suite includes jsoncpp by the name that it has inside Google.
mkdir -p third_party/jsoncpp
echo '#include <json/json.h>' >third_party/jsoncpp/json.h
set --
for part in test test_main test_runner; do set -- "$@" "$source/conformance/conformance_$part.cc"; done
for part in binary_json text_format; do set -- "$@" "$source/conformance/${part}_conformance_suite.cc"; done
g++ -std=c++17 -w -I. -I"$source/conformance" -I"$source/src" -I/usr/include/jsoncpp ./*.pb.cc google/protobuf/*.pb.cc "$@" \
    -o "$out/conformance_test_runner" -ljsoncpp -lprotobuf -lpthread
