#pragma once
// A TOML document, read by toml++ (Debian: libtomlplusplus-dev), as C and so Swift can walk it.

#ifdef __cplusplus
extern "C" {
#endif

/// The version of TOML that is read, as in `1.0.0`. A constant.
const char *engram_toml_version(void);

#ifdef __cplusplus
}
#endif
