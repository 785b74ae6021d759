#include "CTOML.h"

namespace {
/// An assertion of toml++ that doesn't hold: 3.3 has some that a text can reach (`[.]`), and a text must not end us.
struct Surprise {};
}  // namespace

#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : throw Surprise())
#undef NDEBUG  // The assertions stay what they are in every build: without, they would be promises to the compiler.
#include <toml++/toml.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

const char *engram_toml_version(void) { return "1.0.0"; }

struct engram_toml_document {
  toml::table root;
  std::vector<engram_toml_node> nodes;
};

namespace {

int32_t kind_of(const toml::node &node) {
  switch (node.type()) {
    case toml::node_type::table: return ENGRAM_TOML_TABLE;
    case toml::node_type::array: return ENGRAM_TOML_ARRAY;
    case toml::node_type::string: return ENGRAM_TOML_TEXT;
    case toml::node_type::integer: return ENGRAM_TOML_INTEGER;
    case toml::node_type::floating_point: return ENGRAM_TOML_REAL;
    case toml::node_type::boolean: return ENGRAM_TOML_FLAG;
    default: return ENGRAM_TOML_TIME;
  }
}

void add(std::vector<engram_toml_node> &nodes, const toml::key *key, const toml::node &value) {
  engram_toml_node node = {};
  node.kind = kind_of(value);
  node.line = value.source().begin.line;
  if (key) {
    node.key = key->str().data();
    node.key_count = key->str().size();
    node.key_line = key->source().begin.line;
  }
  if (const auto *text = value.as_string()) {
    node.text = text->get().data();
    node.text_count = text->get().size();
  } else if (const auto *integer = value.as_integer()) {
    node.integer = integer->get();
  } else if (const auto *flag = value.as_boolean()) {
    node.integer = flag->get() ? 1 : 0;
  }
  const auto *table = value.as_table();
  const auto *array = value.as_array();
  node.children = static_cast<uint32_t>(table ? table->size() : array ? array->size() : 0);
  nodes.push_back(node);
  if (table) {
    for (const auto &[name, child] : *table) add(nodes, &name, child);
  } else if (array) {
    for (const auto &child : *array) add(nodes, nullptr, child);
  }
}

void tell(engram_toml_fault *fault, uint32_t line, uint32_t column, std::string_view message) {
  fault->line = line;
  fault->column = column;
  size_t length = std::min(message.size(), sizeof(fault->message) - 1);
  std::memcpy(fault->message, message.data(), length);
  fault->message[length] = 0;
}

bool surprises(std::string_view text) {
  try {
    (void)toml::parse(text);
    return false;
  } catch (const Surprise &) {
    return true;
  }
}

/// The line that toml++ stumbles over: the parser goes forward only, so a text that ends before it doesn't surprise.
uint32_t surprising_line(std::string_view text) {
  std::vector<size_t> ends;
  for (size_t at = 0; at < text.size(); at++) {
    if (text[at] == '\n') ends.push_back(at + 1);
  }
  size_t low = 0, high = ends.size();
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (surprises(text.substr(0, ends[middle]))) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return static_cast<uint32_t>(low + 1);
}

engram_toml_document *parse(std::string_view text, engram_toml_fault *fault) {
  toml::parse_result result = toml::parse(text);
  if (!result) {
    const toml::parse_error &error = result.error();
    tell(fault, error.source().begin.line, error.source().begin.column, error.description());
    return nullptr;
  }
  auto *document = new engram_toml_document{std::move(result).table(), {}};
  add(document->nodes, nullptr, document->root);
  return document;
}

}  // namespace

engram_toml_document *engram_toml_parse(const char *bytes, size_t count, engram_toml_fault *fault) {
  std::string_view text(bytes, count);
  try {
    return parse(text, fault);
  } catch (const Surprise &) {
    tell(fault, surprising_line(text), 1, "this is no TOML");
    return nullptr;
  } catch (const std::bad_alloc &) {
    tell(fault, 1, 1, "no memory to read it");
    return nullptr;
  }
}

size_t engram_toml_count(const engram_toml_document *document) { return document->nodes.size(); }

const engram_toml_node *engram_toml_nodes(const engram_toml_document *document) { return document->nodes.data(); }

void engram_toml_free(engram_toml_document *document) { delete document; }
