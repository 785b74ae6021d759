internal import Model

/// Locks.
extension Schemas {
  /// A number of seconds.
  private static func seconds(_ microseconds: UInt64) -> String {
    let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    return rest == 0 ? "\(whole)" : "\(Double(microseconds) / 1_000_000)"
  }

  private static let ttl = #"""
    "type": "number", "minimum": \#(seconds(Limits.lockTTLMicrosecondsMin)), "maximum": \#(seconds(Limits.lockTTLMicrosecondsMax)),
    "description": "How long it is held without a renewal, counted to the microsecond on a clock that nobody sets. A restart of the server gives every lock its full time again."
    """#

  private static let asking = ##"""
    "ttl_seconds": {\##(ttl), "default": \##(seconds(Limits.lockTTLMicrosecondsDefault))},
    "wait_seconds": {
      "type": "number", "minimum": 0, "maximum": \##(Limits.lockWaitSecondsMax), "default": 0,
      "description": "How long to wait for what is held."
    },
    "agent_id": {"$ref": "#/components/schemas/Identifier"},
    "metadata": {
      "$ref": "#/components/schemas/Metadata", "description": "At most \##(Limits.lockMetadataBytesMax) bytes as JSON."
    }
    """##

  static let locks = #"""
    "Lock": {
      "type": "object",
      "required": ["resource_path", "holder_agent", "lock_id", "token", "acquired_at", "expires_at", "metadata"],
      "properties": {
        "resource_path": {"$ref": "#/components/schemas/ResourcePath", "description": "In canonical form: without a leading slash."},
        "holder_agent": {"$ref": "#/components/schemas/Identifier"}, "lock_id": {"$ref": "#/components/schemas/UnitID"},
        "token": {\#(whole), "description": "The fencing token: greater than that of any earlier grant, of any path."},
        "acquired_at": {"$ref": "#/components/schemas/Time"}, "expires_at": {"$ref": "#/components/schemas/Time"},
        "metadata": {"$ref": "#/components/schemas/Metadata"}
      }
    },
    "LockAnswer": {
      "type": "object", "required": ["lock"], "properties": {"lock": {"$ref": "#/components/schemas/Lock"}}
    },
    "LocksAnswer": {
      "type": "object", "required": ["locks"],
      "properties": {"locks": {
        "type": "array", "minItems": 1, "maxItems": \#(Limits.lockPathsMax), "items": {"$ref": "#/components/schemas/Lock"},
        "description": "In the order in which they were asked for."
      }}
    },
    "LockPage": {
      "type": "object", "required": ["locks", "next_cursor"],
      "properties": {
        "locks": {"type": "array", "maxItems": \#(Limits.pageMax), "items": {"$ref": "#/components/schemas/Lock"}},
        "next_cursor": {"$ref": "#/components/schemas/NextCursor"}
      }
    },
    "NewLock": {
      "type": "object", "required": ["resource_path"], "additionalProperties": false,
      "properties": {"resource_path": {"$ref": "#/components/schemas/ResourcePath"}, \#(asking)}
    },
    "SeveralNewLocks": {
      "type": "object", "required": ["resource_paths"], "additionalProperties": false,
      "properties": {
        "resource_paths": {
          "type": "array", "minItems": 1, "maxItems": \#(Limits.lockPathsMax), "uniqueItems": true,
          "items": {"$ref": "#/components/schemas/ResourcePath"}, "description": "No path twice, in whatever spelling."
        },
        \#(asking)
      }
    },
    "NewLocks": {
      "oneOf": [{"$ref": "#/components/schemas/NewLock"}, {"$ref": "#/components/schemas/SeveralNewLocks"}],
      "description": "`agent_id` may be left out if `X-Agent-ID` is given."
    },
    "LockRenewal": {
      "type": "object", "required": ["lock_id"], "additionalProperties": false,
      "properties": {
        "lock_id": {"$ref": "#/components/schemas/UnitID"}, "ttl_seconds": {\#(ttl)},
        "agent_id": {"$ref": "#/components/schemas/Identifier"}
      },
      "description": "Without `ttl_seconds`: as long as the lock was given last."
    },
    "Released": {
      "type": "object", "required": ["released"],
      "properties": {
        "released": {"const": true},
        "holder_agent": {"$ref": "#/components/schemas/Identifier", "description": "With `force`: who held it."}
      }
    }
    """#
}
