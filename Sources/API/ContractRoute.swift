internal import Model

extension LoopServices {
  // MARK: GET /openapi.json

  func contract(_ exchange: Exchange) throws(Problem) {
    throw Problem(.notFound, "not built yet")
  }
}
