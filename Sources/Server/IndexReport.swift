internal import Engine
internal import Logging
internal import Model

/// What is logged of the search index.
enum IndexReport {
  static func log(_ notice: IndexNotice, _ logger: Logger) {
    switch notice {
    case .opened(let position):
      logger.debug("search index opened", metadata: ["position": "\(position.rawValue)"])
    case .rebuilding(let reason, let through):
      logger.notice(
        "building the search index anew; searches are partial meanwhile",
        metadata: ["reason": "\(reason)", "events": "\(through.rawValue)"])
    case .progress(let position, let through, let units):
      logger.info(
        "building the search index",
        metadata: [
          "position": "\(position.rawValue)", "events": "\(through.rawValue)", "units": "\(units)",
        ])
    case .rebuilt(let through, let units, let seconds):
      logger.notice(
        "the search index is complete",
        metadata: [
          "events": "\(through.rawValue)", "units": "\(units)", "milliseconds": "\(Int(seconds * 1000))",
        ])
    case .failing(let reason):
      logger.warning(
        "the search index takes nothing now; it is tried every second", metadata: ["reason": "\(reason)"])
    case .recovered:
      logger.notice("the search index takes units again")
    }
  }
}
