#pragma once
#include <stddef.h>
#include <stdint.h>

// What WebSocket (RFC 6455) asks of bytes. No function here reads or writes outside `length`.

/// `to[n] = from[n] ^ key[n % 4]`, where `key` is the masking key as it stands in memory, turned so that its first
/// byte is for the first of `from` (RFC 6455, section 5.3). `to` is `from` or doesn't overlap it.
void engram_websocket_unmask(void *to, const void *from, size_t length, uint32_t key);

/// SHA-1 (RFC 3174) of `from` into 20 bytes. Broken as a cryptographic hash: only for handshakes that ask for it.
void engram_sha1(uint8_t *digest, const void *from, size_t length);
