internal import Model

/// Search.
extension Schemas {
  private static func identifiers(_ countMax: Int, _ noun: String) -> String {
    #"""
    "type": "array", "maxItems": \#(countMax), "items": {"$ref": "#/components/schemas/Identifier"},
    "description": "Units of any of these \#(noun); none: of all."
    """#
  }

  private static let metadataFilter = #"""
    "$ref": "#/components/schemas/Metadata", "description": "Pairs that a unit must have, all of them."
    """#

  static let search = #"""
    "Search": {
      "type": "object", "additionalProperties": false,
      "properties": {
        "query": {"type": "string", "maxLength": \#(Limits.searchTextBytesMax), "default": "", "description": "At most \#(Limits.searchTermsMax) words and phrases."},
        "context_id": {"$ref": "#/components/schemas/Identifier", "description": "Instead of `context_ids`."},
        "context_ids": {\#(identifiers(Limits.searchContextsMax, "contexts"))},
        "agent_ids": {\#(identifiers(Limits.searchAgentsMax, "agents"))},
        "types": {
          "type": "array", "maxItems": \#(Limits.subscriptionTypesMax),
          "items": {"anyOf": [{"$ref": "#/components/schemas/WorkUnitType"}, {"enum": [\#(typeNumbers)]}]},
          "description": "Units of any of these types, by name or by number; none: of all."
        },
        "metadata": {\#(metadataFilter)}, "meta_filters": {\#(metadataFilter)},
        "since": {"$ref": "#/components/schemas/Time", "description": "Units from this time on."},
        "until": {"$ref": "#/components/schemas/Time", "description": "Units before this time."},
        "order": {
          "enum": ["relevance", "recent"],
          "description": "`relevance`: the best match first, of equal ones the newest; the default if there are words. `recent`: the newest first."
        },
        "limit": {"type": "integer", "minimum": 1, "maximum": \#(Limits.searchPageMax), "default": \#(Limits.searchPageDefault)},
        "offset": {
          "type": "integer", "minimum": 0, "maximum": \#(Limits.searchOffsetMax - 1), "default": 0,
          "description": "Results to pass over: with `limit` at most \#(Limits.searchOffsetMax). A cursor goes further."
        },
        "cursor": {
          "type": "string", "maxLength": \#(Limits.searchCursorBytesMax),
          "description": "The `next_cursor` of the page before, of the same query; instead of `offset`."
        },
        "highlight": {"type": "boolean", "default": false, "description": "Whether `highlight` of the results is wanted."},
        "min_position": {\#(whole), "default": 0, "description": "Wait until everything up to this position can be found."},
        "wait_seconds": {
          "type": "number", "minimum": 0, "maximum": \#(Limits.searchWaitMicrosecondsMax / 1_000_000), "default": 0,
          "description": "For so long at most."
        }
      },
      "not": {"anyOf": [
        {"required": ["context_id", "context_ids"]}, {"required": ["metadata", "meta_filters"]}, {"required": ["offset", "cursor"]}
      ]}
    },
    "SearchAnswer": {
      "type": "object",
      "required": ["results", "total_count", "total_is_exact", "next_cursor", "indexed_position", "partial"],
      "properties": {
        "results": {
          "type": "array", "maxItems": \#(Limits.searchPageMax), "items": {"$ref": "#/components/schemas/SearchResult"},
          "description": "May be fewer than `limit`, or none, while `next_cursor` isn't empty."
        },
        "total_count": {\#(whole), "description": "Units that match, on all pages."},
        "total_is_exact": {"type": "boolean", "description": "If not, `total_count` is an estimate."},
        "next_cursor": {"$ref": "#/components/schemas/NextCursor"},
        "indexed_position": {"$ref": "#/components/schemas/Position", "description": "Everything up to here was searched."},
        "partial": {"type": "boolean", "description": "Whether something may be missing."}
      }
    },
    "SearchResult": {
      "type": "object", "required": ["work_unit", "score", "highlight"],
      "properties": {
        "work_unit": {"$ref": "#/components/schemas/WorkUnit"},
        "score": {"type": "number", "description": "The better, the larger; 0 where nothing is ranked."},
        "highlight": {
          "type": ["string", "null"],
          "description": "An excerpt of payload or metadata with `<mark>` and `</mark>` around words that were looked for. It is text as it was posted: escape it before it becomes HTML. Null unless it was asked for and there is something to mark."
        }
      }
    }
    """#
}
