#!/usr/bin/env python3
"""Writes ketama.txt: where keys lie on rings of servers, computed independently of the library.

Method, after libmemcached 1.1 (libmemcached/hosts.cc, update_continuum, and hashkit):

weighted:   server i of n with weight w of W in total has floor(w/W * 160/4 * n + 1e-10) labels, computed in
            single precision. The MD5 of each label gives four points, its bytes 0-3, 4-7, 8-11 and 12-15
            read as little-endian numbers. A key's place is bytes 0-3 of its own MD5, read likewise.
unweighted: every server has 100 labels, whose one-at-a-time hashes (Bob Jenkins) are its points. A key's
            place is its own one-at-a-time hash.
modulo:     a key's one-at-a-time hash, divided by the number of servers: the remainder is the server.
Label i of a server, from 0 on, is host-i if the port is 11211 and host:port-i otherwise. A key belongs to the
server of the first point that is not before its place; after the last point comes the first one.

Run: python3 ketama.py > ketama.txt
"""
import hashlib
import struct


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def one_at_a_time(data):
    h = 0
    for c in data:
        h = (h + c) & 0xFFFFFFFF
        h = (h + (h << 10)) & 0xFFFFFFFF
        h ^= h >> 6
    h = (h + (h << 3)) & 0xFFFFFFFF
    h ^= h >> 11
    return (h + (h << 15)) & 0xFFFFFFFF


def md5_words(data):
    return struct.unpack("<4I", hashlib.md5(data).digest())


def label(host, port, i):
    return (f"{host}-{i}" if port == 11211 else f"{host}:{port}-{i}").encode()


def weighted_points(servers):
    total = sum(w for _, _, w in servers)
    for at, (host, port, weight) in enumerate(servers):
        share = f32(f32(weight) / f32(total))
        labels = f32(f32(f32(share * 160.0) / 4.0) * len(servers))
        for i in range(int(f32(labels + 1e-10))):
            for word in md5_words(label(host, port, i)):
                yield word, at


def unweighted_points(servers):
    for at, (host, port, _) in enumerate(servers):
        for i in range(100):
            yield one_at_a_time(label(host, port, i)), at


def lookup(points, place):
    low, high = 0, len(points)
    while low < high:
        middle = (low + high) // 2
        if points[middle][0] < place:
            low = middle + 1
        else:
            high = middle
    return points[low % len(points)][1]


RINGS = [
    [("10.0.0.1", 11211, 1)],
    [("10.0.0.1", 11211, 1), ("10.0.0.2", 11211, 1), ("10.0.0.3", 11212, 1)],
    [("cache-a", 11211, 1), ("cache-b", 11212, 3), ("cache-c", 11211, 2), ("cache-d", 9000, 7)],
    [(f"10.0.1.{i}", 11211, 1 + i % 3) for i in range(9)],
]

print("# distribution servers key index, written by ketama.py")
for ring in RINGS:
    text = ",".join(f"{h}:{p}*{w}" for h, p, w in ring)
    weighted = sorted(weighted_points(ring))
    unweighted = sorted(unweighted_points(ring))
    for n in range(110):
        key = hashlib.sha256(f"key {n}".encode()).hexdigest()[: 22 + n % 11]
        print("weighted", text, key, lookup(weighted, md5_words(key.encode())[0]))
        print("unweighted", text, key, lookup(unweighted, one_at_a_time(key.encode())))
        print("modulo", text, key, one_at_a_time(key.encode()) % len(ring))
