extension Examples {
  private static let around = #"""
    {"results": [{"work_unit": \#(second), "relationship": {"type": "RESPONDS_TO", "metadata": {}, "direction": "incoming"},
     "distance": 1}], "partial": false}
    """#

  /// What the example of a whole unit leads to.
  static let graphAroundUnit: [(name: String, value: String)] = [("around", around)]

  static let graphQueries: [(name: String, value: String)] = [
    (
      "answers",
      #"""
      {"target_id": "\#(unitID)", "relationship_types": ["RESPONDS_TO", 2], "direction": "incoming", "depth": 3,
       "limit": 10}
      """#
    ),
    ("nothing", #"{"target_id": "\#(unitID)", "meta_filters": {"mood": "bad"}}"#),
  ]

  static let graphs: [(name: String, value: String)] = [
    ("answers", around), ("nothing", #"{"results": [], "partial": false}"#),
  ]
}
