#include "CTOML.h"

#include <toml++/toml.h>

const char *engram_toml_version(void) { return "1.0.0"; }
