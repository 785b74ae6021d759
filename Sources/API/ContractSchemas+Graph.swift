internal import Model

/// The graph.
extension Schemas {
  static let graph = #"""
    "GraphQuery": {
      "type": "object", "required": ["target_id"], "additionalProperties": false,
      "properties": {
        "target_id": {"$ref": "#/components/schemas/UnitID", "description": "Where the walk begins."},
        "relationship_types": {
          "type": "array", "maxItems": \#(Limits.graphTypesMax), "items": {"$ref": "#/components/schemas/RelationshipTypeIn"},
          "description": "Only relationships of these types; none: of all."
        },
        "direction": {"enum": ["incoming", "outgoing", "both"], "default": "both"},
        "depth": {"type": "integer", "minimum": 1, "maximum": \#(Limits.graphDepthMax), "default": 1},
        "limit": {"type": "integer", "minimum": 1, "maximum": \#(Limits.graphPageMax), "default": \#(Limits.graphPageDefault)},
        "meta_filters": {
          "$ref": "#/components/schemas/Metadata", "description": "Only units whose metadata have all of these pairs."
        },
        "metadata": {"$ref": "#/components/schemas/Metadata", "description": "Another name of `meta_filters`."}
      },
      "not": {"required": ["meta_filters", "metadata"]}
    },
    "GraphAnswer": {
      "type": "object", "required": ["results", "partial"],
      "properties": {
        "results": {
          "type": "array", "maxItems": \#(Limits.graphPageMax),
          "items": {
            "type": "object", "required": ["work_unit", "relationship", "distance"],
            "properties": {
              "work_unit": {"$ref": "#/components/schemas/WorkUnit"},
              "relationship": {
                "type": "object", "required": ["type", "metadata", "direction"],
                "properties": {
                  "type": {"$ref": "#/components/schemas/RelationshipType"},
                  "metadata": {"$ref": "#/components/schemas/Metadata"},
                  "direction": {
                    "enum": ["incoming", "outgoing"],
                    "description": "`outgoing`: the nearer unit names this one; `incoming`: this one names the nearer one."
                  }
                }
              },
              "distance": {
                "type": "integer", "minimum": 1, "maximum": \#(Limits.graphDepthMax), "description": "Steps from where the walk began."
              }
            }
          }
        },
        "partial": {"type": "boolean", "description": "A limit of the server ended the walk."}
      }
    }
    """#
}
