internal import Model

/// The values of the contract, as JSON Schema 2020-12: text with the numbers of `Model/Limits`. Lengths that the
/// server counts in bytes stand as numbers of characters, which JSON Schema counts, and the description says so.
enum Schemas {
  /// `components.schemas`.
  static var all: String {
    [units, writes, contexts, locks, search, graph, streams, credentials, service].joined(separator: ",")
  }

  /// Names of an enumeration as JSON strings.
  private static func names<Value: CaseIterable>(_ name: (Value) -> StaticString, _: Value.Type) -> String {
    Value.allCases.map { "\"\(name($0))\"" }.joined(separator: ",")
  }

  private static let types = names(\.name, WorkUnitType.self)
  private static let relationshipTypes = names(\.name, RelationshipType.self)
  private static let encodings = names(\.name, PayloadEncoding.self)
  static let whole = #""type":"integer","minimum":0,"maximum":\#(Limits.integerMax)"#

  static var typeNumbers: String { numbers(WorkUnitType.self) }

  private static func numbers<Value: CaseIterable & RawRepresentable>(_: Value.Type) -> String
  where Value.RawValue == UInt8 {
    Value.allCases.map { "\($0.rawValue)" }.joined(separator: ",")
  }

  private static let units = #"""
    "Identifier": {
      "type": "string", "minLength": 1, "maxLength": \#(Limits.identifierBytesMax), "pattern": "\#(Pattern.plain)",
      "description": "The id of a context or an agent: 1 to \#(Limits.identifierBytesMax) bytes of UTF-8 without control characters."
    },
    "UnitID": {
      "type": "string", "format": "uuid", "pattern": "\#(Pattern.unitID)",
      "description": "The id of a unit: a UUID of version 7 (RFC 9562). Ids that the server makes sort in the order of the log."
    },
    "Time": {
      "type": "string", "format": "date-time", "description": "RFC 3339. The server writes UTC with microseconds."
    },
    "Sequence": {
      \#(whole), "description": "The unit's place in its context, from 1, without gaps."
    },
    "Position": {
      \#(whole), "description": "The event's place in the log. Grows, with gaps in any one context."
    },
    "WorkUnitType": {"type": "string", "enum": [\#(types)]},
    "RelationshipType": {"type": "string", "enum": [\#(relationshipTypes)]},
    "PayloadEncoding": {
      "type": "string", "enum": [\#(encodings)], "default": "utf8",
      "description": "How the payload's bytes stand in the string: as the text itself, or in base64 with padding (RFC 4648, section 4)."
    },
    "Metadata": {
      "type": "object", "maxProperties": \#(Limits.metadataPairsMax), "propertyNames": {"maxLength": \#(Limits.metadataKeyBytesMax)},
      "additionalProperties": {"type": "string", "maxLength": \#(Limits.metadataValueBytesMax)},
      "description": "At most \#(Limits.metadataPairsMax) pairs; keys of at most \#(Limits.metadataKeyBytesMax) bytes, values of at most \#(Limits.metadataValueBytesMax) bytes, both in UTF-8."
    },
    "Relationship": {
      "type": "object", "required": ["target_id", "type", "metadata"],
      "properties": {
        "target_id": {"$ref": "#/components/schemas/UnitID"}, "type": {"$ref": "#/components/schemas/RelationshipType"},
        "metadata": {"$ref": "#/components/schemas/Metadata"}
      }
    },
    "WorkUnit": {
      "type": "object",
      "required": [
        "id", "context_id", "agent_id", "type", "timestamp", "metadata", "payload", "payload_encoding", "relationships",
        "sequence", "position"
      ],
      "properties": {
        "id": {"$ref": "#/components/schemas/UnitID"}, "context_id": {"$ref": "#/components/schemas/Identifier"},
        "agent_id": {"$ref": "#/components/schemas/Identifier"}, "type": {"$ref": "#/components/schemas/WorkUnitType"},
        "timestamp": {"$ref": "#/components/schemas/Time"}, "metadata": {"$ref": "#/components/schemas/Metadata"},
        "payload": {"type": "string"}, "payload_encoding": {"$ref": "#/components/schemas/PayloadEncoding"},
        "relationships": {
          "type": "array", "maxItems": \#(Limits.relationshipsMax), "items": {"$ref": "#/components/schemas/Relationship"}
        },
        "sequence": {"$ref": "#/components/schemas/Sequence"}, "position": {"$ref": "#/components/schemas/Position"}
      }
    },
    "UnitReceipt": {
      "type": "object", "required": ["id", "sequence", "position"],
      "properties": {
        "id": {"$ref": "#/components/schemas/UnitID"}, "sequence": {"$ref": "#/components/schemas/Sequence"},
        "position": {"$ref": "#/components/schemas/Position"}
      },
      "description": "What `Prefer: return=minimal` leaves of a unit."
    },
    "UnitAnswer": {
      "type": "object", "required": ["work_unit"],
      "properties": {"work_unit": {"$ref": "#/components/schemas/WorkUnit"}}
    },
    "UnitsAnswer": {
      "type": "object", "required": ["work_units"],
      "properties": {"work_units": {
        "type": "array", "minItems": 1, "maxItems": \#(Limits.batchUnitsMax), "items": {"$ref": "#/components/schemas/WorkUnit"}
      }}
    },
    "UnitReceipts": {
      "type": "object", "required": ["work_units"],
      "properties": {"work_units": {
        "type": "array", "minItems": 1, "maxItems": \#(Limits.batchUnitsMax), "items": {"$ref": "#/components/schemas/UnitReceipt"}
      }}
    },
    "UnitPage": {
      "type": "object", "required": ["work_units", "next_cursor"],
      "properties": {
        "work_units": {"type": "array", "maxItems": \#(Limits.pageMax), "items": {"$ref": "#/components/schemas/WorkUnit"}},
        "next_cursor": {"$ref": "#/components/schemas/NextCursor"}
      }
    },
    "NextCursor": {
      "type": "string", "pattern": "^[A-Za-z0-9_-]*$",
      "description": "Goes into `cursor` for the next page. Only an empty one is the end: a page may be short or empty before it."
    }
    """#

  private static let writes = #"""
    "WorkUnitTypeIn": {
      "enum": [\#(types),\#(numbers(WorkUnitType.self))], "description": "By name or by number, from 1 in this order."
    },
    "RelationshipTypeIn": {
      "enum": [\#(relationshipTypes),\#(numbers(RelationshipType.self))], "description": "By name or by number, from 1 in this order."
    },
    "NewRelationship": {
      "type": "object", "required": ["target_id", "type"], "additionalProperties": false,
      "properties": {
        "target_id": {"$ref": "#/components/schemas/UnitID"}, "type": {"$ref": "#/components/schemas/RelationshipTypeIn"},
        "metadata": {"$ref": "#/components/schemas/Metadata"}, "meta": {"$ref": "#/components/schemas/Metadata"}
      },
      "not": {"required": ["metadata", "meta"]}
    },
    "ResourcePath": {
      "type": "string", "minLength": 1, "maxLength": \#(Limits.resourcePathBytesMax + 1),
      "pattern": "^/?(?!\\.\\.?(/|$))[^/\\u0000-\\u001f\\u007f-\\u009f]+(/(?!\\.\\.?(/|$))[^/\\u0000-\\u001f\\u007f-\\u009f]+)*$",
      "description": "At most \#(Limits.resourcePathBytesMax) bytes of UTF-8. A leading slash is dropped; empty segments, `.`, `..` and control characters are refused."
    },
    "Fence": {
      "type": "object", "required": ["resource_path", "token"], "additionalProperties": false,
      "properties": {
        "resource_path": {"$ref": "#/components/schemas/ResourcePath"}, "token": {\#(whole)}
      },
      "description": "The write is refused unless this lock is held now with this token."
    },
    "NewWorkUnit": {
      "type": "object", "required": ["context_id", "type", "payload"], "additionalProperties": false,
      "properties": {
        "id": {"$ref": "#/components/schemas/UnitID"}, "context_id": {"$ref": "#/components/schemas/Identifier"},
        "agent_id": {"$ref": "#/components/schemas/Identifier"}, "type": {"$ref": "#/components/schemas/WorkUnitTypeIn"},
        "payload": {"type": "string", "description": "At most \#(Limits.payloadBytesMax) bytes, decoded."},
        "payload_encoding": {"$ref": "#/components/schemas/PayloadEncoding"},
        "metadata": {"$ref": "#/components/schemas/Metadata"}, "meta": {"$ref": "#/components/schemas/Metadata"},
        "relationships": {
          "type": "array", "maxItems": \#(Limits.relationshipsMax), "items": {"$ref": "#/components/schemas/NewRelationship"}
        },
        "fence": {"$ref": "#/components/schemas/Fence"},
        "expected_sequence": {\#(whole), "description": "The sequence that the unit must get."},
        "timestamp": {"description": "Ignored."}, "ts": {"description": "Ignored."},
        "sequence": {"description": "Ignored."}, "position": {"description": "Ignored."}
      },
      "not": {"required": ["metadata", "meta"]},
      "if": {"properties": {"payload_encoding": {"const": "base64"}}, "required": ["payload_encoding"]},
      "then": {"properties": {"payload": {
        "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
      }}},
      "description": "`agent_id` may be left out if `X-Agent-ID` is given. `meta` is another name of `metadata`; one of them at most. A member given twice is refused. Values that are ignored hold at most \#(Limits.ignoredMembersMax) members and elements in all."
    },
    "NewWorkUnits": {
      "type": "array", "minItems": 1, "maxItems": \#(Limits.batchUnitsMax), "items": {"$ref": "#/components/schemas/NewWorkUnit"}
    },
    "UnitBatch": {
      "anyOf": [
        {"$ref": "#/components/schemas/NewWorkUnits"},
        {
          "type": "object", "required": ["work_units"], "additionalProperties": false,
          "properties": {"work_units": {"$ref": "#/components/schemas/NewWorkUnits"}}
        }
      ]
    }
    """#

  private static let agents = ##"""
    "type": "array", "maxItems": \##(Limits.contextAgentsMax), "items": {"$ref": "#/components/schemas/Identifier"}
    """##
  private static let pins = ##"""
    "type": "array", "maxItems": \##(Limits.contextPinsMax), "items": {"$ref": "#/components/schemas/UnitID"}
    """##

  private static let contexts = #"""
    "Context": {
      "type": "object",
      "required": [
        "id", "display_name", "agent_ids", "pinned_units", "metadata", "created_at", "updated_at", "revision",
        "last_sequence"
      ],
      "properties": {
        "id": {"$ref": "#/components/schemas/Identifier"}, "display_name": {"type": "string"},
        "agent_ids": {
          "type": "array", "maxItems": \#(Limits.contextAgentsMax), "items": {"$ref": "#/components/schemas/Identifier"},
          "description": "Those who have joined, by writing. Later ones than \#(Limits.contextAgentsMax) post unlisted."
        },
        "pinned_units": {"type": "array", "maxItems": \#(Limits.contextPinsMax), "items": {"$ref": "#/components/schemas/UnitID"}},
        "metadata": {"$ref": "#/components/schemas/Metadata"},
        "created_at": {"$ref": "#/components/schemas/Time"}, "updated_at": {"$ref": "#/components/schemas/Time"},
        "revision": {\#(whole), "description": "Grows with each change of the context and with a new agent, not with units."},
        "last_sequence": {"$ref": "#/components/schemas/Sequence"}
      }
    },
    "ContextAnswer": {
      "type": "object", "required": ["context"],
      "properties": {
        "context": {"$ref": "#/components/schemas/Context"},
        "pinned": {
          "type": "array", "maxItems": \#(Limits.contextPinsMax), "items": {"$ref": "#/components/schemas/WorkUnit"},
          "description": "With `include=pinned`."
        },
        "recent": {
          "type": "array", "maxItems": \#(Limits.pageDefault), "items": {"$ref": "#/components/schemas/WorkUnit"},
          "description": "With `include=recent`: the newest units, newest first."
        }
      }
    },
    "ContextPatch": {
      "type": "object", "additionalProperties": false,
      "properties": {
        "display_name": {"type": "string", "maxLength": \#(Limits.displayNameBytesMax)},
        "add_agents": {\#(agents)}, "remove_agents": {\#(agents), "description": "None of them may be in `add_agents`."},
        "pin_units": {\#(pins), "description": "Units of this context."},
        "unpin_units": {\#(pins), "description": "None of them may be in `pin_units`."},
        "metadata": {
          "type": "object", "maxProperties": \#(2 * Limits.metadataPairsMax),
          "propertyNames": {"maxLength": \#(Limits.metadataKeyBytesMax)},
          "additionalProperties": {"type": ["string", "null"], "maxLength": \#(Limits.metadataValueBytesMax)},
          "description": "Pairs to set; null deletes a key. At most \#(Limits.metadataPairsMax) pairs may be left."
        },
        "agent_id": {"$ref": "#/components/schemas/Identifier"}
      },
      "description": "`agent_id` says who asks, and may be left out if `X-Agent-ID` is given."
    },
    "ContextPage": {
      "type": "object", "required": ["contexts", "next_cursor"],
      "properties": {
        "contexts": {"type": "array", "maxItems": \#(Limits.pageMax), "items": {"$ref": "#/components/schemas/Context"}},
        "next_cursor": {"$ref": "#/components/schemas/NextCursor"}
      }
    }
    """#

  private static let service = #"""
    "Readiness": {
      "type": "object", "required": ["status"],
      "properties": {
        "status": {"const": "ready"},
        "checks": {
          "type": "array", "description": "With `verbose`.",
          "items": {
            "type": "object", "required": ["name", "ok", "detail"],
            "properties": {"name": {"type": "string"}, "ok": {"type": "boolean"}, "detail": {"type": "string"}}
          }
        }
      }
    },
    "Version": {
      "type": "object", "required": ["name", "version"],
      "properties": {"name": {"const": "engram"}, "version": {"type": "string"}}
    },
    "ErrorCode": {
      "type": "string", "enum": [\#(names(\.name, ErrorCode.self))],
      "description": "A closed list: \#(ErrorCode.allCases.map { "`\($0.name)` (\($0.status)): \($0.title)" }.joined(separator: "; "))."
    },
    "Problem": {
      "type": "object", "required": ["type", "title", "status", "detail", "code", "request_id"],
      "properties": {
        "type": {"type": "string", "format": "uri", "pattern": "^\#(Problem.typePrefix)"},
        "title": {"type": "string"}, "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"}, "code": {"$ref": "#/components/schemas/ErrorCode"},
        "request_id": {"type": "string"},
        "errors": {
          "type": "array", "minItems": 1,
          "items": {
            "type": "object", "required": ["pointer", "detail"],
            "properties": {
              "pointer": {"type": "string", "description": "Where the fault is: a JSON pointer (RFC 6901) into the body, or `/` and the name of a parameter."},
              "detail": {"type": "string"}
            }
          }
        },
        "holder_agent": {
          "$ref": "#/components/schemas/Identifier", "description": "Of `lock_held` and `lock_not_held`: who holds the lock that stands in the way."
        },
        "expires_at": {"$ref": "#/components/schemas/Time", "description": "Of the same: when that lock expires, unless it is renewed."},
        "cycle": {
          "type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Identifier"},
          "description": "Of `deadlock`: agents, each of which waits for the next one, and the last for the first."
        }
      },
      "description": "RFC 9457."
    }
    """#
}
