internal import Model

extension LoopServices {
  // MARK: POST /workunits

  func createUnits(_ exchange: Exchange) async throws(Problem) {
    throw Problem(.notFound, "not built yet")
  }
}
