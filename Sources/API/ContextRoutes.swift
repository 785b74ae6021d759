internal import HTTP
internal import Model

extension LoopServices {
  // MARK: GET /contexts

  func contexts(_ exchange: Exchange) async throws(Problem) {
    throw Problem(.notFound, "not built yet")
  }

  // MARK: GET /contexts/{id}

  func context(_ exchange: Exchange, _ subject: ByteRun) async throws(Problem) {
    throw Problem(.notFound, "not built yet")
  }
}
