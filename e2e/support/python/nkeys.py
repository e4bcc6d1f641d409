"""Stands in for the package nkeys where only cryptography is installed: signs with a user's seed."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class _KeyPair:
    def __init__(self, seed):
        # Two bytes say what the seed is of, 32 are the seed, two are its checksum.
        raw = base64.b32decode(bytes(seed) + b"=" * (-len(seed) % 8))
        self._key = Ed25519PrivateKey.from_private_bytes(raw[2:34])

    def sign(self, data):
        return self._key.sign(data)

    def wipe(self):
        del self._key


def from_seed(seed):
    return _KeyPair(bytes(seed).strip())
