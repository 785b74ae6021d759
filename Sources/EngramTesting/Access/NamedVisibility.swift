public import Model
internal import Synchronization

/// A reader who sees what a test names, and is asked no more than that is counted.
public final class NamedVisibility: Visibility {
  public let contextPrefixes: [[UInt8]]
  public let seesAllContexts: Bool
  public let seesAllLocks: Bool
  private let contexts: Set<[UInt8]>
  /// What paths of locks begin with.
  private let locks: [[UInt8]]
  private let questions = Atomic<Int>(0)

  public init(
    contexts: [String] = [], allContexts: Bool = false, locks: [String] = [], prefixes: [String] = [""]
  ) {
    self.contexts = Set(contexts.map { Array($0.utf8) })
    seesAllContexts = allContexts
    seesAllLocks = locks.contains("")
    self.locks = locks.map { Array($0.utf8) }
    contextPrefixes = prefixes.map { Array($0.utf8) }
  }

  /// How often it was asked.
  public var asked: Int { questions.load(ordering: .relaxed) }

  public func sees(context: UnsafeRawBufferPointer) -> Bool {
    questions.add(1, ordering: .relaxed)
    return seesAllContexts || contexts.contains(Array(context))
  }

  public func sees(lock: UnsafeRawBufferPointer) -> Bool {
    questions.add(1, ordering: .relaxed)
    return locks.contains { lock.starts(with: $0) }
  }
}
