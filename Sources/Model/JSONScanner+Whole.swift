internal import Bytes

extension JSONScanner {
  /// The number that comes next, if it is an integer of the contract. A larger one is none: its place is told then,
  /// as of any value that isn't what the schema wants.
  mutating func whole() throws(JSONError) -> Int64? {
    do throws(JSONError) {
      return try number().integer
    } catch {
      guard error.reason == .integerTooLarge else { throw error }
      return nil
    }
  }
}
