"""Reads a TensorBoard event file without any code of hullft's or TensorFlow's: read_events.py FILE

Prints one line a scalar: tag, step, value. Checks both checksums of every record with a CRC-32C of its own, bit by bit.
"""
import struct
import sys


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


assert masked_crc(b"123456789") == (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        (size,), (crc,) = struct.unpack_from("<Q", data, at), struct.unpack_from("<I", data, at + 8)
        assert crc == masked_crc(data[at:at + 8]), f"length's checksum at byte {at}"
        body = data[at + 12:at + 12 + size]
        (crc,) = struct.unpack_from("<I", data, at + 12 + size)
        assert crc == masked_crc(body), f"record's checksum at byte {at}"
        yield body
        at += 16 + size


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """Field number: value, of one Protocol Buffers message."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            found[number], at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            found[number], at = data[at:at + size], at + size
        else:
            form, size = {1: ("<d", 8), 5: ("<f", 4)}[kind]
            found[number], at = struct.unpack_from(form, data, at)[0], at + size
    return found


events = [fields(record) for record in records(open(sys.argv[1], "rb").read())]
assert events[0][3] == b"brain.Event:2" and events[0][1] > 1e9
for event in events[1:]:
    value = fields(fields(event[5])[1])
    print(value[1].decode(), event[2], repr(value[2]), sep="\t")
