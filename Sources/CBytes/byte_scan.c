#include "ByteScan.h"

#define TOKEN ENGRAM_TOKEN_BYTE
#define HOST ENGRAM_HOST_BYTE
#define BOTH (TOKEN | HOST)

// tchar, and unreserved with sub-delims.
const uint8_t engram_byte_classes[256] = {
    ['0' ... '9'] = BOTH, ['A' ... 'Z'] = BOTH, ['a' ... 'z'] = BOTH,
    ['!'] = BOTH, ['$'] = BOTH, ['&'] = BOTH, ['\''] = BOTH, ['*'] = BOTH,
    ['+'] = BOTH, ['-'] = BOTH, ['.'] = BOTH, ['_'] = BOTH, ['~'] = BOTH,
    ['#'] = TOKEN, ['%'] = TOKEN, ['^'] = TOKEN, ['`'] = TOKEN, ['|'] = TOKEN,
    ['('] = HOST, [')'] = HOST, [','] = HOST, [';'] = HOST, ['='] = HOST,
};
